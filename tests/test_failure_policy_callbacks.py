"""The failure policies where no request called the plugin: in a tick, at a queue's item, at the end of a gRPC call, on a TCP
connection. A request with x-trap sets off the callback that traps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import wat, wire
from support.configs import gateway, plugin, upstream
from support.grpc_server import GrpcServer
from support.server import Server
from support.tcp import TcpServer
from support.upstreams import closed_port
from support.waiting import until
from test_tcp import connect, tcp_gateway

POLICIES = ["closed", "open", "reload"]
TEXTS = {"x-trap": 1024, "q": 1040, "services": 1048, "dead": 1064, "test.Echo": 1072, "Say": 1088}


def text(name: str) -> str:
    return f"(i32.const {TEXTS[name]}) (i32.const {len(name)})"


def grpc_call(service: str) -> str:
    nothing = "(i32.const 0) (i32.const 0)"
    return (f"(if (call $proxy_grpc_call {text(service)} {text('test.Echo')} {text('Say')} {nothing} {text('q')}"
            f" (i32.const 5000) (i32.const {wat.SCRATCH})) (then unreachable)) (return (i32.const 1))")


# Callback -> how a request makes it come. The request of the gRPC ones waits for it.
SET_OFF = {
    "tick": "(drop (call $proxy_set_tick_period_milliseconds (i32.const 10)))",
    "queue_ready": f"(drop (call $proxy_enqueue_shared_queue (i32.load (i32.const {wat.SCRATCH + 64})) {text('q')}))",
    "grpc_receive": grpc_call("services"),
    "grpc_close": grpc_call("dead"),
}
WAITING = ("grpc_receive", "grpc_close")


def trapping(callback: str) -> str:
    seen = f"(i32.const {wat.SCRATCH}) (i32.const {wat.SCRATCH + 4})"
    asked = f"(if (i32.eqz (call $proxy_get_header_map_value (i32.const 0) {text('x-trap')} {seen})) (then {SET_OFF[callback]}))"
    callbacks = {"request_headers": asked, callback: "unreachable"}
    if callback == "queue_ready":
        callbacks["configure"] = f"(drop (call $proxy_register_shared_queue {text('q')} (i32.const {wat.SCRATCH + 64})))"
    imports = ("proxy_get_header_map_value", "proxy_set_tick_period_milliseconds", "proxy_enqueue_shared_queue",
               "proxy_register_shared_queue", "proxy_grpc_call")
    return wat.plugin(callbacks, imports, dict(TEXTS))


@pytest.fixture(scope="module")
def services() -> Iterator[GrpcServer]:
    server = GrpcServer()
    yield server
    server.stop()


def statuses(server: Server) -> set[int]:
    return {server.fetch("/").status for _ in range(3)}


@pytest.mark.parametrize("callback", SET_OFF)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_trap_that_no_request_called(serve, compile_wat: wat.Compiler, services: GrpcServer, policy: str, callback: str) -> None:
    module = compile_wat(trapping(callback), f"trapping-{callback}")
    server = serve(gateway(workers=1, plugins=[plugin("faulty", module, on_failure=policy)],
                           upstreams=[upstream("services", services.address), upstream("dead", ("127.0.0.1", closed_port()))]),
                   expect_errors=True)
    assert statuses(server) == {200}
    answer = server.fetch("/", headers={"X-Trap": "1"})
    line = server.wait_log(plugin="faulty", level="error")
    assert "unreachable" in str(line) and f"proxy_on_{callback}" in str(line)
    if callback in WAITING:
        assert answer.status == (200 if policy == "open" else 500)
    if policy == "reload":
        assert server.fetch("/").status == 500, "closed while it waits to be started anew"
        until(lambda: server.fetch("/").status == 200, "the plugin to be loaded anew")
    assert statuses(server) == {200}, "a fresh instance"
    assert int(server.plugin("faulty")["stats"]["errors"]) == 1


def test_a_trap_with_the_reload_policy_closes_connections_until_it_is_back(serve, compile_wat: wat.Compiler) -> None:
    module = compile_wat(wat.plugin({"downstream_data": "(if (i32.eq (local.get $p1) (i32.const 4)) (then unreachable))"}))
    with TcpServer() as backend:
        server = serve(tcp_gateway(backend, [plugin("faulty", module, on_failure="reload")], workers=1), expect_errors=True)

        def passes(data: bytes) -> bool:
            with connect(server) as client:
                try:
                    return client.send(data).read(len(data)) == data
                except (wire.Broken, ConnectionError):
                    return False

        assert passes(b"hello")
        assert not passes(b"trap")
        assert not passes(b"hello"), "closed while it waits to be started anew"
        until(lambda: passes(b"hello"), "the plugin to be loaded anew")


def test_a_plugin_that_traps_at_each_tick_serves_all_the_same(serve, compile_wat: wat.Compiler) -> None:
    ticking = "(drop (call $proxy_set_tick_period_milliseconds (i32.const 10)))"
    module = compile_wat(wat.plugin({"configure": ticking, "tick": "unreachable", "request_headers": ""},
                                    ("proxy_set_tick_period_milliseconds",)))
    server = serve(gateway(workers=1, plugins=[plugin("faulty", module, on_failure="open")]), expect_errors=True)
    until(lambda: server.fetch("/").status == 200 and int(server.plugin("faulty")["stats"]["errors"]) >= 3, "some traps")
    assert statuses(server) == {200}
