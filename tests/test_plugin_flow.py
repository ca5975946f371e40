"""What plugins do to an exchange: pause and resume, answer instead of the upstream, change bodies, call services."""

from __future__ import annotations

from pathlib import Path

from support import wire
from support.configs import gateway, plugin, route, upstream
from support.echo import seen
from support.nginx import Nginx
from support.upstreams import Upstream, answering, ok
from support.waiting import until


def test_a_local_reply_replaces_the_upstream(serve, probe: Path) -> None:
    with Upstream(answering(ok())) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)], plugins=[
            plugin("inner", probe, priority=1, config="response_headers add 2 x-inner 1"),
            plugin("guard", probe, priority=2, config="request_headers reply 401 keep out\nrequest_headers pause\n"
                                                      "response_headers add 2 x-guard 1"),
            plugin("outer", probe, priority=3, config="response_headers add 2 x-outer 1")]))
        with server.connect() as connection:
            response = connection.request("GET", "/")
            assert (response.status, response.body) == (401, b"keep out")
            assert connection.request("GET", "/").status == 401
        assert origin.requests == []
    assert response.header("x-outer") == "1", "the filters already passed see the answer"
    assert response.header("x-guard") == "1", "the one that gave it too"
    assert response.header("x-inner") is None, "those behind it never saw the request"


def test_a_pause_that_nothing_ends_is_ended_by_the_routes_timeout(serve, probe: Path) -> None:
    server = serve(gateway(routes=[route(timeout="300ms")],
                           plugins=[plugin("sleeper", probe, config="request_headers pause")]))
    response = server.fetch("/")
    assert response.status == 504
    assert "sleeper" in response.json()["error"]["message"]
    server.wait_log(plugin="sleeper", level="warn")


def test_a_call_to_a_service_while_the_request_waits(serve, probe: Path, nginx: Nginx) -> None:
    actions = "request_headers call nginx /hello\nrequest_headers pause\nhttp_call_response resume 0"
    server = serve(gateway(upstreams=[upstream("nginx", nginx.address)], workers=1,
                           plugins=[plugin("caller", probe, config=actions)]))
    with server.connect() as connection:
        for _ in range(10):
            assert seen(connection.request("POST", "/", body=b"held meanwhile")).body == "held meanwhile"


def test_an_answer_in_place_of_another_has_one_body(serve, probe: Path, nginx: Nginx) -> None:
    """Also to who stands outside and waits meanwhile: the first one's body is gone with its head."""
    held = "response_body trace\nresponse_headers call nginx /hello\nresponse_headers pause\nhttp_call_response resume 1"
    server = serve(gateway(upstreams=[upstream("nginx", nginx.address)], workers=1, plugins=[
        plugin("outer", probe, priority=3, config=held),
        plugin("second", probe, priority=2, config="response_headers if x-replaced reply 409 second"),
        plugin("first", probe, priority=1, config="request_headers reply 418 first\nrequest_headers pause")]))
    with server.connect() as connection:
        assert connection.request("GET", "/").body == b"first"
        response = connection.request("GET", "/", {"x-replaced": "1"})
        assert (response.status, response.body) == (409, b"second")
    until(lambda: [text.split(" ")[3:] for text in server.messages() if text.startswith("probe response_body")] ==
          [["5", "1"], ["6", "1"]], "each body to be seen, once")


def test_a_call_to_an_unknown_upstream_is_refused(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("caller", probe, config="request_headers call nobody /")]))
    assert server.fetch("/").status == 200
    server.wait_log("probe call refused 2")


def test_a_paused_body_is_seen_whole(serve, probe: Path) -> None:
    actions = "* trace\nrequest_body return 1\nrequest_body if x-none return 0"
    server = serve(gateway(workers=1, routes=[route(timeout="2s")], plugins=[plugin("holder", probe, config=actions)]))
    with server.connect() as connection:
        connection.send(wire.head("POST", "/", {"Content-Length": "6"}) + b"abc")
        server.wait_log("probe request_body")
        mark = server.mark()
        connection.send(b"def")
        line = server.wait_log("probe request_body", after=mark)
        assert line["message"].split(" ")[3] == "6"


def test_bodies_are_replaced_and_their_length_repaired(serve, probe: Path) -> None:
    actions = "request_body if x-edit body 0 a body of another length\nresponse_body append 1 !"
    with Upstream(answering(ok(b"answer"))) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)], workers=1,
                               plugins=[plugin("editor", probe, config=actions)]))
        with server.connect() as connection:
            response = connection.request("POST", "/", {"X-Edit": "1"}, body=b"short")
            assert response.body.startswith(b"answer") and response.body.endswith(b"!")
            assert connection.request("GET", "/again").status == 200
        assert b"a body of another length" in origin.requests[0].body


def test_a_body_over_the_buffer_limit_is_413(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("holder", probe, buffer_limit="64KiB", config="request_body pause")]))
    response = server.fetch("/", "POST", body=b"x" * 200_000)
    assert response.status == 413


def test_a_response_over_the_buffer_limit_is_502(serve, probe: Path, nginx: Nginx) -> None:
    server = serve(gateway(routes=[route(to="nginx")], upstreams=[upstream("nginx", nginx.address)], plugins=[
        plugin("holder", probe, buffer_limit="64KiB", config="response_headers return 1\nresponse_body pause",
               allow_on_headers_stop_iteration=True)]))
    assert server.fetch("/files/big.bin").status == 502


def test_closing_the_stream_breaks_the_connection(serve, probe: Path) -> None:
    server = serve(gateway(routes=[route("/closed", plugins=["closer"]), route()], plugins=[
        plugin("closer", probe, config="request_headers close 0\nrequest_headers pause")]))
    with server.connect() as connection:
        connection.send(wire.head("GET", "/closed"))
        assert b" 200 " not in connection.read_to_end()
    assert server.fetch("/").status == 200


def test_ticks_come(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("ticker", probe, config="configure tick 20\ntick log it ticks")]))
    first = server.wait_log("it ticks")
    server.wait_log("it ticks", after=server.log.lines().index(first) + 1)


def test_metrics_of_plugins_are_exposed(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("counter", probe, config="request_headers count seen_by_probe")]))
    for _ in range(5):
        server.fetch("/")
    lines = [line for line in server.metrics().splitlines() if "seen_by_probe" in line and not line.startswith("#")]
    assert [float(line.rsplit(" ", 1)[1]) for line in lines] == [5.0]


def test_log_lines_carry_plugin_and_request(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("talker", probe, config="request_headers log words of a plugin")]))
    server.fetch("/", headers={"X-Request-ID": "who-asked"})
    line = server.wait_log("words of a plugin")
    assert line["plugin"] == "talker"
    assert line["request_id"] == "who-asked"
    assert line["level"] == "info"
