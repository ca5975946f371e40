"""Modules of old SDKs and of several toolchains: the names and forms of ABI 0.1.0, what runtimes import beside the ABI, the
ways in which a module starts."""

from __future__ import annotations

import pytest

from support.configs import gateway, plugin, route, upstream
from support.upstreams import Upstream, answering, ok

HEAD = """(module
  {imports}
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 16384))
  (func (export "{marker}"))
  (func (export "malloc") (param $n i32) (result i32)
    (global.set $next (i32.add (global.get $next) (local.get $n)))
    (i32.sub (global.get $next) (local.get $n)))
  (data (i32.const 64) "started")
  (data (i32.const 80) "x-from")
  (data (i32.const 96) "an old module")
  (func $say (drop (call $log (i32.const 2) (i32.const 64) (i32.const 7))))
  {functions})"""


def module(functions: str, imports: str = "", marker: str = "proxy_abi_version_0_1_0") -> str:
    return HEAD.format(functions=functions, imports=imports, marker=marker)


STARTS = {
    "initialize": '(func (export "_initialize") (call $say))',
    "initialize_and_main": '(func (export "_initialize")) (func (export "main") (param i32 i32) (result i32) (call $say) '
                           "(i32.const 0))",
    "initialize_and_main_void": '(func (export "_initialize")) (func (export "__main_void") (result i32) (call $say) '
                                "(i32.const 0))",
    "start": '(func (export "_start") (call $say))',
    "start_that_exits_with_0": '(func (export "_start") (call $say) (call $exit (i32.const 0)))',
    "start_section": "(start $say)",
}


@pytest.mark.parametrize("style", STARTS)
@pytest.mark.parametrize("marker", ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_1"])
def test_the_ways_to_start(serve, compile_wat, style: str, marker: str) -> None:
    server = serve(gateway(plugins=[plugin("it", compile_wat(module(STARTS[style], marker=marker)))]))
    server.wait_log("started")
    assert server.fetch("/").status == 200


def test_a_module_may_start_by_nothing(serve, compile_wat) -> None:
    functions = '(func (export "proxy_on_request_headers") (param i32 i32) (result i32) (call $say) (i32.const 0))'
    server = serve(gateway(plugins=[plugin("it", compile_wat(module(functions)))]))
    assert server.fetch("/").status == 200
    server.wait_log("started")


@pytest.mark.parametrize("result", ["", "(result i32)"])
def test_the_names_of_abi_0_1_0(serve, compile_wat, result: str) -> None:
    """get_configuration, a pause that a tick ends with continue_request and continue_response; with and without results."""
    drop = "drop" if result else ""
    imports = f"""(import "env" "proxy_get_configuration" (func $config (param i32 i32) (result i32)))
        (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_continue_request" (func $request {result}))
        (import "env" "proxy_continue_response" (func $response {result}))
        (import "env" "proxy_clear_route_cache" (func $route {result}))"""
    functions = f"""(global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $config (i32.const 8) (i32.const 12)))
          (drop (call $log (i32.const 2) (i32.load (i32.const 8)) (i32.load (i32.const 12))))
          (drop (call $tick (i32.const 20)))
          (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
          (call $route) {drop} (global.set $stream (local.get 0)) (i32.const 1))
        (func (export "proxy_on_response_headers") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_delete") (param i32) (global.set $stream (i32.const 0)))
        (func (export "proxy_on_tick") (param i32)
          (if (global.get $stream) (then
            (drop (call $effective (global.get $stream)))
            (call $request) {drop} (call $response) {drop})))"""
    server = serve(gateway(workers=1, plugins=[
        plugin("it", compile_wat(module(functions, imports)), config="what it is given")]))
    server.wait_log("what it is given")
    assert server.fetch("/").status == 200


def test_send_http_response_is_send_local_response(serve, compile_wat) -> None:
    imports = '(import "env" "proxy_send_http_response" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))'
    functions = """(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        (drop (call $send (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 96) (i32.const 13) (i32.const 0) (i32.const 0)
                          (i32.const -1))) (i32.const 1))"""
    server = serve(gateway(plugins=[plugin("it", compile_wat(module(functions, imports)))]))
    response = server.fetch("/")
    assert (response.status, response.body) == (403, b"an old module")


def test_an_absent_header_is_empty(serve, compile_wat) -> None:
    """0.1.0: OK and an empty value; NOT_FOUND since 0.2.0."""
    imports = """(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))"""
    functions = """(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        (if (i32.eqz (call $get (i32.const 0) (i32.const 80) (i32.const 6) (i32.const 8) (i32.const 12)))
          (then (drop (call $add (i32.const 0) (i32.const 80) (i32.const 6) (i32.const 96) (i32.const 13)))))
        (i32.const 0))"""
    for marker, value in (("proxy_abi_version_0_1_0", "an old module"), ("proxy_abi_version_0_2_0", None)):
        server = serve(gateway(plugins=[plugin("it", compile_wat(module(functions, imports, marker)))]))
        assert server.fetch("/").json()["headers"].get("x-from") == value


def test_what_runtimes_import_beside_the_abi(serve, compile_wat) -> None:
    imports = """(import "env" "pthread_equal" (func $equal (param i32 i32) (result i32)))
        (import "env" "emscripten_notify_memory_growth" (func $grown (param i32)))"""
    functions = """(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $grown (memory.grow (i32.const 1)))
        (i32.and (call $equal (i32.const 7) (i32.const 7)) (i32.eqz (call $equal (i32.const 7) (i32.const 8)))))"""
    server = serve(gateway(plugins=[plugin("it", compile_wat(module(functions, imports)))]))
    assert server.fetch("/").status == 200


def test_abort_of_assemblyscript_says_where(serve, compile_wat) -> None:
    """Strings are UTF-16 with their size in bytes before them."""
    imports = '(import "env" "abort" (func $abort (param i32 i32 i32 i32)))'
    functions = r"""(data (i32.const 200) "\08\00\00\00o\00u\00c\00h\00") (data (i32.const 220) "\08\00\00\00a\00.\00t\00s\00")
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
          (call $abort (i32.const 204) (i32.const 224) (i32.const 12) (i32.const 34)) (i32.const 0))"""
    server = serve(gateway(plugins=[plugin("it", compile_wat(module(functions, imports)))]), expect_errors=True)
    assert server.fetch("/").status == 500
    assert "abort: ouch at a.ts:12:34" in str(server.wait_log(plugin="it", level="error"))


def test_clear_route_cache_chooses_the_route_anew(serve, compile_wat) -> None:
    imports = """(import "env" "proxy_clear_route_cache" (func $clear))
        (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))"""
    functions = """(data (i32.const 300) ":path") (data (i32.const 310) "/new")
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
          (drop (call $replace (i32.const 0) (i32.const 300) (i32.const 5) (i32.const 310) (i32.const 4)))
          (call $clear) (i32.const 0))"""
    with Upstream(answering(ok(b"the new one"))) as origin:
        server = serve(gateway(routes=[route("/old"), route("/new", to="raw")], upstreams=[upstream("raw", origin.address)],
                               plugins=[plugin("it", compile_wat(module(functions, imports)))]))
        assert server.fetch("/old").body == b"the new one"
