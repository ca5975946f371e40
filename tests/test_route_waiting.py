"""Handlers that wait for a slow upstream: they take neither threads nor workers, within limits of number, memory, wall time and CPU
time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import paths
from support.hostile_routes import assert_error
from support.configs import gateway, plugin
from support.route_driver import RUN, Driver, script
from support.server import Server
from support.slow_upstream import Crowd, SlowUpstream, post
from support.waiting import until

MANY = 1000


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as slow:
        yield slow


class Site:
    """A server whose plugin `waiting` calls the slow upstream; `other` waits for nothing."""

    def __init__(self, serve, folder: Path, slow: SlowUpstream, engine: dict[str, int] | None = None, workers: int = 2,
                 **waiting: object) -> None:
        host = "%s:%d" % slow.address
        driver = Driver(folder)
        self.call = f"http_request 'GET' 'http://{host}/' ''"
        entry = {"permissions": {"http": [host]}, "timeout": "60s", **waiting}
        self.server: Server = serve(gateway(workers=workers, engine=engine or {}, logging={"access_log": False}, plugins=[
            plugin("waiting", driver.package("waiting", "", [{**RUN, "path": "/waiting"}]), **entry),
            plugin("other", driver.package("other", "", [{**RUN, "path": "/other"}]), timeout="60s")],
            outbound_http={"timeout": "60s"}), expect_errors=True)

    def crowd(self, count: int, *statements: str) -> Crowd:
        return Crowd(self.server.address, [post("/waiting", script(*(statements or (self.call,))))] * count)

    def ask(self, *statements: str, path: str = "/waiting"):
        return self.server.fetch(path, "POST", {"content-type": "text/plain"}, script(*statements))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.server.pid}/task"))


def statuses(crowd: Crowd) -> Counter[int]:
    assert crowd.failures == []
    return Counter(status for status, _ in crowd.answers)


def test_a_thousand_waiting_handlers_take_no_thread_and_stop_nobody(serve, tmp_path: Path, upstream: SlowUpstream,
                                                                  heddle: Path) -> None:
    site = Site(serve, tmp_path, upstream, {"suspendable_instances": MANY + 50})
    assert site.ask("served", path="/other").body == b"1\n"
    upstream.release()
    assert b'"body":"slow"' in site.ask(site.call).body
    upstream.hold()
    arrived, threads, resident = upstream.arrived, site.threads(), site.server.resident()
    with site.crowd(MANY) as crowd:
        until(lambda: upstream.arrived - arrived == MANY, f"{MANY} calls to arrive", 60)
        assert site.threads() == threads
        assert site.server.plugin("waiting")["stats"]["instances"] == MANY
        for _ in range(20):
            assert site.ask("served", path="/other").body == b"1\n"
            assert site.server.fetch("/echoed").status == 200
        each = (site.server.resident() - resident) / MANY
        upstream.release()
    assert statuses(crowd) == {200: MANY}
    assert all(b'"body":"slow"' in body for _, body in crowd.answers)
    if not paths.is_sanitized(heddle):
        assert each < 150 * 1024, f"{each / 1024:.0f} KiB for each waiting handler"
    until(lambda: site.server.plugin("waiting")["stats"]["instances"] == 0, "the instances to be gone")
    assert site.threads() == threads


def test_beyond_the_engines_suspended_guests_requests_wait(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, {"suspendable_instances": 20})
    with site.crowd(60) as crowd:
        until(lambda: upstream.arrived == 20, "20 calls")
        assert site.server.plugin("waiting")["stats"]["instances"] == 20
        assert site.server.fetch("/echoed").status == 200
        assert upstream.arrived == 20
        upstream.release()
    assert statuses(crowd) == {200: 60}


def test_idle_instances_give_way_to_other_plugins(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, {"suspendable_instances": 8}, instances="reuse")
    with site.crowd(8) as crowd:
        until(lambda: upstream.arrived == 8, "the calls")
        upstream.release()
    assert statuses(crowd) == {200: 8}
    for _ in range(10):
        assert site.ask("served", path="/other").body == b"1\n"
    assert site.server.admin("/plugins/other/reload", "POST").status == 200


def test_a_plugin_that_reuses_instances_leaves_others_their_turn(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, {"suspendable_instances": 2}, workers=1, instances="reuse")
    with site.crowd(100) as crowd:
        until(lambda: upstream.arrived == 2 and crowd.sent == 100, "the calls")
        with Crowd(site.server.address, [post("/other", script("served"))]) as other:
            until(lambda: other.sent == 1, "the other's request")
            site.server.fetch("/echoed")
            upstream.release()
    assert statuses(crowd) == {200: 100}
    assert statuses(other) == {200: 1}


def test_beyond_max_instances_requests_wait_and_beyond_those_they_are_refused(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, workers=1, max_instances=5)
    with site.crowd(5 + 1000 + 10) as crowd:
        until(lambda: len(crowd.answers) == 10, "the refusals", 60)
        assert upstream.arrived == 5
        assert site.ask("served", path="/other").body == b"1\n"
        upstream.release()
    assert statuses(crowd) == {200: 1005, 503: 10}
    refused = next(body for status, body in crowd.answers if status == 503)
    assert b'"code":"plugin_unavailable"' in refused and b"max_instances" in refused
    site.server.wait_log("(max_instances)", plugin="waiting", level="warn")


def test_wall_time_counts_the_wait(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, timeout="300ms")
    assert_error(site.ask(site.call), 504, "timeout")
    site.server.wait_log("did not answer within 300 ms (timeout)", plugin="waiting", level="error")
    until(lambda: upstream.gone == 1, "the call to be cancelled")
    assert site.server.plugin("waiting")["stats"]["instances"] == 0


def test_cpu_time_does_not_count_the_wait(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, cpu_limit="100ms")
    with site.crowd(4) as crowd:
        until(lambda: upstream.arrived == 4, "the calls")
        seen = site.server.metrics()
        assert 'heddle_plugin_errors_total{plugin="waiting"' not in seen
        # Longer than the CPU limit, by the work of others.
        assert_error(site.ask("spin", path="/other"), 504, "cpu_limit")
        upstream.release()
    assert statuses(crowd) == {200: 4}
    assert_error(site.ask(site.call, "spin"), 504, "cpu_limit")


def test_a_client_that_goes_cancels_the_wait(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream)
    with site.server.connect() as connection:
        connection.send(post("/waiting", script(site.call)))
        until(lambda: upstream.arrived == 1, "the call")
        connection.reset()
        until(lambda: upstream.gone == 1, "the call to be cancelled")
    until(lambda: site.server.plugin("waiting")["stats"]["instances"] == 0, "the instance to be gone")


def test_guests_that_only_compute_give_way(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream, workers=1, cpu_limit="700ms")
    with site.crowd(3, "spin") as crowd:
        until(lambda: site.server.plugin("waiting")["stats"]["instances"] == 3, "three guests that compute")
        assert site.ask("served", path="/other").body == b"1\n"
        assert site.server.fetch("/echoed").status == 200
        assert crowd.answers == []
    assert statuses(crowd) == {504: 3}


def test_a_stack_is_bounded(serve, tmp_path: Path, upstream: SlowUpstream) -> None:
    site = Site(serve, tmp_path, upstream)
    before = site.server.resident()
    with site.crowd(50, "recurse") as crowd:
        pass
    assert statuses(crowd) == {500: 50}
    assert b"stack" in crowd.answers[0][1]
    assert site.server.resident() < before + (128 << 20)
    assert site.ask("served", path="/other").body == b"1\n"
