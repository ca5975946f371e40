"""Instances of route plugins: fresh, reused, bounded; init(), cleanup(), limits on how many wait; smoke requests; pages alone."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support import wat
from support.configs import gateway, plugin
from support.prometheus import parse
from support.route_guests import call, entry, manifest
from support.server import Server
from support.upstreams import Upstream
from support.waiting import until


@pytest.fixture
def guest(compile_wat: wat.Compiler) -> Path:
    return compile_wat.c(Path("plugins/route_guest.c"))


@pytest.fixture
def start(serve, guest: Path, tmp_path: Path):
    def started(expect_errors: bool = False, top: dict[str, Any] | None = None, **more: Any) -> Server:
        config = gateway(plugins=[entry(tmp_path, guest, "guest", **more)], workers=1, **(top or {}))
        return serve(config, expect_errors=expect_errors)

    return started


def counts(server: Server, requests: int) -> list[int]:
    return [call(server, "guest", "count_calls").json() for _ in range(requests)]


def instances(server: Server) -> int:
    return int(parse(server.metrics())["heddle_plugin_instances"].value(plugin="guest"))


def test_fresh_instances_keep_nothing(start) -> None:
    server = start()
    assert counts(server, 3) == [1, 1, 1]
    until(lambda: instances(server) == 0, "the last instance to go")


def test_a_reused_instance_serves_as_often_as_it_may(start) -> None:
    server = start(instances="reuse", max_requests=3)
    assert counts(server, 7) == [1, 2, 3, 1, 2, 3, 1]
    until(lambda: server.messages().count("cleaned up") >= 2, "the instances that served enough to end")


def test_a_reused_instance_that_traps_is_dropped(start) -> None:
    server = start(instances="reuse", expect_errors=True)
    assert counts(server, 2) == [1, 2]
    failed = call(server, "guest", "trap")
    assert (failed.status, failed.json()["error"]["code"]) == (500, "plugin_error")
    assert counts(server, 2) == [1, 2]


def test_an_idle_instance_goes(start) -> None:
    server = start(instances="reuse", instance_idle_timeout="200ms")
    assert counts(server, 1) == [1]
    until(lambda: instances(server) == 0, "the idle instance to go")
    server.wait_log("cleaned up", plugin="guest")
    assert counts(server, 1) == [1]


@pytest.mark.parametrize("setting", [{"max_instances": 2}, {}])
def test_requests_wait_for_an_instance(start, setting: dict[str, Any]) -> None:
    """Two at a time, by the plugin's bound or by that of the engine; the others are served one after the other."""
    release = threading.Event()

    def slow(peer) -> None:
        while peer.read_request():
            release.wait(20)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with Upstream(slow) as upstream:
        url = f"http://127.0.0.1:{upstream.address[1]}/"
        engine = {} if setting else {"engine": {"suspendable_instances": 2}}
        server = start(permissions={"http": [f"127.0.0.1:{upstream.address[1]}"]}, top=engine, **setting)
        bodies: list[str] = []

        def fetch() -> None:
            bodies.append(call(server, "guest", "fetch", url).json()["fetched"]["body"])

        threads = [threading.Thread(target=fetch) for _ in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: instances(server) == 2, "two instances that wait")
        release.set()
        until(lambda: len(bodies) == 6, "all answers")
        assert set(bodies) == {"ok"}


def test_init_that_fails_is_503_with_the_reason(start) -> None:
    server = start(config={"init": 3}, expect_errors=True)
    assert server.fetch("/api/plugins/guest/guest/echo", "POST").status == 503
    server.wait_log("init() of the plugin returned 3")
    assert server.plugin("guest")["state"] == "failed"
    assert "init() of the plugin returned 3" in server.plugin("guest")["last_error"]


def test_init_of_the_sdks_may_return_1(start) -> None:
    assert counts(start(config={"init": 1}), 1) == [1]


def test_smoke_requests(start) -> None:
    request = {"method": "POST", "path": "/guest/count_calls", "expect": {"status": 200, "headers": {"content-type": "application/json"}}}
    server = start(smoke=[request, {"path": "/none", "expect": {"status": 404}}])
    assert counts(server, 1) == [1]


def test_a_smoke_request_that_fails_keeps_the_version_out(start) -> None:
    server = start(smoke=[{"method": "POST", "path": "/guest/trap"}], expect_errors=True)
    assert server.plugin("guest")["state"] == "failed"
    assert "smoke request POST /guest/trap: got status 500" in server.plugin("guest")["last_error"]
    assert server.fetch("/api/plugins/guest/guest/echo", "POST").status == 503


def test_pages_alone(serve, tmp_path: Path) -> None:
    about = {"name": "pages", "version": "1.0.0", "pages": [{"route": "/hello", "title": "Hello"}]}
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(about))
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as file:
        file.writestr("manifest.json", json.dumps({**about, "name": "zipped"}))
    server = serve(gateway(plugins=[plugin("pages", folder), plugin("zipped", tmp_path / "zipped.zip")]))
    for name in ("pages", "zipped"):
        assert server.fetch(f"/api/plugins/{name}/pages").json()["data"] == {"pages": about["pages"], "total": 1}
        assert server.plugin(name)["state"] == "active"
    assert server.admin("/plugins/pages/execute", "POST").status == 422
    inspected = serve.run("inspect", str(folder))
    assert inspected.returncode == 0 and "pages 1.0.0" in inspected.stdout


def test_a_manifest_alone_may_have_no_routes(serve, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest("half")))
    server = serve(gateway(plugins=[plugin("half", folder)]), expect_errors=True)
    assert server.fetch("/api/plugins/half/half/echo", "POST").status == 503
    assert "$.routes: name handlers, but the package has no module" in server.plugin("half")["last_error"]
