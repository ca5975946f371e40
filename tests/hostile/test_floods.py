"""Attacks on resources: memory, stack, table, log, host calls, and everything that a host could be made to keep. One WAT
file each; what it does stands in its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile.harness import assert_flat, assert_safe, attack, hostile_server, limit_hits
from support import wat
from support.prometheus import parse
from support.server import Server
from support.waiting import until

# File -> the statuses that the attacked route may answer (0: broken off), and the limit that is named, if one is.
ATTACKS: dict[str, tuple[set[int], str]] = {
    "memory_growth": ({200}, "memory_limit"),
    "memory_growth_at_once": ({500}, "memory_limit"),
    "memory_growth_in_start": ({503}, ""),
    "stack_overflow": ({500}, ""),
    "stack_overflow_in_allocator": ({500}, ""),
    "table_growth": ({200, 500}, ""),
    "huge_logs": ({200}, "log_line_bytes"),
    "log_flood": ({200}, "log_lines_per_second"),
    "stdout_flood": ({200}, "log_lines_per_second"),
    "warning_flood": ({200}, "log_lines_per_second"),
    "host_call_flood": ({500}, "host_calls"),
    "sleeper": ({200, 500}, ""),
    "property_flood": ({200, 500}, ""),
    "shared_data_flood": ({200, 500}, ""),
    "metric_flood": ({200, 500}, ""),
    "call_flood": ({200}, "outbound_calls"),
    "header_flood": ({200, 431, 500, 502}, ""),
    "body_flood": ({200, 413, 500}, ""),
    "context_misuse": ({200}, ""),
    "contradictions": ({0, 201, 202, 500}, ""),
}
UNLIMITED = 256 << 20  # what an attack that nobody stops would take, and more


def test_every_module_is_used() -> None:
    files = {file.stem for file in Path(__file__).parent.glob("*.wat")}
    assert files == set(ATTACKS)


@pytest.fixture(scope="module")
def server(serve_module, compile_wat: wat.Compiler) -> Server:
    return hostile_server(serve_module, {name: compile_wat(Path("hostile") / f"{name}.wat") for name in ATTACKS},
                          buffer_limit="256KiB")


def once(server: Server, name: str) -> int:
    return attack(server, name, "POST", body=b"a body")


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(server: Server, name: str) -> None:
    statuses, limit = ATTACKS[name]
    before = server.resident()
    for _ in range(2):
        assert once(server, name) in statuses
        assert_safe(server)
    assert server.resident() - before < UNLIMITED
    if limit:
        assert limit_hits(server, name, limit) > 0, f"no metric says that {limit} was hit"


def test_memory_stays_flat(server: Server) -> None:
    assert_flat(server, lambda: [once(server, name) for name in ATTACKS], 30)


def test_memory_of_the_plugin_stays_under_its_limit(server: Server) -> None:
    once(server, "memory_growth")
    assert server.plugin("memory_growth")["stats"]["memory_bytes"] <= 4 << 20


def test_a_stack_overflow_is_named(server: Server) -> None:
    once(server, "stack_overflow")
    assert "stack" in server.plugin("stack_overflow")["last_error"]


def test_long_lines_are_cut(server: Server) -> None:
    mark = server.mark()
    once(server, "huge_logs")
    line = server.wait_log("a line without end", after=mark, plugin="huge_logs")
    assert len(line["message"]) < 5000


def test_a_log_flood_is_thinned_out(server: Server) -> None:
    """Some lines come through, in every second anew, but far from all."""
    mark = server.mark()
    sent = 0

    def some_came() -> bool:
        nonlocal sent
        once(server, "log_flood")
        sent += 9_000
        return len(flood_lines(server, mark)) > 0

    until(some_came, "a line of the flood")
    assert len(flood_lines(server, mark)) < sent / 2


def test_warnings_about_a_plugin_are_thinned_out(server: Server) -> None:
    mark = server.mark()
    for _ in range(3):
        once(server, "warning_flood")
    until(lambda: warnings(server, mark), "a warning in the log")
    assert len(warnings(server, mark)) <= 200 * 20


def warnings(server: Server, mark: int) -> list[dict]:
    return [line for line in server.log.lines()[mark:]
            if line.get("plugin") == "warning_flood" and line.get("header") == "bad name"]


def flood_lines(server: Server, mark: int) -> list[dict]:
    return [line for line in server.log.lines()[mark:]
            if line.get("plugin") == "log_flood" and line["message"] == "one of many"]


def test_metrics_stay_readable(server: Server) -> None:
    once(server, "metric_flood")
    response = server.admin("/metrics")
    assert len(response.body) < 8 << 20
    parse(response.text)


def test_the_sleeper_does_not_hold_the_worker(server: Server) -> None:
    """With one worker, a request to another route is answered while (or at once after) the sleeper is served."""
    with server.connect() as sleeper:
        sleeper.send(b"GET /sleeper HTTP/1.1\r\nHost: h\r\n\r\n")
        until(lambda: server.fetch("/safe").status == 200, "another route", timeout=5)
        assert sleeper.response().status in (200, 500)
