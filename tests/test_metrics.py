"""The metrics: valid for Prometheus, and they count what happened."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from support.configs import gateway, plugin, route, upstream
from support.prometheus import Family, parse
from support.server import Server
from support.upstreams import closed_port
from support.waiting import until


@pytest.fixture(scope="module")
def server(serve_module, probe: Path) -> Server:
    """After 10 requests through a plugin, 3 to a dead upstream and 2 to no route."""
    server = serve_module(gateway(
        routes=[{"id": "api", **route("/api")}, {"id": "dead", **route("/dead", "dead")}],
        upstreams=[upstream("dead", ("127.0.0.1", closed_port()))],
        plugins=[plugin("counted", probe, config="* count seen")]))
    for target, times in (("/api", 10), ("/dead", 3), ("/none", 2)):
        for _ in range(times):
            server.fetch(target)
    # An answer is counted when it is sent, which its reader may be ahead of.
    until(lambda: "heddle_exchanges_active 0\n" in server.metrics(), "every exchange to end")
    return server


@pytest.fixture(scope="module")
def families(server: Server) -> dict[str, Family]:
    response = server.admin("/metrics")
    assert response.status == 200
    assert response.header("content-type").startswith("text/plain; version=0.0.4")
    return parse(response.text)


def test_every_family_has_help_and_one_prefix(families: dict[str, Family]) -> None:
    assert families
    for family in families.values():
        own = "seen" in family.name
        assert family.name.startswith(("heddle_", "process_")) or own, family.name
        assert family.help or own, f"{family.name} has no help"
        if family.kind == "counter" and not own:
            assert family.name.endswith("_total"), family.name


def test_requests_by_route(families: dict[str, Family]) -> None:
    counters = [family for family in families.values()
                if family.kind == "counter" and any("route" in labels for _, labels, _ in family.samples)]
    assert any(family.value(route="api") == 10 for family in counters)
    assert any(family.value(route="dead") == 3 for family in counters)


def test_durations_by_route(families: dict[str, Family]) -> None:
    histograms = [family for family in families.values() if family.kind == "histogram"]
    counts = [value for family in histograms for name, labels, value in family.samples
              if name.endswith("_count") and labels.get("route") == "api"]
    assert counts == [10]


def test_upstreams_are_counted(families: dict[str, Family]) -> None:
    names = {labels["upstream"] for family in families.values() for _, labels, _ in family.samples
             if "upstream" in labels}
    assert names >= {"echo", "dead"}


def test_plugins_are_counted(families: dict[str, Family]) -> None:
    own = {family.name: family for family in families.values()
           if any(labels.get("plugin") == "counted" for _, labels, _ in family.samples)}
    assert any("calls" in name and family.value(plugin="counted") > 0 for name, family in own.items()), list(own)
    assert any("cpu" in name for name in own), list(own)
    assert any("memory" in name for name in own), list(own)
    assert any("instances" in name for name in own), list(own)


def test_the_process_tells_its_size(families: dict[str, Family]) -> None:
    assert families["process_resident_memory_bytes"].value() > 1 << 20
    assert families["process_open_fds"].value() > 3


def test_counters_only_grow(server: Server) -> None:
    before = parse(server.metrics())
    for _ in range(5):
        server.fetch("/api")
    after = parse(server.metrics())
    for name, family in before.items():
        if family.kind == "counter":
            assert after[name].value() >= family.value(), name


def test_the_path_can_be_changed_and_the_metrics_switched_off(serve) -> None:
    moved = serve(gateway(metrics={"prometheus": {"enabled": True, "path": "/m"}}))
    assert moved.admin("/m").status == 200
    off = serve(gateway(metrics={"prometheus": {"enabled": False}}))
    assert off.admin("/metrics").status == 404


def test_calls_count_whether_they_are_timed_or_not(serve, probe: Path) -> None:
    """A worker times its first 1,000 calls of a plugin, then one in 17, which stands for the others."""
    requests = 1_000
    server = serve(gateway(routes=[route("/api")], plugins=[plugin("busy", probe, config="* count seen")], workers=1))
    client = http.client.HTTPConnection(*server.address, timeout=10)
    for _ in range(requests):
        client.request("GET", "/api")
        assert client.getresponse().read()
    until(lambda: "heddle_exchanges_active 0\n" in server.metrics(), "every exchange to end")
    families = parse(server.metrics())
    calls = {labels["callback"]: value for name, labels, value in families["heddle_plugin_calls_total"].samples}
    assert calls["on_request_headers"] == calls["on_response_headers"] == requests
    durations = {name.rpartition("_")[2]: value
                 for name, labels, value in families["heddle_plugin_call_duration_seconds"].samples if "le" not in labels}
    assert durations["count"] == pytest.approx(sum(calls.values()), abs=17 + 100)  # a long call stands for itself
    assert 0 < durations["sum"] < requests
    shown = server.admin("/plugins/busy").json()["stats"]
    assert shown["calls"] == sum(calls.values())
    assert shown["average_call_us"] > 0
