"""Upgrades pass through as tunnels: WebSocket between the `websockets` client and server, and raw switching."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_websocket

from support import wire
from support.configs import gateway, plugin, route, upstream
from support.echo import seen
from support.server import Server
from support.upstreams import Peer, Upstream, answering, ok

HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}


def echo(socket: ServerConnection) -> None:
    if socket.request.path == "/greeting":
        socket.send("hello " + (socket.request.headers.get("X-Forwarded-For") or "nobody"))
    for message in socket:
        if message == "close, please":
            socket.close(4001, "as you asked")
            return
        socket.send(message)


@pytest.fixture(scope="module")
def origin() -> Iterator[wire.Address]:
    with serve_websocket(echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[:2]
        server.shutdown()
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def server(serve_module, origin: wire.Address) -> Server:
    return serve_module(gateway(routes=[route("/echo-only/*"), route(to="ws", timeout="1s")],
                                upstreams=[upstream("ws", origin)]))


def url(server: Server, path: str = "/") -> str:
    return f"ws://{server.address[0]}:{server.address[1]}{path}"


@pytest.mark.parametrize("message", ["text", b"\x00\xff", "x" * 200_000, b"y" * 1_500_000],
                         ids=["text", "binary", "long text", "long binary"])
def test_messages_both_ways(server: Server, message: str | bytes) -> None:
    with connect(url(server), max_size=None) as socket:
        socket.send(message)
        assert socket.recv(timeout=20) == message


def test_many_messages_on_many_tunnels(server: Server) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(url(server))) for _ in range(8)]
        for number in range(50):
            for index, socket in enumerate(sockets):
                socket.send(f"{index}.{number}")
        for index, socket in enumerate(sockets):
            assert [socket.recv(timeout=20) for _ in range(50)] == [f"{index}.{number}" for number in range(50)]


def test_the_upgrade_is_forwarded_like_a_request(server: Server) -> None:
    with connect(url(server, "/greeting")) as socket:
        assert socket.recv(timeout=20) == "hello 127.0.0.1"


def test_pings_and_the_closing_code_pass(server: Server) -> None:
    with connect(url(server)) as socket:
        assert socket.ping().wait(timeout=20)
        socket.send("close, please")
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=20)
        assert socket.protocol.close_code == 4001


def test_a_tunnel_outlives_the_routes_timeout(server: Server) -> None:
    """The time-out of a route (1 s here) is for answers; a tunnel lives as long as its ends want."""
    with connect(url(server)) as socket:
        waited = threading.Event()
        assert not waited.wait(1.5)
        socket.send("still there")
        assert socket.recv(timeout=20) == "still there"


def test_an_upgrade_that_the_built_in_echo_declines_is_an_answer(server: Server) -> None:
    with pytest.raises(InvalidStatus) as declined, connect(url(server, "/echo-only/x")):
        pass
    assert declined.value.response.status_code == 200


def test_an_upgrade_that_an_upstream_declines_is_an_answer(serve) -> None:
    with Upstream(answering(ok(b"no, thank you"))) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            response = connection.request("GET", "/", {"Connection": "Upgrade", "Upgrade": "raw"})
            assert (response.status, response.body) == (200, b"no, thank you")
            assert connection.request("GET", "/").status == 200


@pytest.mark.parametrize("to", ["raw", "echo"])
def test_an_upgrade_that_a_filter_takes_away_is_a_plain_request(serve, probe: Path, to: str) -> None:
    remove = "request_headers remove 0 upgrade\nrequest_headers remove 0 connection"
    with Upstream(answering(ok(b"plain"))) as origin:
        server = serve(gateway(routes=[route(to=to, timeout="3s")], upstreams=[upstream("raw", origin.address)],
                               plugins=[plugin("remover", probe, config=remove)]))
        with server.connect() as connection:
            response = connection.request("GET", "/chat", HANDSHAKE)
        assert response.status == 200
        if to == "echo":
            assert not {"upgrade", "transfer-encoding"} & {name.lower() for name, _ in seen(response).headers}
        else:
            assert response.body == b"plain" and origin.requests[0].line == "GET /chat HTTP/1.1"
            names = {name.lower() for name, _ in origin.requests[0].headers}
            assert not {"upgrade", "transfer-encoding", "content-length"} & names


def test_a_choice_of_upgrades_has_no_body(serve) -> None:
    with Upstream(answering(ok(b"no, thank you"))) as origin:
        server = serve(gateway(routes=[route(to="raw", timeout="3s")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            response = connection.request("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Upgrade", "websocket")])
        assert (response.status, response.body) == (200, b"no, thank you")
        assert origin.requests[0].header("transfer-encoding") is None


def test_bytes_right_behind_the_switch_are_not_lost(serve) -> None:
    """Both sides may speak in the same packet as their part of the handshake; half a close passes on as half."""
    def script(peer: Peer) -> None:
        request = peer.read_head()
        assert request.header("upgrade") == "raw"
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nfrom-origin")
        assert peer.read(11) == b"from-client"
        assert peer.socket.recv(1) == b""
        peer.send(b"goodbye")

    with Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            connection.send(wire.head("GET", "/", {"Connection": "Upgrade", "Upgrade": "raw"}) + b"from-client")
            response = connection.response()
            assert response.status == 101
            assert response.header("upgrade") == "raw"
            connection.half_close()
            assert connection.read_to_end() == b"from-origingoodbye"
        server.wait_access(status=101)
