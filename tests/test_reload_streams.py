"""What lasts longer than a configuration: tunnels and streams that a reload finds open (test_tcp.py has connections)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_one

from support import http2, wire
from support.configs import gateway, plugin, route, upstream
from support.http2_upstream import Call, Http2Upstream
from support.server import Server
from support.upstreams import Peer, Upstream
from support.waiting import until
from test_config_reload import Config, config, reload  # noqa: F401 (a fixture)
from test_websocket_http2 import connect_two, origins  # noqa: F401 (a fixture)

DRAIN = "1500ms"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"
Tunnel = tuple[Callable[[bytes], bytes], Callable[[], None]]  # sends a message and gives the echo; waits for the end


def tunnel_one(stack: ExitStack, address: wire.Address) -> Tunnel:
    socket = stack.enter_context(connect_one("ws://%s:%d/" % address))

    def exchange(message: bytes) -> bytes:
        socket.send(message)
        return socket.recv(timeout=20)

    def wait_end() -> None:
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)
        assert not isinstance(caught.value.__cause__, ConnectionResetError)

    return exchange, wait_end


def tunnel_two(stack: ExitStack, address: wire.Address) -> Tunnel:
    client = stack.enter_context(http2.Client(address))
    stream, socket = connect_two(client)

    def exchange(message: bytes) -> bytes:
        socket.send(message)
        return socket.recv()

    def wait_end() -> None:
        assert socket.recv() is None and stream.ended

    return exchange, wait_end


def tunnels(stack: ExitStack, address: wire.Address) -> list[Tunnel]:
    return [make(stack, address) for make in (tunnel_one, tunnel_two)]


def switch(connection: wire.Connection) -> None:
    connection.send(wire.head("GET", "/", {"Connection": "Upgrade", "Upgrade": "raw"}))
    assert connection.response().status == 101


def one_snapshot(server: Server) -> bool:
    return "heddle_snapshots_live 1\n" in server.metrics()


@pytest.mark.parametrize("to", ["one", "two"])
@pytest.mark.parametrize("change", ["gone", "moved", "upstream", "endpoint"])
def test_a_tunnel_of_a_changed_route_has_the_drain_timeout(serve, config: Config, origins: list[Any],  # noqa: F811
                                                           to: str, change: str) -> None:
    before = gateway(routes=[{"id": "chat", **route(to=to)}], upstreams=origins, drain_timeout=DRAIN)
    server = serve(config.put(before))
    with ExitStack() as stack:
        opened = tunnels(stack, server.address)
        for exchange, _ in opened:
            assert exchange(b"before") == b"before"
        after = dict(before)
        if change == "gone":
            after["routes"] = [{"id": "other", **route("/other")}]
        elif change == "moved":
            after["routes"] = [{"id": "chat", **route("/chat", to)}]
        elif change == "upstream":
            after["routes"] = [{"id": "chat", **route(to="echo")}]
        else:
            after["upstreams"] = [before["upstreams"][0],
                                  *({**each, "endpoints": ["127.0.0.1:1"]} for each in origins)]
        config.put(after)
        reload(server)
        for exchange, _ in opened:
            assert exchange(b"still there") == b"still there", "not cut at once"
        for _, wait_end in opened:
            wait_end()
    lines = [server.wait_access(details="drain_timeout", protocol=protocol) for protocol in ("HTTP/1.1", "HTTP/2")]
    assert all(line["route"] == "chat" and line["duration_ms"] >= 1500 for line in lines)
    server.wait_log("a tunnel is closed, since what it began with has gone", route="chat")
    until(lambda: one_snapshot(server), "the old snapshot to go")


@pytest.mark.parametrize("to", ["one", "two"])
def test_a_tunnel_whose_route_is_the_same_goes_on(serve, config: Config, origins: list[Any], to: str) -> None:  # noqa: F811
    """It goes over to the new configuration, however often: old ones do not pile up behind it."""
    before = gateway(routes=[{"id": "chat", **route(to=to)}], upstreams=origins, drain_timeout=DRAIN)
    server = serve(config.put(before))
    with ExitStack() as stack:
        opened = tunnels(stack, server.address)
        for number in range(5):
            other = [{"id": "chat", **route(to=to, timeout=f"{number + 1}s")}, route(f"/{number}")]
            config.put({**before, "routes": other})
            reload(server)
            until(lambda: one_snapshot(server), "the old snapshot to go")
            for exchange, _ in opened:
                assert exchange(b"%d" % number) == b"%d" % number
        time.sleep(2)  # longer than the drain_timeout
        for exchange, _ in opened:
            assert exchange(b"still there") == b"still there"
        config.put({**before, "routes": [{"id": "chat", **route("/gone", to=to)}]})
        reload(server)
        for _, wait_end in opened:
            wait_end()
    until(lambda: one_snapshot(server), "the old snapshot to go")


def test_a_change_that_is_taken_back_in_time_closes_nothing(serve, config: Config, origins: list[Any]) -> None:  # noqa: F811
    before = gateway(routes=[{"id": "chat", **route(to="one")}], upstreams=origins, drain_timeout="1s")
    server = serve(config.put(before))
    with ExitStack() as stack:
        opened = tunnels(stack, server.address)
        config.put({**before, "routes": [route("/other")]})
        reload(server)
        config.put(before)
        reload(server)
        until(lambda: one_snapshot(server), "the old snapshots to go")
        time.sleep(1.5)
        for exchange, _ in opened:
            assert exchange(b"still there") == b"still there"


def test_a_new_version_of_a_plugin_ends_the_tunnels_that_it_opened(serve, config: Config, probe, tmp_path,  # noqa: F811
                                                                   origins: list[Any]) -> None:
    chat, other = tmp_path / "chat.wasm", tmp_path / "other.wasm"
    for file in (chat, other):
        file.write_bytes(probe.read_bytes())
    server = serve(config.put(gateway(
        routes=[{"id": "chat", **route(to="one", plugins=["chat"])}, route("/other", plugins=["other"])], upstreams=origins,
        plugins=[plugin("chat", chat, config="log trace"), plugin("other", other, config="log trace")], drain_timeout=DRAIN)))
    with ExitStack() as stack:
        opened = tunnels(stack, server.address)
        assert server.admin("/plugins/other/reload", "POST").status == 200
        until(lambda: one_snapshot(server), "the old snapshot to go")
        time.sleep(2)
        for exchange, _ in opened:
            assert exchange(b"still there") == b"still there", "another plugin is none of its business"
        assert server.admin("/plugins/chat/reload", "POST").status == 200
        for exchange, _ in opened:
            assert exchange(b"still there") == b"still there"
        for _, wait_end in opened:
            wait_end()
    until(lambda: one_snapshot(server), "the old snapshot to go")


class TalksOn:
    """An upstream that keeps its side of a tunnel open and goes on sending."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __call__(self, peer: Peer) -> None:
        peer.read_head()
        peer.send(SWITCHED)
        try:
            while True:
                peer.send(b"on and on")
                time.sleep(0.05)
        except OSError:
            self.ended.set()


def test_who_does_not_end_a_closed_tunnel_is_broken_off(serve, config: Config) -> None:  # noqa: F811
    """Neither does the client, which keeps silent."""
    with Upstream(script := TalksOn()) as origin:
        before = gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)], drain_timeout=DRAIN)
        server = serve(config.put(before))
        with server.connect() as connection:
            switch(connection)
            config.put({**before, "routes": [route("/other")]})
            reload(server)
            assert script.ended.wait(20)
            assert server.wait_access(status=101)["details"] == "drain_timeout"


STREAMS = {"grpc": ("application/grpc+proto", "/test.Echo/Stream"), "events": ("text/event-stream", "/events")}


def stream_until_reset(call: Call) -> None:
    call.head(200, ("content-type", call["x-type"] or ""))
    while True:
        call.send(b"one more")
        time.sleep(0.05)


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_without_end_follows_as_tunnels_do(serve, config: Config, kind: str) -> None:  # noqa: F811
    """gRPC and event streams can last for days as well."""
    content_type, path = STREAMS[kind]
    with Http2Upstream(stream_until_reset) as origin:
        before = gateway(routes=[{"id": "endless", **route(to="two")}],
                         upstreams=[upstream("two", origin.address, protocol="http2")], drain_timeout=DRAIN)
        server = serve(config.put(before))
        with http2.Client(server.address) as client:
            stream = client.begin("POST", path, {"content-type": content_type, "x-type": content_type, "te": "trailers"}, end=True)
            assert client.head(stream).status == 200
            config.put({**before, "routes": [*before["routes"], route("/more")]})
            reload(server)
            until(lambda: one_snapshot(server), "the old snapshot to go")
            before_wait = time.monotonic()
            while time.monotonic() < before_wait + 2:
                assert client.body(stream, 8), "it goes on"
            config.put({**before, "routes": [route("/other")]})
            reload(server)
            with pytest.raises(http2.Reset):
                while True:
                    client.body(stream, 8)
            client.ping()
        assert server.wait_access(route="endless")["details"] == "drain_timeout"


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_an_answer_with_an_end_is_never_cut(serve, config: Config, protocol: str) -> None:  # noqa: F811
    """A download that takes longer than drain_timeout, on a route that is gone."""
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
            for _ in range(30):
                peer.send(b"x")
                time.sleep(0.05)

    with Upstream(script) as origin:
        before = gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)], drain_timeout="200ms")
        server = serve(config.put(before))
        with http2.Client(server.address) if protocol == "http2" else server.connect() as client:
            if isinstance(client, http2.Client):
                stream = client.begin("GET", "/", end=True)
                client.head(stream)
            else:
                client.send(wire.head("GET", "/"))
                until(lambda: bool(origin.requests), "the request to be under way")
            config.put({**before, "routes": [route("/other")]})
            reload(server)
            got = client.response(stream) if isinstance(client, http2.Client) else client.response()
            assert (got.status, got.body) == (200, b"x" * 30)
