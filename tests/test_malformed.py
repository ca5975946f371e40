"""Malformed requests: refused with one status, a JSON body and the end of the connection; nothing of them reaches an
upstream, and what follows them on the connection is never read as a request."""

from __future__ import annotations

import pytest

from differential.corpus import ACCEPTED, REFUSED, Case
from support import wire
from support.configs import gateway, route, upstream
from support.server import Server
from support.upstreams import Upstream, answering, ok

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def origin():
    with Upstream(answering(ok())) as upstream_server:
        yield upstream_server


@pytest.fixture(scope="module")
def server(serve_module, origin: Upstream) -> Server:
    return serve_module(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused(server: Server, origin: Upstream, case: Case) -> None:
    with server.connect() as connection:
        connection.send(case.raw + SMUGGLED)
        response = connection.response()
        assert response.status == case.verdict
        assert response.header("connection") == "close"
        assert response.header("content-type") == "application/json"
        assert response.json()["error"]["message"]
        assert connection.is_closed()
    assert not [request for request in origin.requests if "smuggled" in request.line]


@pytest.mark.parametrize("case", [case for case in ACCEPTED if case.raw.split(b" ")[1][:1] == b"/"],
                         ids=lambda case: case.name)
def test_accepted_and_the_next_request_too(server: Server, case: Case) -> None:
    with server.connect() as connection:
        connection.send(case.raw)
        assert connection.response().status == 200
        if b"HTTP/1.0" not in case.raw and b"close" not in case.raw:
            assert connection.request("GET", "/next").status == 200


def test_what_is_forwarded_was_written_anew(server: Server, origin: Upstream) -> None:
    """Names in lower case, one space behind the colon, no extensions of chunks: nothing is copied blindly."""
    with server.connect() as connection:
        connection.send(b"POST /anew HTTP/1.1\r\nHost: h\r\nX-Odd:\t  padded \r\nTransfer-Encoding: Chunked\r\n\r\n"
                        b"0003;ext=1\r\nabc\r\n0\r\n\r\n")
        assert connection.response().status == 200
    request = next(request for request in origin.requests if request.target == "/anew")
    assert request.header("x-odd") == "padded"
    assert request.header("transfer-encoding") == "chunked"
    assert request.body == b"abc"


def test_bad_requests_are_counted(server: Server) -> None:
    before = server.metrics()
    with server.connect() as connection:
        connection.send(b"BAD\r\n\r\n")
        assert connection.response().status == 400
    after = server.metrics()
    assert total(after, "bad_request") > total(before, "bad_request")


def total(metrics: str, part: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
               if part in line and not line.startswith("#"))


def test_an_incomplete_head_and_the_end_is_no_request(server: Server, origin: Upstream) -> None:
    count, mark = len(origin.requests), server.mark()
    with server.connect() as connection:
        connection.send(b"GET /half HTTP/1.1\r\nHost: h\r\n")
        connection.half_close()
        assert connection.response().status == 400
        connection.read_to_end()
        server.wait_log("bad request", after=mark, remote="{}:{}".format(*connection.socket.getsockname()))
    assert server.fetch("/").status == 200
    assert [request.target for request in origin.requests[count:]] == ["/"]


def test_connections_that_close_between_requests_are_no_bad_requests(server: Server) -> None:
    mark = server.mark()
    with server.connect() as connection:
        connection.half_close()
        connection.read_to_end()
    with server.connect() as connection:
        connection.send(wire.head("GET", "/"))
        assert connection.response().status == 200
    assert server.fetch("/marker").status == 200
    server.wait_access(path="/marker")
    assert not [line for line in server.log.lines()[mark:] if line.get("message") == "bad request"]


def test_an_incomplete_body_is_never_forwarded_as_whole(server: Server, origin: Upstream) -> None:
    count = len(origin.requests)
    with server.connect() as connection:
        connection.send(wire.head("POST", "/cut", {"Content-Length": "10"}) + b"half")
        connection.half_close()
        connection.read_to_end()
    assert server.fetch("/").status == 200
    assert "/cut" not in [request.target for request in origin.requests[count:]]
