"""The admin API: the shape of every answer, and what each change changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.configs import gateway, plugin, route, upstream
from support.server import Server

LIST_KEYS = {"name", "kind", "path", "phase", "priority", "version", "state", "loaded_at", "memory_limit_mb", "vm_id",
             "timeout_ms", "config", "stats"}
MORE_KEYS = {"exports", "imports", "permissions", "limits", "last_error"}


@pytest.fixture(scope="module")
def server(serve_module, probe: Path) -> Server:
    return serve_module(gateway(
        routes=[{"id": "users", **route("/users/:id", methods=["GET", "POST"], host="*.test", priority=7,
                                        strip_prefix="/users", plugins=["named"])}, {"id": "all", **route()}],
        upstreams=[upstream("pair", ("127.0.0.1", 9), ("127.0.0.1", 10))],
        admin={"address": "127.0.0.1:0", "auth": {"enabled": False, "users": {"ann": "$2y$10$" + "a" * 53}}},
        plugins=[plugin("named", probe, config={"key1": "value1"}, priority=100, phase="on_request_headers",
                        environment={"SECRET": "hunter2"}, memory_limit="8MB", timeout="50ms"),
                 plugin("everywhere", probe, config="* log x", priority=1)]))


def error_of(response, status: int) -> dict:
    assert response.status == status
    assert response.header("content-type") == "application/json"
    error = response.json()["error"]
    assert error["code"] and error["message"]
    return error


def test_plugins_is_a_bare_list(server: Server) -> None:
    response = server.admin("/plugins")
    assert response.status == 200
    assert response.header("content-type") == "application/json"
    entries = response.json()
    assert [entry["name"] for entry in entries] == ["named", "everywhere"]
    for entry in entries:
        assert entry.keys() >= LIST_KEYS
    named = entries[0]
    assert named["kind"] == "proxy_wasm"
    assert named["phase"] == "on_request_headers"
    assert named["priority"] == 100
    assert named["version"] in (1, "1")
    assert named["state"] == "active"
    assert named["memory_limit_mb"] == 8
    assert named["timeout_ms"] == 50
    assert named["config"] == {"key1": "value1"}
    assert named["path"].endswith(".wasm")
    assert named["loaded_at"].startswith("20")


def test_one_plugin_has_more(server: Server) -> None:
    server.fetch("/users/1", host="a.test")
    entry = server.plugin("named")
    assert entry.keys() >= LIST_KEYS | MORE_KEYS
    assert "proxy_on_request_headers" in str(entry["exports"])
    assert "proxy_log" in str(entry["imports"])
    assert entry["stats"]["calls"] >= 1
    assert "hunter2" not in server.admin("/plugins/named").text


def test_unknown_plugin_is_404(server: Server) -> None:
    for request in (("/plugins/nobody", "GET"), ("/plugins/nobody/reload", "POST"),
                    ("/plugins/nobody/enable", "POST"), ("/plugins/nobody/disable", "POST")):
        assert "nobody" in error_of(server.admin(*request), 404)["message"]


def test_wrong_method_is_405(server: Server) -> None:
    response = server.admin("/plugins/named/reload")
    error_of(response, 405)
    assert response.header("allow") == "POST"
    assert server.admin("/plugins", "DELETE").status == 405


def test_unknown_path_is_404(server: Server) -> None:
    error_of(server.admin("/nothing/here"), 404)


def test_routes(server: Server) -> None:
    answer = server.admin("/routes").json()
    entries = answer if isinstance(answer, list) else answer["routes"]
    users = next(entry for entry in entries if entry["id"] == "users")
    assert users["path"] == "/users/:id"
    assert users["host"] == "*.test"
    assert users["methods"] == ["GET", "POST"]
    assert users["upstream"] == "echo"
    assert users["priority"] == 7
    assert users["plugins"] == ["named", "everywhere"]


def test_upstreams(server: Server) -> None:
    answer = server.admin("/upstreams").json()
    entries = answer if isinstance(answer, list) else answer["upstreams"]
    assert {entry["name"] for entry in entries} == {"echo", "pair"}
    pair = next(entry for entry in entries if entry["name"] == "pair")
    assert [endpoint["address"] for endpoint in pair["endpoints"]] == ["127.0.0.1:9", "127.0.0.1:10"]


def test_config_hides_secrets(server: Server) -> None:
    response = server.admin("/config")
    assert response.status == 200
    assert "hunter2" not in response.text
    assert "$2y$10$" not in response.text
    assert "named" in response.text


def test_headers_that_carry_secrets_are_hidden(serve) -> None:
    server = serve(gateway(routes=[route("/keyed", headers={"x-api-key": "hunter2"}), route()],
                           request_headers={"set": {"authorization": "Bearer hunter2", "x-plain": "seen"}}))
    shown = server.admin("/config").text + server.admin("/routes").text
    assert "hunter2" not in shown and "seen" in shown


def test_info_health_ready(server: Server) -> None:
    info = server.admin("/info").json()
    assert info["version"]
    assert info["uptime"] if "uptime" in info else info["uptime_seconds"] >= 0
    assert server.admin("/health").status == 200
    assert server.admin("/health").json()["status"] in ("ok", "healthy")
    assert server.admin("/ready").status == 200


def test_head_and_keep_alive(server: Server) -> None:
    response = server.admin("/plugins", "HEAD")
    assert (response.status, response.body) == (200, b"")


def test_disable_and_enable(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("switched", probe, config="request_headers add 0 x-on 1")]))

    def is_on() -> bool:
        response = server.fetch("/")
        assert response.status == 200
        return "x-on" in response.json()["headers"]

    assert is_on()
    for _ in range(2):  # repeating is harmless
        assert server.admin("/plugins/switched/disable", "POST").status == 200
        assert not is_on()
        assert server.plugin("switched")["state"] == "disabled"
    for _ in range(2):
        assert server.admin("/plugins/switched/enable", "POST").status == 200
        assert is_on()
        assert server.plugin("switched")["state"] == "active"


def test_a_plugin_that_starts_disabled(serve, probe: Path) -> None:
    server = serve(gateway(plugins=[plugin("later", probe, enabled=False, config="request_headers add 0 x-on 1")]))
    assert "x-on" not in server.fetch("/").json()["headers"]
    assert server.admin("/plugins/later/enable", "POST").status == 200
    assert server.fetch("/").json()["headers"]["x-on"] == "1"


def test_what_was_disabled_stays_so_and_is_told(serve, tmp_path: Path, probe: Path) -> None:
    settings = gateway(plugins=[plugin("switched", probe)])
    file = serve.write(settings)
    server = serve(file)
    assert server.admin("/plugins/switched/disable", "POST").status == 200
    server.stop()
    server = serve(file)
    told = server.wait_log("plugin disabled through the admin API", level="warn", plugin="switched")
    assert "/enable" in told["message"]
    assert server.plugin("switched")["state"] == "disabled"


def test_an_entry_that_comes_back_is_not_disabled(serve, probe: Path) -> None:
    settings = gateway(plugins=[plugin("switched", probe)], watch_config=False)
    file = serve.write(settings)
    server = serve(file)
    assert server.admin("/plugins/switched/disable", "POST").status == 200
    for plugins in ([], settings["plugins"]):
        file.write_text(json.dumps({**settings, "plugins": plugins}))
        assert server.admin("/config/reload", "POST").status == 200
    assert server.plugin("switched")["state"] == "active"


def test_config_validate(server: Server) -> None:
    good = server.admin("/config/validate", "POST", body=b"routes: [{path: /a, upstream: echo}]\n"
                                                         b"upstreams: [{name: echo, builtin: echo}]\n")
    assert good.status == 200, good
    bad = server.admin("/config/validate", "POST", body=b"rutes: []\nworkers: many\n")
    assert bad.status == 422
    assert "rutes" in bad.text and "workers" in bad.text


def test_config_validate_tells_nothing_of_the_environment(serve) -> None:
    server = serve(gateway(), env={"HEDDLE_TEST_SECRET": "t0ps3cret"})
    refused = server.admin("/config/validate", "POST", body=b"workers: ${HEDDLE_TEST_SECRET}\n")
    assert refused.status == 422
    assert "t0ps3cret" not in refused.text
    assert refused.json()["errors"][0]["path"] == "workers"


def test_config_validate_is_as_lenient_as_the_server(serve) -> None:
    text = gateway(nonsense=1)
    server = serve(text, "--lenient")
    assert server.admin("/config/reload", "POST").status == 200
    answer = server.admin("/config/validate", "POST", body=json.dumps(text).encode())
    assert answer.status == 200 and "nonsense" in answer.text


def test_config_reload_takes_new_routes(serve, probe: Path) -> None:
    config = gateway(routes=[route("/old")], plugins=[plugin("kept", probe)])
    server = serve(config)
    file = serve.write({**config, "routes": [route("/new")]})
    (file.parent / "heddle-0.yaml").write_text(file.read_text())
    assert server.admin("/config/reload", "POST").status == 200
    assert server.fetch("/new").status == 200
    assert server.fetch("/old").status == 404
    assert server.plugin("kept")["version"] in (1, "1"), "an unchanged plugin keeps its version"


def test_config_reload_of_a_bad_file_changes_nothing(serve) -> None:
    config = gateway(routes=[route("/old")])
    server = serve(config, expect_errors=True)
    (serve.write(config).parent / "heddle-0.yaml").write_text("rutes: []\n")
    response = server.admin("/config/reload", "POST")
    assert response.status == 422
    assert "rutes" in response.text
    assert server.fetch("/old").status == 200
