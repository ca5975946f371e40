"""The gate before a version serves: smoke requests, the file's hash, and folders whose modules are all loaded."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from support import wat
from support.configs import gateway, plugin
from support.waiting import until


def test_smoke_requests_that_pass(serve, probe: Path) -> None:
    actions = "request_headers if x-bad reply 403 no\nrequest_headers if x-bad pause\nresponse_headers add 2 x-smoked yes"
    smoke = [{"method": "GET", "path": "/", "expect": {"status": 200, "headers": {"x-smoked": "yes"}}},
             {"path": "/", "headers": {"x-bad": "1"}, "expect": {"status": 403}},
             {"method": "POST", "path": "/", "body": "hello", "expect": {"status": 200}}]
    server = serve(gateway(plugins=[plugin("smoked", probe, config=actions, smoke=smoke)]))
    assert server.plugin("smoked")["state"] == "active"
    assert server.fetch("/").status == 200


def test_a_smoke_request_that_fails_keeps_the_plugin_out(serve, probe: Path) -> None:
    smoke = [{"path": "/", "expect": {"status": 204}}]
    server = serve(gateway(plugins=[plugin("smoked", probe, smoke=smoke)]), expect_errors=True)
    assert server.fetch("/").status == 503
    reason = server.plugin("smoked")["last_error"]
    assert "204" in reason and "200" in reason


def test_a_hash_that_matches(serve, probe: Path) -> None:
    digest = hashlib.sha256(probe.read_bytes()).hexdigest()
    server = serve(gateway(plugins=[plugin("pinned", probe, sha256=digest)]))
    assert server.plugin("pinned")["state"] == "active"


def test_a_hash_that_does_not_match_any_more_keeps_the_old_version(serve, probe: Path, tmp_path: Path,
                                                                  compile_wat: wat.Compiler) -> None:
    file = tmp_path / "pinned.wasm"
    shutil.copy(probe, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    server = serve(gateway(plugins=[plugin("pinned", file, sha256=digest, config="request_headers add 0 x-old 1")]),
                   expect_errors=True)
    replace(file, compile_wat(wat.plugin({})))
    response = server.admin("/plugins/pinned/reload", "POST")
    assert response.status == 422
    assert "sha256" in response.json()["error"]["message"]
    assert server.fetch("/").json()["headers"]["x-old"] == "1"


def replace(target: Path, source: Path) -> None:
    """As a deployment does it: written beside, then renamed."""
    beside = target.with_suffix(".new")
    shutil.copy(source, beside)
    os.replace(beside, target)


def marking(text: str) -> str:
    """A plugin that puts `text` into a request header x-dropped."""
    texts: dict[str, int] = {}
    name, value = wat.place("x-dropped", texts), wat.place(text, texts)
    body = (f"(drop (call $proxy_add_header_map_value (i32.const 0) (i32.const {name}) (i32.const 9)"
            f" (i32.const {value}) (i32.const {len(text)})))")
    return wat.plugin({"request_headers": body}, ("proxy_add_header_map_value",), texts)


def test_a_folder_of_plugins(serve, tmp_path: Path, compile_wat: wat.Compiler) -> None:
    """What lies there at the start is loaded; a file dropped in later serves by itself, a new version too, and one that
    is taken away stops. A broken file disturbs nobody."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    shutil.copy(compile_wat(marking("first")), folder / "first.wasm")
    server = serve(gateway(plugin_directories=[{"path": str(folder), "watch": True}]), expect_errors=True)

    def header() -> str | None:
        response = server.fetch("/")
        return response.json()["headers"].get("x-dropped") if response.status == 200 else None

    assert header() == "first"
    assert server.plugin("first")["state"] == "active"

    replace(folder / "second.wasm", compile_wat(marking("second")))
    until(lambda: header() == "first, second", "the second plugin to serve")
    replace(folder / "second.wasm", compile_wat(marking("renewed")))
    until(lambda: header() == "first, renewed", "its new version to serve")
    assert server.plugin("second")["version"] == 2

    (folder / "notes.txt").write_text("not a plugin")
    replace(folder / "second.wasm", write(tmp_path / "broken", b"\0asm broken"))
    until(lambda: server.plugin("second")["last_error"] != "", "the broken version to be noticed")
    assert header() == "first, renewed"

    (folder / "second.wasm").unlink()
    until(lambda: header() == "first", "the plugin to be gone")
    assert server.admin("/plugins/second").status == 404


def write(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_a_folder_that_is_not_watched(serve, tmp_path: Path, compile_wat: wat.Compiler) -> None:
    folder = tmp_path / "still"
    folder.mkdir()
    server = serve(gateway(plugin_directories=[{"path": str(folder), "watch": False}]))
    shutil.copy(compile_wat(marking("late")), folder / "late.wasm")
    assert "x-dropped" not in server.fetch("/").json()["headers"]
    assert server.admin("/plugins").json() == []
