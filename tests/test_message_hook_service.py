"""OurChat's plugins on the message service: what they see, what their verdicts do, how they come and go."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import wire
from support.configs import Config, plugin
from support.hooks import message_hook
from support.messages import Person, b64, configuration, error, register
from support.server import Server
from support.waiting import until

Start = Callable[..., Server]


def pair(server: Server) -> tuple[Person, Person, str]:
    anna, bert = register(server, "anna"), register(server, "bert")
    return anna, bert, anna.channel(bert)


def with_hooks(tmp_path: Path, *plugins: Config, **more: object) -> Config:
    return {**configuration(tmp_path / "data"), "logging": {"level": "trace"}, "plugins": list(plugins), **more}


def lines_of(server: Server, name: str) -> list[tuple[str, str]]:
    return [(line["level"], line["message"]) for line in server.log.lines() if line.get("plugin") == name]


def test_what_a_hook_sees(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))))
    anna, bert, channel = pair(server)
    session = anna.call("POST", "/v1/channels", {"peer_key": b64(bert.key)}).json()["session_id"]
    assert anna.send(bert, 'show "ü"', channel, involved_files=["a.png", "b.png"]).status == 201
    seen = json.loads(server.wait_log("markdown_text", plugin="a")["message"])
    assert seen.pop("sender_id") > 0
    assert seen == {"markdown_text": 'show "ü"', "involved_files": ["a.png", "b.png"], "session_id": session, "is_encrypted": False}
    server.wait_log("a sent 1", plugin="a")


def test_an_encrypted_payload_and_a_sealed_sender(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))))
    anna, bert, channel = pair(server)
    # "show" is itself base64, of three bytes.
    body = {"recipient_key": b64(bert.key), "channel_id": channel, "payload": "show", "sealed": True}
    assert anna.call("POST", "/v1/messages", body).status == 201
    seen = json.loads(server.wait_log("markdown_text", plugin="a")["message"])
    assert (seen["markdown_text"], seen["is_encrypted"], seen["sender_id"]) == ("show", True, 0)


@pytest.mark.parametrize("life", [0, 1, 2])
def test_the_lifecycle_in_its_three_shapes(serve: Start, tmp_path: Path, life: int) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm", life=life))))
    assert server.plugin("a")["kind"] == "message_hook"
    assert server.admin("/plugins/a/disable", "POST").status == 200
    server.wait_log("a on_plugin_unload")
    assert server.admin("/plugins/a/enable", "POST").status == 200
    server.stop()
    said = [text for level, text in lines_of(server, "a") if text.startswith("a on_")]
    once = ["a on_plugin_load", "a on_plugin_enable", "a on_plugin_disable", "a on_plugin_unload"]
    assert said == once + once


def test_load_may_refuse(serve: Start, tmp_path: Path) -> None:
    hook = message_hook(tmp_path / "a.wasm", "a", 1, 5)
    server = serve(with_hooks(tmp_path, plugin("a", hook)), expect_errors=True)
    assert "on_plugin_load returned 5" in server.plugin("a")["last_error"]
    anna, bert, channel = pair(server)
    assert anna.send(bert, "passes", channel).status == 201, "a hook that is not there does not stop messages"


@pytest.mark.parametrize("flags", [(), ("ALLOC",)])
def test_payloads_of_every_size(serve: Start, tmp_path: Path, flags: tuple[str, ...]) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm", "a", 0, 0, *flags))))
    anna, bert, channel = pair(server)
    for size in (0, 1, 60_000, 70_000, 900_000, 10):
        assert anna.send(bert, "x" * size, channel).status == 201
    assert error(anna.send(bert, "block-a" + "x" * 900_000, channel)) == (403, "blocked")
    assert server.plugin("a")["stats"]["errors"] == 0


@pytest.mark.parametrize("flags", [(), ("MODULE_LOG",)])
def test_both_log_imports_and_their_levels(serve: Start, tmp_path: Path, flags: tuple[str, ...]) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm", "a", 0, 0, *flags))), expect_errors=True)
    anna, bert, channel = pair(server)
    assert anna.send(bert, "levels", channel).status == 201
    server.wait_log("a sent")
    levels = [level for level, text in lines_of(server, "a") if text == "a level"]
    assert levels == ["trace", "debug", "info", "warn", "error", "info"]
    assert anna.send(bert, "outside", channel).status == 201, "one dialect forgives, in the other it is a trap that fails open"
    assert server.plugin("a")["stats"]["errors"] == (1 if flags else 0)


def test_order_is_that_of_file_names_and_the_first_block_decides(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("zz", message_hook(tmp_path / "10-first.wasm", "zz")),
                              plugin("aa", message_hook(tmp_path / "20-second.wasm", "aa"))))
    anna, bert, channel = pair(server)
    anna.send(bert, "count", channel)
    server.wait_log("aa sent")
    order = [line["plugin"] for line in server.log.lines() if str(line.get("message", "")).endswith(" first")]
    assert order == ["zz", "aa"]
    blocked = anna.send(bert, "block-zz", channel)
    assert error(blocked) == (403, "blocked") and blocked.json()["error"]["plugin"] == "zz"
    assert server.plugin("aa")["stats"]["calls"] < server.plugin("zz")["stats"]["calls"], "who stands behind was not asked"
    assert anna.send(bert, "block-aa", channel).json()["error"]["plugin"] == "aa"
    assert anna.send(bert, "on", channel).json()["seq"] == 2, "a blocked message takes no number"


def test_what_a_hostile_hook_can_do(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))), expect_errors=True)
    anna, bert, channel = pair(server)
    for text, reason in (("trap", "unreachable"), ("loop", "timeout"), ("seven", None), ("grow", None)):
        assert anna.send(bert, text, channel).status == 201, f"{text}: hooks fail open"
        if reason:
            until(lambda: reason in (server.plugin("a")["last_error"] or ""), reason)
    server.wait_log("returned neither 0 nor 1", plugin="a", code="7")
    server.wait_log("a memory ended")
    assert error(anna.send(bert, "block-a", channel)) == (403, "blocked"), "it works on"
    assert [m["text"] for m in bert.fetch()] == ["trap", "loop", "seven", "grow"]
    metrics = server.metrics()
    assert 'heddle_plugin_limit_hits_total{plugin="a",limit="timeout"} 1' in metrics.replace('limit="timeout",plugin="a"', 'plugin="a",limit="timeout"')


def test_closed_when_told_to(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"), on_failure="closed"),
                              plugin("gone", tmp_path / "gone.wasm", kind="message_hook", enabled=False)), expect_errors=True)
    anna, bert, channel = pair(server)
    refused = anna.send(bert, "trap", channel)
    assert error(refused) == (403, "blocked") and refused.json()["error"]["plugin"] == "a"
    assert anna.send(bert, "goes on", channel).json()["seq"] == 1


def test_a_hook_switched_off_is_not_asked(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))))
    anna, bert, channel = pair(server)
    assert server.admin("/plugins/a/disable", "POST").status == 200
    assert anna.send(bert, "block-a", channel).status == 201
    assert server.admin("/plugins/a/enable", "POST").status == 200
    assert anna.send(bert, "block-a", channel).status == 403


def ourchat(folder: Path, text: str) -> tuple[str, str]:
    file = folder / "ourchat.toml"
    file.write_text(text)
    return "--ourchat-config", str(file)


GUIDE = '[plugin]\nenabled = true\ndirectory = "plugins"\nmax_memory_mb = 64\nmax_execution_time_ms = 150\n'
REAL = '[server]\nport = 7777\n\n[plugin]\nmax_memory = "32MiB"\nmax_execution_time = "150ms"\n'


@pytest.mark.parametrize("text", [GUIDE, REAL])
def test_ourchats_own_configuration(serve: Start, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "ourchat"
    folder.mkdir()
    server = serve(configuration(tmp_path / "data"), *ourchat(folder, text))
    until(lambda: (folder / "plugins").is_dir(), "the folder is made")
    message_hook(tmp_path / "built.wasm", "words")
    shutil.copy(tmp_path / "built.wasm", folder / "plugins" / "words.wasm")
    until(lambda: [p["name"] for p in server.admin("/plugins").json()] == ["words"], "dropping a file in loads it")
    until(lambda: server.plugin("words")["state"] == "active", "it is loaded")
    anna, bert, channel = pair(server)
    assert error(anna.send(bert, "block-words", channel)) == (403, "blocked")
    (folder / "plugins" / "words.wasm").unlink()
    until(lambda: server.admin("/plugins").json() == [], "deleting it unloads it")
    assert anna.send(bert, "block-words", channel).status == 201
    server.wait_log("words on_plugin_unload")


def test_hooks_in_yaml_with_their_limits(serve: Start, tmp_path: Path) -> None:
    message_hook(tmp_path / "hooks" / "a.wasm")
    config = configuration(tmp_path / "data", hooks={"directory": str(tmp_path / "hooks"), "max_memory_mb": 3, "max_execution_time_ms": 30})
    server = serve(config, expect_errors=True)
    anna, bert, channel = pair(server)
    assert anna.send(bert, "loop", channel).status == 201
    until(lambda: "timeout" in (server.plugin("a")["last_error"] or ""), "30 ms")
    anna.send(bert, "grow", channel)
    server.wait_log("a memory ended")
    assert server.plugin("a")["stats"]["memory_bytes"] <= 3 << 20


def test_hooks_without_a_service_are_told(serve: Start, tmp_path: Path) -> None:
    config = serve.write({"data_dir": str(tmp_path / "data")})
    result = serve.run("validate", "-c", str(config), *ourchat(tmp_path, GUIDE))
    assert result.returncode == 0
    assert "messaging.hooks" in result.stdout + result.stderr and "messaging: {enabled: true}" in result.stdout + result.stderr


def test_no_message_gets_past_a_hook_by_its_length(serve: Start, tmp_path: Path) -> None:
    """The hook lets everything pass, and so does its failure; what it cannot see is rejected nevertheless."""
    hook = message_hook(tmp_path / "a.wasm")
    server = serve(with_hooks(tmp_path, plugin("a", hook, buffer_limit=1_000)), expect_errors=True)
    anna, bert, channel = pair(server)
    assert anna.send(bert, "\u0001" * 1_000, channel).status == 201, "six times as long as JSON"
    answer = anna.send(bert, "x" * 1_001, channel)
    assert error(answer) == (403, "blocked") and answer.json()["error"]["plugin"] == "a"
    assert "buffer_limit" in answer.json()["error"]["message"]
    server.wait_log("larger than the plugin's buffer_limit", plugin="a")
    assert len(bert.call("GET", "/v1/messages").json()["messages"]) == 1


@pytest.mark.parametrize(("text", "problem"), [
    ("[plugin]\nmax_memory_mb = 64\nmax_memory = '64MiB'\n", "is another name of max_memory"),
    ("[plugin]\nmax_memory_mb = -1\n", "max_memory_mb"),
    ("[plugin]\nmax_memroy = '1MiB'\n", "max_memroy"),
    ("[plugin]\nmax_execution_time = 'soon'\n", "max_execution_time"),
    ("[plugin\n", "is no TOML"),
    ("plugin = 3\n", "messaging.hooks"),
])
def test_wrong_configurations_say_where(serve: Start, tmp_path: Path, text: str, problem: str) -> None:
    config = serve.write(configuration(tmp_path / "data"))
    result = serve.run("validate", "-c", str(config), *ourchat(tmp_path, text))
    assert result.returncode == 78
    assert problem in result.stderr + result.stdout
    assert "ourchat.toml:" in result.stderr + result.stdout


def test_a_folder_of_hooks_takes_only_modules_and_forgives_bad_ones(serve: Start, tmp_path: Path) -> None:
    folder = tmp_path / "hooks"
    message_hook(folder / "good.wasm", "good")
    (folder / "corrupt.wasm").write_bytes(b"\0asm\1\0\0\0 and then nonsense")
    (folder / "notes.txt").write_text("not a plugin")
    (folder / "native.so").write_bytes(b"\x7fELF")
    server = serve(configuration(tmp_path / "data", hooks={"directory": str(folder)}), expect_errors=True)
    assert sorted(p["name"] for p in server.admin("/plugins").json()) == ["corrupt", "good"]
    assert server.plugin("corrupt")["last_error"]
    anna, bert, channel = pair(server)
    assert anna.send(bert, "passes", channel).status == 201
    assert error(anna.send(bert, "block-good", channel)) == (403, "blocked")


def test_a_broken_hook_is_no_filter_of_requests(serve: Start, tmp_path: Path) -> None:
    """Without `kind:`, what a file exports says what it was meant to be."""
    source = tmp_path / "wrong.wat"
    source.write_text('(module (memory (export "memory") 1) (func (export "on_message_send") (param i64) (result i32) i32.const 0))')
    subprocess.run(["wat2wasm", str(source), "-o", str(tmp_path / "wrong.wasm")], check=True)
    server = serve(with_hooks(tmp_path, plugin("wrong", tmp_path / "wrong.wasm")), expect_errors=True)
    assert "exports on_message_send with type" in server.plugin("wrong")["last_error"]
    anna, bert, channel = pair(server)
    assert anna.send(bert, "passes", channel).status == 201


def test_hooks_of_a_batch(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))))
    anna, bert, channel = pair(server)
    each = {"recipient_key": b64(bert.key), "channel_id": channel}
    texts = ["one", "block-a", "two"]
    answer = anna.call("POST", "/v1/messages/batch", {"messages": [{**each, "text": text} for text in texts]})
    assert [r.get("seq") for r in answer.json()["results"]] == [1, None, 2]
    assert answer.json()["results"][1]["error"]["plugin"] == "a"
    server.wait_log("a sent 2")


def test_hooks_change_under_load(serve: Start, tmp_path: Path) -> None:
    """Reloads while messages go through: every one is answered, and asked about exactly by the version that was there."""
    server = serve({**with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))), "workers": 2})
    anna, bert, channel = pair(server)
    for i in range(20):
        assert server.admin("/plugins/a/reload", "POST").status == 200
        for _ in range(5):
            assert anna.send(bert, "on", channel).status == 201
        assert anna.send(bert, "block-a", channel).status == 403
    assert len(bert.fetch("?limit=1000")) == 100


def test_the_answer_is_not_kept_by_who_leaves(serve: Start, tmp_path: Path) -> None:
    server = serve(with_hooks(tmp_path, plugin("a", message_hook(tmp_path / "a.wasm"))))
    anna, bert, channel = pair(server)
    body = json.dumps({"recipient_key": b64(bert.key), "channel_id": channel, "text": "left"}).encode()
    with server.connect() as connection:
        connection.send(wire.head("POST", "/v1/messages", [("Authorization", f"Bearer {anna.token}"),
                                                           ("Content-Length", str(len(body)))]) + body)
        connection.reset()
    assert anna.send(bert, "stays", channel).status == 201
