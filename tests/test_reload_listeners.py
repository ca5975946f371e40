"""Listeners that a reload takes away or moves: what is under way on them ends well, HTTP/2 by GOAWAY."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from support import http2, tls, wire
from support.configs import gateway, route, upstream
from support.http2_upstream import Call, Http2Upstream
from support.tcp import Client as TcpClient
from support.tcp import TcpServer, echo
from support.upstreams import Peer, Upstream, closed_port
from support.waiting import until
from test_config_reload import Config, config, reload  # noqa: F401 (a fixture)
from test_reload_streams import DRAIN, SWITCHED, TalksOn, one_snapshot, switch, tunnels
from test_websocket_http2 import origins  # noqa: F401 (a fixture)



def two_listeners(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return gateway(listeners=[{"address": "127.0.0.1:0", **item} for item in items], **more)


class Gate:
    """An upstream whose answers wait for `open`."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, call: Call) -> None:
        body = call.body()
        self.open.wait(20)
        call.head(200)
        call.send(b"whole: " + body, end=True)


@pytest.mark.parametrize("how", ["removed", "rebound"])
@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "tls"])
def test_streams_of_a_listener_that_goes_are_answered(serve, config: Config, authority: tls.Authority,  # noqa: F811
                                                      site: tls.Certificate, how: str, secure: bool) -> None:
    """GOAWAY in two steps: what was begun before the second is answered, what comes later must go elsewhere."""
    gate = Gate()
    going = {"name": "going", **({"protocol": "https", "tls": site.setting()} if secure else {})}
    with Http2Upstream(gate) as origin:
        more = {"routes": [route(to="two")], "upstreams": [upstream("two", origin.address, protocol="http2")]}
        server = serve(config.put(two_listeners({"name": "staying"}, going, **more)))
        address = server.listeners["going"]
        with http2.Client(address, authority.client(alpn=["h2"]) if secure else None) as client:
            streams = [client.begin("POST", "/") for _ in range(20)]
            until(lambda: 'heddle_upstream_requests_active{upstream="two"} 20' in server.metrics(), "all requests to be there")
            changed = {**going, "address": "127.0.0.2:0"}
            config.put(two_listeners({"name": "staying"}, *([changed] if how == "rebound" else []), **more))
            reload(server)
            late = client.begin("POST", "/")  # on its way before the client could know
            while client.last_stream in (None, 2**31 - 1):
                client.receive()
            assert client.last_stream == late.id and client.goaway == http2.NO_ERROR
            until(lambda: wire.refuses(address), "the listener to be closed")
            for stream in (*streams, late):
                client.send(stream, b"body", end=True)
            gate.open.set()
            for stream in (*streams, late):
                got = client.response(stream)
                assert (got.status, got.body) == (200, b"whole: body")
            assert client.wait_end() == http2.NO_ERROR
        assert wire.fetch(server.listeners["staying"], "POST", "/", body=b"x").body == b"whole: x"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_kept_connections_of_a_listener_that_goes(serve, config: Config, authority: tls.Authority,  # noqa: F811
                                                  site: tls.Certificate, secure: bool) -> None:
    """An idle connection of either version ends at once, HTTP/2 with a GOAWAY; a request under way is answered first."""
    gate = Gate()
    going = {"name": "going", **({"protocol": "https", "tls": site.setting()} if secure else {})}
    with Http2Upstream(gate) as origin:
        more = {"routes": [route("/slow", "two"), route()], "upstreams": [upstream("two", origin.address, protocol="http2")]}
        server = serve(config.put(two_listeners({"name": "staying"}, going, **more)))
        address = server.listeners["going"]
        def connect() -> wire.Connection:
            return tls.Connection(address, authority.client(alpn=["http/1.1"])) if secure else wire.Connection(address)

        with connect() as idle, connect() as busy, http2.Client(address, authority.client(alpn=["h2"]) if secure else None) as two:
            for connection in (idle, busy):
                connection.send(wire.head("GET", "/"))
                assert connection.response().status == 200
            assert two.request("GET", "/").status == 200
            busy.send(wire.head("POST", "/slow", {"Content-Length": "4"}) + b"bo")
            until(lambda: 'heddle_upstream_requests_active{upstream="two"} 1' in server.metrics(), "the request to be there")
            config.put(two_listeners({"name": "staying"}, **more))
            reload(server)
            assert idle.is_closed()
            assert two.wait_end() == http2.NO_ERROR
            busy.send(b"dy")
            gate.open.set()
            got = busy.response()
            assert (got.status, got.body, got.header("connection")) == (200, b"whole: body", "close")
            assert busy.is_closed()


def test_load_over_http2_while_its_listener_comes_and_goes(serve, config: Config) -> None:  # noqa: F811
    """Clients that mind GOAWAY and go to the listener that stays lose no request."""
    both = two_listeners({"name": "going"}, {"name": "staying"})
    one = two_listeners({"name": "staying"})
    server = serve(config.put(both))
    stop, failures, done = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            try:
                client = http2.Client(server.listeners["going"])
            except OSError:
                client = http2.Client(server.listeners["staying"])
            with client:
                while not stop.is_set() and client.goaway is None and not client.closed:
                    try:
                        streams = [client.begin("GET", f"/{number}", end=True) for number in range(10)]
                    except OSError:
                        break  # it closed while nothing was under way
                    for stream in streams:
                        try:
                            got = client.response(stream)
                        except wire.Broken:
                            if client.last_stream is None or stream.id <= client.last_stream:
                                failures.append((stream.id, client.last_stream, client.goaway))
                            continue
                        if got.status != 200:
                            failures.append(got)
                        done.append(1)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(20):
        mark = server.mark()
        config.put(one if number % 2 == 0 else both)
        reload(server)
        if number % 2 == 1:
            line = server.wait_log("listening", after=mark, listener="going")
            host, port = line["address"].rsplit(":", 1)
            server.listeners["going"] = (host, int(port))
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert failures == [] and len(done) > 100


@pytest.mark.parametrize("how", ["removed", "rebound"])
def test_tunnels_of_a_listener_that_goes_have_the_drain_timeout(serve, config: Config, origins: list[Any], how: str) -> None:  # noqa: F811
    more = {"routes": [route(to="one")], "upstreams": origins, "drain_timeout": DRAIN}
    server = serve(config.put(two_listeners({"name": "staying"}, {"name": "going"}, **more)))
    with ExitStack() as stack:
        opened = tunnels(stack, server.listeners["going"])
        staying = tunnels(stack, server.listeners["staying"])
        changed = {"name": "going", "address": "127.0.0.2:0"}
        config.put(two_listeners({"name": "staying"}, *([changed] if how == "rebound" else []), **more))
        reload(server)
        for exchange, _ in opened:
            assert exchange(b"still there") == b"still there"
        for _, wait_end in opened:
            wait_end()
        for exchange, _ in staying:
            assert exchange(b"still there") == b"still there"


@pytest.mark.parametrize("how", ["removed", "stopped"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_both_peers_of_a_tunnel_see_its_end(serve, config: Config, authority: tls.Authority,  # noqa: F811
                                            site: tls.Certificate, secure: bool, how: str) -> None:
    """What was sent last arrives before it; nobody sees a reset. A stream without an end on the same listener is cut."""
    going = {"name": "going", **({"protocol": "https", "tls": site.setting()} if secure else {})}
    ended = threading.Event()

    def echo_tunnel(peer: Peer) -> None:
        assert peer.read_head()
        peer.send(SWITCHED)
        while data := peer.socket.recv(65536):
            peer.send(data)
        ended.set()

    def endless(peer: Peer) -> None:
        assert peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntick\r\n")
        assert peer.wait_closed()

    def connect() -> wire.Connection:
        address = server.listeners["going"]
        return tls.Connection(address, authority.client(alpn=["http/1.1"])) if secure else wire.Connection(address)

    with Upstream(echo_tunnel) as tunnel, Upstream(endless) as events:
        more = {"routes": [route("/events", "events"), route(to="tunnel")], "drain_timeout": DRAIN,
                "upstreams": [upstream("tunnel", tunnel.address), upstream("events", events.address)]}
        server = serve(config.put(two_listeners({"name": "staying"}, going, **more)))
        with connect() as one, connect() as two:
            switch(one)
            two.send(wire.head("GET", "/events"))
            assert two.informational().status == 200
            if how == "removed":
                config.put(two_listeners({"name": "staying"}, **more))
                reload(server)
            else:
                server.signal(signal.SIGTERM)
                server.wait_log("draining")
            one.send(b"still there")
            assert one.read(11) == b"still there"
            assert one.socket.recv(1) == b"" and ended.wait(20)
            with pytest.raises(wire.Broken):
                while True:
                    two.read(1)
        for path in ("/", "/events"):
            assert server.wait_access(path=path)["details"] == "drain_timeout"
        if how == "removed":
            until(lambda: one_snapshot(server), "the old snapshot to go")
        else:
            assert server.wait_exit() == 0


def test_a_tunnel_of_a_listener_that_goes_is_cut_when_nobody_ends_it(serve, config: Config) -> None:  # noqa: F811
    with Upstream(script := TalksOn()) as origin:
        more = {"routes": [route(to="raw")], "upstreams": [upstream("raw", origin.address)], "drain_timeout": DRAIN}
        server = serve(config.put(two_listeners({"name": "staying"}, {"name": "going"}, **more)))
        with wire.Connection(server.listeners["going"]) as connection:
            switch(connection)
            config.put(two_listeners({"name": "staying"}, **more))
            reload(server)
            assert script.ended.wait(20)
            assert server.wait_access(status=101)["details"] == "drain_timeout"


@pytest.mark.parametrize("kinds", [["tcp"], ["http"], ["tcp", "http"]], ids="-".join)
def test_load_while_its_listener_is_renamed(serve, config: Config, kinds: list[str]) -> None:  # noqa: F811
    """At the same address: whoever comes is let in at once and answered, by the listener of either name."""
    stop, failures, done = threading.Event(), [], []
    address = ("127.0.0.1", closed_port())

    def named(number: int) -> dict[str, Any]:
        kind = kinds[number % len(kinds)]
        to = {"protocol": "tcp", "upstream": "behind"} if kind == "tcp" else {}
        return two_listeners({"name": "public"}, {"name": f"{kind}-{number}", "address": "%s:%d" % address, **to},
                             upstreams=[upstream("behind", backend.address)], logging={"access_log": False})

    def load() -> None:
        while not stop.is_set():
            try:
                socket.create_connection(address, 0.9).close()  # a SYN that is dropped comes again after a second
                with TcpClient(address) as client:
                    answer = client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").read(5)
                    assert answer in (b"GET /", b"HTTP/"), answer
                    done.append(1)
            except (OSError, wire.Broken) as problem:
                failures.append(repr(problem))

    with TcpServer(echo) as backend:
        server = serve(config.put(named(0)))
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(1, 7):
            before = len(done)
            config.put(named(number))
            reload(server)
            until(lambda: len(done) > before + 20 or bool(failures), "connections after the change")
        stop.set()
        for thread in threads:
            thread.join(20)
    assert failures == []


@pytest.mark.parametrize("how", ["removed", "rebound", "stopped"])
def test_tcp_connections_of_a_listener_that_goes_have_the_drain_timeout(serve, config: Config, how: str) -> None:  # noqa: F811
    with TcpServer(echo) as backend:
        item = {"name": "tcp", "protocol": "tcp", "upstream": "behind"}
        more = {"upstreams": [upstream("behind", backend.address)], "drain_timeout": DRAIN}
        server = serve(config.put(two_listeners({"name": "public"}, item, **more)))
        with TcpClient(server.listeners["tcp"]) as client:
            assert client.send(b"hello").read(5) == b"hello"
            changed = {**item, "address": "127.0.0.2:0"}
            if how == "stopped":
                server.signal(signal.SIGTERM)
                server.wait_log("draining")
            else:
                config.put(two_listeners({"name": "public"}, *([changed] if how == "rebound" else []), **more))
                reload(server)
            assert client.send(b"still").read(5) == b"still"
            assert client.read_all() == b""
        assert server.log.wait(lambda line: line.get("protocol") == "TCP", 20)["details"] == "drain_timeout"
    if how == "stopped":
        assert server.wait_exit() == 0
    else:
        until(lambda: one_snapshot(server), "the old snapshot to go")
