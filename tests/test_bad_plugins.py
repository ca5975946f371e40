"""Plugins that cannot be loaded: one clear line each, a 503 with the reason on their routes, and the rest serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from support import wat
from support.configs import gateway, plugin, route
from support.server import Server


@dataclass(frozen=True)
class Bad:
    name: str
    wat: str | bytes  # WAT, or the file's bytes as they are
    says: tuple[str, ...]  # what the line must contain


def with_callback(definition: str) -> str:
    return f'(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")) {wat.ALLOCATOR} ' \
           f'(global $slot (mut i32) (i32.const 0)) {definition})'


BAD = [
    Bad("not_wasm", b"#!/bin/sh\necho I am a script\n", ("not a Wasm module",)),
    Bad("empty", b"", ("empty",)),
    Bad("truncated", b"\0asm\x01\0\0\0\x01\x7f\x60", ("",)),
    Bad("a_component", b"\0asm\x0d\0\x01\0", ("component",)),
    Bad("no_marker", '(module (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))',
        ("proxy_abi_version",)),
    Bad("unknown_marker", wat.plugin({}, marker="proxy_abi_version_9_9_9"), ("proxy_abi_version",)),
    Bad("unknown_import", with_callback("").replace(
        "(module", '(module (import "env" "proxy_teleport" (func (param i32)))'), ("env", "proxy_teleport")),
    Bad("wrong_import_type", with_callback("").replace(
        "(module", '(module (import "env" "proxy_log" (func (param i32)))'), ("proxy_log",)),
    Bad("wrong_callback", with_callback('(func (export "proxy_on_request_body") (param i64) (result i32) (i32.const 0))'),
        ("proxy_on_request_body",)),
    Bad("callback_is_memory", with_callback('(func (export "proxy_on_log"))'), ("proxy_on_log",)),
    Bad("start_traps", wat.plugin({"initialize": "unreachable"}), ("unreachable",)),
    Bad("start_exits", wat.plugin({"start": "(call $proc_exit (i32.const 3))"}), ("3",)),
    Bad("start_spins", wat.plugin({"initialize": "(loop $l (br $l))"}), ("reached (timeout); in",)),
    Bad("wasm_start_traps", with_callback("(func $s unreachable) (start $s)"), ("unreachable",)),
    Bad("vm_start_false", wat.plugin({"vm_start": "(return (i32.const 0))"}), ("vm_start",)),
    Bad("configure_false", wat.plugin({"configure": "(return (i32.const 0))"}), ("configure",)),
    Bad("configure_traps", wat.plugin({"configure": "unreachable"}), ("configure", "unreachable")),
    Bad("too_much_memory", wat.plugin({}, pages="1000"), ("memory_limit",)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def server(serve_module, compile_wat: wat.Compiler, folder: Path) -> Server:
    """All bad plugins at once, each on a route of its own beside one that is well."""
    plugins = [plugin(bad.name, write(bad, compile_wat, folder)) for bad in BAD]
    plugins.append(plugin("missing_file", folder / "no-such-file.wasm"))
    plugins.append(plugin("a_folder", folder))
    plugins.append(plugin("wrong_hash", compile_wat(wat.plugin({})), sha256="0" * 64))
    routes = [{"id": entry["name"], **route(f"/{entry['name']}", plugins=[entry["name"]])} for entry in plugins]
    return serve_module(gateway(routes=[*routes, route("/*")], plugins=plugins), expect_errors=True)


def write(bad: Bad, compile_wat: wat.Compiler, folder: Path) -> Path:
    if isinstance(bad.wat, str):
        return compile_wat(bad.wat, bad.name)
    file = folder / f"{bad.name}.wasm"
    file.write_bytes(bad.wat)
    return file


def check(server: Server, name: str, says: tuple[str, ...]) -> None:
    response = server.fetch(f"/{name}")
    assert response.status == 503
    assert name in response.json()["error"]["message"]
    entry = server.plugin(name)
    assert entry["state"] == "failed"
    reason = entry["last_error"]
    assert "\n" not in reason
    for part in says:
        assert part in reason, reason
    lines = [line for line in server.log.lines() if line.get("level") == "error" and line.get("plugin") == name]
    assert len(lines) == 1, lines
    assert reason in lines[0]["message"]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_module(server: Server, bad: Bad) -> None:
    check(server, bad.name, bad.says)


def test_missing_file(server: Server) -> None:
    check(server, "missing_file", ("no-such-file.wasm",))


def test_a_folder(server: Server) -> None:
    check(server, "a_folder", ("",))


def test_wrong_hash(server: Server) -> None:
    check(server, "wrong_hash", ("sha256",))


def test_the_rest_serves(server: Server) -> None:
    assert server.fetch("/anything").status == 200
    assert server.admin("/ready").status in (200, 503)


def test_open_leaves_it_out_loudly(serve, folder: Path) -> None:
    broken = folder / "not_wasm_either.wasm"
    broken.write_bytes(b"no")
    server = serve(gateway(plugins=[plugin("optional", broken, on_failure="open")]), expect_errors=True)
    assert server.fetch("/").status == 200
    assert server.plugin("optional")["state"] == "failed"
    assert [line for line in server.log.lines()
            if "optional" in str(line) and line.get("level") in ("warn", "error")]


def test_without_routes_of_its_own_it_stops_all(serve, folder: Path) -> None:
    """A plugin that no route names guards every route; when it cannot be loaded none may be served without it."""
    server = serve(gateway(plugins=[plugin("guard", folder / "gone.wasm")]), expect_errors=True)
    response = server.fetch("/")
    assert response.status == 503
    assert "guard" in response.json()["error"]["message"]
    assert server.admin("/health").status == 200


def test_two_plugins_of_one_name_are_a_configuration_error(serve, folder: Path) -> None:
    file = serve.write(gateway(plugins=[plugin("twin", folder / "a.wasm"), plugin("twin", folder / "b.wasm")]))
    result = serve.run("serve", "-c", str(file))
    assert result.returncode == 78
    assert "twin" in result.stdout + result.stderr


def test_exit_0_in_start_is_success(serve, compile_wat: wat.Compiler) -> None:
    """Command modules of some SDKs end their start function so."""
    module = compile_wat(wat.plugin({"start": "(call $proc_exit (i32.const 0))"}), "start_exits_0")
    server = serve(gateway(plugins=[plugin("command", module)]))
    assert server.fetch("/").status == 200
    assert server.plugin("command")["state"] == "active"


@pytest.mark.parametrize("marker", ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"])
@pytest.mark.parametrize("parameters", [2, 3])
def test_header_callbacks_of_two_or_three_parameters_under_any_marker(
        serve, compile_wat: wat.Compiler, marker: str, parameters: int) -> None:
    types = " ".join(["i32"] * parameters)
    texts = {"x-seen": wat.TEXTS, "yes": wat.TEXTS + 6}
    source = wat.plugin({}, imports=("proxy_add_header_map_value",), marker=marker, texts=texts, extra=f"""
      (func (export "proxy_on_request_headers") (param {types}) (result i32)
        (drop (call $proxy_add_header_map_value (i32.const 0) (i32.const {wat.TEXTS}) (i32.const 6)
                                                (i32.const {wat.TEXTS + 6}) (i32.const 3)))
        (i32.const 0))""")
    server = serve(gateway(plugins=[plugin("of_any_age", compile_wat(source))]))
    assert server.fetch("/").json()["headers"]["x-seen"] == "yes"
