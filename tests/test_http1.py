"""HTTP/1.1 as a client and an upstream see it: keep-alive, pipelining, chunks, trailers, HEAD, 1xx, half-close."""

from __future__ import annotations

import hashlib

import pytest

from support import wire
from support.configs import gateway, route, upstream
from support.echo import seen
from support.nginx import Nginx
from support.server import Server
from support.upstreams import Peer, Upstream, answering, ok


@pytest.fixture(scope="module")
def server(serve_module, nginx: Nginx) -> Server:
    return serve_module(gateway(routes=[route("/nginx/*", "nginx", strip_prefix="/nginx"), route()],
                                upstreams=[upstream("nginx", nginx.address)]))


def test_one_connection_serves_many_requests(server: Server) -> None:
    with server.connect() as connection:
        for number in range(50):
            assert seen(connection.request("GET", f"/{number}")).target == f"/{number}"


def test_connection_close_closes(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("GET", "/", {"Connection": "close"})
        assert response.status == 200
        assert response.header("connection") == "close"
        assert connection.is_closed()


def test_http_1_0_closes_unless_asked(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        raw = connection.read_to_end()
        assert raw.startswith(b"HTTP/1.") and b" 200 " in raw.split(b"\r\n")[0]
        assert b"transfer-encoding: chunked" not in raw.lower()


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"".join(wire.head("GET", f"/nginx/headers?{number}") for number in range(20)))
        for number in range(20):
            assert f"/headers?{number} " in connection.response().text


def test_pipelined_bodies_are_kept_apart(server: Server) -> None:
    with server.connect() as connection:
        requests = [wire.head("POST", "/a", {"Content-Length": "5"}) + b"first",
                    wire.head("POST", "/b", {"Transfer-Encoding": "chunked"}) + wire.chunked([b"sec", b"ond"]),
                    wire.head("GET", "/c")]
        connection.send(b"".join(requests))
        answers = [seen(connection.response()) for _ in requests]
    assert [(answer.target, answer.body) for answer in answers] == [("/a", "first"), ("/b", "second"), ("/c", "")]


def test_a_request_in_single_bytes(server: Server) -> None:
    request = wire.head("POST", "/slow", {"Transfer-Encoding": "chunked"}) + wire.chunked([b"abc"], {"X-T": "1"})
    with server.connect() as connection:
        for index in range(len(request)):
            connection.send(request[index:index + 1])
        assert seen(connection.response()).body == "abc"


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 3_000_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bodies_arrive_whole(server: Server, nginx: Nginx, size: int, framing: str) -> None:
    body = hashlib.shake_128(b"body").digest(size)
    target = f"/nginx/dav/{framing}-{size}"
    with server.connect() as connection:
        if framing == "length":
            stored = connection.request("PUT", target, body=body)
        else:
            parts = [body[start:start + 7001] for start in range(0, size, 7001)]
            connection.send(wire.head("PUT", target, {"Transfer-Encoding": "chunked"}) + wire.chunked(parts))
            stored = connection.response()
        assert stored.status in (201, 204), stored
    fetched = nginx_file(nginx, f"/dav/{framing}-{size}")
    assert fetched == body


def nginx_file(nginx: Nginx, target: str) -> bytes:
    return wire.fetch(nginx.address, "GET", target).body


def test_a_large_response_streams_through(server: Server, nginx: Nginx) -> None:
    response = server.fetch("/nginx/files/big.bin")
    assert response.body == nginx.big


def test_conditional_and_range_requests_pass(server: Server, nginx: Nginx) -> None:
    response = server.fetch("/nginx/files/small.txt", headers={"Range": "bytes=16-31"})
    assert (response.status, response.body) == (206, nginx.small[16:32])
    tag = server.fetch("/nginx/files/small.txt").header("etag")
    with server.connect() as connection:
        assert connection.request("GET", "/nginx/files/small.txt", {"If-None-Match": tag}).status == 304
        assert connection.request("GET", "/nginx/hello").status == 200


def test_head_has_the_length_and_no_body(server: Server, nginx: Nginx) -> None:
    with server.connect() as connection:
        response = connection.request("HEAD", "/nginx/files/small.txt")
        assert response.header("content-length") == str(len(nginx.small))
        assert connection.request("GET", "/nginx/hello").body == b"hello from nginx\n"


def test_answers_without_a_body_keep_the_connection(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("GET", "/nginx/empty")
        assert response.status == 204
        assert response.header("content-length") in (None, "0")
        assert connection.request("GET", "/nginx/hello").status == 200


def test_trailers_pass_in_both_directions(serve) -> None:
    answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
              wire.chunked([b"one", b"two"], {"X-Sum": "6"}))
    with Upstream(answering(answer)) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            connection.send(wire.head("POST", "/", {"Transfer-Encoding": "chunked", "TE": "trailers"}) +
                            wire.chunked([b"abc"], {"X-Check": "42"}))
            response = connection.response()
        request = origin.requests[0]
    assert (response.body, response.trailers) == (b"onetwo", [("x-sum", "6")])
    assert request.body == b"abc"
    assert [(name.lower(), value) for name, value in request.trailers] == [("x-check", "42")]


def test_chunks_are_not_held_back(serve) -> None:
    """Each part of a response reaches the client before the upstream sends the next: the client acknowledges every
    part with a byte of its request's body."""
    parts = (b"one", b"two", b"three")

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            peer.send(b"%x\r\n%s\r\n" % (len(part), part))
            assert peer.read(1) == b"!"
        peer.send(b"0\r\n\r\n")

    with Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            connection.send(wire.head("POST", "/", {"Content-Length": "3"}))
            assert connection.informational().status == 200
            for part in parts:
                framed = b"%x\r\n%s\r\n" % (len(part), part)
                assert connection.read(len(framed)) == framed
                connection.send(b"!")
            assert connection.read(5) == b"0\r\n\r\n"


def test_expect_continue_is_answered(server: Server) -> None:
    with server.connect() as connection:
        connection.send(wire.head("POST", "/", {"Content-Length": "4", "Expect": "100-continue"}))
        assert connection.informational().status == 100
        connection.send(b"data")
        assert seen(connection.response()).body == "data"
        assert connection.request("GET", "/").status == 200


def test_early_hints_reach_the_client(serve) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    with Upstream(answering(hints + ok(b"page"))) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        response = server.fetch("/")
    assert response.body == b"page"
    assert [hint.status for hint in response.informational] == [103]
    assert response.informational[0].header("link") == "</style.css>; rel=preload"


def test_a_client_that_shut_its_sending_side_gets_its_answer(server: Server) -> None:
    with server.connect() as connection:
        connection.send(wire.head("POST", "/", {"Content-Length": "2"}) + b"ok")
        connection.half_close()
        assert seen(connection.response()).body == "ok"
        assert connection.is_closed()


def test_a_response_until_close_is_taken_whole(serve) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    with Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            assert connection.request("GET", "/").body == b"until the end"
            assert connection.request("GET", "/").body == b"until the end"


def test_upstream_connections_are_reused(serve) -> None:
    with Upstream(answering(ok())) as origin:
        server = serve(gateway(routes=[route(to="raw")], workers=1,
                               upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            for _ in range(20):
                assert connection.request("GET", "/").body == b"ok"
        assert origin.connections == 1
