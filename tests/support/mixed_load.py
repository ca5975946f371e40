"""Load of many kinds at once, from a process of its own: HTTP/1.1 and HTTP/2 with and without TLS, WebSocket, TCP.

A request counts as done only when its whole answer came and was the right one; everything else is a failure. An HTTP
connection may end between two requests, and an HTTP/2 stream above the number in a GOAWAY was never begun; both are sent
again, as clients do.

    python -m support.mixed_load '{"public": ["127.0.0.1", 1], "secure": …, "tcp": …, "tcp_tls": …, "authority": "ca.pem"}'

runs until its standard input ends and prints {"done": {KIND: N}, "failures": […]}. `MixedLoad` starts it.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
from websockets.asyncio.client import connect as connect_websocket

from support import wire

TIMEOUT = 30.0
MARKS = ("one", "two")  # what the plugin under change may have put into x-dropped


class MixedLoad:
    """The process. Leaving the block stops it; then `done` and `failures` stand."""

    def __init__(self, authority: Path, **addresses: wire.Address) -> None:
        settings = {"authority": str(authority), **addresses}
        self._process = subprocess.Popen([sys.executable, "-m", "support.mixed_load", json.dumps(settings)], text=True,
                                         cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.done: dict[str, int] = {}
        self.failures: list[str] = []

    def __enter__(self) -> "MixedLoad":
        return self

    def __exit__(self, *_: object) -> None:
        out, _ = self._process.communicate(timeout=2 * TIMEOUT)
        result = json.loads(out)
        self.done, self.failures = result["done"], result["failures"]


class Wrong(Exception):
    """An answer that is not the right one."""


class Load:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._at = settings
        self._stop = asyncio.Event()
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []

    async def run(self) -> None:
        users = [(4, "h1", lambda: self._http1("h1", "public", None)),
                 (2, "h1 tls", lambda: self._http1("h1 tls", "secure", self._tls("http/1.1"))),
                 (2, "h2 tls", lambda: self._http2("h2 tls", "secure", self._tls("h2"))),
                 (1, "h2c", lambda: self._http2("h2c", "public", None)),
                 (2, "ws", lambda: self._websocket("ws", "public", None)),
                 (1, "wss", lambda: self._websocket("wss", "secure", self._tls("http/1.1"))),
                 (2, "tcp", lambda: self._tcp("tcp", "tcp", None)),
                 (1, "tcp tls", lambda: self._tcp("tcp tls", "tcp_tls", self._tls()))]
        tasks = [self._repeat(kind, session) for count, kind, session in users for _ in range(count)]
        await asyncio.gather(self._wait_for_end(), *tasks)

    async def _wait_for_end(self) -> None:
        await asyncio.to_thread(sys.stdin.read)
        self._stop.set()

    async def _repeat(self, kind: str, session: Callable[[], Awaitable[None]]) -> None:
        while not self._stop.is_set():
            try:
                await asyncio.wait_for(session(), 4 * TIMEOUT)
            except Exception as problem:  # noqa: BLE001: whatever it is, it is a finding
                self.failures.append(f"{kind}: {problem!r}")

    def _tls(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._at["authority"])
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    async def _open(self, where: str, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = {"server_hostname": "localhost"} if tls else {}
        return await asyncio.wait_for(asyncio.open_connection(*self._at[where], ssl=tls, **name), TIMEOUT)

    # ---- HTTP/1.1

    async def _http1(self, kind: str, where: str, tls: ssl.SSLContext | None) -> None:
        reader, writer = await self._open(where, tls)
        try:
            for number in range(random.randint(1, 100)):
                if self._stop.is_set() or not await self._request(kind, reader, writer, number > 0):
                    return
        finally:
            writer.close()

    async def _request(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, used: bool) -> bool:
        """Whether the connection can take another request."""
        method, path, body = plan()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        writer.write(f"{head}\r\n".encode() + body)
        try:
            raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT)
        except (asyncio.IncompleteReadError, ConnectionError) as problem:
            if used and not getattr(problem, "partial", b""):
                return False
            raise
        status, headers = parse_head(raw)
        if "chunked" in headers.get("transfer-encoding", ""):
            got = b""
            while size := int(await asyncio.wait_for(reader.readline(), TIMEOUT), 16):
                got += (await asyncio.wait_for(reader.readexactly(size + 2), TIMEOUT))[:-2]
            await reader.readline()
        else:
            got = await asyncio.wait_for(reader.readexactly(int(headers.get("content-length", "0"))), TIMEOUT)
        check(status, headers, got, body or path.encode())
        self.done[kind] += 1
        return headers.get("connection", "") != "close"

    # ---- HTTP/2

    async def _http2(self, kind: str, where: str, tls: ssl.SSLContext | None) -> None:
        reader, writer = await self._open(where, tls)
        session = Http2(reader, writer)
        try:
            for _ in range(random.randint(1, 30)):
                if self._stop.is_set() or session.leaving:
                    return
                self.done[kind] += await asyncio.wait_for(session.batch(random.randint(1, 10)), TIMEOUT)
        finally:
            writer.close()

    # ---- WebSocket and TCP

    async def _websocket(self, kind: str, where: str, tls: ssl.SSLContext | None) -> None:
        host, port = self._at[where]
        url = f"{'wss' if tls else 'ws'}://localhost:{port}/websocket"
        async with connect_websocket(url, host=host, port=port, ssl=tls, compression=None, open_timeout=TIMEOUT,
                                     close_timeout=TIMEOUT) as socket:
            for _ in range(random.randint(1, 40)):
                message = random.randbytes(random.choice((1, 100, 5000)))
                await socket.send(message)
                if await asyncio.wait_for(socket.recv(), TIMEOUT) != message:
                    raise Wrong("another message came back")
                self.done[kind] += 1

    async def _tcp(self, kind: str, where: str, tls: ssl.SSLContext | None) -> None:
        reader, writer = await self._open(where, tls)
        try:
            for _ in range(random.randint(1, 40)):
                message = random.randbytes(random.choice((1, 100, 20_000)))
                writer.write(message)
                if await asyncio.wait_for(reader.readexactly(len(message)), TIMEOUT) != message:
                    raise Wrong("other bytes came back")
                self.done[kind] += 1
            if tls is None:
                writer.write_eof()
                if await asyncio.wait_for(reader.read(), TIMEOUT):
                    raise Wrong("bytes that nobody sent")
        finally:
            writer.close()


class Http2:
    """A connection that sends some requests at a time and waits for all of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._open: dict[int, dict[str, Any]] = {}
        self._done = 0
        self.leaving = False

    async def batch(self, count: int) -> int:
        """How many were answered; those that a GOAWAY left out are none."""
        self._done = 0
        for _ in range(count):
            self._send()
        self._writer.write(self._h2.data_to_send())
        while self._open:
            data = await self._reader.read(65536)
            if not data:
                raise Wrong(f"the connection ended with {len(self._open)} streams open")
            for event in self._h2.receive_data(data):
                self._take(event)
            self._writer.write(self._h2.data_to_send())
        return self._done

    def _send(self) -> None:
        method, path, body = plan()
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")],
                              end_stream=not body)
        self._open[stream] = {"headers": {}, "body": b"", "expected": body or path.encode()}
        if body:  # smaller than a frame and, with all of its neighbours, than the first window
            self._h2.send_data(stream, body, end_stream=True)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.leaving = True
            if event.error_code:
                raise Wrong(f"GOAWAY with error {event.error_code}")
            for stream in [number for number in self._open if number > (event.last_stream_id or 0)]:
                del self._open[stream]
            return
        stream = self._open.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream["headers"] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream["body"] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            raise Wrong(f"stream reset with error {event.error_code}")
        elif isinstance(event, h2.events.StreamEnded):
            del self._open[event.stream_id]
            check(int(stream["headers"].get(":status", 0)), stream["headers"], stream["body"], stream["expected"])
            self._done += 1


def plan() -> tuple[str, str, bytes]:
    """Method, path and body of a request."""
    path = random.choice((f"/v{random.randint(0, 6)}/{random.randint(0, 999)}", "/asking"))
    if random.random() < 0.5:
        return "GET", path, b""
    return "POST", path, random.randbytes(random.choice((1, 100, 4000)))


def parse_head(raw: bytes) -> tuple[int, dict[str, str]]:
    line, *fields = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return int(line.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


def check(status: int, headers: dict[str, str], body: bytes, expected: bytes) -> None:
    if status != 200:
        raise Wrong(f"status {status}: {body[:300]!r}")
    if body != expected:
        raise Wrong(f"a body of {len(body)} bytes instead of {len(expected)}: {body[:60]!r}")
    if headers.get("x-dropped") not in MARKS:
        raise Wrong(f"x-dropped is {headers.get('x-dropped')!r}: the plugin was not asked")


async def main() -> None:
    load = Load(json.loads(sys.argv[1]))
    await load.run()
    print(json.dumps({"done": load.done, "failures": load.failures}))


if __name__ == "__main__":
    asyncio.run(main())
