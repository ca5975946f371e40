"""An HTTP/1.1 client that hides nothing: bytes out, parsed responses in, framing errors as exceptions."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int]
Headers = Iterable[tuple[str, str]] | Mapping[str, str]
TIMEOUT = 20.0


class Broken(Exception):
    """The connection ended before the message did."""


@dataclass
class Response:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list["Response"] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """All values of a header joined with a comma; None when it is absent."""
        values = self.header_list(name)
        return ", ".join(values) if values else None

    def header_list(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def parse_address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def head(method: str, target: str, headers: Headers = (), host: str | None = "heddle.test") -> bytes:
    """A request head; `host` None leaves the Host header out."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if host is not None and not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", host))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunked(parts: Iterable[bytes], trailers: Headers = ()) -> bytes:
    pairs = list(trailers.items()) if isinstance(trailers, Mapping) else list(trailers)
    out = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    out += b"0\r\n" + b"".join(f"{name}: {value}\r\n".encode() for name, value in pairs)
    return out + b"\r\n"


class Connection:
    """One client connection. Every wait has a time-out, so that a server which hangs fails the test."""

    def __init__(self, address: Address, timeout: float = TIMEOUT) -> None:
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.answer_begun = False  # whether a byte of the answer that is awaited has come

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Ends the connection with RST: unlike FIN it cannot be taken for half a close."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def request(self, method: str, target: str, headers: Headers = (), body: bytes = b"",
                host: str | None = "heddle.test") -> Response:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name.lower() for name, _ in pairs}
        if (body or method in ("POST", "PUT", "PATCH")) and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        self.send(head(method, target, pairs, host) + body)
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """The next final response; those of 1xx before it are its `informational`."""
        informational = []
        self.answer_begun = bool(self._buffer)
        while True:
            response = self._head()
            if response.status >= 200 or response.status == 101:
                break
            informational.append(response)
        response.informational = informational
        self._body(response, method)
        return response

    def informational(self) -> Response:
        """The next response head, which may be of 1xx."""
        return self._head()

    def read(self, count: int) -> bytes:
        """Exactly so many raw bytes."""
        while len(self._buffer) < count:
            self._fill()
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out

    def read_to_end(self) -> bytes:
        """Everything until the peer closes."""
        try:
            while True:
                self._fill()
        except Broken:
            pass
        out, self._buffer = self._buffer, b""
        return out

    def is_closed(self) -> bool:
        """Waits for the end of the connection; False when bytes come instead."""
        if self._buffer:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _fill(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError as error:
            raise Broken(f"connection reset: {error}") from error
        if not data:
            raise Broken(f"connection closed, unread: {self._buffer[:200]!r}")
        self._buffer += data
        self.answer_begun = True

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip()))
        return fields

    def _head(self) -> Response:
        version, _, rest = self._line().decode("latin-1").partition(" ")
        assert version == "HTTP/1.1", version
        status, _, reason = rest.partition(" ")
        return Response(int(status), reason, self._fields())

    def _body(self, response: Response, method: str) -> None:
        length = response.header("content-length")
        encoding = response.header("transfer-encoding")
        assert not (length and encoding), "both content-length and transfer-encoding"
        if method == "HEAD" or response.status in (101, 204, 304):
            return
        if encoding:
            assert encoding.lower() == "chunked", encoding
            self._chunks(response)
        elif length is not None:
            response.body = self.read(int(length))
        else:
            response.body = self.read_to_end()

    def _chunks(self, response: Response) -> None:
        while size := int(self._line().split(b";")[0], 16):
            response.chunks.append(self.read(size))
            assert self.read(2) == b"\r\n"
        response.trailers = self._fields()
        response.body = b"".join(response.chunks)


def refuses(address: Address) -> bool:
    """Whether nobody listens there. While a listener closes, the kernel drops the client's first packet: no answer yet."""
    try:
        socket.create_connection(address, timeout=0.2).close()
        return False
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False


def fetch(address: Address, method: str, target: str, headers: Headers = (), body: bytes = b"",
          host: str | None = "heddle.test") -> Response:
    """One request on a connection of its own."""
    with Connection(address) as connection:
        return connection.request(method, target, headers, body, host)
