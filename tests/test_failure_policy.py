"""A plugin that traps: the request fails or passes by the policy, other exchanges are untouched, the instance is
replaced."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from support import wire
from support.configs import gateway, plugin, route, upstream
from support.nginx import Nginx
from support.server import Server
from support.upstreams import Peer, Upstream, ok
from support.waiting import until

TRAP = "request_headers if x-trap trap\nrequest_headers add 0 x-seen yes"


def failing(serve, probe: Path, actions: str = TRAP, **entry: object) -> Server:
    return serve(gateway(workers=1, plugins=[plugin("faulty", probe, config=actions, timeout="200ms", **entry)]),
                 expect_errors=True)


def test_closed_is_the_default_and_answers_500(serve, probe: Path) -> None:
    server = failing(serve, probe)
    response = server.fetch("/", headers={"X-Trap": "1"})
    assert response.status == 500
    error = response.json()["error"]
    assert error["request_id"]
    assert "faulty" in error["message"]
    assert server.fetch("/").json()["headers"]["x-seen"] == "yes", "a fresh instance serves the next request"


def test_the_log_has_reason_and_backtrace(serve, probe: Path) -> None:
    server = failing(serve, probe)
    server.fetch("/", headers={"X-Trap": "1", "X-Request-ID": "the-trapping-one"})
    line = server.wait_log(plugin="faulty", level="error")
    text = str(line)
    assert "unreachable" in text
    assert "on_request_headers" in line["backtrace"]
    assert server.plugin("faulty")["stats"]["errors"] == 1
    assert "unreachable" in server.plugin("faulty")["last_error"]


def test_failure_status_changes_the_answer(serve, probe: Path) -> None:
    server = failing(serve, probe, failure_status=503)
    assert server.fetch("/", headers={"X-Trap": "1"}).status == 503


def test_open_lets_the_request_pass(serve, probe: Path) -> None:
    server = failing(serve, probe, on_failure="open")
    response = server.fetch("/", headers={"X-Trap": "1"})
    assert response.status == 200
    assert "x-seen" not in response.json()["headers"]
    assert server.fetch("/").json()["headers"]["x-seen"] == "yes"


def test_open_lets_a_held_body_pass(serve, probe: Path) -> None:
    server = failing(serve, probe, "request_body pause\nrequest_body if x-trap trap", on_failure="open")
    response = server.fetch("/", "POST", {"X-Trap": "1"}, b"the whole body")
    assert response.status == 200
    assert response.json()["body"] == "the whole body"


def test_reload_fails_until_the_plugin_is_back(serve, probe: Path) -> None:
    server = failing(serve, probe, on_failure="reload")
    assert server.fetch("/", headers={"X-Trap": "1"}).status == 500
    assert server.fetch("/").status == 500, "closed while it waits to be started anew"
    until(lambda: server.fetch("/").status == 200, "the plugin to be loaded anew", timeout=10)
    assert server.fetch("/").json()["headers"]["x-seen"] == "yes"


def test_a_time_out_is_a_failure(serve, probe: Path) -> None:
    server = failing(serve, probe, "request_headers if x-trap spin")
    response = server.fetch("/", headers={"X-Trap": "1"})
    assert response.status == 500
    line = server.wait_log(plugin="faulty", level="error")
    assert "timeout" in str(line)
    assert server.fetch("/").status == 200
    assert limit_hits(server, "timeout") == 1


def test_growing_past_the_limit_is_a_failure_that_names_it(serve, probe: Path) -> None:
    server = failing(serve, probe, "request_headers if x-trap grow", memory_limit="2MiB")
    assert server.fetch("/", headers={"X-Trap": "1"}).status == 500
    assert server.fetch("/").status == 200
    assert limit_hits(server, "memory_limit") >= 1


def limit_hits(server: Server, limit: str) -> float:
    for line in server.metrics().splitlines():
        if line.startswith("heddle_plugin_limit_hits_total{") and f'limit="{limit}"' in line and "faulty" in line:
            return float(line.rsplit(" ", 1)[1])
    return 0


def test_a_failure_in_the_response_headers_replaces_the_answer(serve, probe: Path) -> None:
    server = failing(serve, probe, "response_headers if x-trap trap")
    assert server.fetch("/", headers={"X-Trap": "1"}).status == 500
    assert server.fetch("/").status == 200


def test_a_failure_in_the_response_body_is_never_a_whole_answer(serve, probe: Path) -> None:
    server = failing(serve, probe, "response_body if x-trap trap")
    try:
        assert server.fetch("/", headers={"X-Trap": "1"}).status == 500
    except wire.Broken:
        pass
    assert server.fetch("/").status == 200


def test_failures_behind_the_answer_harm_nobody(serve, probe: Path) -> None:
    server = failing(serve, probe, "log if x-trap trap")
    for _ in range(5):
        assert server.fetch("/", headers={"X-Trap": "1"}).status == 200
    server.wait_log(plugin="faulty", level="error")
    assert server.fetch("/").status == 200


def test_other_exchanges_of_the_same_plugin_go_on(serve, probe: Path) -> None:
    """Twenty requests wait for an upstream while another makes their plugin trap; each has its answer by the policy."""
    release = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read_request():
            release.wait(20)
            peer.send(ok(b"slow answer"))

    with Upstream(script) as origin:
        server = serve(gateway(workers=1, routes=[route("/slow", "raw", plugins=["faulty"]),
                                                  route("/fast", plugins=["faulty"]), route("/free")],
                               upstreams=[upstream("raw", origin.address)],
                               plugins=[plugin("faulty", probe, phase="on_request_headers", config=TRAP)]),
                       expect_errors=True)
        waiting = [server.connect() for _ in range(20)]
        for connection in waiting:
            connection.send(wire.head("GET", "/slow"))
        until(lambda: len(origin.requests) == 20, "all slow requests to be under way")
        assert server.fetch("/fast", headers={"X-Trap": "1"}).status == 500
        assert server.fetch("/fast").status == 200
        assert server.fetch("/free").status == 200
        release.set()
        statuses = [connection.response().status for connection in waiting]
        for connection in waiting:
            connection.close()
    assert set(statuses) <= {200, 500} and len(statuses) == 20


def test_two_plugins_fail_apart(serve, probe: Path, nginx: Nginx) -> None:
    server = serve(gateway(upstreams=[upstream("nginx", nginx.address)], workers=1, plugins=[
        plugin("faulty", probe, priority=2, on_failure="open", config="request_headers if x-trap trap"),
        plugin("healthy", probe, priority=1, config="request_headers add 0 x-healthy yes")]), expect_errors=True)
    for _ in range(10):
        response = server.fetch("/", headers={"X-Trap": "1"})
        assert response.json()["headers"]["x-healthy"] == "yes"
    assert server.plugin("healthy")["stats"]["errors"] == 0


@pytest.mark.parametrize("policy", ["closed", "open"])
def test_a_storm_of_traps_leaves_the_server_whole(serve, probe: Path, policy: str) -> None:
    server = failing(serve, probe, on_failure=policy)
    with server.connect() as connection:
        for number in range(300):
            headers = {"X-Trap": "1"} if number % 3 else {}
            expected = 500 if number % 3 and policy == "closed" else 200
            assert connection.request("GET", "/", headers).status == expected
