"""Upstreams of raw sockets that do exactly what a test tells them, right or wrong."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from support import wire


@dataclass
class Request:
    line: str
    headers: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


class Peer:
    """The upstream's side of one connection."""

    def __init__(self, sock: socket.socket, upstream: "Upstream") -> None:
        self.socket = sock
        self.upstream = upstream
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def wait_closed(self) -> bool:
        """Waits for the other side to close."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        return True

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        out = bytes(self._buffer[:count])
        del self._buffer[:count]
        return out

    def read_head(self) -> Request | None:
        """The next request's head; None at the end of the connection."""
        try:
            while b"\r\n\r\n" not in self._buffer:
                self._fill()
        except (wire.Broken, ConnectionError):
            return None
        raw, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *fields = raw.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        return Request(line, headers, b"", [])

    def read_request(self) -> Request | None:
        request = self.read_head()
        if request is None:
            return None
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            self._read_chunks(request)
        elif length := request.header("content-length"):
            request.body = self.read(int(length))
        self.upstream.requests.append(request)
        return request

    def _read_chunks(self, request: Request) -> None:
        while size := int(self._line().split(b";")[0], 16):
            request.body += self.read(size)
            assert self.read(2) == b"\r\n"
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            request.trailers.append((name, value.strip()))

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise wire.Broken("the gateway closed the connection")
        self._buffer += data


class Upstream:
    """Accepts connections and runs `script` on each, in a thread of its own. At the end all connections are closed."""

    def __init__(self, script: Callable[[Peer], None], port: int = 0, host: str = "127.0.0.1") -> None:
        self._script = script
        self._listener = socket.create_server((host, port))
        self.address: wire.Address = self._listener.getsockname()
        self.connections = 0
        self.requests: list[Request] = []
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._open: set[socket.socket] = set()
        self._stopped = False

    def __enter__(self) -> "Upstream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert not self.failures, self.failures

    def stop(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(timeout=wire.TIMEOUT)
        self._stopped = True
        for sock in list(self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(wire.TIMEOUT)
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        self._open.add(sock)
        try:
            self._script(Peer(sock, self))
        except (wire.Broken, ConnectionError, BrokenPipeError):
            pass  # the gateway went away, which is what some scripts provoke
        except BaseException as failure:  # a script's own mistake must fail the test, not its thread
            if not self._stopped:
                self.failures.append(failure)
        finally:
            self._open.discard(sock)
            sock.close()


def answering(*responses: bytes) -> Callable[[Peer], None]:
    """A script that gives these raw responses in turn (the last again and again) and keeps connections open."""
    def script(peer: Peer) -> None:
        count = 0
        while peer.read_request():
            peer.send(responses[min(count, len(responses) - 1)])
            count += 1
    return script


def ok(body: bytes = b"ok", *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
