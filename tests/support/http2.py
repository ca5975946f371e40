"""HTTP/2 clients: one over the `h2` library that speaks correctly, and one of raw frames that need not."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hpack

from support import wire
from support.wire import Broken, Response

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS = 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, _, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, \
    CANCEL, COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM = range(12)


class Reset(Exception):
    """The server reset the stream."""

    def __init__(self, code: int) -> None:
        super().__init__(f"reset with code {int(code)}")
        self.code = int(code)


@dataclass
class Stream:
    """What has come of an answer so far."""

    id: int
    response: Response = field(default_factory=lambda: Response(0, "", []))
    ended: bool = False
    reset: int | None = None
    unread: int = 0  # bytes that were not given back to the window


def connect(address: wire.Address, context: ssl.SSLContext | None, name: str = "localhost",
            timeout: float = wire.TIMEOUT) -> socket.socket:
    sock = socket.create_connection(address, timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock, server_hostname=name) if context else sock


class Client:
    """A client connection. `read_bodies` False keeps the windows shut behind what came: a reader that does not read."""

    def __init__(self, address: wire.Address, context: ssl.SSLContext | None = None, read_bodies: bool = True) -> None:
        self.socket = connect(address, context)
        self._scheme = "https" if context else "http"
        self.read_bodies = read_bodies
        config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False,
                                           header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.streams: dict[int, Stream] = {}
        self.goaway: int | None = None
        self.last_stream: int | None = None
        self.closed = False
        self._partial = b""
        self.flush()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def begin(self, method: str, path: str, headers: wire.Headers = (), end: bool = False, authority: str | None = "heddle.test",
              **pseudo: str) -> Stream:
        """Sends a request head; `pseudo`: further pseudo-headers without their colon."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        fields = [(":method", method), (":scheme", self._scheme)]
        if authority is not None:
            fields.append((":authority", authority))
        fields += [(":path", path), *((f":{name}", value) for name, value in pseudo.items()), *pairs]
        stream = Stream(self.h2.get_next_available_stream_id())
        self.streams[stream.id] = stream
        self.h2.send_headers(stream.id, fields, end_stream=end)
        self.flush()
        return stream

    def send(self, stream: Stream, data: bytes, end: bool = False) -> None:
        """As the windows allow; what comes meanwhile is taken."""
        sent = self.send_what_fits(stream, data)
        while sent < len(data):
            self.receive()
            self.check(stream)
            sent += self.send_what_fits(stream, data, sent)
        if end:
            self.h2.end_stream(stream.id)
            self.flush()

    def send_what_fits(self, stream: Stream, data: bytes, start: int = 0) -> int:
        """How much from `start` on the windows took."""
        at = start
        while room := min(self.h2.local_flow_control_window(stream.id), self.h2.max_outbound_frame_size, len(data) - at):
            self.h2.send_data(stream.id, data[at:at + room])
            self.flush()
            at += room
        return at - start

    def send_until_stuck(self, stream: Stream, data: bytes, patience: float) -> int:
        """How much of `data` went out until the server gave no window for so many seconds."""
        timeout = self.socket.gettimeout()
        self.socket.settimeout(patience)
        sent, before = 0, -1
        while sent != before:
            before = sent
            sent += self.send_what_fits(stream, data, sent)
            try:
                while self.receive():
                    sent += self.send_what_fits(stream, data, sent)
            except TimeoutError:
                pass
        self.socket.settimeout(timeout)
        return sent

    def send_trailers(self, stream: Stream, trailers: Iterable[tuple[str, str]]) -> None:
        self.h2.send_headers(stream.id, list(trailers), end_stream=True)
        self.flush()

    def reset(self, stream: Stream, code: int = CANCEL) -> None:
        self.h2.reset_stream(stream.id, code)
        self.flush()

    def request(self, method: str, path: str, headers: wire.Headers = (), body: bytes = b"",
                authority: str | None = "heddle.test") -> Response:
        stream = self.begin(method, path, headers, not body, authority)
        if body:
            self.send(stream, body, end=True)
        return self.response(stream)

    def response(self, stream: Stream) -> Response:
        """The whole answer."""
        while not stream.ended:
            self.check(stream)
            self.receive()
        self.check(stream)
        return stream.response

    def head(self, stream: Stream) -> Response:
        """The answer as soon as its head is there."""
        while not stream.response.status:
            self.check(stream)
            self.receive()
        return stream.response

    def body(self, stream: Stream, size: int) -> bytes:
        """So many more bytes of the body at least, or what there is at its end."""
        while len(stream.response.body) < size and not stream.ended:
            self.check(stream)
            self.receive()
        out, stream.response.body = stream.response.body, b""
        return out

    def check(self, stream: Stream) -> None:
        if stream.reset is not None:
            raise Reset(stream.reset)
        if self.closed and not stream.ended:
            raise Broken(f"the connection ended; GOAWAY {self.goaway}")

    def give_back(self, stream: Stream) -> None:
        if stream.unread:
            self.h2.acknowledge_received_data(stream.unread, stream.id)
            stream.unread = 0
            self.flush()

    def ping(self) -> None:
        """Returns when the answer is there, and everything before it."""
        self.h2.ping(b"01234567")
        self.flush()
        while not any(isinstance(event, h2.events.PingAckReceived) for event in self.receive()):
            if self.closed:
                raise Broken(f"the connection ended; GOAWAY {self.goaway}")

    def wait_end(self) -> int | None:
        """Reads until the server closes; the code of its GOAWAY."""
        while not self.closed:
            self.receive()
        return self.goaway

    def receive(self) -> list[h2.events.Event]:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return []
        events = self.h2.receive_data(self._without_goaway(data))
        for event in events:
            self._take(event)
        try:
            self.flush()
        except OSError:
            self.closed = True
        return events

    def _without_goaway(self, data: bytes) -> bytes:
        """The whole frames of what came; GOAWAY is taken here, since for the library every stream ends with it."""
        self._partial += data
        whole = b""
        while len(self._partial) >= 9 and len(self._partial) >= (size := 9 + int.from_bytes(self._partial[:3], "big")):
            one, self._partial = self._partial[:size], self._partial[size:]
            if one[3] == GOAWAY:
                self.last_stream, self.goaway = struct.unpack(">II", one[9:17])
            else:
                whole += one
        return whole

    def _take(self, event: h2.events.Event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.response.informational.append(head_of(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            head = head_of(event.headers)
            stream.response.status, stream.response.headers = head.status, head.headers
        elif isinstance(event, h2.events.DataReceived):
            stream.response.body += event.data
            stream.unread += event.flow_controlled_length
            if self.read_bodies:
                self.h2.acknowledge_received_data(stream.unread, stream.id)
                stream.unread = 0
        elif isinstance(event, h2.events.TrailersReceived):
            stream.response.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset) and not stream.ended:
            stream.reset = int(event.error_code)


def head_of(fields: Iterable[tuple[str, str]]) -> Response:
    pairs = list(fields)
    return Response(int(dict(pairs)[":status"]), "", [pair for pair in pairs if not pair[0].startswith(":")])


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """The bytes of a frame; `length` when it should be a lie."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Raw:
    """A connection on which a test writes whatever it likes. Frames are read; their meaning is the test's business."""

    def __init__(self, address: wire.Address, context: ssl.SSLContext | None = None, greet: bool = True) -> None:
        self.socket = connect(address, context)
        self.encoder = hpack.Encoder()
        self._buffer = b""
        if greet:
            self.send(PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK))

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """False when the server has closed."""
        try:
            self.socket.sendall(data)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def head(self, *more: tuple[str, str], method: str = "GET", path: str = "/") -> bytes:
        """The header block of a request."""
        return self.encoder.encode([(":method", method), (":scheme", "http"), (":authority", "heddle.test"), (":path", path), *more],
                                   huffman=False)

    def headers(self, stream: int, *more: tuple[str, str], end: bool = True, method: str = "GET", path: str = "/") -> bytes:
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.head(*more, method=method, path=path))

    def read_frame(self) -> tuple[int, int, int, bytes] | None:
        """Kind, flags, stream, payload; None at the end."""
        header = self._read(9)
        if header is None:
            return None
        payload = self._read(int.from_bytes(header[:3], "big"))
        if payload is None:
            return None
        return header[3], header[4], int.from_bytes(header[5:], "big") & 0x7FFFFFFF, payload

    def end_code(self) -> int | None:
        """Reads until the server closes; the code of its last GOAWAY."""
        code = None
        while got := self.read_frame():
            if got[0] == GOAWAY:
                code = int.from_bytes(got[3][4:8], "big")
        return code

    def reset_code(self, stream: int) -> int:
        """Waits for the reset of this stream."""
        while got := self.read_frame():
            if got[0] == RST_STREAM and got[2] == stream:
                return int.from_bytes(got[3], "big")
            assert got[0] != GOAWAY, got
        raise Broken("the connection ended")

    def answers(self) -> bool:
        """Whether the connection is alive: it answers a PING."""
        if not self.send(frame(PING, payload=b"areyouok")):
            return False
        while got := self.read_frame():
            if got[0] == PING and got[1] & ACK and got[3] == b"areyouok":
                return True
        return False

    def _read(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return None
            if not data:
                return None
            self._buffer += data
        out, self._buffer = self._buffer[:count], self._buffer[count:]
        return out
