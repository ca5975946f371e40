"""JSON-RPC plugins in a running server: the behaviours that plugins of the wasmi framework rely on, with a plugin made of its
real crate, and plugins in other languages."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support import rpc, wat
from support.configs import gateway, plugin, route
from support.server import Server
from support.waiting import until

SECONDS_OF_CALLS = 60  # no test waits longer for an answer


@pytest.fixture(scope="module")
def server(serve_module, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    names = ("rpc_pdk", "rpc_rust", "rpc_c", "rpc_go", "rpc_as")
    plugins = [plugin(name, examples / f"{name}.wasm", timeout="60s", cpu_limit="30s") for name in names]
    plugins[0]["permissions"] = {"plugins": ["rpc_pdk", "rpc_c"]}
    return serve_module(gateway(plugins=plugins, routes=[], data_dir=str(tmp_path_factory.mktemp("data"))))


def test_hello(server: Server) -> None:
    assert rpc.result(server, "rpc_pdk", "hello") == {"message": "Hello from MyPlugin!"}


def test_random_numbers_differ(server: Server) -> None:
    numbers = {rpc.result(server, "rpc_pdk", "get_random_number") for _ in range(5)}
    assert len(numbers) == 5


def test_time(server: Server) -> None:
    assert abs(rpc.result(server, "rpc_pdk", "get_time") - time.time()) <= 2


def test_sleep(server: Server) -> None:
    assert 1500 <= rpc.result(server, "rpc_pdk", "sleep", 1500) < 1000 * SECONDS_OF_CALLS


def test_many_sleep_at_a_time_and_nobody_waits_for_them(server: Server) -> None:
    """A guest that sleeps holds no thread: sixty of them on two workers take a second, not a minute."""
    batch = ",".join(rpc.request("sleep", 1000, number) for number in range(60))
    begun = time.monotonic()
    answers = rpc.post(server, "rpc_pdk", f"[{batch}]").json()
    assert [answer["id"] for answer in answers] == list(range(60))
    assert all(answer["result"] >= 1000 for answer in answers)
    assert time.monotonic() - begun < 30


def test_prime_sieve(server: Server) -> None:
    assert rpc.result(server, "rpc_pdk", "prime_sieve", 1000) == {"count": 168, "limit": 1000}


def test_an_error_of_the_plugin_is_no_error_of_the_host(serve, compile_wat) -> None:
    driver = compile_wat.program(Path("conformance/json_rpc/driver.c"))
    server = serve(gateway(plugins=[plugin("driver", driver)], routes=[]))
    error = '{"code":-32005,"message":"x","data":{"cause":"max_queued_calls"}}'
    script = rpc.script(f'out {{"jsonrpc":"2.0","id":0,"error":{error}}}')
    response = rpc.post(server, "driver", rpc.request("run", script))
    assert (response.status, response.json()["error"]["data"]) == (200, {"cause": "max_queued_calls"})
    metrics = server.metrics()
    assert 'heddle_plugin_errors_total{plugin="driver",reason="plugin_error"} 1' in metrics
    assert 'reason="max_queued_calls"' not in metrics


def test_a_plugin_may_be_named_ws(serve, examples: Path) -> None:
    server = serve(gateway(plugins=[plugin("ws", examples / "rpc_c.wasm")], routes=[]))
    assert "result" in rpc.call(server, "ws", "hello")
    assert rpc.post(server, "ws/ws", rpc.request("hello")).status == 426


def test_unknown_method_in_the_plugin(server: Server) -> None:
    assert rpc.call(server, "rpc_pdk", "nothing")["error"] == {"code": -32601, "message": "Method not found"}


def test_params_of_a_wrong_type(server: Server) -> None:
    assert rpc.call(server, "rpc_pdk", "prime_sieve", "x")["error"] == {"code": -32602, "message": "Invalid params"}


def test_unknown_method_of_the_host(server: Server) -> None:
    """The crate passes the host's error on."""
    answer = rpc.call(server, "rpc_pdk", "ask", {"method": "nothing", "params": None})
    assert answer["error"] == {"code": -32601, "message": "Method not found"}


def test_a_host_method_through_the_crate(server: Server) -> None:
    now = rpc.result(server, "rpc_pdk", "ask", {"method": "time.now", "params": None})
    assert abs(now["unix_ms"] / 1000 - time.time()) <= 2


def test_stderr_lines_reach_the_log(server: Server) -> None:
    mark = server.mark()
    rpc.call(server, "rpc_pdk", "ping")
    line = server.wait_log("ping", after=mark, plugin="rpc_pdk")
    assert line["level"] == "info" and line["request_id"]


def test_every_call_has_a_fresh_instance(server: Server) -> None:
    until(lambda: server.plugin("rpc_pdk")["stats"]["instances"] == 0, "all instances to end")
    assert rpc.result(server, "rpc_pdk", "hello") and rpc.result(server, "rpc_pdk", "hello")


def test_rust_without_the_crate(server: Server) -> None:
    assert rpc.result(server, "rpc_rust", "words", {"text": "a rose is a Rose"}) == {"a": 2, "is": 1, "rose": 2}
    assert rpc.result(server, "rpc_rust", "store", {"a": 1, "b": 2.5, "c": 3}) == 3
    assert rpc.result(server, "rpc_rust", "total", ["a", "b", "c", "nothing"]) == 6.5


def test_c(server: Server) -> None:
    assert rpc.result(server, "rpc_c", "hello") == {"message": "Hello from C!"}
    assert set(rpc.result(server, "rpc_c", "time")) == {"unix_ms", "rfc3339"}
    assert rpc.error(server, "rpc_c", "nothing")[0] == -32601


def test_go(server: Server) -> None:
    assert [rpc.result(server, "rpc_go", "count") for _ in range(3)] == [1, 2, 3]
    assert rpc.error(server, "rpc_go", "nothing")[0] == -32601


def test_assemblyscript(server: Server) -> None:
    assert rpc.result(server, "rpc_as", "hello") == {"message": "Hello from AssemblyScript!"}
    assert rpc.result(server, "rpc_as", "summary", [1, 2.5, -0.5]) == {"count": 3, "mean": 1, "highest": 2.5}
    text = "a\nb \"c\" \U0001f600 " + 20_000 * "x"  # longer than what it reads at a time
    stamped = rpc.result(server, "rpc_as", "stamp", text)
    assert stamped["text"] == text and stamped["at"].startswith("20")
    assert rpc.error(server, "rpc_as", "summary", ["x"])[0] == -32602
    assert rpc.error(server, "rpc_as", "nothing")[0] == -32601


def test_plugins_call_each_other(server: Server) -> None:
    params = {"plugin": "rpc_c", "method": "hello", "params": None}
    assert rpc.result(server, "rpc_pdk", "ask", {"method": "rpc.call", "params": params}) == {"message": "Hello from C!"}


def test_not_in_a_circle(server: Server) -> None:
    params = {"plugin": "rpc_pdk", "method": "hello", "params": None}
    answer = rpc.call(server, "rpc_pdk", "ask", {"method": "rpc.call", "params": params})
    assert answer["error"]["message"] == "Invalid request"


def test_a_plugin_without_a_kind_is_recognised(server: Server) -> None:
    assert server.plugin("rpc_c")["kind"] == "json_rpc"


def test_own_routes_to_the_upstream(serve, examples: Path) -> None:
    """With an upstream of its own, a configuration says where plugins are called."""
    server = serve(gateway(upstreams=[{"name": "calls", "builtin": "rpc"}], routes=[route("/internal/*", "calls")],
                           plugins=[plugin("rpc_c", examples / "rpc_c.wasm")]))
    assert server.fetch("/internal/rpc_c", "POST", body=rpc.request("hello").encode()).status == 200
    assert server.fetch("/rpc/rpc_c", "POST", body=rpc.request("hello").encode()).status == 404
    unknown = server.fetch("/internal/other", "POST", body=rpc.request("hello").encode())
    assert unknown.status == 404 and unknown.json()["error"]["data"] == {"cause": "plugin", "detail": "other"}


def test_filters_stand_before_calls(serve, examples: Path, compile_wat: wat.Compiler) -> None:
    reply = ("(drop (call $proxy_send_local_response (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)"
             " (i32.const 0) (i32.const 0) (i32.const -1)))(return (i32.const 1))")
    guard = compile_wat(wat.plugin({"request_headers": reply}, ("proxy_send_local_response",)), "guard")
    server = serve(gateway(routes=[], plugins=[plugin("guard", guard), plugin("rpc_c", examples / "rpc_c.wasm")]))
    assert rpc.post(server, "rpc_c", rpc.request("hello")).status == 403


def test_a_plugin_that_cannot_be_loaded_answers_503_alone(serve, examples: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(b"\0asm\1\0\0\0")
    server = serve(gateway(plugins=[plugin("broken", broken, kind="json_rpc"), plugin("rpc_c", examples / "rpc_c.wasm")]),
                   expect_errors=True)
    refused = rpc.post(server, "broken", rpc.request("hello"))
    assert refused.status == 503 and "_start" in refused.text
    assert rpc.result(server, "rpc_c", "hello")
    assert server.fetch("/").status == 200


def test_methods_of_http(server: Server) -> None:
    get = server.fetch("/rpc/rpc_c")
    assert get.status == 405 and get.header("allow") == "POST"
    assert server.fetch("/rpc/rpc_c/ws").status == 426


def test_a_plugin_that_is_switched_off(serve, examples: Path) -> None:
    server = serve(gateway(plugins=[plugin("rpc_c", examples / "rpc_c.wasm")], routes=[]))
    assert server.admin("/plugins/rpc_c/disable", "POST").status == 200
    until(lambda: rpc.post(server, "rpc_c", rpc.request("hello")).status == 404, "the plugin to go")
    assert server.admin("/plugins/rpc_c/enable", "POST").status == 200
    until(lambda: rpc.post(server, "rpc_c", rpc.request("hello")).status == 200, "the plugin to come")
