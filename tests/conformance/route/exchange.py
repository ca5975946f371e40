"""Runs the rows of a table against one server, in which each combination of a module and its settings is a plugin, and says how
each differs from its row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from conformance.route.table import Request, Row, unescaped
from support import configs, wire
from support.route_driver import ECHO_METHODS, RUN, Driver
from support.server import Server
from support.upstreams import Peer, Upstream, closed_port


def upstream_script(peer: Peer) -> None:
    """What the plugins' HTTP requests reach."""
    try:
        while request := peer.read_request():
            path = request.target.split("?")[0]
            status, headers, body = "200 OK", "content-type: text/plain\r\n", f"{request.line.rsplit(' ', 1)[0]} ".encode()
            if path == "/binary":
                body = b"\xff\x00"
            elif path == "/headers":
                shown = sorted(f"{name}={value}" for name, value in request.headers if name.startswith("x-"))
                body = ",".join(shown).encode()
                headers += "x-twice: a\r\nx-twice: b\r\n"
            elif path == "/status/503":
                status = "503 Service Unavailable"
            elif path == "/redirect":
                status, headers = "302 Found", headers + "location: /plain?redirected\r\n"
            elif path == "/redirect-away":
                status, headers = "302 Found", headers + "location: http://127.0.0.2:1/\r\n"
            elif path == "/big":
                body = b"x" * (3 << 20)
            else:
                body += request.body
            peer.send(f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body)
    except TimeoutError:
        pass  # a connection that is kept for later requests


class Bench:
    """One server for all rows of a table."""

    def __init__(self, start: Callable[..., Server], driver: Driver, upstream: Upstream, table: str, rows: list[Row]) -> None:
        self._table, self._upstream = table, upstream
        self._closed = closed_port()
        self._names: dict[str, str] = {}  # of the plugins, by what distinguishes them
        plugins = []
        for row in rows:
            key = self._key(row)
            if key in self._names:
                continue
            name = self._names[key] = f"{table}-{len(self._names)}"
            entry = json.loads(self._filled(json.dumps(row.settings), name))
            config = entry.pop("manifest_config", {})
            path = driver.package(name, row.module, self._routes(name), config=config)
            plugins.append(configs.plugin(name, path, **entry))
        config = configs.gateway([], plugins=plugins, workers=1, logging={"level": "debug"},
                                 outbound_http={"max_request": "1MiB", "max_response": "2MiB"})
        self.server = start(config, expect_errors=True)

    @staticmethod
    def _key(row: Row) -> str:
        return json.dumps([row.module, row.settings], sort_keys=True)

    @staticmethod
    def _routes(name: str) -> list[dict[str, Any]]:
        def at(path: str, method: str, handler: str = "echo", **more: Any) -> dict[str, Any]:
            return {"path": f"/{name}{path}", "method": method, "handler": handler, **more}

        return [{**RUN, "path": f"/{name}/run"}, *(at("/items/:id", method) for method in ECHO_METHODS),
                at("/braces/{first}/and/{second}", "GET"), at("/rest/*", "GET"), at("/head", "HEAD"), at("/options", "OPTIONS"),
                at("/quick", "POST", "run", timeout=200)]

    def _filled(self, text: str, name: str) -> str:
        port = str(self._upstream.address[1])
        return text.replace("%port", port).replace("%closed", str(self._closed)).replace("%name", name)

    def _send(self, request: Request, name: str) -> wire.Response:
        if not request.target:
            return self.server.admin(f"/plugins/{name}/execute", "POST")
        target = request.target if request.target.startswith("/api/") else f"/{name}{request.target}"
        body = self._filled(request.body.decode("latin-1"), name).encode("latin-1")
        return self.server.fetch(self._filled(target, name), request.method, request.headers, body)

    def problem(self, row: Row) -> str:
        """How the row differs; empty when it does not."""
        name = self._names[self._key(row)]
        mark = self.server.mark()
        response = wire.Response(200, "", [])
        for request in row.requests:
            response = self._send(request, name)
        problems = [found for kind, rest in row.clauses
                    if (found := self._clause(kind, self._filled(rest, name), response, name, mark))]
        if row.results:
            problems += self._differences(row, response, name)
        if not any(kind in ("status", "error", "refused") for kind, _ in row.clauses) and response.status != 200:
            problems.append(f"status {response.status}: {response.text[:500]}")
        return "; ".join(problems)

    def _differences(self, row: Row, response: wire.Response, name: str) -> list[str]:
        got = response.body.decode(errors="replace").splitlines()
        wanted = [pattern(self._filled(text, name)) for text in row.results]
        fits = len(got) == len(wanted) and all(one.fullmatch(line) for one, line in zip(wanted, got))
        return [] if fits else [f"results {[line[:600] for line in got]}"]

    def _clause(self, kind: str, rest: str, response: wire.Response, name: str, mark: int) -> str:
        checks = {"status": lambda: response.status == int(rest),
                  "error": lambda: rest == error_of(response, "code") and bool(error_of(response, "request_id")),
                  "message": lambda: rest.strip('"') in error_of(response, "message"),
                  "body": lambda: response.body == unescaped(rest.strip("'")),
                  "size": lambda: len(response.body) == int(rest),
                  "json": lambda: response.json() == json.loads(rest),
                  "header": lambda: response.header(rest.partition("=")[0]) == rest.partition("=")[2],
                  "input": lambda: self._input(response, *rest.split(" ", 1)),
                  "no": lambda: self._absent(response, *rest.split(" ", 1))}
        if kind not in checks:
            return self._logged(kind, rest, name, mark)
        return "" if checks[kind]() else f"{kind} {rest}: got {response.status} {response.headers} {response.text[:600]}"

    @staticmethod
    def _input(response: wire.Response, key: str, text: str) -> bool:
        wanted = pattern(text)
        return wanted.fullmatch(json.dumps(response.json().get(key), separators=(",", ":"), ensure_ascii=False)) is not None

    @staticmethod
    def _absent(response: wire.Response, what: str, key: str) -> bool:
        return key not in response.json() if what == "input" else response.header(key) is None

    def _logged(self, kind: str, rest: str, name: str, mark: int) -> str:
        if kind == "refused":  # at the start
            level, words, mark = "error", rest, 0
        else:
            level, words = rest.split(" ", 1)
        words = words.strip('"')
        try:
            self.server.log.wait(lambda line: line.get("plugin") == name and line.get("level") == level and words in str(line),
                                 5, mark)
        except TimeoutError:
            mine = [line for line in self.server.log.lines()[mark:] if line.get("plugin") == name]
            return f"no {level} line with {words!r} in {mine[-5:]}"
        return ""


def error_of(response: wire.Response, key: str) -> str:
    try:
        return str(response.json()["error"][key])
    except (ValueError, KeyError, TypeError):
        return f"no error JSON: {response.text[:300]}"


def pattern(text: str) -> re.Pattern[str]:
    """`...` stands for anything, `%any` for a number."""
    return re.compile(re.escape(text).replace(r"\.\.\.", ".*").replace("%any", r"-?\d+"), re.DOTALL)
