"""Reloading plugins: by the admin API and by SIGHUP, with and without success, and under load."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from support import paths, wat
from support.configs import gateway, plugin, route
from support.load import Load
from support.server import Server
from support.waiting import until
from test_activation import marking, replace

RELOADS = 1000 if os.environ.get("HEDDLE_SOAK") else 200


@pytest.fixture
def file(tmp_path: Path, compile_wat: wat.Compiler) -> Path:
    target = tmp_path / "changing.wasm"
    shutil.copy(compile_wat(marking("one")), target)
    return target


def header(server: Server) -> str:
    response = server.fetch("/")
    assert response.status == 200, response
    return response.json()["headers"]["x-dropped"]


def test_reload_takes_the_new_file(serve, file: Path, compile_wat: wat.Compiler) -> None:
    server = serve(gateway(plugins=[plugin("changing", file)]))
    assert header(server) == "one"
    replace(file, compile_wat(marking("two")))
    assert header(server) == "one", "nothing changes by itself"
    response = server.admin("/plugins/changing/reload", "POST")
    assert response.status == 200
    answer = response.json()
    assert answer.keys() >= {"message", "plugin", "old_version", "new_version", "reloaded_at"}
    assert answer["plugin"] == "changing"
    assert (int(answer["old_version"]), int(answer["new_version"])) == (1, 2)
    assert header(server) == "two"
    assert int(server.plugin("changing")["version"]) == 2


def test_reload_of_a_bad_file_keeps_the_old_version(serve, file: Path, compile_wat: wat.Compiler) -> None:
    server = serve(gateway(plugins=[plugin("changing", file)]), expect_errors=True)
    for bad in (wat.plugin({"configure": "(return (i32.const 0))"}), wat.plugin({}, marker="")):
        replace(file, compile_wat(bad))
        response = server.admin("/plugins/changing/reload", "POST")
        assert response.status == 422
        error = response.json()["error"]
        assert "changing" in error["message"]
        assert header(server) == "one"
        entry = server.plugin("changing")
        assert (int(entry["version"]), entry["state"]) == (1, "active")
        assert entry["last_error"]
    file.unlink()
    assert server.admin("/plugins/changing/reload", "POST").status == 422
    assert header(server) == "one"
    shutil.copy(compile_wat(marking("repaired")), file)
    assert server.admin("/plugins/changing/reload", "POST").status == 200
    assert header(server) == "repaired"
    assert server.plugin("changing")["last_error"] in ("", None)


def test_reload_brings_a_failed_plugin_to_life(serve, tmp_path: Path, compile_wat: wat.Compiler) -> None:
    late = tmp_path / "late.wasm"
    server = serve(gateway(plugins=[plugin("late", late)]), expect_errors=True)
    assert server.fetch("/").status == 503
    shutil.copy(compile_wat(marking("late")), late)
    assert server.admin("/plugins/late/reload", "POST").status == 200
    assert header(server) == "late"


def test_requests_under_way_end_on_the_version_they_began_with(serve, file: Path, probe: Path) -> None:
    """A request waits in a body callback while its plugin is replaced; its later callbacks are the old version's."""
    shutil.copy(probe, file)
    server = serve(gateway(workers=1, plugins=[plugin("changing", file, config="response_headers add 2 x-ver old")]))
    with server.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
        until(lambda: int(server.plugin("changing")["stats"]["calls"]) > 0, "the request to be under way")
        assert server.admin("/plugins/changing/reload", "POST").status == 200
        connection.send(b"cd")
        assert connection.response().header("x-ver") == "old"


def test_sighup_reloads_plugins_and_routes(serve, file: Path, compile_wat: wat.Compiler) -> None:
    config = gateway(routes=[route("/"), route("/old")], plugins=[plugin("changing", file)])
    server = serve(config)
    replace(file, compile_wat(marking("two")))
    (serve.write(config).parent / "heddle-0.yaml").write_text(
        serve.write({**config, "routes": [route("/"), route("/new")]}).read_text())
    server.signal(signal.SIGHUP)
    until(lambda: server.fetch("/new").status == 200, "the new route")
    until(lambda: header(server) == "two", "the new plugin")
    assert server.fetch("/old").status == 404


def test_sighup_with_a_bad_file_changes_nothing(serve, file: Path) -> None:
    config = gateway(plugins=[plugin("changing", file)])
    server = serve(config, expect_errors=True)
    (serve.write(config).parent / "heddle-0.yaml").write_text("not: [valid")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.log.wait(lambda line: line.get("level") == "error", 20, after=mark)
    assert header(server) == "one"


def test_reloads_under_load_lose_nothing_and_leak_nothing(serve, file: Path, compile_wat: wat.Compiler,
                                                         heddle: Path) -> None:
    versions = [compile_wat(marking(text)) for text in ("one", "two")]
    server = serve(gateway(plugins=[plugin("changing", file)], logging={"access_log": False}))
    early = 0
    with Load(server.address) as load:
        for number in range(RELOADS):
            replace(file, versions[number % 2])
            response = server.admin("/plugins/changing/reload", "POST")
            assert response.status == 200, response.body
            if number == RELOADS // 10:
                early = server.resident()
    late = server.resident()
    assert load.failures == []
    assert load.requests > RELOADS
    assert int(server.plugin("changing")["version"]) == RELOADS + 1
    if not paths.is_sanitized(heddle):
        assert late <= early * 1.05, f"resident memory grew from {early} to {late}"
    until(lambda: live_snapshots(server) <= 1, "old snapshots to be gone")


def live_snapshots(server: Server) -> float:
    lines = [line for line in server.metrics().splitlines() if "snapshots" in line and not line.startswith("#")]
    assert lines, "no metric counts the live snapshots"
    return max(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_enable_and_disable_under_load_lose_nothing(serve, file: Path) -> None:
    server = serve(gateway(plugins=[plugin("changing", file)], logging={"access_log": False}))
    with Load(server.address) as load:
        for _ in range(50):
            assert server.admin("/plugins/changing/disable", "POST").status == 200
            assert server.admin("/plugins/changing/enable", "POST").status == 200
    assert load.failures == []
