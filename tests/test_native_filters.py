"""What Heddle filters itself: rate limit, CORS, header rules; in one chain with plugins, changed by a reload."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from support import wire
from support.configs import gateway, plugin, route, upstream
from support.server import Server
from support.upstreams import Upstream, answering, ok

LIMIT = {"enabled": True, "rate": 3, "period": "1h"}
ORIGIN = ("Origin", "https://app.example")


def statuses(server: Server, count: int, target: str = "/", headers: wire.Headers = ()) -> list[int]:
    return [server.fetch(target, headers=headers).status for _ in range(count)]


# ---- rate limit


def test_who_asks_too_often_waits(serve) -> None:
    server = serve(gateway(rate_limit=LIMIT))
    first = server.fetch("/")
    assert (first.status, first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")) == (200, "3", "2")
    assert 1190 <= int(first.header("x-ratelimit-reset")) <= 1200
    assert statuses(server, 2) == [200, 200]
    refused = server.fetch("/")
    assert refused.status == 429
    assert 1 <= int(refused.header("retry-after")) <= 1200
    assert refused.header("x-ratelimit-remaining") == "0"
    assert refused.json()["error"]["code"] == "rate_limited"
    server.wait_access(status=429, details="rate_limited")
    text = server.metrics()
    assert 'heddle_rate_limit_requests_total{route="all",result="allowed"} 3' in text
    assert 'heddle_rate_limit_requests_total{route="all",result="limited"} 1' in text


def test_a_token_comes_back(serve) -> None:
    server = serve(gateway(rate_limit={"enabled": True, "rate": 20, "burst": 1}))
    with server.connect() as connection:
        answers = []
        while answers.count(200) < 5:
            connection.send(wire.head("GET", "/"))
            answers.append(connection.response().status)
    assert set(answers) == {200, 429}


def test_requests_without_a_route_count_too(serve) -> None:
    server = serve(gateway(routes=[route("/known")], rate_limit=LIMIT))
    assert statuses(server, 4, "/unknown") == [404, 404, 404, 429]
    assert server.fetch("/known").status == 429, "routes without a limit of their own count together"


def test_a_route_has_its_own_limit_or_none(serve) -> None:
    routes = [route("/strict", rate_limit={"rate": 1, "period": "1h"}),
              route("/free", rate_limit={"enabled": False}), route("/*")]
    server = serve(gateway(routes=routes, rate_limit=LIMIT))
    assert statuses(server, 2, "/strict") == [200, 429]
    assert statuses(server, 5, "/free") == [200] * 5
    assert statuses(server, 4) == [200, 200, 200, 429]
    assert "x-ratelimit-limit" not in dict(server.fetch("/free").headers)


def test_the_key_may_be_a_header(serve) -> None:
    server = serve(gateway(rate_limit={**LIMIT, "rate": 1, "key": "header", "header": "X-Api-Key"}))
    ann, bob = [("X-Api-Key", "ann")], [("X-Api-Key", "bob")]
    assert statuses(server, 2, headers=ann) == [200, 429]
    assert statuses(server, 2, headers=bob) == [200, 429]
    assert statuses(server, 2) == [200, 429], "without it, the address counts"
    assert statuses(server, 1, headers=[("X-Api-Key", "")]) == [200]


def test_the_key_may_be_the_route(serve) -> None:
    server = serve(gateway(rate_limit={**LIMIT, "key": "route"}))
    with socket.create_connection(server.address, source_address=("127.0.0.2", 0)) as other:
        other.sendall(wire.head("GET", "/"))
        assert other.recv(12) == b"HTTP/1.1 200"
    assert statuses(server, 3) == [200, 200, 429]


def test_many_keys_take_no_more_memory(serve) -> None:
    server = serve(gateway(rate_limit={**LIMIT, "key": "header", "header": "k", "max_keys": 64}))
    with server.connect() as connection:
        for number in range(500):
            connection.send(wire.head("GET", "/", headers=[("k", str(number))]))
            assert connection.response().status == 200
    evictions = [line for line in server.metrics().splitlines() if line.startswith("heddle_rate_limit_evictions_total")]
    assert float(evictions[0].rsplit(" ", 1)[1]) > 300


def test_grpc_gets_a_status_of_its_own(serve) -> None:
    server = serve(gateway(rate_limit={**LIMIT, "rate": 1}))
    headers = [("Content-Type", "application/grpc")]
    server.fetch("/", headers=headers)
    assert server.fetch("/", headers=headers).header("grpc-status") == "8"


def test_a_reload_switches_it_and_keeps_the_count(serve, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"

    def put(**top: Any) -> None:
        file.write_text(json.dumps(gateway(watch_config=False, **top)))

    put(rate_limit=LIMIT)
    server = serve(file)
    assert statuses(server, 3) == [200] * 3
    put(rate_limit=LIMIT, routes=[{"id": "all", **route("/*")}, route("/more")])
    assert server.admin("/config/reload", "POST").status == 200
    assert server.fetch("/").status == 429, "the same limit goes on counting"
    put(rate_limit={**LIMIT, "enabled": False})
    assert server.admin("/config/reload", "POST").status == 200
    assert statuses(server, 5) == [200] * 5
    put(rate_limit=LIMIT)
    assert server.admin("/config/reload", "POST").status == 200
    assert statuses(server, 4) == [200, 200, 200, 429], "what was switched off starts anew"


# ---- CORS


def preflight(server: Server, target: str = "/", origin: str = ORIGIN[1], method: str = "PUT",
              *more: tuple[str, str]) -> wire.Response:
    return server.fetch(target, "OPTIONS", [("Origin", origin), ("Access-Control-Request-Method", method), *more])


CORS = {"enabled": True, "allow_origins": ["https://app.example", "https://*.trusted.example"],
        "allow_methods": ["GET", "PUT"], "allow_headers": ["X-One"], "expose_headers": ["X-Seen", "X-More"],
        "allow_credentials": True, "max_age": "5m"}


@pytest.fixture(scope="module")
def cors(serve_module) -> Server:
    routes = [route("/get", methods=["GET"]), route("/*")]
    return serve_module(gateway(routes=routes, cors=CORS))


def test_a_preflight_is_answered(cors: Server) -> None:
    answer = preflight(cors, "/", ORIGIN[1], "PUT", ("Access-Control-Request-Headers", "x-one"))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == "https://app.example"
    assert answer.header("access-control-allow-methods") == "GET, PUT"
    assert answer.header("access-control-allow-headers") == "x-one"
    assert answer.header("access-control-allow-credentials") == "true"
    assert answer.header("access-control-max-age") == "300"
    vary = ", ".join(value for name, value in answer.headers if name == "vary")
    assert vary == "origin, access-control-request-method, access-control-request-headers"


def test_a_preflight_finds_the_route_of_its_method(cors: Server) -> None:
    assert preflight(cors, "/get", method="GET").status == 204
    assert cors.fetch("/get", "OPTIONS").status == 200, "another route takes a plain OPTIONS"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil", "https://trusted.example",
                                    "https://x.trusted.example.evil", "https://evil/.trusted.example", "x" * 9000])
def test_foreign_origins_get_nothing(cors: Server, origin: str) -> None:
    answer = preflight(cors, origin=origin)
    assert answer.status == 403 and answer.json()["error"]["code"] == "cors_refused"
    passed = cors.fetch("/", headers=[("Origin", origin)])
    assert passed.status == 200
    for response in (answer, passed):
        names = dict(response.headers)
        assert not any(name.startswith("access-control-") for name in names), names
        assert ("vary", "origin") in response.headers


def test_methods_and_headers_must_be_listed(cors: Server) -> None:
    assert preflight(cors, method="DELETE").status == 403
    assert preflight(cors, "/", ORIGIN[1], "PUT", ("Access-Control-Request-Headers", "x-one, x-two")).status == 403


def test_a_request_of_an_allowed_origin(cors: Server) -> None:
    answer = cors.fetch("/", headers=[("Origin", "https://a.b.trusted.example")])
    assert answer.header("access-control-allow-origin") == "https://a.b.trusted.example"
    assert answer.header("access-control-expose-headers") == "X-Seen, X-More"
    assert answer.header("access-control-allow-credentials") == "true"
    assert answer.header("vary") == "origin"
    plain = dict(cors.fetch("/").headers)
    assert plain["vary"] == "origin" and "access-control-allow-origin" not in plain


def test_two_origins_are_none(cors: Server) -> None:
    answer = cors.fetch("/", headers=[ORIGIN, ("Origin", "https://evil.example")])
    assert "access-control-allow-origin" not in dict(answer.headers)


def test_what_the_upstream_says_is_replaced(serve) -> None:
    said = ok(b"x", "Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true", "Vary: Accept")
    with Upstream(answering(said)) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)],
                               cors={"enabled": True, "allow_origins": ["https://app.example"]}))
        answer = server.fetch("/", headers=[ORIGIN])
        assert [value for name, value in answer.headers if name == "access-control-allow-origin"] == [ORIGIN[1]]
        assert "access-control-allow-credentials" not in dict(answer.headers)
        assert [value for name, value in answer.headers if name.lower() == "vary"] == ["Accept", "origin"]
        foreign = server.fetch("/", headers=[("Origin", "https://evil.example")])
        assert "access-control-allow-origin" not in dict(foreign.headers)


def test_everybody_without_credentials(serve) -> None:
    server = serve(gateway(cors={"enabled": True, "allow_origins": ["*"], "allow_credentials": True}))
    answer = server.fetch("/", headers=[ORIGIN])
    assert answer.header("access-control-allow-origin") == "*"
    assert "access-control-allow-credentials" not in dict(answer.headers)
    assert "vary" not in dict(answer.headers)
    assert preflight(server, "/", ORIGIN[1], "PATCH", ("Access-Control-Request-Headers", "x-any")).status == 204


def test_cors_belongs_to_the_route(serve) -> None:
    allowing = {"allow_origins": ["https://app.example"]}
    server = serve(gateway(routes=[route("/open", methods=["GET"], cors=allowing), route("/closed", methods=["GET"])]))
    assert preflight(server, "/open", method="GET").status == 204
    assert preflight(server, "/open", method="PUT").status == 405
    assert preflight(server, "/closed", method="GET").status == 405
    assert "access-control-allow-origin" not in dict(server.fetch("/closed", headers=[ORIGIN]).headers)


def test_answers_of_heddle_can_be_read_by_the_page(serve) -> None:
    server = serve(gateway(cors={"enabled": True, "allow_origins": ["*"]}, rate_limit={**LIMIT, "rate": 1}))
    server.fetch("/", headers=[ORIGIN])
    limited = server.fetch("/", headers=[ORIGIN])
    assert limited.status == 429 and limited.header("access-control-allow-origin") == "*"
    assert preflight(server).status == 204, "a preflight costs nothing"
    missing = serve(gateway(routes=[], cors={"enabled": True, "allow_origins": ["*"]}))
    assert missing.fetch("/", headers=[ORIGIN]).header("access-control-allow-origin") == "*"


# ---- header rules


RULES: dict[str, Any] = {
    "request_headers": {"set": {"X-Gateway": "heddle", "Host": "inner.test"}, "add": {"X-List": "b"}, "remove": ["Cookie"]},
    "response_headers": {"set": {"Server": "heddle"}, "add": {"X-From": "gateway"}, "remove": ["X-Inner"]},
}


def test_header_rules(serve) -> None:
    with Upstream(answering(ok(b"x", "X-Inner: secret", "Server: old", "X-From: origin"))) as origin:
        own = {"request_headers": {"set": {"X-Gateway": "route"}}, "response_headers": {"remove": ["X-From"]}}
        server = serve(gateway(routes=[route("/own", to="raw", **own), route(to="raw")],
                               upstreams=[upstream("raw", origin.address)], **RULES))
        answer = server.fetch("/", headers=[("X-List", "a"), ("Cookie", "c"), ("X-Gateway", "forged")])
        assert [value for name, value in answer.headers if name.lower() == "x-from"] == ["origin", "gateway"]
        assert answer.header("server") == "heddle" and "x-inner" not in dict(answer.headers)
        seen = origin.requests[0]
        assert (seen.header("x-gateway"), seen.header("host"), seen.header("cookie")) == ("heddle", "inner.test", None)
        assert seen.header("x-list") == "a, b"
        answer = server.fetch("/own")
        assert origin.requests[1].header("x-gateway") == "route"
        assert "x-from" not in dict(answer.headers)


def test_header_rules_do_not_choose_another_route(serve) -> None:
    routes = [route("/*", headers={"X-Version": "2"}, request_headers={"remove": ["X-Version"]}, id="two"),
              route("/*", id="one")]
    server = serve(gateway(routes=routes))
    answer = server.fetch("/", headers=[("X-Version", "2")])
    assert answer.status == 200 and "x-version" not in answer.json()["headers"]
    server.wait_access(route="two")


# ---- the chain


def test_native_filters_and_plugins_stand_in_order_of_priority(serve, probe: Path) -> None:
    """The probe tells which headers it saw: those of a rule before it, not those of one behind it."""
    say = "request_headers if x-rule set 0 x-saw 1"
    for priority, expected in ((10, "1"), (-10, None)):
        server = serve(gateway(plugins=[plugin("probe", probe, priority=0, config=say)],
                               request_headers={"set": {"X-Rule": "1"}, "priority": priority}))
        assert server.fetch("/").json()["headers"].get("x-saw") == expected
        names = server.admin("/routes").json()[0]["plugins"]
        assert names == (["request_headers", "probe"] if priority > 0 else ["probe", "request_headers"])


def test_settings_that_make_no_sense_are_refused(serve) -> None:
    def errors(**top: Any) -> str:
        file = serve.write(gateway(**top))
        done = serve.run("validate", "-c", str(file))
        return f"{done.returncode} {done.stdout}{done.stderr}"

    for top, text in (
            ({"rate_limit": {"enabled": True, "rate": 0}}, "rate_limit.rate"),
            ({"rate_limit": {"enabled": True, "key": "header"}}, "rate_limit.header"),
            ({"rate_limit": {"enabled": True, "key": "color"}}, "rate_limit.key"),
            ({"cors": {"enabled": True, "allow_origins": ["app.example"]}}, "cors.allow_origins[0]"),
            ({"cors": {"enabled": True, "allow_origins": ["https://app.example/"]}}, "cors.allow_origins[0]"),
            ({"cors": {"enabled": True, "allow_origins": ["https://*.*.*.example"]}}, "cors.allow_origins[0]"),
            ({"cors": {"enabled": True, "allow_origins": ["*"], "allow_methods": ["G T"]}}, "cors.allow_methods[0]"),
            ({"request_headers": {"set": {"Content-Length": "1"}}}, "request_headers.set"),
            ({"request_headers": {"set": {":path": "/"}}}, "request_headers.set"),
            ({"request_headers": {"set": {"x-a": "1\r\nx-b: 2"}}}, "request_headers.set"),
            ({"response_headers": {"remove": ["Transfer-Encoding"]}}, "response_headers.remove[0]")):
        got = errors(**top)
        assert got.startswith("78 ") and text in got, (top, got)
    for top, text in (({"cors": {"enabled": True}}, "allow_origins"),
                      ({"cors": {"enabled": True, "allow_origins": ["*"], "allow_credentials": True}}, "allow_credentials")):
        got = errors(**top)
        assert got.startswith("0 ") and "warning" in got and text in got, (top, got)
