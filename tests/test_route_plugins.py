"""Route plugins in a running server: paths, methods, catalog, OpenAPI, switching, the plugin folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from support import wat
from support.configs import gateway
from support.paths import ROOT
from support.server import Server
from support.waiting import until

JSON = {"Content-Type": "application/json"}
HELLO = """
(module
  (memory (export "memory") 1)
  (data (i32.const 64) "{\\"hello\\":%s}")
  (func (export "execute") (result i32) i32.const 7)
  (func (export "hello") (param i32 i32) (result i32) i32.const 64))
"""


def manifest(name: str, path: str = "/hello/{who}", method: str = "GET") -> dict[str, object]:
    return {"name": name, "version": "1.0.0", "routes": [{"path": path, "method": method, "handler": "hello"}],
            "pages": [{"route": "/start", "title": "Start"}]}


def package(folder: Path, module: Path | bytes, about: dict[str, object]) -> Path:
    """A package folder, its module last, so that nobody sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(about))
    (folder / "plugin.wasm").write_bytes(module if isinstance(module, bytes) else module.read_bytes())
    return folder


@pytest.fixture
def hello(compile_wat: wat.Compiler) -> Path:
    return compile_wat(HELLO % "1", "hello_1")


@pytest.fixture
def server(serve, hello: Path, tmp_path: Path) -> Server:
    path = package(tmp_path / "greeter", hello, manifest("greeter"))
    return serve(gateway(plugins=[{"name": "greeter", "path": str(path)}]))


def test_both_paths_answer(server: Server) -> None:
    for path in ("/hello/you", "/api/plugins/greeter/hello/you"):
        answer = server.fetch(path)
        assert (answer.status, answer.json()) == (200, {"hello": 1})
        assert answer.header("content-type") == "application/json"


def test_methods(server: Server) -> None:
    refused = server.fetch("/api/plugins/greeter/hello/you", "PUT")
    assert refused.status == 405 and set(refused.header("allow").split(", ")) == {"GET", "HEAD", "OPTIONS"}
    options = server.fetch("/hello/you", "OPTIONS")
    assert options.status == 204 and set(options.header("allow").split(", ")) == {"GET", "HEAD", "OPTIONS"}
    head = server.fetch("/hello/you", "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_catalog_and_openapi(server: Server) -> None:
    data = server.fetch("/api/plugins").json()["data"]
    assert data["total"] == 1
    assert data["plugins"][0]["name"] == "greeter" and data["plugins"][0]["state"] == "running"
    pages = server.fetch("/api/plugins/greeter/pages").json()["data"]
    assert pages == {"pages": [{"route": "/start", "title": "Start"}], "total": 1}
    api = server.fetch("/openapi.json").json()
    assert api["openapi"] == "3.1.0"
    assert list(api["paths"]) == ["/hello/{who}"]


def test_execute(server: Server) -> None:
    answer = server.admin("/plugins/greeter/execute", "POST")
    assert (answer.status, answer.json()) == (200, {"plugin": "greeter", "result": 7})


def test_a_disabled_plugin_stays_so_over_a_restart(serve, hello: Path, tmp_path: Path) -> None:
    path = package(tmp_path / "greeter", hello, manifest("greeter", "/only/here"))
    config = gateway(plugins=[{"name": "greeter", "path": str(path)}], data_dir=str(tmp_path / "data"), routes=[])
    first = serve(config)
    assert first.fetch("/only/here").status == 200
    assert first.admin("/api/plugins/greeter/disable", "POST").status == 200
    until(lambda: first.fetch("/only/here").status == 404, "the route to go")
    assert [plugin["state"] for plugin in first.fetch("/api/plugins").json()["data"]["plugins"]] == ["disabled"]
    first.stop()
    second = serve(config)
    assert second.fetch("/only/here").status == 404
    assert [plugin["state"] for plugin in second.fetch("/api/plugins").json()["data"]["plugins"]] == ["disabled"]
    assert second.admin("/plugins/greeter/enable", "POST").status == 200
    until(lambda: second.fetch("/only/here").status == 200, "the route to come")


def test_two_plugins_with_the_same_route(serve, hello: Path, compile_wat: wat.Compiler, tmp_path: Path) -> None:
    other = compile_wat(HELLO % "2", "hello_2")
    server = serve(gateway(plugins=[
        {"name": "one", "path": str(package(tmp_path / "one", hello, manifest("one", "/x")))},
        {"name": "two", "path": str(package(tmp_path / "two", other, manifest("two", "/x")))}]))
    server.wait_log("plugin two: GET /x is served by plugin one already")
    assert server.fetch("/x").json() == {"hello": 1}
    assert server.fetch("/api/plugins/two/x").json() == {"hello": 2}


def test_a_file_dropped_into_the_folder_serves_and_a_broken_one_leaves_the_old(serve, hello: Path, compile_wat: wat.Compiler,
                                                                             tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    server = serve(gateway(plugin_directories=[{"path": str(folder), "watch": True}]), expect_errors=True)
    package(folder / "dropped", hello, manifest("dropped", "/dropped"))
    until(lambda: b'{"hello":1}' in server.fetch("/api/plugins/dropped/dropped").body, "the dropped-in plugin", timeout=10)
    (folder / "dropped" / "plugin.wasm").write_bytes(b"\0asm nonsense")
    assert server.wait_log("plugin dropped: ")["consequence"] == "the former version goes on serving"
    assert server.fetch("/api/plugins/dropped/dropped").json() == {"hello": 1}
    shutil.copy(compile_wat(HELLO % "2", "hello_2"), folder / "dropped" / "plugin.wasm")
    until(lambda: server.fetch("/api/plugins/dropped/dropped").body == b'{"hello":2}', "the new version", timeout=10)


def drop(folder: Path, kind: str, name: str, module: bytes) -> None:
    """A package of the guide's example, in place in one step."""
    route = {"path": f"/{name}", "method": "POST", "handler": "create_item"}
    about = json.dumps({"name": name, "version": "1.0.0", "routes": [route]})
    made = folder.parent / f"made.{kind}"
    if kind == "folder":
        package(made, module, json.loads(about))
        made.rename(folder / name)
    elif kind == "zip":
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("manifest.json", about)
            archive.writestr("plugin.wasm", module)
        made.rename(folder / f"{name}.zip")
    else:
        made.write_bytes(module)
        script = [sys.executable, ROOT / "tools" / "add_custom_section.py", made, "-s", "manifest", "-o", made]
        subprocess.run(script, input=about.encode(), check=True)
        made.rename(folder / f"{name}.wasm")


@pytest.mark.parametrize("kind", ["folder", "zip", "wasm"])
def test_what_is_dropped_in_serves_within_two_seconds(serve, examples: Path, tmp_path: Path, kind: str) -> None:
    """From the package that lies there to the first answer. Tried again when others may have had the machine."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    server = serve(gateway(plugin_directories=[{"path": str(folder), "watch": True}]))
    module = (examples / "my_plugin.wasm").read_bytes()

    def seconds(name: str) -> float:
        section = b"\1x" + name.encode()  # of each a module of its own, so that no cache helps
        drop(folder, kind, name, module + bytes([0, len(section)]) + section)
        dropped = time.monotonic()
        until(lambda: server.fetch(f"/{name}", "POST", JSON, b'{"name":"it"}').json().get("success") is True, "the first answer")
        return time.monotonic() - dropped

    assert any(seconds(f"dropped_{number}") <= 2 for number in range(5))


def test_a_plugin_that_cannot_be_loaded_answers_503_on_its_own_path_only(serve, hello: Path, tmp_path: Path) -> None:
    about = manifest("broken")
    about["routes"] = [{"path": "/b", "method": "GET", "handler": "missing"}]
    path = package(tmp_path / "broken", hello, about)
    server = serve(gateway(plugins=[{"name": "broken", "path": str(path)}]), expect_errors=True)
    assert server.fetch("/api/plugins/broken/b").status == 503
    assert server.fetch("/anything").status == 200
    server.wait_log("$.routes[0].handler: the module exports no function missing")
