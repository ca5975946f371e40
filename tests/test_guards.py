"""A filter that guards routes never vanishes silently: not when its file is of another kind, nor when it becomes so."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from support import wat, wire
from support.configs import gateway, plugin, route
from support.tcp import Client, TcpServer
from support.waiting import until
from test_activation import replace
from test_config_reload import Config, config, refused, reload  # noqa: F401 (a fixture)
from test_tcp import tcp_gateway

COMMAND = '(module (memory (export "memory") 1) (func (export "_start")))'
NAMED: dict[str, dict[str, Any]] = {"route": {"routes": [route(plugins=["guard"])]}, "phase": {}}


@pytest.fixture
def guard(tmp_path: Path, probe: Path) -> Path:
    file = tmp_path / "guard.wasm"
    shutil.copy(probe, file)
    return file


def guarded(file: Path, how: str, **more: Any) -> dict[str, Any]:
    phase = {"phase": "on_request_headers"} if how == "phase" else {}
    return gateway(plugins=[plugin("guard", file, config="request_headers reply 401 no\nrequest_headers pause", **phase, **more)],
                   **NAMED.get(how, {}))


@pytest.mark.parametrize("how", NAMED)
def test_a_guard_that_is_no_filter_lets_nothing_pass(serve, guard: Path, how: str, compile_wat: wat.Compiler) -> None:
    shutil.copy(compile_wat(COMMAND), guard)
    server = serve(guarded(guard, how), expect_errors=True)
    assert server.fetch("/").status == 503
    shown = server.plugin("guard")
    assert shown["state"] == "failed"
    assert all(text in shown["last_error"] for text in ("plugin guard", str(guard), "json_rpc", "take it out there"))


@pytest.mark.parametrize("how", [*NAMED, "everywhere"])
def test_a_filter_does_not_become_something_else(serve, guard: Path, how: str, compile_wat: wat.Compiler) -> None:
    server = serve(guarded(guard, how), expect_errors=True)
    assert server.fetch("/").status == 401
    replace(guard, compile_wat(COMMAND))
    for target in ("/plugins/guard/reload", "/config/reload"):
        answer = server.admin(target, "POST")
        assert answer.status == 422
        assert "json_rpc" in answer.text
        assert server.fetch("/").status == 401
    assert server.plugin("guard")["version"] == 1


def test_a_filter_becomes_something_else_when_its_entry_says_so(serve, config: Config, guard: Path,  # noqa: F811
                                                                compile_wat: wat.Compiler) -> None:
    server = serve(config.put(guarded(guard, "everywhere")))
    replace(guard, compile_wat(COMMAND))
    config.put(guarded(guard, "everywhere", kind="json_rpc"))
    reload(server)
    assert server.fetch("/").status == 200
    assert server.plugin("guard")["kind"] == "json_rpc"


def test_a_route_plugin_that_a_route_comes_to_name_as_its_filter(serve, config: Config, examples: Path) -> None:  # noqa: F811
    plugins = [plugin("answers", examples / "my_plugin.wasm")]
    server = serve(config.put(gateway(plugins=plugins)), expect_errors=True)
    config.put(gateway(plugins=plugins, routes=[route(plugins=["answers"])]))
    assert "filters no requests" in json.dumps(refused(server))
    assert server.plugin("answers")["version"] == 1


def test_native_code_under_the_name_of_a_module(serve, tmp_path: Path, examples: Path) -> None:
    file = tmp_path / "guard.wasm"
    shutil.copy(examples / "qpc_counter.so", file)
    server = serve(gateway(plugins=[plugin("guard", file)]), expect_errors=True)
    assert "native code (ELF)" in server.plugin("guard")["last_error"]
    assert server.fetch("/").status == 503


def absent(folder: Path, **more: Any) -> dict[str, Any]:
    """A configuration whose plugins come from an empty folder."""
    (folder / "pl").mkdir()
    return gateway(plugin_directories=[{"path": str(folder / "pl")}], **more)


def test_a_guard_that_comes_and_goes_with_its_file(serve, tmp_path: Path, probe: Path) -> None:
    server = serve(absent(tmp_path, routes=[route(plugins=["guard"]), route("/open")]))
    for _ in range(2):
        until(lambda: server.fetch("/").status == 503, "the route to be closed")
        answer = server.fetch("/")
        assert (answer.status, answer.json()["error"]["code"]) == (503, "plugin_unavailable")
        assert "plugin guard is not loaded" in answer.text
        assert server.fetch("/open").status == 200
        shutil.copy(probe, tmp_path / "pl" / "guard.wasm")
        until(lambda: server.fetch("/").status == 200, "the guard to be loaded")
        mark = server.mark()
        (tmp_path / "pl" / "guard.wasm").unlink()
        server.wait_log("plugin guard is not loaded", after=mark, level="warn")


def test_an_absent_guard_of_a_tcp_listener(serve, tmp_path: Path) -> None:
    with TcpServer() as backend:
        (tmp_path / "pl").mkdir()
        server = serve(tcp_gateway(backend, named=["guard"], plugin_directories=[{"path": str(tmp_path / "pl")}]))
        with Client(server.listeners["tcp"]) as client, pytest.raises((wire.Broken, ConnectionError)):
            client.send(b"x").read(1)
        assert backend.accepted == 0


def test_an_absent_guard_of_a_plugin_of_routes(serve, tmp_path: Path, examples: Path) -> None:
    answers = plugin("answers", examples / "my_plugin.wasm", filters=["guard"])
    server = serve(absent(tmp_path, plugins=[answers]))
    assert server.fetch("/api/plugins/answers/api/items").status == 503
    assert server.fetch("/").status == 200


def test_a_guard_that_was_switched_off_is_left_out(serve, tmp_path: Path, probe: Path) -> None:
    settings = absent(tmp_path, routes=[route(plugins=["guard"])])
    shutil.copy(probe, tmp_path / "pl" / "guard.wasm")
    server = serve(settings)
    assert server.admin("/plugins/guard/disable", "POST").status == 200
    assert server.fetch("/").status == 200


def test_a_folder_that_cannot_be_read_removes_nothing(serve, tmp_path: Path, probe: Path) -> None:
    settings = absent(tmp_path)
    folder = tmp_path / "pl"
    shutil.copy(probe, folder / "guard.wasm")
    server = serve(settings, expect_errors=True)
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    (folder / "readme.txt").write_text("x")
    told = server.wait_log("plugin directory cannot be read", level="error")
    assert told["path"] == str(folder)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    assert (server.plugin("guard")["state"], server.plugin("guard")["version"]) == ("active", 1)
    shutil.copy(probe, folder / "late.wasm")
    until(lambda: server.admin("/plugins/late").status == 200, "the folder to be watched still")
