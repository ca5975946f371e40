"""Runs the rows of a table, each as a plugin of its own on a route of its own, and says how each differs from its row."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.proxy_wasm.table import FOLDER, Row
from support import configs, wire
from support.grpc_server import GrpcServer
from support.server import Server
from support.tcp import Client, TcpServer
from support.upstreams import Peer, Request, Upstream, closed_port
from support.waiting import until

STATUS = ["OK", "NOT_FOUND", "BAD_ARGUMENT", "SERIALIZATION_FAILURE", "PARSE_FAILURE", "BAD_EXPRESSION",
          "INVALID_MEMORY_ACCESS", "EMPTY", "CAS_MISMATCH", "RESULT_MISMATCH", "INTERNAL_FAILURE", "BROKEN_CONNECTION",
          "UNIMPLEMENTED"]
REPLY_HEADERS = "content-type: text/plain\r\nx-reply: r\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
OTHER = "other."  # before the callbacks of a row's second plugin
CLAUSES = ("client ", "upstream ", "says ", "refused ")
OURS = ("abi", "start", "module", "request", "reply", "also")  # settings of a row that are not the plugin's


class Driver:
    """Compiles driver.c for a version of the ABI and a way to start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, abi: str, start: str, extra: str) -> Path:
        wasm = self._folder / f"driver-{abi}-{start}-{extra}.wasm"
        if not wasm.exists():
            defines = [f"-DABI={abi.removeprefix('0.').replace('.', '')}", *([f"-DSTART_{start}"] if start else []),
                       *([f"-D{extra}"] if extra else [])]
            subprocess.run(["clang-19", "--target=wasm32", "-O1", "-mbulk-memory", "-nostdlib", "-fno-builtin",
                            "-Wl,--no-entry", *defines, "-o", str(wasm), str(FOLDER / "driver.c")], check=True)
        return wasm


def is_tcp(row: Row) -> bool:
    return str(row.settings.get("request", "")).startswith("tcp")


def reply(request: Request) -> bytes:
    kind = request.header("x-reply-kind") or "plain"
    if request.target.startswith("/call"):
        body = b"called:" + request.body
        return b"HTTP/1.1 200 OK\r\nx-call: yes\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n" + wire.chunked(
            [body], {"x-end": "e"})
    if kind == "trailers":
        head = f"HTTP/1.1 200 OK\r\n{REPLY_HEADERS}transfer-encoding: chunked\r\n\r\n".encode()
        return head + wire.chunked([b"hello from upstream"], {"x-trailer": "t"})
    if kind == "chunked":
        head = f"HTTP/1.1 200 OK\r\n{REPLY_HEADERS}transfer-encoding: chunked\r\n\r\n".encode()
        return head + wire.chunked([b"hello from upstream"])
    if kind == "empty":
        return f"HTTP/1.1 204 No Content\r\n{REPLY_HEADERS}\r\n".encode()
    return f"HTTP/1.1 200 OK\r\n{REPLY_HEADERS}content-length: 19\r\n\r\nhello from upstream".encode()


def upstream_script(peer: Peer) -> None:
    try:
        while request := peer.read_request():
            peer.send(reply(request))
    except TimeoutError:
        pass  # a connection that is kept for later requests


@dataclass
class Bytes:
    """What one side of a TCP connection received."""

    body: bytes = b""


class Outcome:
    """What one row's exchange showed."""

    def __init__(self) -> None:
        self.response: wire.Response | Bytes | None = None
        self.broken = ""
        self.mark = 0
        self.backend: TcpServer | None = None  # of a TCP row
        self.arrived = Bytes()  # at that

    def echo(self, peer: socket.socket) -> None:
        while data := peer.recv(65536):
            self.arrived.body += data
            peer.sendall(data)


class Bench:
    """One server with a plugin, or two, for every row."""

    def __init__(self, start: Callable[..., Server], driver: Driver, upstream: Upstream, grpc: GrpcServer,
                 rows: list[Row]) -> None:
        self.rows, self.upstream = rows, upstream
        self.outcomes = [Outcome() for _ in rows]
        plugins, routes, listeners = [], [], []
        upstreams = [configs.upstream("main", upstream.address), configs.upstream("closed", ("127.0.0.1", closed_port())),
                     configs.upstream("grpc", grpc.address)]
        for index, row in enumerate(rows):
            module = driver(str(row.settings.get("abi", "0.2.1")), str(row.settings.get("start", "")),
                            str(row.settings.get("module", "")))
            entries = self._plugins(index, module)
            plugins += entries
            names = [entry["name"] for entry in entries]
            if is_tcp(row):
                self.outcomes[index].backend = backend = TcpServer(self.outcomes[index].echo)
                upstreams.append(configs.upstream(f"row-{index}", backend.address))
                listeners.append({"name": f"row-{index}", "address": "127.0.0.1:0", "protocol": "tcp",
                                  "upstream": f"row-{index}", "plugins": names})
            else:
                routes.append(configs.route(f"/row/{index}/*", "main", id=f"row-{index}", plugins=names,
                                            timeout="4s"))
        config = configs.gateway(routes, upstreams, plugins, workers=1)
        config["listeners"] += listeners
        self.server = start(config, expect_errors=True)
        threads = [threading.Thread(target=self._exchange, args=(index,)) for index in range(len(rows))]
        for begin in range(0, len(threads), 8):
            for thread in threads[begin:begin + 8]:
                thread.start()
            for thread in threads[begin:begin + 8]:
                thread.join()

    def _plugins(self, index: int, module: Path) -> list[dict[str, Any]]:
        """The row's plugin, and the other one when there are statements or settings for it."""
        row = self.rows[index]
        own = [line for line in row.script if not line.startswith(OTHER)]
        other = [line.removeprefix(OTHER) for line in row.script if line.startswith(OTHER)]
        settings = {key: value for key, value in row.settings.items() if key not in OURS}

        def entry(suffix: str, script: list[str], more: dict[str, Any]) -> dict[str, Any]:
            return {"name": f"row-{index}{suffix}", "path": str(module), "vm_id": f"row-{index}",
                    "vm_config": self._own(index, "\n".join(script)), **settings, **more}

        entries = [entry("", own, {})]
        if other or "also" in row.settings:
            also = {key: self._own(index, value) for key, value in row.settings.get("also", {}).items()}
            entries.append(entry("-other", other or own, also))
        return entries

    def close(self) -> None:
        for outcome in self.outcomes:
            if outcome.backend:
                outcome.backend.stop()

    def _exchange(self, index: int) -> None:
        outcome, row = self.outcomes[index], self.rows[index]
        kind = str(row.settings.get("request", "post"))
        headers = [("Host", "heddle.test"), ("x-row", str(index)), ("x-one", "1"), ("x-two", "a"), ("x-two", "b"),
                   ("x-empty", ""), ("x-reply-kind", str(row.settings.get("reply", "plain")))]
        target = f"/row/{index}/path?query=1"
        outcome.mark = self.server.mark()
        try:
            if is_tcp(row):
                outcome.response = self._over_tcp(index, at_once=kind == "tcp_end")
                return
            with self.server.connect() as connection:
                if kind == "get":
                    connection.send(wire.head("GET", target, headers))
                elif kind in ("trailers", "chunked"):
                    connection.send(wire.head("POST", target, [*headers, ("transfer-encoding", "chunked")]))
                    connection.send(wire.chunked([b"hello world"], {"x-trailer": "t"} if kind == "trailers" else {}))
                elif kind == "none":
                    return
                elif kind == "grpc":
                    connection.send(wire.head("POST", target, [*headers, ("content-type", "application/grpc"),
                                                               ("content-length", "5")]) + b"\0\0\0\0\0")
                else:
                    connection.send(wire.head("POST", target, [*headers, ("content-length", "11")]) + b"hello world")
                outcome.response = connection.response("GET")
        except (wire.Broken, OSError) as problem:
            outcome.broken = repr(problem)

    def _over_tcp(self, index: int, at_once: bool) -> Bytes:
        got = Bytes()
        with Client(self.server.listeners[f"row-{index}"]) as client:
            client.send(b"hello")
            ended = at_once
            if ended:
                client.end()
            while data := client.socket.recv(65536):
                got.body += data
                if len(got.body) >= 5 and not ended:
                    ended = True
                    client.end()
        return got

    def lines(self, index: int) -> list[str]:
        """What the driver logged, as it is written in the tables."""
        root = self.rows[index].settings.get("request") == "none"
        after = 0 if root else self.outcomes[index].mark
        who = {f"row-{index}": "", f"row-{index}-other": "other "}
        return [who[line["plugin"]] + readable(line["message"].removeprefix("= "))
                for line in self.server.log.lines()[after:]
                if line.get("plugin") in who and line.get("message", "").startswith("= ")]

    @staticmethod
    def _own(index: int, text: str) -> str:
        return text.replace("%N", str(index))

    def _fits(self, index: int, pattern: re.Pattern[str], count: int) -> bool:
        """Root callbacks run at the activation gate as well as on the worker, so there the lines may stand anywhere."""
        got = self.lines(index)
        if self.rows[index].settings.get("request") != "none":
            return pattern.fullmatch(" ; ".join(got)) is not None
        return any(pattern.fullmatch(" ; ".join(got[start:start + count])) for start in range(len(got) + 1))

    def problem(self, index: int) -> str:
        """How the row differs; empty when it does not."""
        row = self.rows[index]
        logged = [text for text in row.expected if not text.startswith(CLAUSES) and text != "nothing"]
        pattern = re.compile(as_pattern(self._own(index, " ; ".join(logged))))
        try:
            until(lambda: self._fits(index, pattern, len(logged)), row.name, timeout=15)
            problems = []
        except AssertionError:
            problems = [f"logged {self.lines(index)}"]
        problems += [clause_problem for text in row.expected if text.startswith(CLAUSES)
                     if (clause_problem := self._clause(index, self._own(index, text)))]
        return "; ".join(problems)

    def _clause(self, index: int, text: str) -> str:
        who, _, rest = text.partition(" ")
        if who == "says":
            level, _, wanted = rest.partition(" ")
            fits = any(line.get("plugin") == f"row-{index}" and line.get("level") == level and
                       wanted.strip('"') in line.get("message", "") for line in self.server.log.lines())
            return "" if fits else f"no log line {rest}"
        if who == "refused":
            wanted = rest.strip('"')
            fits = any(line.get("plugin") == f"row-{index}" and wanted in str(line) for line in self.server.log.lines())
            return "" if fits else f"no refusal that says {rest}"
        if who == "client":
            outcome = self.outcomes[index]
            if rest == "broken":
                return "" if outcome.broken else f"client got {outcome.response}"
            if outcome.response is None:
                return f"client got no response: {outcome.broken}"
            return message_problem("client", outcome.response, str(getattr(outcome.response, "status", "")), rest)
        if is_tcp(self.rows[index]):
            return message_problem("upstream", self.outcomes[index].arrived, "", rest)
        seen = [each for each in self.upstream.requests if each.header("x-row") == str(index)]
        if rest == "nothing":
            return "" if not seen else f"upstream got {seen[0]}"
        if not seen:
            return "upstream got nothing"
        return message_problem("upstream", seen[0], f"{seen[0].method} {seen[0].target}", rest)


def as_pattern(text: str) -> str:
    """`%any` stands for a number, `%id` for a request id; `%name` for a number, the same one wherever the name comes again."""
    known: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name == "any":
            return r"\d+"
        if name == "id":
            return r"[0-9a-f-]+"
        if name in known:
            return f"(?P={name})"
        known.add(name)
        return rf"(?P<{name}>\d+)"

    return re.sub(r"%([a-z]+)", group, re.escape(text))


def message_problem(who: str, message: Any, line: str, wanted: str) -> str:
    """`wanted`: body "…", header NAME=VALUE, no header NAME, trailer NAME=VALUE, or the status or request line."""
    kind, _, rest = wanted.partition(" ")
    if kind == "body":
        got = message.body.decode("latin-1")
        return "" if got == rest.strip('"') else f"{who}: body {got!r}"
    if kind == "header":
        name, _, value = rest.partition("=")
        return "" if message.header(name) == value else f"{who}: header {name} is {message.header(name)!r}"
    if kind == "no":
        name = rest.removeprefix("header ")
        return "" if message.header(name) is None else f"{who}: header {name} is {message.header(name)!r}"
    if kind == "trailer":
        name, _, value = rest.partition("=")
        got = dict(message.trailers).get(name)
        return "" if got == value else f"{who}: trailer {name} is {got!r}"
    return "" if line == wanted else f"{who}: {line}"


def readable(text: str) -> str:
    first, _, rest = text.partition(" ")
    if first.isdigit():
        first = STATUS[int(first)] if int(first) < len(STATUS) else first
    return f"{first} {rest}".strip()
