"""Upstreams that refuse, stall, reset, lie and come back: an error with a status, or a broken connection; never a hang,
never a part presented as the whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support import wire
from support.configs import gateway, route, upstream
from support.server import Server
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until

Script = Callable[[Peer], None]


def proxy(serve, origin: Upstream, **more: object) -> Server:
    return serve(gateway(routes=[{"id": "faulty", **route(to="raw", **more)}], workers=1,
                         upstreams=[upstream("raw", origin.address)]))


def error_of(response: wire.Response, status: int, code: str) -> str:
    assert response.status == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["request_id"]
    return error["message"]


def test_a_refused_connection_is_502(serve) -> None:
    port = closed_port()
    server = serve(gateway(routes=[route(to="dead")], upstreams=[upstream("dead", ("127.0.0.1", port))]))
    response = server.fetch("/")
    assert response.status == 502
    assert response.json()["error"]["request_id"]
    line = server.wait_access(status=502)
    assert line["upstream"] == "dead"
    assert line["flags"] == "UF"


def test_a_name_that_does_not_resolve_is_502(serve) -> None:
    server = serve(gateway(routes=[route(to="nowhere", timeout="15s")],
                           upstreams=[upstream("nowhere", ("no-such-host.invalid", 80))]))
    assert server.fetch("/").status == 502


def test_an_upstream_that_says_nothing_is_504(serve) -> None:
    with Upstream(lambda peer: peer.read_request() and peer.wait_closed()) as origin:
        server = proxy(serve, origin, timeout="300ms")
        error_of(server.fetch("/"), 504, "upstream_timeout")
        line = server.wait_access(status=504)
        assert line["flags"] == "UT"


def test_an_upstream_that_stalls_mid_body_breaks_the_connection(serve) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.wait_closed()

    with Upstream(script) as origin:
        server = proxy(serve, origin, timeout="300ms")
        with pytest.raises(wire.Broken):
            server.fetch("/")


def close_mid_length(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def close_mid_chunks(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")


def reset_mid_body(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    peer.reset()


def bad_chunk(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
    peer.wait_closed()


@pytest.mark.parametrize("script", [close_mid_length, close_mid_chunks, reset_mid_body, bad_chunk],
                         ids=lambda script: script.__name__)
def test_a_body_that_breaks_off_is_never_whole(serve, script: Script) -> None:
    """A client learns of it: the connection ends before the message does, or the answer is a 502."""
    with Upstream(script) as origin:
        server = proxy(serve, origin)
        try:
            response = server.fetch("/")
        except wire.Broken:
            return
        assert response.status == 502


def close_at_once(peer: Peer) -> None:
    peer.close()


def close_after_request(peer: Peer) -> None:
    peer.read_request()


def reset_after_request(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


def garbage(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"\x00\x01\x02 this is not HTTP\r\n\r\n")
    peer.wait_closed()


def half_a_head(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def huge_head(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\n" + b"X-Fill: " + b"x" * 200_000 + b"\r\n\r\n")
    peer.wait_closed()


def endless_headers(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 5000)
    peer.wait_closed()


def two_lengths(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
    peer.wait_closed()


def length_and_chunked(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    peer.wait_closed()


def unasked_switch(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    peer.wait_closed()


def status_999(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 9999 Odd\r\nContent-Length: 0\r\n\r\n")
    peer.wait_closed()


@pytest.mark.parametrize("script", [close_at_once, close_after_request, reset_after_request, garbage, half_a_head,
                                    huge_head, endless_headers, two_lengths, length_and_chunked, unasked_switch,
                                    status_999], ids=lambda script: script.__name__)
def test_no_usable_answer_is_502(serve, script: Script) -> None:
    with Upstream(script) as origin:
        server = proxy(serve, origin, timeout="10s")
        with server.connect() as connection:
            response = connection.request("POST", "/", body=b"x")
            assert response.status == 502
            assert response.json()["error"]["request_id"]


def test_bytes_behind_an_answer_are_not_the_next_answer(serve) -> None:
    """What follows a response unasked must not be given to the next request."""
    with Upstream(answering(ok(b"first") + ok(b"smuggled"), ok(b"second"))) as origin:
        server = proxy(serve, origin)
        with server.connect() as connection:
            assert connection.request("GET", "/1").body == b"first"
            assert connection.request("GET", "/2").body != b"smuggled"


def test_a_connection_that_went_stale_is_replaced(serve) -> None:
    """The upstream closes after every answer without saying so; idempotent requests are sent again."""
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(ok(b"fresh"))

    with Upstream(script) as origin:
        server = proxy(serve, origin)
        with server.connect() as connection:
            for _ in range(20):
                assert connection.request("GET", "/").body == b"fresh"


def test_a_stale_connection_is_noticed_only_with_the_request(serve) -> None:
    """The upstream takes the second request of a connection and closes it without an answer: a GET is sent again."""
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(ok(b"first on its connection"))
        peer.read_head()

    with Upstream(script) as origin:
        server = proxy(serve, origin)
        with server.connect() as connection:
            for _ in range(6):
                assert connection.request("GET", "/").body == b"first on its connection"


def test_a_post_is_not_sent_twice(serve) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(ok(b"first on its connection"))
        peer.read_request()

    with Upstream(script) as origin:
        server = proxy(serve, origin)
        with server.connect() as connection:
            assert connection.request("POST", "/", body=b"1").status == 200
            assert connection.request("POST", "/", body=b"2").status == 502
        assert [request.body for request in origin.requests] == [b"1", b"2"]


def test_an_upstream_that_comes_back_is_used_again(serve) -> None:
    port = closed_port()
    server = serve(gateway(routes=[route(to="raw")], workers=1, upstreams=[upstream("raw", ("127.0.0.1", port))]))
    assert server.fetch("/").status == 502
    with Upstream(answering(ok(b"alive")), port):
        assert server.fetch("/").body == b"alive"
    until(lambda: server.fetch("/").status == 502, "the upstream to be gone again")
    with Upstream(answering(ok(b"alive again")), port):
        assert server.fetch("/").body == b"alive again"


def test_an_answer_before_the_end_of_the_request_is_passed_on(serve) -> None:
    """An upstream may refuse an upload early."""
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    with Upstream(script) as origin:
        server = proxy(serve, origin)
        with server.connect() as connection:
            connection.send(wire.head("POST", "/", {"Content-Length": "1000000"}) + b"x" * 1000)
            response = connection.response()
            assert (response.status, response.body) == (403, b"no")


def test_a_client_that_leaves_ends_the_upstreams_work(serve) -> None:
    left: list[bool] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        left.append(peer.wait_closed())

    with Upstream(script) as origin:
        server = proxy(serve, origin, timeout="20s")
        connection = server.connect()
        connection.send(wire.head("GET", "/"))
        until(lambda: bool(origin.requests), "the request to reach the upstream")
        connection.reset()
        until(lambda: left == [True], "the upstream connection to be closed")
