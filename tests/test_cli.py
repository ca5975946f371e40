"""The command line: validate, inspect, version, serve's exit codes, and Loom's command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import wat
from support.configs import gateway, plugin

BAD_CONFIG = """\
listeners:
  - {name: public, address: "127.0.0.1:0"}
workers: many
rutes: []
routes:
  - {path: "no-slash", upstream: echo}
  - {path: "/a", upstream: nobody, timeout: 5 parsecs}
upstreams:
  - {name: echo, builtin: echo}
plugins:
  - {name: p, path: x.wasm, memory_limit: 12XB}
"""

# Line in BAD_CONFIG, and what the message about it must name.
BAD_LINES = [(3, "workers"), (4, "rutes"), (6, "no-slash"), (7, "nobody"), (7, "5 parsecs"), (11, "12XB")]


def test_validate_reports_all_errors_at_once(serve) -> None:
    file = serve.write(BAD_CONFIG)
    result = serve.run("validate", "-c", str(file))
    assert result.returncode == 78
    lines = result.stderr.splitlines()
    for number, named in BAD_LINES:
        assert [line for line in lines if f"{file.name}:{number}:" in line and named in line], (number, named, lines)


def test_validate_suggests_the_nearest_key(serve) -> None:
    result = serve.run("validate", "-c", str(serve.write("rutes: []\n")))
    assert "routes" in result.stderr


def test_validate_as_json(serve) -> None:
    result = serve.run("validate", "--json", "-c", str(serve.write(BAD_CONFIG)))
    answer = json.loads(result.stdout)
    assert answer["valid"] is False
    assert {(problem["line"]) for problem in answer["problems"]} >= {3, 4, 6, 7, 11}
    assert result.returncode == 78


def test_validate_of_a_good_file(serve) -> None:
    result = serve.run("validate", "-c", str(serve.write(gateway())))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("text", ["a: [1\n", "\tx: 1\n", "- just\n- a list\n", "\x00\x01", "a: &x [*x]\n", "{" * 2000])
def test_files_that_are_no_configuration(serve, text: str) -> None:
    result = serve.run("validate", "-c", str(serve.write(text)))
    assert result.returncode == 78
    assert result.stderr.strip()


def test_serve_refuses_a_bad_configuration(serve) -> None:
    result = serve.run("serve", "-c", str(serve.write(BAD_CONFIG)))
    assert result.returncode == 78
    assert "rutes" in result.stdout + result.stderr


@pytest.mark.parametrize("setting", [
    {"auth": {"jwt": {"key_files": ["absent.pem"]}}},
    {"redis": {"url": "bogus"}},
    {"outbound_http": {"ca_file": "absent.pem"}},
    {"sql": {"url": "mysql://x"}},
    {"sql": {"url": "postgresql://h/d", "secret_file": "absent.secret"}},
], ids=str)
def test_what_validate_refuses_serve_refuses_too(serve, setting: dict[str, dict[str, object]]) -> None:
    file = serve.write(gateway(**setting))
    for verb in ("validate", "serve"):
        result = serve.run(verb, "-c", str(file))
        assert result.returncode == 78, result.stderr
        assert next(iter(setting)) in result.stderr


def test_an_address_that_is_none(serve) -> None:
    result = serve.run("serve", "-c", str(serve.write(gateway())), "--listen", "bogus")
    assert result.returncode == 78
    assert "bogus" in result.stderr


def test_a_file_that_is_not_there(serve, tmp_path: Path) -> None:
    for verb in ("serve", "validate"):
        result = serve.run(verb, "-c", str(tmp_path / "absent.yaml"))
        assert result.returncode == 78
        assert "absent.yaml" in result.stdout + result.stderr


def test_lenient_makes_unknown_keys_warnings(serve) -> None:
    server = serve({**gateway(), "rutes": []}, "--lenient")
    assert server.fetch("/").status == 200


@pytest.mark.parametrize("arguments", [["frobnicate"], ["serve", "--frobnicate"], []], ids=str)
def test_wrong_usage_is_2(serve, arguments: list[str]) -> None:
    result = serve.run(*arguments)
    assert result.returncode == 2
    assert result.stdout + result.stderr


def test_help_and_version(serve) -> None:
    assert "serve" in serve.run("--help").stdout
    assert serve.run("--help").returncode == 0
    assert any(character.isdigit() for character in serve.run("version").stdout)


def test_variables_expand(serve) -> None:
    config = gateway()
    config["routes"][0]["path"] = "${TEST_PATH}"
    config["routes"][0]["id"] = "${TEST_ID:-fallback}"
    server = serve(config, env={"TEST_PATH": "/from-the-environment"})
    assert server.fetch("/from-the-environment").status == 200
    assert server.fetch("/other").status == 404
    assert "fallback" in server.admin("/routes").text


def test_addresses_from_arguments_and_environment(serve) -> None:
    fixed = {**gateway(), "listeners": [{"name": "public", "address": "127.0.0.1:1"}], "admin": {"address": "127.0.0.1:2"}}
    assert serve(fixed, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0").fetch("/").status == 200
    by_environment = serve(fixed, env={"HEDDLE_LISTEN": "127.0.0.1:0", "HEDDLE_ADMIN": "127.0.0.1:0"})
    assert by_environment.fetch("/").status == 200


def test_looms_command_line(serve) -> None:
    """`loom -config FILE -log-level info`: no verb, long options with one dash."""
    result = serve.run("-config", "absent.yaml", "-log-level", "info")
    assert result.returncode == 78
    assert "absent.yaml" in result.stdout + result.stderr


def test_inspect(serve, probe: Path, examples: Path) -> None:
    result = serve.run("inspect", str(probe))
    assert result.returncode == 0
    for part in ("proxy_wasm", "0.2.1", "proxy_on_request_headers", "proxy_log", "sha256", "memory"):
        assert part in result.stdout, part
    answer = json.loads(serve.run("inspect", "--json", str(examples / "go_headers.wasm")).stdout)
    assert answer["kind"] == "proxy_wasm"
    assert answer["missing_imports"] == 0
    assert answer["size"] == (examples / "go_headers.wasm").stat().st_size


def test_inspect_marks_what_heddle_lacks(serve, compile_wat: wat.Compiler) -> None:
    module = compile_wat(wat.plugin({}).replace("(module", '(module (import "env" "proxy_teleport" (func (param i32)))'))
    result = serve.run("inspect", str(module))
    line = next(line for line in result.stdout.splitlines() if "proxy_teleport" in line)
    assert "!" in line
    answer = json.loads(serve.run("inspect", "--json", str(module)).stdout)
    assert answer["missing_imports"] == 1


def test_inspect_of_something_else(serve, tmp_path: Path) -> None:
    file = tmp_path / "text.wasm"
    file.write_text("not a module")
    result = serve.run("inspect", str(file))
    assert result.returncode == 1
    assert "text.wasm" in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_the_guides_fragment_is_a_whole_configuration(serve, examples: Path) -> None:
    """The plugin guide shows a file with nothing but `plugins:`."""
    fragment = f"""\
plugins:
  - name: minimal
    path: {examples / "minimal.wasm"}
    phase: on_request_headers
    priority: 100
"""
    server = serve(fragment, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert server.fetch("/hello").json()["headers"]["x-plugin"] == "minimal"
    assert [entry["name"] for entry in server.admin("/plugins").json()] == ["minimal"]


def test_a_directory_of_files_is_merged(serve, tmp_path: Path, probe: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    config = gateway()
    (folder / "10-base.yaml").write_text(json.dumps(config))
    (folder / "20-plugins.yaml").write_text(json.dumps({"plugins": [
        plugin("added", probe, config="request_headers add 0 x-added 1")]}))
    server = serve(folder)
    assert server.fetch("/").json()["headers"]["x-added"] == "1"
