"""Message hooks as plugins of a server: found by kind, loaded from a folder, refused with one line, enabled and disabled."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.configs import gateway, plugin
from support.paths import ROOT
from support.waiting import until

EXAMPLES = ROOT / "examples"
INCLUDE = f"-I{ROOT / 'include'}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C and C++ examples, as their READMEs build them."""
    out = tmp_path_factory.mktemp("hooks")
    for name, source in (("rate_limiter", "c/qpc_rate_limiter/rate_limiter.c"), ("logger", "c/qpc_logger/logger.c")):
        run("clang-19", "-shared", "-fPIC", "-O2", INCLUDE, "-o", out / f"{name}.so", EXAMPLES / source)
        run("clang-19", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", INCLUDE, "-Wl,--export-table,--export-if-defined=malloc,--export-if-defined=free",
            "-o", out / f"{name}.wasm", EXAMPLES / source)
    run("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", out / "word_filter.wasm",
        EXAMPLES / "c/word_filter/word_filter.c")
    run("clang++-19", "-std=c++20", "-shared", "-fPIC", "-O2", INCLUDE, "-o", out / "size_limit.so",
        EXAMPLES / "cpp/qpc_size_limit/size_limit.cc")
    return out


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def test_kinds_are_found(serve, built: Path) -> None:
    files = {"limiter": "rate_limiter.so", "limiter-sandboxed": "rate_limiter.wasm", "log": "logger.so",
             "log-sandboxed": "logger.wasm", "words": "word_filter.wasm", "size": "size_limit.so"}
    server = serve(gateway(plugins=[plugin(name, built / file) for name, file in files.items()]))
    for name in files:
        shown = server.plugin(name)
        assert shown["state"] == "active", shown
        assert shown["kind"] == ("message_hook" if name == "words" else "native_hook")
    assert server.fetch("/").status == 200


def test_a_hook_is_switched_and_reloaded(serve, built: Path) -> None:
    server = serve(gateway(plugins=[plugin("limiter", built / "rate_limiter.so")]))
    assert server.admin("/plugins/limiter/disable", "POST").status == 200
    assert server.plugin("limiter")["state"] == "disabled"
    assert server.admin("/plugins/limiter/enable", "POST").status == 200
    assert server.admin("/plugins/limiter/reload", "POST").status == 200
    assert server.plugin("limiter")["version"] == 3


def test_hooks_that_cannot_be_loaded_do_not_touch_requests(serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF not really")
    server = serve(gateway(plugins=[plugin("broken", broken)]), expect_errors=True)
    assert "truncated shared object" in server.plugin("broken")["last_error"]
    assert server.fetch("/").status == 200


def test_what_becomes_of_messages_without_a_hook_is_told(serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF not really")
    server = serve(gateway(plugins=[plugin("open", broken), plugin("closed", broken, on_failure="closed"),
                                    plugin("text", tmp_path / "absent.wasm", kind="message_hook")]), expect_errors=True)
    for name, consequence in (("open", "messages pass WITHOUT this plugin"), ("closed", "messages are rejected"),
                              ("text", "messages pass WITHOUT this plugin")):
        assert server.wait_log(level="error", plugin=name)["consequence"] == consequence


def test_shared_objects_in_a_folder_need_permission(serve, built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hooks"
    folder.mkdir()
    server = serve(gateway(plugin_directories=[{"path": str(folder), "native": True}]))
    (folder / "words.wasm").write_bytes((built / "word_filter.wasm").read_bytes())
    (folder / "limiter.so").write_bytes((built / "rate_limiter.so").read_bytes())
    until(lambda: [(p["name"], p["state"]) for p in server.admin("/plugins").json()] == [("limiter", "active"), ("words", "active")],
          "both are loaded")
    (folder / "words.wasm").unlink()
    until(lambda: [p["name"] for p in server.admin("/plugins").json()] == ["limiter"], "it is unloaded")


def test_shared_objects_in_a_folder_are_left_alone(serve, built: Path, tmp_path: Path) -> None:
    (tmp_path / "limiter.so").write_bytes((built / "rate_limiter.so").read_bytes())
    (tmp_path / "words.wasm").write_bytes((built / "word_filter.wasm").read_bytes())
    server = serve(gateway(plugin_directories=[{"path": str(tmp_path)}]))
    assert [p["name"] for p in server.admin("/plugins").json()] == ["words"]
