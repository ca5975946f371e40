"""`heddle message`: the message service from a shell."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import wire
from support.configs import gateway, plugin, route, upstream
from support.hooks import message_hook
from support.messages import PASSWORD, Person, b64, configuration, register
from support.server import Server
from support.waiting import until


@pytest.fixture()
def server(serve: Callable[..., Server], tmp_path: Path) -> Server:
    config = {**configuration(tmp_path / "data"), "plugins": [plugin("words", message_hook(tmp_path / "words.wasm", "words"))]}
    return serve(config)


def run(serve, server: Server, *arguments: str, person: Person | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    who = {"HEDDLE_USER": person.name, "HEDDLE_PASSWORD": PASSWORD} if person else {}
    host, port = server.address
    return serve.run("message", *arguments, env={"HEDDLE_SERVER": f"http://{host}:{port}", **who, **env})


def test_send_and_fetch(serve, server: Server) -> None:
    anna, bert = register(server, "anna"), register(server, "bert")
    sent = run(serve, server, "send", "--to", b64(bert.key), "hello there", "--file", "a.png", person=anna)
    assert (sent.returncode, json.loads(sent.stdout)["seq"]) == (0, 1), sent.stderr
    assert run(serve, server, "send", "--to", b64(bert.key), "second", person=anna).returncode == 0
    fetched = run(serve, server, "fetch", "--ack", HEDDLE_TOKEN=bert.token)
    messages = [json.loads(line) for line in fetched.stdout.splitlines()]
    assert [(m["text"], m["involved_files"]) for m in messages] == [("hello there", ["a.png"]), ("second", [])]
    assert run(serve, server, "fetch", person=bert).stdout == ""


def test_register_and_a_payload(serve, server: Server, tmp_path: Path) -> None:
    made = run(serve, server, "register", HEDDLE_USER="carl", HEDDLE_PASSWORD=PASSWORD)
    account = json.loads(made.stdout)
    assert account["username"] == "carl" and len(account["identity_key"]) == 44
    (tmp_path / "payload").write_bytes(bytes(range(256)))
    anna = register(server, "anna")
    sent = run(serve, server, "send", "--to", account["identity_key"], "--payload", str(tmp_path / "payload"), "--sealed", person=anna)
    assert sent.returncode == 0, sent.stderr
    carl = Person(server, "carl", b"")
    (message,) = [json.loads(line) for line in run(serve, server, "fetch", person=carl).stdout.splitlines()]
    assert message["payload"] == b64(bytes(range(256))) and message["sender_key"] is None


def test_what_a_plugin_blocks_is_told(serve, server: Server) -> None:
    anna, bert = register(server, "anna"), register(server, "bert")
    blocked = run(serve, server, "send", "--to", b64(bert.key), "block-words", person=anna)
    assert blocked.returncode == 1 and blocked.stdout == ""
    assert blocked.stderr == "heddle message: 403 blocked: blocked by plugin (plugin words)\n"


def test_tail_prints_what_comes(serve, server: Server, heddle: Path, environment: dict[str, str]) -> None:
    anna, bert = register(server, "anna"), register(server, "bert")
    channel = anna.channel(bert)
    host, port = server.address
    env = {**environment, "HEDDLE_SERVER": f"http://{host}:{port}", "HEDDLE_TOKEN": bert.token}
    with subprocess.Popen([str(heddle), "message", "tail", "--ack"], env=env, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout
        try:
            for text in ("one", "two"):
                anna.send(bert, text, channel)
                assert json.loads(tail.stdout.readline())["text"] == text
            until(lambda: bert.call("GET", "/v1/messages/peek").json()["count"] == 0, "acknowledged")
        finally:
            tail.terminate()


def test_tail_goes_on_when_the_service_was_away(serve, heddle: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Behind a gateway that answers 503 meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "127.0.0.1:%d" % free.getsockname()[1]
    config = {**configuration(tmp_path / "data"), "listeners": [{"name": "public", "address": address}]}
    first = serve(config)
    anna, bert = register(first, "anna"), register(first, "bert")
    anna.send(bert, "hello")
    first.stop()
    front = serve(gateway(routes=[route(to="one")], upstreams=[upstream("one", wire.parse_address(address))]))
    env = {**environment, "HEDDLE_SERVER": "http://%s:%d" % front.address, "HEDDLE_TOKEN": bert.token}
    with subprocess.Popen([str(heddle), "message", "tail"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout and tail.stderr
        try:
            assert " 50" in tail.stderr.readline()
            serve(config)
            assert json.loads(tail.stdout.readline())["text"] == "hello"
        finally:
            tail.terminate()


def test_an_ack_of_one_channel_is_refused(serve, server: Server) -> None:
    """It would delete what others sent before, unseen."""
    result = run(serve, server, "fetch", "--token", "x", "--channel", "00" * 16, "--ack")
    assert result.returncode == 2 and "--channel" in result.stderr


@pytest.mark.parametrize(("arguments", "env", "text"), [
    (["fetch"], {}, "who are you?"),
    (["fetch", "--token", "forged"], {}, "401 unauthorized"),
    (["fetch", "--user", "nobody", "--password", "wrong password"], {}, "401 invalid_credentials"),
    (["send", "--to", "nonsense", "x", "--token", "forged"], {}, "401 unauthorized"),
])
def test_errors_are_one_line(serve, server: Server, arguments: list[str], env: dict[str, str], text: str) -> None:
    result = run(serve, server, *arguments, **env)
    assert result.returncode == 1 and text in result.stderr and result.stderr.count("\n") == 1


def test_a_server_that_is_not_there(serve) -> None:
    result = serve.run("message", "fetch", "--token", "x", "--server", "http://127.0.0.1:1")
    assert result.returncode == 1 and "127.0.0.1" in result.stderr
