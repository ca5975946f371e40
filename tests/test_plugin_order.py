"""When and in which order plugins run: priorities both ways, phases, routes, and what they leave for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import wire
from support.configs import gateway, plugin, route
from support.echo import seen
from support.server import Server

# What `trace` logs: callback, context id, then the callback's other arguments.
ALL_REQUEST_CALLBACKS = ["context_create", "request_headers", "request_body", "request_trailers", "response_headers",
                         "response_body", "log", "done", "delete"]


def marker(tag: str) -> str:
    return f"request_headers add 0 x-order {tag}\nresponse_headers add 2 x-order {tag}"


def test_priority_high_first_for_requests_and_last_for_responses(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[
        plugin("low", probe, priority=50, config=marker("low")),
        plugin("high", probe, priority=200, config=marker("high")),
        plugin("middle", probe, priority=100, config=marker("middle"))]))
    response = server.fetch("/")
    assert seen(response).header("x-order") == "high, middle, low"
    assert response.header_list("x-order") == ["low", "middle", "high"]


def test_equal_priorities_run_in_the_order_of_the_file(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin(name, probe, config=marker(name)) for name in ("b", "a", "c")]))
    response = server.fetch("/")
    assert seen(response).header("x-order") == "b, a, c"
    assert response.header_list("x-order") == ["c", "a", "b"]


def test_a_plugin_that_a_route_names_runs_only_there(serve, probe: Path) -> None:
    server = serve(gateway(routes=[route("/named", plugins=["named"]), route("/*")],
                           plugins=[plugin("named", probe, config=marker("named")),
                                    plugin("everywhere", probe, config=marker("everywhere"))]))
    assert seen(server.fetch("/named")).header("x-order") == "named, everywhere"
    assert seen(server.fetch("/other")).header("x-order") == "everywhere"


def callbacks_of(server: Server) -> list[str]:
    """The callbacks that the plugin traced for one exchange (any context but the root's)."""
    server.wait_log("probe delete")
    names = []
    for message in server.messages():
        words = message.split(" ")
        if words[0] == "probe" and words[2] not in ("1",):
            names.append(words[1])
    return names


def exchange(server: Server) -> wire.Response:
    with server.connect() as connection:
        connection.send(wire.head("POST", "/", {"Transfer-Encoding": "chunked"}) + wire.chunked([b"hello"], {"X-T": "1"}))
        return connection.response()


def test_all_phases_in_their_order(serve, probe: Path) -> None:
    server = serve(gateway(workers=1, plugins=[plugin("tracer", probe, phase="all", config="* trace")]))
    assert exchange(server).status == 200
    names = callbacks_of(server)
    assert list(dict.fromkeys(names)) == ALL_REQUEST_CALLBACKS


@pytest.mark.parametrize(("phase", "expected"), [
    ("on_request_headers", ["request_headers"]),
    (["on_request_body"], ["request_body"]),
    (["on_request_trailers"], ["request_trailers"]),
    (["on_response_headers", "on_response_body"], ["response_headers", "response_body"]),
    (["on_request_headers", "on_log"], ["request_headers", "log"]),
], ids=str)
def test_only_the_listed_phases_run(serve, probe: Path, phase: str | list[str], expected: list[str]) -> None:
    server = serve(gateway(workers=1, plugins=[plugin("tracer", probe, phase=phase, config="* trace")]))
    assert exchange(server).status == 200
    names = dict.fromkeys(callbacks_of(server))
    for always in ("context_create", "done", "delete"):
        assert names.pop(always, "absent") is None
    assert list(names) == expected


def test_the_sizes_and_ends_that_a_plugin_sees(serve, probe: Path) -> None:
    """As Envoy shows them: header counts with pseudo headers, bodies that end with an empty call, trailers instead."""
    server = serve(gateway(workers=1, plugins=[plugin("tracer", probe, config="* trace")]))
    with server.connect() as connection:
        assert connection.request("POST", "/", body=b"0123456789").status == 200
    server.wait_log("probe delete")
    lines = [message for message in server.messages() if message.startswith("probe request")]
    assert [line.split(" ")[0:2] + line.split(" ")[3:] for line in lines if "request_body" in line] == [
        ["probe", "request_body", "10", "0"], ["probe", "request_body", "0", "1"]]
    assert lines[0].split(" ")[-1] == "0"


def test_a_get_ends_with_its_headers(serve, probe: Path) -> None:
    server = serve(gateway(workers=1, plugins=[plugin("tracer", probe, config="* trace")]))
    assert server.fetch("/").status == 200
    server.wait_log("probe delete")
    messages = server.messages()
    headers = next(message for message in messages if message.startswith("probe request_headers"))
    assert headers.split(" ")[-1] == "1"
    assert not [message for message in messages if "request_body" in message]


def test_properties_pass_from_one_plugin_to_the_next(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[
        plugin("writer", probe, priority=2, config="request_headers export custom.key hello there"),
        plugin("reader", probe, priority=1, config="request_headers property custom.key")]))
    server.fetch("/")
    server.wait_log("property custom.key=hello there")


@pytest.mark.parametrize(("name", "value"), [
    ("request.path", "/here?x=1"), ("request.method", "GET"), ("request.host", "heddle.test"),
    ("request.url_path", "/here"), ("request.query", "x=1"), ("request.protocol", "HTTP/1.1"),
    ("request.id", "id-of-test"), ("plugin_name", "reader"), ("plugin_root_id", "my_root")])
def test_properties_of_the_request(serve, probe: Path, name: str, value: str) -> None:
    server = serve(gateway(plugins=[plugin("reader", probe, root_id="my_root",
                                           config=f"request_headers property {name}")]))
    server.fetch("/here?x=1", headers={"X-Request-ID": "id-of-test"})
    server.wait_log(f"property {name}={value}")


def test_a_plugin_that_changes_the_path_changes_the_route(serve, probe: Path) -> None:
    config = gateway(routes=[{"id": "old", **route("/old")}, {"id": "new", **route("/new")},
                             {"id": "kept", **route("/kept", reroute=False)}],
                     plugins=[plugin("mover", probe, config="request_headers set 0 :path /new")])
    server = serve(config)
    assert seen(server.fetch("/old")).target == "/new"
    assert server.wait_access()["route"] == "new"
    assert server.fetch("/kept", headers={"X-Request-ID": "kept-one"}).status == 200
    assert server.wait_access(request_id="kept-one")["route"] == "kept"


@pytest.mark.parametrize(("change", "taken"), [
    (":authority other.test", "host"), (":method DELETE", "method"), (":path /a?x=1", "query"), ("x-tenant blue", "header"),
    ("x-tenant red", "first"), ("x-other blue", "first")])
def test_what_a_route_asks_for_and_a_plugin_wrote_changes_the_route(serve, probe: Path, change: str, taken: str) -> None:
    routes = [{"id": "host", **route("/a", host="other.test")},
              {"id": "method", **route("/a", methods=["DELETE"])},
              {"id": "query", **route("/a", query_params={"x": "1"}, priority=1)},
              {"id": "first", **route("/a")}]
    asks_header = {"id": "header", **route("/a", headers={"x-tenant": "blue"}, priority=1)}
    if change.startswith("x-tenant"):
        routes.insert(0, asks_header)
    server = serve(gateway(routes=routes, plugins=[plugin("mover", probe, config=f"request_headers set 0 {change}")]))
    assert server.fetch("/a").status == 200
    assert server.wait_access()["route"] == taken
