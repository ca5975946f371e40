"""Limits of one client: sizes of head, headers, target and body, and how long it may take."""

from __future__ import annotations

import pytest

from support import wire
from support.configs import gateway, route, upstream
from support.server import Server
from support.upstreams import Peer, Upstream
from support.waiting import until

LIMITS = {"max_head_bytes": 4096, "max_headers": 20, "max_target_bytes": 512, "max_body_bytes": 10_000,
          "idle_timeout": "300ms", "head_timeout": "300ms", "body_timeout": "300ms", "send_timeout": "500ms"}


@pytest.fixture(scope="module")
def server(serve_module) -> Server:
    return serve_module(gateway(limits=LIMITS))


def refused(server: Server, request: bytes, status: int) -> None:
    with server.connect() as connection:
        connection.send(request)
        response = connection.response()
        assert response.status == status
        assert response.json()["error"]["message"]
        assert response.header("connection") == "close"
        assert connection.is_closed()


def test_head_too_large_is_431(server: Server) -> None:
    refused(server, wire.head("GET", "/", {"X-Big": "x" * 5000}), 431)


def test_too_many_headers_is_431(server: Server) -> None:
    refused(server, wire.head("GET", "/", [(f"X-{index}", "v") for index in range(30)]), 431)


def test_target_too_long_is_414(server: Server) -> None:
    refused(server, wire.head("GET", "/" + "a" * 600), 414)


def test_an_endless_head_is_cut_off(server: Server) -> None:
    """The answer comes when the limit is passed, not when the head ends: it never does."""
    refused(server, b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X-A: 1\r\n" * 1000, 431)


def test_body_too_long_by_its_length_is_413(server: Server) -> None:
    refused(server, wire.head("POST", "/", {"Content-Length": "10001"}), 413)


def test_body_too_long_by_its_chunks_is_413(server: Server) -> None:
    refused(server, wire.head("POST", "/", {"Transfer-Encoding": "chunked"}) + wire.chunked([b"x" * 6000] * 2), 413)


def test_a_body_at_the_limit_passes(server: Server) -> None:
    assert server.fetch("/", "POST", body=b"x" * 10_000).status == 200


def test_expect_continue_of_a_body_too_long_is_refused_at_once(server: Server) -> None:
    refused(server, wire.head("POST", "/", {"Content-Length": "20000", "Expect": "100-continue"}), 413)


def test_a_slow_head_is_408(server: Server) -> None:
    refused(server, b"GET / HTTP/1.1\r\nHost: h\r\n", 408)


def test_a_slow_body_is_408(server: Server) -> None:
    refused(server, wire.head("POST", "/", {"Content-Length": "10"}) + b"half", 408)


def test_an_idle_connection_is_closed_without_a_word(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("GET", "/").status == 200
        assert connection.is_closed()


def test_a_connection_that_never_speaks_is_closed(server: Server) -> None:
    with server.connect() as connection:
        assert connection.read_to_end() == b""


def test_a_client_that_takes_nothing_is_dropped(serve) -> None:
    """Its unread answer costs bounded memory: the upstream is not read on, and after send_timeout all is closed."""
    ended: list[str] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(4096):  # 256 MiB
                peer.send(block)
            ended.append("all sent")
        except OSError:
            ended.append("stopped")

    with Upstream(script) as origin:
        server = serve(gateway(limits={"send_timeout": "500ms"}, routes=[route(to="raw", timeout="20s")],
                               upstreams=[upstream("raw", origin.address)]))
        before = server.resident()
        with server.connect() as connection:
            connection.send(wire.head("GET", "/"))
            connection.informational()
            server.wait_access(path="/")
            grown = server.resident() - before
        until(lambda: bool(ended), "the upstream to notice")
    assert ended == ["stopped"]
    assert grown < 32 << 20


def test_connections_beyond_the_limit_are_closed_on_accept(serve) -> None:
    server = serve(gateway(limits={"max_connections": 5}, workers=1))
    connections = [server.connect() for _ in range(5)]
    try:
        assert all(connection.request("GET", "/").status == 200 for connection in connections)
        with server.connect() as extra:
            extra.send(wire.head("GET", "/"))
            assert extra.is_closed()
    finally:
        for connection in connections:
            connection.close()
