"""HTTP calls of plugins: from every callback, to every kind of address, and what the operator sees of them. Foreign
functions: which ones a plugin may call."""

from __future__ import annotations

import threading
from pathlib import Path

from support.configs import gateway, plugin, upstream
from support.nginx import Nginx
from support.prometheus import parse
from support.server import Server
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until

WAITING = "request_headers call {to} {path}\nrequest_headers pause\nhttp_call_response trace\nhttp_call_response resume 0"


def waiting(to: str, path: str = "/") -> str:
    """A configuration of probe: each request waits for a call."""
    return WAITING.format(to=to, path=path)


def value(server: Server, name: str, **labels: str) -> float:
    return parse(server.admin("/metrics").text)[name].value(**labels) or 0


def test_calls_from_the_callbacks_of_the_root_context(serve, probe: Path) -> None:
    with Upstream(answering(ok(b"yes"))) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("raw", origin.address)], plugins=[
            plugin("caller", probe, config="vm_start log started\nconfigure call raw /configure\nconfigure tick 10\n"
                                           "tick call raw /tick\ntick tick 0\nhttp_call_response trace")]))
        server.wait_log("probe http_call_response 1 4 ")
        server.wait_log("probe http_call_response 1 8 ")
        assert [request.target for request in origin.requests] == ["/configure", "/tick"], "the trial instance calls nobody"


def test_calls_count_in_the_metrics_of_the_upstream(serve, probe: Path) -> None:
    with Upstream(answering(ok(b"yes"))) as origin:
        server = serve(gateway(upstreams=[upstream("raw", origin.address), upstream("dead", ("127.0.0.1", closed_port()))],
                               plugins=[plugin("caller", probe, config=waiting("raw")),
                                        plugin("loser", probe, config=waiting("dead"))]))
        for _ in range(3):
            assert server.fetch("/").status == 200
        assert value(server, "heddle_upstream_responses_total", upstream="raw", status="2xx") == 3
        assert value(server, "heddle_upstream_responses_total", upstream="dead", status="none") == 3
        until(lambda: value(server, "heddle_upstream_requests_active", upstream="raw") == 0, "the calls to end")
        assert value(server, "heddle_upstream_requests_active", upstream="dead") == 0


def test_a_call_counts_while_it_is_pending(serve, probe: Path) -> None:
    answer = threading.Event()

    def patient(peer: Peer) -> None:
        peer.read_request()
        answer.wait(20)
        peer.send(ok())

    with Upstream(patient) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("raw", origin.address)],
                               plugins=[plugin("caller", probe, config=waiting("raw"))]))
        with server.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            until(lambda: value(server, "heddle_upstream_requests_active", upstream="raw") == 1, "the call to begin")
            answer.set()
            assert connection.response().status == 200
        until(lambda: value(server, "heddle_upstream_requests_active", upstream="raw") == 0, "the call to end")


def test_a_failure_is_logged_with_plugin_and_upstream(serve, probe: Path) -> None:
    dead = f"127.0.0.1:{closed_port()}"
    server = serve(gateway(plugins=[plugin("loser", probe, config=waiting(dead), permissions={"http": [dead]})]))
    assert server.fetch("/").status == 200
    line = server.wait_log("a plugin's call to an upstream failed", plugin="loser", upstream=dead)
    assert line["level"] == "warn"


def test_addresses_need_a_permission(serve, probe: Path, nginx: Nginx) -> None:
    host, port = nginx.address
    address = f"{host}:{port}"
    server = serve(gateway(workers=1, plugins=[
        plugin("permitted", probe, config=waiting(address, "/hello"), permissions={"http": [address]}),
        plugin("other", probe, config=f"request_headers call {address} /hello", permissions={"http": [f"{host}:1", "*.test:80"]})]))
    assert server.fetch("/").status == 200
    server.wait_log("probe http_call_response", plugin="permitted")
    server.wait_log("probe call refused 2", plugin="other")


def test_trailers_of_the_answer(serve, probe: Path) -> None:
    def chunked(peer: Peer) -> None:
        while peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n"
                      b"5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n")

    with Upstream(chunked) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("raw", origin.address)],
                               plugins=[plugin("caller", probe, config=waiting("raw"))]))
        assert server.fetch("/").status == 200
        line = server.wait_log("probe http_call_response")
    headers, body, trailers = line["message"].split()[-3:]
    assert (int(headers) > 0, body, trailers) == (True, "5", "1")


def test_a_call_ends_at_its_timeout(serve, probe: Path) -> None:
    def silent(peer: Peer) -> None:
        peer.read_request()
        peer.wait_closed()

    with Upstream(silent) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("raw", origin.address)],
                               plugins=[plugin("caller", probe, config=waiting("raw"))]))
        assert server.fetch("/").status == 200, "probe's time-out is two seconds"
        line = server.wait_log("probe http_call_response")
        assert line["message"].split()[-3:] == ["3", "24", "0"], "504 with its text"
        server.wait_log("a plugin's call to an upstream failed", plugin="caller", upstream="raw")


def test_foreign_functions_are_permitted_by_name(serve, probe: Path) -> None:
    ask = "request_headers foreign compress aaaa\nrequest_headers foreign clear_route_cache\nrequest_headers foreign nothing"
    server = serve(gateway(workers=1, plugins=[
        plugin("free", probe, priority=1, config=ask),
        plugin("bound", probe, config=ask, permissions={"foreign_functions": ["compress"]})]))
    assert server.fetch("/").status == 200
    for name, expected in (("free", ["0 12", "0 0", "1 0"]), ("bound", ["0 12", "1 0", "1 0"])):
        for function, outcome in zip(("compress", "clear_route_cache", "nothing"), expected, strict=True):
            server.wait_log(f"probe foreign {function} {outcome}", plugin=name)
    server.wait_log("permissions.foreign_functions", plugin="bound")
