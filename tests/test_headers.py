"""What the gateway does to headers on their way: ids, forwarding headers, hop-by-hop fields."""

from __future__ import annotations

import re

import pytest

from support.configs import gateway, route, upstream
from support.echo import seen
from support.server import Server
from support.upstreams import Upstream, answering, ok


@pytest.fixture(scope="module")
def server(serve_module) -> Server:
    return serve_module(gateway())


def test_a_request_id_is_made(server: Server) -> None:
    first, second = (seen(server.fetch("/")).header("x-request-id") for _ in range(2))
    assert re.fullmatch(r"[0-9a-f-]{32,36}", first)
    assert first != second


def test_a_request_id_is_kept(server: Server) -> None:
    response = server.fetch("/", headers={"X-Request-ID": "from-the-client.42"})
    assert seen(response).header_list("x-request-id") == ["from-the-client.42"]


@pytest.mark.parametrize("bad", ["", "x" * 200, "two words"])
def test_a_bad_request_id_is_replaced(server: Server, bad: str) -> None:
    assert re.fullmatch(r"[0-9a-f-]{32,36}", seen(server.fetch("/", headers={"X-Request-ID": bad})).header("x-request-id"))


def test_forwarding_headers_are_made(server: Server) -> None:
    request = seen(server.fetch("/", host="shop.test:8080"))
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == "shop.test:8080"


def test_forwarding_headers_are_continued(server: Server) -> None:
    request = seen(server.fetch("/", headers={"X-Forwarded-For": "192.0.2.1, 192.0.2.2",
                                              "X-Forwarded-Proto": "https", "X-Forwarded-Host": "outer.test"}))
    assert request.header("x-forwarded-for") == "192.0.2.1, 192.0.2.2, 127.0.0.1"
    assert request.header("x-forwarded-proto") == "https"
    assert request.header("x-forwarded-host") == "outer.test"


def test_trace_context_is_passed_on(server: Server) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = server.fetch("/traced", headers={"traceparent": parent, "tracestate": "vendor=1"})
    assert seen(response).header("traceparent") == parent
    assert seen(response).header("tracestate") == "vendor=1"


def test_hop_by_hop_fields_of_a_request_stay_here(serve) -> None:
    with Upstream(answering(ok())) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        server.fetch("/", headers=[("Connection", "keep-alive, X-Secret-Hop"), ("X-Secret-Hop", "1"),
                                   ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
                                   ("TE", "trailers"), ("X-Stays", "yes")])
        request = origin.requests[0]
    for name in ("x-secret-hop", "keep-alive", "proxy-connection", "te"):
        assert request.header(name) is None, name
    assert request.header("x-stays") == "yes"
    assert "x-secret-hop" not in (request.header("connection") or "").lower()


def test_hop_by_hop_fields_of_a_response_stay_here(serve) -> None:
    answer = ok(b"body", "Connection: X-Inner", "X-Inner: 1", "Keep-Alive: timeout=5", "X-Outer: 2")
    with Upstream(answering(answer)) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        response = server.fetch("/")
    assert response.body == b"body"
    assert response.header("x-inner") is None
    assert response.header("keep-alive") is None
    assert response.header("x-outer") == "2"


def test_repeated_headers_keep_their_number_and_order(serve) -> None:
    answer = ok(b"", "Set-Cookie: a=1", "X-Between: x", "Set-Cookie: b=2")
    with Upstream(answering(answer)) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        response = server.fetch("/", headers=[("X-Many", "1"), ("X-Other", "o"), ("X-Many", "2")])
        received = [value for name, value in origin.requests[0].headers if name.lower() == "x-many"]
    assert received == ["1", "2"]
    assert response.header_list("set-cookie") == ["a=1", "b=2"]


def test_the_upstream_sees_the_clients_host(serve) -> None:
    with Upstream(answering(ok())) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        server.fetch("/", host="shop.test")
        assert [value for name, value in origin.requests[0].headers if name.lower() == "host"] == ["shop.test"]


def test_a_date_is_given_once(server: Server) -> None:
    response = server.fetch("/")
    assert len(response.header_list("date")) <= 1


def test_headers_that_bytes_beyond_ascii_pass(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Name: caf\xc3\xa9\r\n\r\n")
        assert "caf" in seen(connection.response()).header("x-name")
