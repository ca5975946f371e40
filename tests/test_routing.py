"""Which route a request takes: host, path, method, headers, query, priority; and what no route means."""

from __future__ import annotations

import pytest

from support.configs import gateway, route, upstream
from support.echo import seen
from support.server import Server
from support.upstreams import Upstream, answering, ok


def named(name: str, **match: object) -> dict:
    """A route whose answers show its id: the echo sees the prefix that was stripped."""
    return {"id": name, **route(**match)}


ROUTES = [
    named("any"),
    named("exact", path="/exact"),
    named("prefix", path="/prefix/*"),
    named("longer", path="/prefix/longer/*"),
    named("param", path="/users/:id"),
    named("param-tail", path="/users/:id/posts/*"),
    named("literal-user", path="/users/me"),
    named("host", host="api.test", path="/*"),
    named("host-path", host="api.test", path="/deep/*"),
    named("wildcard", host="*.wild.test", path="/*"),
    named("exact-in-wildcard", host="one.wild.test", path="/*"),
    named("header", path="/conditional", headers={"x-version": "2"}),
    named("any-header", path="/conditional", headers={"x-trial": "*"}),
    named("query", path="/conditional", query_params={"debug": "1"}),
    named("plain", path="/conditional"),
    named("first", path="/contested/*", priority=10),
    named("more-specific", path="/contested/exact"),
    named("stripped", path="/strip/*", strip_prefix="/strip"),
    named("strip-segment", path="/api/v1/*", strip_prefix="/api/v1/"),
]


@pytest.fixture(scope="module")
def server(serve_module) -> Server:
    return serve_module(gateway(routes=ROUTES))


# What is asked, and the id of the route that must take it. One run of requests, one look at the access log.
CASES: list[tuple[str, dict[str, object], str]] = [
    ("/", {}, "any"),
    ("/exact", {}, "exact"),
    ("/exact/", {}, "any"),
    ("/exactly", {}, "any"),
    ("/prefix/x", {}, "prefix"),
    ("/prefix", {}, "prefix"),
    ("/prefix/", {}, "prefix"),
    ("/prefixes", {}, "any"),
    ("/prefix/longer/x", {}, "longer"),
    ("/users/7", {}, "param"),
    ("/users/me", {}, "literal-user"),
    ("/users/", {}, "any"),
    ("/users/7/posts/1/2", {}, "param-tail"),
    ("/users/7/other", {}, "any"),
    ("/contested/exact", {}, "first"),
    ("/", {"host": "api.test"}, "host"),
    ("/", {"host": "API.Test"}, "host"),
    ("/", {"host": "api.test:8080"}, "host"),
    ("/deep/x", {"host": "api.test"}, "host-path"),
    ("/exact", {"host": "api.test"}, "host"),
    ("/", {"host": "two.wild.test"}, "wildcard"),
    ("/", {"host": "a.b.wild.test"}, "wildcard"),
    ("/", {"host": "one.wild.test"}, "exact-in-wildcard"),
    ("/", {"host": "wild.test"}, "any"),
    ("/", {"host": "notwild.test"}, "any"),
    ("/conditional", {"headers": {"X-Version": "2"}}, "header"),
    ("/conditional", {"headers": {"X-Version": "3"}}, "plain"),
    ("/conditional", {"headers": {"X-Trial": "whatever"}}, "any-header"),
    ("/conditional?debug=1", {}, "query"),
    ("/conditional?x=y&debug=%31", {}, "query"),
    ("/conditional?debug=2", {}, "plain"),
]


@pytest.fixture(scope="module")
def routes_taken(server: Server) -> list[str]:
    for number, (target, request, _) in enumerate(CASES):
        headers = {**request.get("headers", {}), "X-Request-ID": f"case-{number}"}
        response = server.fetch(target, **{**request, "headers": headers})
        assert response.status == 200, (target, request, response)
    server.wait_access(request_id=f"case-{len(CASES) - 1}")
    by_id = {line["request_id"]: line["route"] for line in server.access_lines()}
    return [by_id[f"case-{number}"] for number in range(len(CASES))]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number][0]} {CASES[number][1]}")
def test_route(routes_taken: list[str], number: int) -> None:
    assert routes_taken[number] == CASES[number][2]


METHODS = [named("get-only", path="/get", methods=["GET"]), named("post-only", path="/post", methods=["POST"]),
           named("put-too", path="/post", methods=["PUT"])]


def test_method_not_allowed_names_the_methods(serve) -> None:
    server = serve(gateway(routes=METHODS))
    response = server.fetch("/get", "DELETE")
    assert response.status == 405
    assert {"GET", "HEAD"} >= set(response.header("allow").split(", ")) >= {"GET"}
    assert response.json()["error"]["code"] == "method_not_allowed"
    assert response.json()["error"]["request_id"]

    response = server.fetch("/post", "GET")
    assert response.status == 405
    assert set(response.header("allow").split(", ")) == {"POST", "PUT"}


def test_a_route_for_get_answers_head(serve) -> None:
    server = serve(gateway(routes=METHODS))
    with server.connect() as connection:
        response = connection.request("HEAD", "/get")
        assert response.status == 200
        assert response.body == b""
        assert connection.request("GET", "/get").status == 200


def test_no_route_is_404_in_json(serve) -> None:
    server = serve(gateway(routes=[route("/only")]))
    response = server.fetch("/other", headers={"X-Request-ID": "asked-by-test"})
    assert response.status == 404
    assert response.header("content-type") == "application/json"
    error = response.json()["error"]
    assert error["code"] == "route_not_found"
    assert error["message"]
    assert error["request_id"] == "asked-by-test"
    assert server.fetch("/only").status == 200


@pytest.mark.parametrize(("target", "forwarded"), [
    ("/strip/a/b?x=1", "/a/b?x=1"),
    ("/strip", "/"),
    ("/strip?x=1", "/?x=1"),
    ("/strip/", "/"),
    ("/api/v1/users", "/users"),
])
def test_strip_prefix(server: Server, target: str, forwarded: str) -> None:
    assert seen(server.fetch(target)).target == forwarded


@pytest.mark.parametrize("target", ["/a/../b", "/a/./b", "/..", "/a/%2e%2e/b", "/a/.%2E/b"])
def test_dot_segments_are_refused(server: Server, target: str) -> None:
    """A path that a route or plugin could be passed by with reaches no upstream."""
    assert server.fetch(target).status == 400


def test_path_and_query_reach_the_upstream_byte_for_byte(server: Server) -> None:
    target = "/a%20b/%C3%A4;p=1//c?q=%26&empty=&r[]=1"
    assert seen(server.fetch(target)).target == target


def test_round_robin_over_endpoints(serve) -> None:
    with Upstream(answering(ok(b"one"))) as one, Upstream(answering(ok(b"two"))) as two:
        server = serve(gateway(routes=[route(to="pair")], workers=1,
                               upstreams=[upstream("pair", one.address, two.address)]))
        answers = [server.fetch("/").body for _ in range(6)]
        assert sorted(answers) == [b"one"] * 3 + [b"two"] * 3
        assert all(a != b for a, b in zip(answers, answers[1:]))
