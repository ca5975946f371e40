"""The access log: one JSON object for every exchange, whatever became of it."""

from __future__ import annotations

import re

from support import wire
from support.configs import gateway, route, upstream
from support.nginx import Nginx
from support.upstreams import closed_port
from support.waiting import until


def test_the_line_of_a_proxied_request(serve, nginx: Nginx) -> None:
    server = serve(gateway(routes=[{"id": "web", **route(to="nginx")}], upstreams=[upstream("nginx", nginx.address)]))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = server.fetch("/hello?x=1", host="shop.test", headers={
        "X-Request-ID": "log-me", "User-Agent": "tests/1", "traceparent": parent})
    line = server.wait_access(request_id="log-me")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
    assert line["method"] == "GET"
    assert line["path"] == "/hello?x=1"
    assert line["status"] == response.status == 200
    assert line["route"] == "web"
    assert line["upstream"] == "nginx"
    assert line["upstream_address"] == f"{nginx.address[0]}:{nginx.address[1]}"
    assert line["user_agent"] == "tests/1"
    assert line["trace_id"] == parent.split("-")[1]
    assert line["protocol"] == "HTTP/1.1"
    assert line["remote"].startswith("127.0.0.1:")
    assert line["bytes_out"] >= len(response.body)
    assert line["bytes_in"] > 0
    assert 0 <= line["duration_ms"] < 60_000
    assert line["authority"] == "shop.test"


def test_errors_and_unrouted_requests_are_logged_too(serve) -> None:
    server = serve(gateway(routes=[route("/dead", "dead"), route("/get", methods=["GET"])],
                           upstreams=[upstream("dead", ("127.0.0.1", closed_port()))]))
    for target, method, status in (("/dead", "GET", 502), ("/none", "GET", 404), ("/get", "PUT", 405)):
        server.fetch(target, method)
        line = server.wait_access(path=target)
        assert (line["status"], line["method"]) == (status, method)
        assert line["details"]


def test_the_bytes_of_an_upload_that_broke_off_are_counted(serve) -> None:
    server = serve(gateway())
    head = wire.head("POST", "/broken", {"Content-Length": "50"})
    with server.connect() as connection:
        connection.send(head + b"1234")
        until(lambda: server.admin("/info").json()["exchanges"] == 1, "the request to be under way")
        connection.reset()
        line = server.wait_access(path="/broken")
    assert line["flags"] == "DC"
    assert line["bytes_in"] == len(head) + 4


def test_hostile_text_cannot_break_the_log(serve) -> None:
    server = serve(gateway())
    with server.connect() as connection:
        connection.send(b'GET /%22%0A{"forged":1} HTTP/1.1\r\nHost: h\r\nUser-Agent: "\\ \xff\xfe"}\r\n\r\n')
        connection.response()
    server.fetch("/after")
    server.wait_access(path="/after")
    assert not [line for line in server.log.lines() if line.get("plain") or "forged" in line]


def test_every_exchange_has_one_line(serve) -> None:
    server = serve(gateway())
    with server.connect() as connection:
        connection.send(b"".join(wire.head("GET", f"/n{number}") for number in range(200)))
        for _ in range(200):
            connection.response()
    server.wait_access(path="/n199")
    paths = [line["path"] for line in server.access_lines()]
    assert paths == [f"/n{number}" for number in range(200)]


def test_it_can_be_switched_off(serve) -> None:
    server = serve(gateway(logging={"access_log": False}))
    server.fetch("/")
    server.stop()
    assert server.access_lines() == []
