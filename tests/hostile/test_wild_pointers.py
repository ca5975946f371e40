"""Every host call with pointers and sizes that lie outside of memory, at its very end, or overflow when added. One
generated module for each host call; no call may harm the host, and none that is out of bounds may succeed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hostile.harness import assert_flat, assert_safe, attack, hostile_server
from support import wat
from support.configs import plugin
from support.paths import ROOT
from support.server import Server
from support.tcp import TcpServer
from test_tcp import connect, tcp_gateway

MEMORY = 65536

# The arguments of each host call: a number, `in` (pointer and size of bytes that are read), `out` (pointer to 4 bytes that
# are written), `out8` (to 8 bytes).
SHAPES: dict[str, str] = {
    "proxy_log": "2 in",
    "proxy_get_log_level": "out",
    "proxy_get_current_time_nanoseconds": "out8",
    "proxy_get_buffer_bytes": "0 0 100 out out",
    "proxy_get_buffer_status": "0 out out",
    "proxy_set_buffer_bytes": "0 0 0 in",
    "proxy_get_header_map_pairs": "0 out out",
    "proxy_set_header_map_pairs": "0 in",
    "proxy_get_header_map_value": "0 in out out",
    "proxy_add_header_map_value": "0 in in",
    "proxy_replace_header_map_value": "0 in in",
    "proxy_remove_header_map_value": "0 in",
    "proxy_get_header_map_size": "0 out",
    "proxy_get_property": "in out out",
    "proxy_set_property": "in in",
    "proxy_send_local_response": "200 in in in -1",
    "proxy_http_call": "in in in in 100 out",
    "proxy_get_status": "out out out",
    "proxy_get_shared_data": "in out out out",
    "proxy_set_shared_data": "in in 0",
    "proxy_define_metric": "0 in out",
    "proxy_get_metric": "0 out8",
    "proxy_register_shared_queue": "in out",
    "proxy_resolve_shared_queue": "in in out",
    "proxy_enqueue_shared_queue": "1 in",
    "proxy_dequeue_shared_queue": "1 out out",
    "proxy_grpc_call": "in in in in in 100 out",
    "proxy_grpc_stream": "in in in in out",
    "proxy_grpc_send": "6 in 0",
    "proxy_call_foreign_function": "in in out out",
    "proxy_get_configuration": "out out",
    "proxy_send_http_response": "200 in in in -1",
}

# The same for each foreign function, called by its name.
FOREIGN = ["clear_route_cache", "compress", "declare_property", "set_envoy_filter_state", "sign", "uncompress",
           "verify_signature"]
FOREIGN_SHAPE = "name in out out"

# On the bytes of a TCP connection, both ways.
TCP_SHAPES = {"proxy_get_buffer_bytes": "{} 0 100 out out", "proxy_get_buffer_status": "{} out out",
              "proxy_set_buffer_bytes": "{} 0 0 in"}

# Calls that take no pointers: any number of wild values must be harmless.
NUMBERS: dict[str, str] = {
    "proxy_set_tick_period_milliseconds": "i",
    "proxy_continue_stream": "i",
    "proxy_close_stream": "i",
    "proxy_set_effective_context": "i",
    "proxy_grpc_cancel": "i",
    "proxy_grpc_close": "i",
    "proxy_increment_metric": "iI",
    "proxy_record_metric": "iI",
    "proxy_done": "",
    "proxy_continue_request": "",
    "proxy_continue_response": "",
    "proxy_clear_route_cache": "",
}

# WASI, which answers FAULT (21): arguments as above, and `iov` for a pointer to one wild vector. Functions that look at no
# pointer, since they refuse what they are asked, are not here.
WASI: dict[str, str] = {
    "fd_write": "1 iov 1 out",
    "fd_read": "0 iov 1 out",
    "fd_fdstat_get": "1 out8",
    "fd_filestat_get": "1 out8",
    "poll_oneoff": "out8 out8 1 out",
    "clock_res_get": "0 out8",
    "random_get": "in",
    "clock_time_get": "0 0L out8",
    "environ_get": "out out",
    "environ_sizes_get": "out out",
    "args_get": "out out",
    "args_sizes_get": "out out",
}

VALID_IN = (wat.TEXTS, 5)
NAME_AT = wat.TEXTS + 16  # of a foreign function
IN_BEYOND = [(MEMORY - 1, 2), (MEMORY, 1), (0xFFFFFFFF, 1), (0xFFFFFFFF, 0xFFFFFFFF), (0x80000000, 0x80000000),
             (wat.TEXTS, 0xFFFFFFFF), (wat.TEXTS, MEMORY), (0xFFFFFFF0, 0x20), (0, MEMORY + 1)]
IN_AT_THE_LIMIT = [(MEMORY, 0), (MEMORY - 1, 1), (0, 0), (MEMORY - 5, 5), (0xFFFFFFFF, 0)]
OUT_BEYOND = [MEMORY, MEMORY - 1, MEMORY - 3, 0xFFFFFFFF, 0x80000000, 0xFFFFFFFC]
WILD = [0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 12345, 4, 3, 1, 0]
STATUSES = 57344  # where the module writes the statuses, one character each; beyond what the allocator gives


def valid(shape: list[str], name: str = "") -> list[list[int]]:
    out = []
    for index, kind in enumerate(shape):
        if kind == "in":
            out.append(list(VALID_IN))
        elif kind == "name":
            out.append([NAME_AT, len(name)])
        elif kind in ("out", "out8"):
            out.append([wat.SCRATCH + 16 * index])
        else:
            out.append([int(kind)])
    return out


def vectors(shape: list[str], name: str = "") -> list[tuple[list[int], bool]]:
    """Argument lists, and whether they are out of bounds and so must not succeed."""
    out = []
    for index, kind in enumerate(shape):
        if kind == "name":
            continue
        wild = {"in": [(list(pair), True) for pair in IN_BEYOND] + [(list(pair), False) for pair in IN_AT_THE_LIMIT],
                "out": [([address], True) for address in OUT_BEYOND] + [([MEMORY - 4], False)],
                "out8": [([address], True) for address in [*OUT_BEYOND, MEMORY - 7]] + [([MEMORY - 8], False)]}
        for values, beyond in wild.get(kind, [([number], False) for number in WILD]):
            groups = valid(shape, name)
            groups[index] = values
            out.append(([number for group in groups for number in group], beyond))
    return out


def battery(name: str, lists: list[list[int]]) -> str:
    """Calls with each list of arguments, keeps the statuses, logs them behind "wild:"."""
    lines = []
    for index, arguments in enumerate(lists):
        values = " ".join(f"(i32.const {number if number < 1 << 31 else number - (1 << 32)})" for number in arguments)
        lines.append(f"(i32.store8 (i32.const {STATUSES + index}) (i32.add (i32.const 48) (call ${name} {values})))")
    size = len(lists) + 5
    return "\n".join([*lines, f"(drop (call $proxy_log (i32.const 2) (i32.const {STATUSES - 5}) (i32.const {size})))"])


def module(name: str, body: str, foreign: str = "", callbacks: tuple[str, ...] = ("request_headers", "request_body")) -> str:
    extra = f'(data (i32.const {STATUSES - 5}) "wild:")'
    texts = {":path": wat.TEXTS, **({foreign: NAME_AT} if foreign else {})}
    return wat.plugin(dict.fromkeys(callbacks, body), ("proxy_log", name), texts, extra, pages="1 1")


@pytest.fixture(scope="module")
def server(serve_module, compile_wat: wat.Compiler) -> Server:
    plugins = {}
    for name, shape in SHAPES.items():
        lists = [arguments for arguments, _ in vectors(shape.split())]
        plugins[name] = compile_wat(module(name, battery(name, lists)), name)
    for name, types in NUMBERS.items():
        plugins[name] = compile_wat(module(name, numbers(name, types)), name)
    for name in FOREIGN:
        lists = [arguments for arguments, _ in vectors(FOREIGN_SHAPE.split(), name)]
        call = "proxy_call_foreign_function"
        plugins[name] = compile_wat(module(call, battery(call, lists), name), name)
    return hostile_server(serve_module, plugins)


def numbers(name: str, types: str) -> str:
    calls = []
    for number in WILD if types else [0]:
        signed = number if number < 1 << 31 else number - (1 << 32)
        arguments = " ".join(f"({wat.TYPES[kind]}.const {signed})" for kind in types)
        calls.append(f"(drop (call ${name} {arguments}))")
    return "\n".join(calls)


def assert_refused(server: Server, name: str, mark: int, expected: list[tuple[list[int], bool]]) -> None:
    """What is out of bounds did not succeed."""
    line = server.wait_log("wild:", after=mark, plugin=name)
    statuses = line["message"].removeprefix("wild:")
    assert len(statuses) == len(expected)
    succeeded = [arguments for (arguments, beyond), result in zip(expected, statuses) if beyond and result == "0"]
    assert succeeded == [], "out of bounds, and yet OK"
    assert set(statuses) <= set("012346789:<"), "a status that no SDK knows"


@pytest.mark.parametrize("name", SHAPES)
def test_pointers(server: Server, name: str) -> None:
    mark = server.mark()
    status = attack(server, name, "POST", body=b"twelve bytes")
    assert status in (0, 200, 400, 404, 500), status  # 404: it changed its own path
    assert_safe(server)
    assert_refused(server, name, mark, vectors(SHAPES[name].split()))


@pytest.mark.parametrize("name", FOREIGN)
def test_pointers_of_foreign_functions(server: Server, name: str) -> None:
    mark = server.mark()
    assert attack(server, name, "POST", body=b"twelve bytes") == 200
    assert_safe(server)
    assert_refused(server, name, mark, vectors(FOREIGN_SHAPE.split(), name))


@pytest.mark.parametrize("way", [2, 3], ids=["downstream", "upstream"])
@pytest.mark.parametrize("name", TCP_SHAPES)
def test_pointers_of_tcp_buffers(serve, compile_wat: wat.Compiler, name: str, way: int) -> None:
    expected = vectors(TCP_SHAPES[name].format(way).split())
    callback = "downstream_data" if way == 2 else "upstream_data"
    body = battery(name, [arguments for arguments, _ in expected])
    wasm = compile_wat(module(name, body, callbacks=(callback,)), f"{name}-{way}")
    with TcpServer() as backend:
        server = serve(tcp_gateway(backend, [plugin(name, wasm)]), expect_errors=True)
        with connect(server) as client:
            client.exchange(b"twelve bytes")
        assert_refused(server, name, 0, expected)
        assert server.fetch("/").status == 200


def test_the_log_names_the_plugin(server: Server) -> None:
    """Once a minute, whatever it does."""
    for _ in range(3):
        attack(server, "proxy_get_property")
    server.wait_log("the plugin gave a host call an address outside of its memory", plugin="proxy_get_property")
    lines = [line for line in server.log.lines() if line.get("plugin") == "proxy_get_property"
             and "outside of its memory" in line.get("message", "")]
    assert len(lines) <= 2


def test_every_host_call_is_attacked() -> None:
    """Those that the host has, by its own tables; the conformance tables know the same."""
    table = "".join(file.read_text() for file in (ROOT / "src/contracts/proxy_wasm").glob("host_*.cc") if "_test" not in file.name)
    assert {*re.findall(r'host_call(?:_while_allocating)?<&\w+>\(\s*"(\w+)"', table)} == {*SHAPES, *NUMBERS} == {*wat.HOST_CALLS}
    driver = (ROOT / "tests/conformance/proxy_wasm/host_calls.inc").read_text()
    assert {*re.findall(r"env, (proxy_\w+)", driver)} == {*SHAPES, *NUMBERS}


def test_every_foreign_function_is_attacked() -> None:
    table = "".join(file.read_text() for file in (ROOT / "src/contracts/proxy_wasm").glob("*foreign*.cc") if "_test" not in file.name)
    assert [name for name in FOREIGN if f'"{name}"' not in table] == []


def test_every_wasi_function_with_a_pointer_is_attacked() -> None:
    table = (ROOT / "src/sandbox/wasi.cc").read_text()
    names = {*re.findall(r'host_function<&(\w+)(?:<FilestatSize>)?>\(module, "\1"\)', table), "poll_oneoff"}
    assert names - {"fd_close", "sched_yield", "proc_raise"} == {*WASI}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(server: Server, name: str) -> None:
    assert attack(server, name, "POST", body=b"twelve bytes") in (0, 200, 500)
    assert_safe(server)


def test_memory_stays_flat(server: Server) -> None:
    assert_flat(server, lambda: [attack(server, name) for name in [*SHAPES, *NUMBERS, *FOREIGN]], 30)


def wasi_module(name: str, shape: list[str]) -> str:
    """The same battery for a WASI function: its statuses are collected in request_headers."""
    types = []
    for kind in shape:
        types += {"in": ["i32", "i32"]}.get(kind, ["i64" if kind.endswith("L") else "i32"])
    groups = [kind.rstrip("L") if kind != "iov" else "out" for kind in shape]
    calls = []
    for index, (arguments, _) in enumerate(vectors(groups)):
        values = " ".join(f"({kind}.const {number if number < 1 << 31 else number - (1 << 32)})"
                          for kind, number in zip(types, arguments))
        calls.append(f"(i32.store8 (i32.const {STATUSES + index}) (i32.add (i32.const 48) (call $wasi {values})))")
    log = f"(drop (call $proxy_log (i32.const 2) (i32.const {STATUSES - 5}) (i32.const {len(calls) + 5})))"
    declared = f'(import "wasi_snapshot_preview1" "{name}" (func $wasi (param {" ".join(types)}) (result i32)))'
    # At the scratch addresses lies a vector that points to the end of the address space.
    vector = b"\xf0\xff\xff\xff\x20\x00\x00\x00"
    extra = f'(data (i32.const {STATUSES - 5}) "wild:") (data (i32.const {wat.SCRATCH + 16}) {wat.string(vector)})'
    source = wat.plugin({"request_headers": "\n".join([*calls, log])}, ("proxy_log",), {}, extra, pages="1 1")
    return source.replace("(module", "(module\n  " + declared, 1)


@pytest.fixture(scope="module")
def wasi_server(serve_module, compile_wat: wat.Compiler) -> Server:
    plugins = {name: compile_wat(wasi_module(name, shape.split()), name) for name, shape in WASI.items()}
    return hostile_server(serve_module, plugins)


@pytest.mark.parametrize("name", WASI)
def test_wasi_pointers(wasi_server: Server, name: str, tmp_path: Path) -> None:
    mark = wasi_server.mark()
    assert attack(wasi_server, name) == 200
    assert_safe(wasi_server)
    line = wasi_server.wait_log("wild:", after=mark, plugin=name)
    groups = [kind.rstrip("L") if kind != "iov" else "out" for kind in WASI[name].split()]
    expected = vectors(groups)
    empty = name in ("environ_get", "args_get")  # nothing to write: any pointer will do
    succeeded = [arguments for (arguments, beyond), result in zip(expected, line["message"].removeprefix("wild:"))
                 if beyond and result == "0" and not empty]
    assert succeeded == []
