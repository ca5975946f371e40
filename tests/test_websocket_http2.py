"""WebSocket in all four combinations of HTTP/1.1 (an upgrade) and HTTP/2 (extended CONNECT, RFC 8441) on both sides."""

from __future__ import annotations

import base64
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.sync.client import connect as connect_one
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_one

from support import http2, wire
from support.configs import Config, gateway, route, upstream
from support.http2_upstream import Call, Http2Upstream
from support.server import Server
from support.upstreams import Upstream, answering, ok
from support.waiting import until

CONNECT_PROTOCOL = {8: 1}
MIB = 1 << 20


class Socket:
    """A WebSocket over a stream of HTTP/2, as a client or as an upstream: bytes go through `send`, and come by `receive`."""

    def __init__(self, side: Side, send: Callable[[bytes, bool], None], receive: Callable[[], bytes]) -> None:
        self.protocol = Protocol(side, max_size=None)
        self._send = send
        self._receive = receive
        self._parts: list[Frame] = []
        self._events: list[Frame] = []

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            self._send(data, not data)

    def send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        self.flush()

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.protocol.send_close(code, reason)
        self.flush()

    def recv(self) -> bytes | None:
        """The next message; None when the other side has closed, with `close_code`."""
        while True:
            self._events += self.protocol.events_received()
            while self._events:
                event = self._events.pop(0)
                if event.opcode is Opcode.CLOSE:
                    return None
                if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    self._parts.append(event)
                    if event.fin:
                        out = b"".join(bytes(part.data) for part in self._parts)
                        self._parts = []
                        return out
            data = self._receive()
            if not data:
                return None
            self.protocol.receive_data(data)
            self.flush()

    @property
    def close_code(self) -> int | None:
        received = self.protocol.close_rcvd
        return received.code if received else None


def connect_two(client: http2.Client, path: str = "/", **headers: str) -> tuple[http2.Stream, Socket]:
    stream = client.begin("CONNECT", path, {"sec-websocket-version": "13", **headers}, protocol="websocket")
    assert client.head(stream).status == 200, stream.response
    return stream, over(client, stream)


def over(client: http2.Client, stream: http2.Stream) -> Socket:
    return Socket(Side.CLIENT, lambda data, end: client.send(stream, data, end), lambda: client.body(stream, 1))


def serve_two(socket: Socket, path: str) -> None:
    if path == "/greeting":
        socket.send("hello")
    while (message := socket.recv()) is not None:
        if message == b"close, please":
            socket.close(4001, "as you asked")
        else:
            socket.send(message)


def origin_two(call: Call) -> None:
    if call[":path"] == "/declined":
        call.head(403)
        call.send(b"no", end=True)
        return
    assert (call[":method"], call[":protocol"], call["sec-websocket-version"]) == ("CONNECT", "websocket", "13")
    assert not {"connection", "upgrade", "sec-websocket-key", "host"} & {name for name, _ in call.headers}
    call.head(200)
    serve_two(Socket(Side.SERVER, call.send, call.read), call[":path"] or "")


def origin_one(socket: ServerConnection) -> None:
    if socket.request.path == "/greeting":
        socket.send("hello")
    for message in socket:
        if message == "close, please":
            socket.close(4001, "as you asked")
            return
        socket.send(message)


@pytest.fixture(scope="module")
def origins() -> Iterator[list[Config]]:
    with Http2Upstream(origin_two, settings=CONNECT_PROTOCOL) as two, serve_one(origin_one, "127.0.0.1", 0, max_size=None) as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield [upstream("two", two.address, protocol="http2"), upstream("one", one.socket.getsockname()[:2])]
        one.shutdown()
        thread.join(timeout=20)


@pytest.fixture(scope="module", params=["one", "two"])
def server(serve_module, origins: list[Config], request: pytest.FixtureRequest) -> Server:
    return serve_module(gateway(routes=[route(to=request.param, timeout="1s")], upstreams=origins, workers=2,
                                limits={"body_timeout": "500ms"}))


def url(server: Server, path: str = "/") -> str:
    return f"ws://{server.address[0]}:{server.address[1]}{path}"


MESSAGES = [b"", b"text", b"\x00\xff" * 50, b"x" * 70_000, b"y" * 1_500_000]


def test_from_http1(server: Server) -> None:
    with connect_one(url(server, "/greeting"), max_size=None) as socket:
        assert socket.recv(timeout=20) == "hello"
        for message in MESSAGES:
            socket.send(message)
            assert socket.recv(timeout=20) == message
        assert socket.ping().wait(timeout=20)
        socket.send("close, please")
        with pytest.raises(Exception, match="4001"):
            socket.recv(timeout=20)


def test_from_http2(server: Server) -> None:
    with http2.Client(server.address) as client:
        stream, socket = connect_two(client, "/greeting")
        names = {name for name, _ in stream.response.headers}
        assert not {"connection", "upgrade", "sec-websocket-accept"} & names
        assert socket.recv() == b"hello"
        for message in MESSAGES:
            socket.send(message)
            assert socket.recv() == message
        socket.send("close, please")
        assert socket.recv() is None and socket.close_code == 4001
        client.ping()


def test_the_clients_closing_code_passes(server: Server) -> None:
    with http2.Client(server.address) as client:
        stream, socket = connect_two(client)
        socket.close(3999, "enough")
        assert socket.recv() is None and socket.close_code == 3999, "which the other side repeats"
        while not stream.ended:
            client.check(stream)
            client.receive()


def test_many_tunnels_on_one_connection(server: Server) -> None:
    with http2.Client(server.address) as client:
        sockets = [connect_two(client)[1] for _ in range(10)]
        for number in range(20):
            for index, socket in enumerate(sockets):
                socket.send(f"{index}.{number}")
        for index, socket in enumerate(sockets):
            assert [socket.recv() for _ in range(20)] == [f"{index}.{number}".encode() for number in range(20)]


def test_a_tunnel_outlives_the_routes_timeout_and_the_body_timeout(server: Server) -> None:
    with http2.Client(server.address) as client:
        _, socket = connect_two(client)
        socket.send("there")
        assert socket.recv() == b"there"
        assert not threading.Event().wait(1.5)
        socket.send("still there")
        assert socket.recv() == b"still there"


def test_a_reset_ends_the_tunnel_on_the_other_side(server: Server) -> None:
    with http2.Client(server.address) as client:
        stream, socket = connect_two(client)
        socket.send("x")
        assert socket.recv() == b"x"
        client.reset(stream)
        until(lambda: "heddle_exchanges_active 0" in server.metrics(), "the exchange to end")
        client.ping()


def test_a_side_that_does_not_read_holds_the_other_back(server: Server) -> None:
    """The upstream echoes; when nobody takes the echo, the sender must soon be unable to send: before the kernel's
    buffers of all sockets (up to 36 MiB a connection: tcp_rmem, tcp_wmem) could have taken everything."""
    resident = server.resident()
    with http2.Client(server.address, read_bodies=False) as client:
        stream, socket = connect_two(client)
        data = Frame(Opcode.BINARY, b"z" * 16_384).serialize(mask=True) * 6144
        assert 0 < client.send_until_stuck(stream, data, 0.7) < len(data)
        assert server.resident() - resident < 32 * MIB


def test_an_upgrade_that_the_upstream_declines(serve, origins: list[Config]) -> None:
    with Upstream(answering(ok(b"just http"))) as old:
        server = serve(gateway(routes=[route("/old", "old"), route("/echo", "echo"), route(to="two")],
                               upstreams=[*origins, upstream("old", old.address)]))
        with http2.Client(server.address) as client:
            for path, status in (("/old", 200), ("/echo", 200), ("/declined", 403)):
                stream = client.begin("CONNECT", path, protocol="websocket")
                got = client.response(stream) if path != "/old" else client.head(stream)
                assert got.status == status, path
            client.ping()


@pytest.mark.parametrize("path, status", [("/nowhere", 404), ("/echo", 200)])
def test_a_client_whose_upgrade_was_declined_is_told_to_stop(serve, path: str, status: int) -> None:
    """Its side of the stream is still open when the answer has ended."""
    server = serve(gateway(routes=[route("/echo")]))
    with http2.Raw(server.address) as raw:
        raw.send(raw.headers(1, (":protocol", "websocket"), end=False, method="CONNECT", path=path))
        got = raw.read_frame()
        while got and not (got[2] == 1 and got[1] & http2.END_STREAM):
            assert got[0] not in (http2.RST_STREAM, http2.GOAWAY), got
            got = raw.read_frame()
        assert raw.reset_code(1) == http2.NO_ERROR
        assert raw.answers()
    server.wait_access(path=path, status=status)


def test_an_upstream_that_knows_no_extended_connect(serve) -> None:
    with Http2Upstream(origin_two) as origin:
        server = serve(gateway(routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
        with http2.Client(server.address) as client:
            assert client.response(client.begin("CONNECT", "/", protocol="websocket")).status == 502
        server.wait_log("upstream failed", upstream="two")


def test_the_handshake_of_http1_towards_http2_is_checked_by_the_client(server: Server) -> None:
    """The accept header belongs to the key of this client, though the upstream may never have seen it."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    with server.connect() as connection:
        connection.send(wire.head("GET", "/", {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": key,
                                               "Sec-WebSocket-Version": "13"}))
        got = connection.response()
        wanted = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        assert (got.status, got.header("sec-websocket-accept")) == (101, wanted)


def test_plain_connect_is_refused(server: Server) -> None:
    with http2.Client(server.address) as client:
        stream = client.begin("CONNECT", "/")
        with pytest.raises((http2.Reset, AssertionError)):
            assert client.response(stream).status < 400
        client.ping()


@pytest.mark.parametrize("to", ["one", "two"])
def test_a_stop_gives_tunnels_the_drain_timeout(serve, origins: list[Config], to: str) -> None:
    server = serve(gateway(routes=[route(to=to)], upstreams=origins, drain_timeout="2s"))
    with http2.Client(server.address) as client, connect_one(url(server)) as one:
        stream, socket = connect_two(client)
        one.send("x")
        assert one.recv(timeout=20) in ("x", b"x")
        server.signal(signal.SIGTERM)
        server.wait_log("draining")
        socket.send("still there")
        assert socket.recv() == b"still there", "an open tunnel is not cut before its time"
        one.send("still there")
        assert one.recv(timeout=20) in ("still there", b"still there")
        with pytest.raises(ConnectionClosed) as caught:
            one.recv(timeout=20)
        assert not isinstance(caught.value.__cause__, ConnectionResetError)
        assert socket.recv() is None and stream.ended
    assert server.wait_exit() == 0

