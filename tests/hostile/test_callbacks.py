"""Attacks in every callback: an endless loop, a trap, proc_exit. What becomes of the request depends on the callback
only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile.harness import assert_flat, assert_safe, attack, hostile_server
from support import wat, wire
from support.server import Server
from support.upstreams import Upstream, answering

ATTACKS = {
    "loop": "(loop $again (br $again))",
    "trap": "unreachable",
    "exit_0": "(call $proc_exit (i32.const 0))",
    "exit_1": "(call $proc_exit (i32.const 1))",
}

# Callback -> what the client of the attacked route gets: 503 (the plugin never served), 500 (failed, closed), 200 (the
# answer was out already), or CUT: a 500 or the end of the connection, but no whole answer.
CUT = "cut"
EITHER = "either"  # 200 or 500: whether the instance was replaced before the request
OUTCOMES: dict[str, int | str] = {
    "initialize": 503,
    "start": 503,
    "root_create": 503,
    "vm_start": 503,
    "configure": 503,
    "stream_create": 500,
    "allocate": 500,
    "request_headers": 500,
    "request_body": 500,
    "request_trailers": 500,
    "http_call_response": 500,
    "response_headers": 500,
    "response_body": CUT,
    "response_trailers": CUT,
    "tick": EITHER,
    "done": 200,
    "log": 200,
    "delete": 200,
}
STARTS = ("initialize", "start")

PAIRS = wat.TEXTS + 64  # the headers of the http_call
PAIRS_BYTES = (3).to_bytes(4, "little") + b"".join(
    n.to_bytes(4, "little") for pair in ((7, 3), (5, 1), (10, 1)) for n in pair) + b":method\0GET\0:path\0/\0:authority\0h\0"
CALL = f"""(drop (call $proxy_http_call (i32.const {wat.TEXTS}) (i32.const 4) (i32.const {PAIRS})
    (i32.const {len(PAIRS_BYTES)}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000)
    (i32.const {wat.SCRATCH})))
    (return (i32.const 1))"""
ASK = f"""(drop (call $proxy_get_header_map_value (i32.const 0) (i32.const {wat.TEXTS + 16}) (i32.const 5)
    (i32.const {wat.SCRATCH}) (i32.const {wat.SCRATCH + 4})))"""


def attacker(callback: str, body: str) -> str:
    """A module that attacks in this callback only, after doing what makes the callback come."""
    callbacks = {callback: body}
    if callback == "root_create":
        callbacks = {"context_create": f"(if (i32.eqz (local.get $p1)) (then {body}))"}
    elif callback == "stream_create":
        callbacks = {"context_create": f"(if (local.get $p1) (then {body}))", "request_headers": ""}
    elif callback == "allocate":
        callbacks["request_headers"] = ASK
    elif callback == "http_call_response":
        callbacks["request_headers"] = CALL
    elif callback == "tick":
        callbacks["configure"] = "(drop (call $proxy_set_tick_period_milliseconds (i32.const 50)))"
    extra = f"(data (i32.const {PAIRS}) {wat.string(PAIRS_BYTES)})"
    imports = ("proxy_http_call", "proxy_get_header_map_value", "proxy_set_tick_period_milliseconds")
    return wat.plugin(callbacks, imports, {"echo": wat.TEXTS, ":path": wat.TEXTS + 16}, extra)


@pytest.fixture(scope="module")
def trailers() -> Iterator[Upstream]:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire.chunked([b"body"], {"X-T": "1"})
    with Upstream(answering(answer)) as upstream:
        yield upstream


@pytest.fixture(scope="module", params=ATTACKS, ids=str)
def attacked(request: pytest.FixtureRequest, serve_module, compile_wat: wat.Compiler,
             trailers: Upstream) -> tuple[str, Server]:
    body = ATTACKS[request.param]
    plugins = {name: compile_wat(attacker(name, body), f"{request.param}-{name}") for name in OUTCOMES}
    server = hostile_server(serve_module, plugins, upstreams={"trailers": trailers.address},
                            to={"response_trailers": "trailers"})
    return request.param, server


def request_of(server: Server, callback: str) -> int:
    """A request that makes the callback come."""
    with server.connect() as connection:
        connection.send(wire.head("POST", f"/{callback}", {"Transfer-Encoding": "chunked"}) +
                        wire.chunked([b"some", b"body"], {"X-Trailer": "1"}))
        try:
            return connection.response().status
        except wire.Broken:
            return 0


@pytest.mark.parametrize("callback", OUTCOMES)
def test_attack(attacked: tuple[str, Server], callback: str) -> None:
    kind, server = attacked
    expected = OUTCOMES[callback]
    if kind == "exit_0" and callback in STARTS:
        expected = 200  # how command modules end their start
    for _ in range(2):
        status = request_of(server, callback)
        if expected == CUT:
            assert status in (0, 500)
        elif expected == EITHER:
            assert status in (200, 500)
        else:
            assert status == expected
        assert_safe(server)


def test_memory_stays_flat(attacked: tuple[str, Server]) -> None:
    kind, server = attacked
    serving = [name for name, outcome in OUTCOMES.items() if outcome != 503]

    def once() -> None:
        for name in serving:
            request_of(server, name)

    assert_flat(server, once, 20 if kind == "loop" else 60)


def test_the_log_names_the_cause(attacked: tuple[str, Server]) -> None:
    kind, server = attacked
    cause = {"loop": "timeout", "trap": "unreachable", "exit_0": "exit", "exit_1": "exit"}[kind]
    attack(server, "request_headers")
    line = server.wait_log(plugin="request_headers", level="error")
    assert cause in str(line)
    assert cause in server.plugin("request_headers")["last_error"]


def test_a_loop_in_start_does_not_stop_the_others_from_loading(attacked: tuple[str, Server], tmp_path: Path) -> None:
    _, server = attacked
    states = {entry["name"]: entry["state"] for entry in server.admin("/plugins").json()}
    failed = {name for name, state in states.items() if state == "failed"}
    assert failed == {name for name, outcome in OUTCOMES.items() if outcome == 503} - \
        (set(STARTS) if attacked[0] == "exit_0" else set())
