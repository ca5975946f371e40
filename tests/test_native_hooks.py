"""quicprochat's plugins on the message service, in all three isolations: within the server, in a child process, compiled to wasm32."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from support import wire
from support.configs import Config, plugin
from support.hooks import NATIVE, WASI, build, native_hook
from support.messages import Person, b64, configuration, register, stream
from support.paths import ROOT
from support.server import Server
from support.waiting import until

Start = Callable[..., Server]
ISOLATIONS = ["none", "process", "wasm"]
EXAMPLES = ROOT / "examples"


def pair(server: Server) -> tuple[Person, Person, str]:
    anna, bert = register(server, "anna"), register(server, "bert")
    return anna, bert, anna.channel(bert)


def native(name: str, path: Path, isolation: str, **more: object) -> Config:
    return plugin(name, path, **({"isolation": isolation} if isolation != "wasm" else {}), **more)


def built(folder: Path, source: str, isolation: str) -> Path:
    name = Path(source).stem
    compiler, ending = (WASI, "wasm") if isolation == "wasm" else (NATIVE, "so")
    return build(compiler, EXAMPLES / source, folder / f"{name}.{ending}")


def serving(serve: Start, tmp_path: Path, *plugins: Config, **more: object) -> Server:
    return serve({**configuration(tmp_path / "data", **more), "plugins": list(plugins)}, expect_errors=True)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_rate_limiter(serve: Start, tmp_path: Path, isolation: str) -> None:
    server = serving(serve, tmp_path, native("limit", built(tmp_path, "c/qpc_rate_limiter/rate_limiter.c", isolation), isolation))
    anna, bert, channel = pair(server)
    each = {"recipient_key": b64(bert.key), "channel_id": channel, "text": "again"}
    results = anna.call("POST", "/v1/messages/batch", {"messages": [each] * 60}).json()["results"]
    refused = next(result["error"] for result in results if "error" in result)
    assert (refused["code"], refused["message"], refused["plugin"]) == ("blocked", "too many messages, slow down", "limit")
    assert bert.send(anna, "mine", channel).status == 201, "each sender has a bucket"
    stored = [result["seq"] for result in results if "seq" in result]
    assert stored == list(range(1, len(stored) + 1)), "a rejected message takes no number"


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_every_event_at_its_place(serve: Start, tmp_path: Path, isolation: str) -> None:
    server = serving(serve, tmp_path, native("log", built(tmp_path, "c/qpc_logger/logger.c", isolation), isolation))
    anna, bert, channel = pair(server)
    anna.log_in("wrong password")
    anna.channel(bert)
    anna.send(bert, "12345", channel)
    each = {"recipient_key": b64(bert.key), "channel_id": channel, "text": "x"}
    anna.call("POST", "/v1/messages/batch", {"messages": [each, {**each, "sealed": True}]})
    assert len(bert.fetch()) == 3
    until(lambda: any("3 messages fetched" in text for text in server.messages()), "the last event")
    said = [text for text in server.messages() if text.startswith(("message ", "batch", "login", "channel", "registered")) or "fetched" in text]
    assert said == [
        f"registered {anna.name} with a key of 32 bytes", f"login of {anna.name}: ok",
        f"registered {bert.name} with a key of 32 bytes", f"login of {bert.name}: ok",
        "channel made", f"login of {anna.name}: wrong password", "channel looked up",
        "message 1 of 5 bytes, sender known", "message 2 of 1 bytes, sender known", "message 3 of 1 bytes, sender sealed",
        "batch of 2 messages", "3 messages fetched"]
    server.stop()
    assert "the server shuts down" in server.messages()


REFUSES_A_SIZE = """
#include <heddle/abi/qpc_plugin.h>
static int32_t on_message_enqueue(void *data, const CMessageEvent *event) { (void)data; return event->payload_len == SIZE; }
int32_t qpc_plugin_init(HookVTable *table) {
  table->on_message_enqueue = on_message_enqueue;
  return PLUGIN_OK;
}
"""


@pytest.mark.parametrize("isolation", [*ISOLATIONS, "none, never unloaded"])
def test_each_plugin_and_each_version_runs_its_own_code(serve: Start, tmp_path: Path, isolation: str) -> None:
    """Three of the same shape beside each other, and one of them replaced again and again."""
    isolation, _, more = isolation.partition(", ")
    options = ("-Wl,-z,nodelete",) if more else ()

    def build_for(name: str, size: int) -> Path:
        path = tmp_path / f"{name}.{'wasm' if isolation == 'wasm' else 'so'}"
        built = native_hook(tmp_path / "new" / path.name, REFUSES_A_SIZE, f"-DSIZE={size}", *options)
        return built.rename(path)

    server = serving(serve, tmp_path, *(native(f"p{size}", build_for(f"p{size}", size), isolation) for size in (1, 2, 3)))
    anna, bert, channel = pair(server)

    def refusing(size: int) -> str | None:
        answer = anna.send(bert, "x" * size, channel)
        return answer.json()["error"]["plugin"] if answer.status == 403 else None

    assert [refusing(size) for size in (1, 2, 3, 4)] == ["p1", "p2", "p3", None]
    for size in range(4, 9):
        build_for("p1", size)
        assert server.admin("/plugins/p1/reload", "POST").status == 200
        assert [refusing(each) for each in (size - 1 if size > 4 else 1, 2, 3, size)] == [None, "p2", "p3", "p1"]


ENDS = """
#include <heddle/abi/qpc_plugin.h>
#include <stdio.h>
static void on_shutdown(void *data) { (void)data; fputs("ends: on_shutdown\\n", stderr); }
static void destroy(void *data) { (void)data; fputs("ends: destroy\\n", stderr); }
int32_t qpc_plugin_init(HookVTable *table) {
  table->on_shutdown = on_shutdown;
  table->destroy = destroy;
  return PLUGIN_OK;
}
"""


def ends(server: Server) -> list[str]:
    return [text for text in server.messages() if text.startswith("ends: ")]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_ends_come_once_and_in_order(serve: Start, tmp_path: Path, isolation: str) -> None:
    path = native_hook(tmp_path / f"ends.{'wasm' if isolation == 'wasm' else 'so'}", ENDS)
    server = serving(serve, tmp_path, native("ends", path, isolation))
    assert server.admin("/plugins/ends/reload", "POST").status == 200
    until(lambda: ends(server) == ["ends: on_shutdown", "ends: destroy"], "the old version ends when nobody uses it")
    server.stop()
    assert ends(server) == ["ends: on_shutdown", "ends: destroy"] * 2


SLOW = """
#include <heddle/abi/qpc_plugin.h>
#include <stdio.h>
#include <unistd.h>
static void on_shutdown(void *data) { (void)data; fputs("slow: begins\\n", stderr); sleep(SHUTDOWN); fputs("slow: ended\\n", stderr); }
static int32_t on_message_enqueue(void *data, const CMessageEvent *event) {
  (void)data;
  fputs("slow: message\\n", stderr);
  sleep(event->payload_len == 4 ? MESSAGE : 0);
  return PLUGIN_OK;
}
static void destroy(void *data) { (void)data; sleep(DESTROY); fputs("slow: destroyed\\n", stderr); }
int32_t qpc_plugin_init(HookVTable *table) {
  table->on_shutdown = on_shutdown;
  table->on_message_enqueue = on_message_enqueue;
  table->destroy = destroy;
  return PLUGIN_OK;
}
"""
NEVER = 3600


def slow(folder: Path, shutdown: int = 0, message: int = 0, destroy: int = 0) -> Path:
    return native_hook(folder / "slow.so", SLOW, f"-DSHUTDOWN={shutdown}", f"-DMESSAGE={message}", f"-DDESTROY={destroy}")


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_nobody_new_and_open_streams_while_on_shutdown_runs(serve: Start, tmp_path: Path, isolation: str) -> None:
    server = serving(serve, tmp_path, native("slow", slow(tmp_path, shutdown=2), isolation))
    _, bert, _ = pair(server)

    def refuses() -> bool:
        try:
            server.connect(timeout=1).close()
        except OSError:
            return True
        return False

    with stream(bert) as socket:
        assert socket.ping().wait(20)
        server.signal(signal.SIGTERM)
        server.wait_log("slow: begins")
        until(refuses, "no new connection")
        assert socket.ping().wait(20), "before connections are closed"
        assert "slow: ended" not in server.messages()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert socket.close_code == 1001
        server.wait_log("slow: ended")
    server.stop()


@pytest.mark.parametrize(("shutdown", "message", "reason"), [
    (NEVER, 0, "on_shutdown of a plugin does not return; the server ends without it"),
    (0, NEVER, "the server could not end: a native plugin within it does not return"),
])
def test_native_code_that_never_returns_does_not_keep_the_server(serve: Start, tmp_path: Path, shutdown: int, message: int, reason: str) -> None:
    server = serve({**configuration(tmp_path / "data"), "drain_timeout": "1s", "workers": 1,
                    "plugins": [native("slow", slow(tmp_path, shutdown, message), "none")]}, expect_errors=True)
    anna, bert, channel = pair(server)
    if message:
        def send() -> None:
            with suppress(wire.Broken):
                anna.send(bert, "four", channel)
        threading.Thread(target=send, daemon=True).start()
        server.wait_log("slow: message")
    server.signal(signal.SIGTERM)
    server.wait_exit()
    assert server.exit_code == 1
    server.wait_log(reason)
    server.crashed = True


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_hook_that_ends_slowly_ends_on_no_worker(serve: Start, tmp_path: Path, isolation: str) -> None:
    """Disabled while a message is within it: whoever is behind that message does not wait for the plugin's end."""
    server = serve({**configuration(tmp_path / "data"), "workers": 1,
                    "plugins": [native("slow", slow(tmp_path, message=1, destroy=3), isolation, timeout="10s")]}, expect_errors=True)
    anna, bert, channel = pair(server)
    sent: list[int] = []
    sender = threading.Thread(target=lambda: sent.append(anna.send(bert, "four", channel).status))
    sender.start()
    server.wait_log("slow: message")
    assert server.admin("/plugins/slow/disable", "POST").status == 200
    sender.join(20)
    assert sent == [201]
    assert bert.call("GET", "/v1/messages/peek").status == 200
    assert "slow: destroyed" not in server.messages()
    server.wait_log("slow: destroyed")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_destroy_also_comes_after_a_failed_start(serve: Start, tmp_path: Path, isolation: str) -> None:
    path = native_hook(tmp_path / f"ends.{'wasm' if isolation == 'wasm' else 'so'}", ENDS)
    blocker = serve(configuration(tmp_path / "other"))
    config = {**configuration(tmp_path / "data"), "plugins": [native("ends", path, isolation)]}
    config["listeners"] = [{"name": "public", "address": f"{blocker.address[0]}:{blocker.address[1]}"}]
    server = serve(config, wait=False, expect_errors=True)
    assert server.wait_exit() == 1
    said = ends(server)
    server.crashed = True  # it has ended, as it should
    assert said in ([], ["ends: on_shutdown", "ends: destroy"]), "not loaded at all, or ended in order"


BAD = """
#include <heddle/abi/qpc_plugin.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int32_t on_message_enqueue(void *data, const CMessageEvent *event) {
  (void)data;
  switch (event->payload_len) {
    case 1: abort();
    case 2: *(volatile int *)0 = 1; break;
    case 3: for (volatile int i = 0;; i = i + 1) {}
    case 4: exit(3);
    case 5: sleep(2); break;
    case 7: return 7;
  }
  return HOOK_CONTINUE;
}
int32_t qpc_plugin_init(HookVTable *table) {
  table->on_message_enqueue = on_message_enqueue;
  return PLUGIN_OK;
}
"""


def test_a_child_process_that_fails_costs_one_call(serve: Start, tmp_path: Path) -> None:
    # What a sanitizer is told of signals, since a child has no other environment.
    environment = {name: value for name, value in os.environ.items() if name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
    server = serving(serve, tmp_path, native("bad", native_hook(tmp_path / "bad.so", BAD), "process", environment=environment))
    anna, bert, channel = pair(server)
    for text, what in (("x", "signal 6 (Aborted)"), ("xx", "signal 11 (Segmentation fault)"), ("xxx", "took longer"), ("xxxx", "status 3")):
        assert anna.send(bert, text, channel).status == 201, "it fails open"
        until(lambda: what in (server.plugin("bad")["last_error"] or ""), what)
        until(lambda: anna.send(bert, "seven!!", channel).status == 403, "a fresh child answers")
    metrics = server.metrics()
    assert 'heddle_plugin_restarts_total{plugin="bad"} 4' in metrics
    refused = anna.send(bert, "seven!!", channel).json()["error"]
    assert refused["message"] == "rejected by plugin"


def test_a_killed_child_is_replaced(serve: Start, tmp_path: Path) -> None:
    server = serving(serve, tmp_path, native("bad", native_hook(tmp_path / "bad.so", BAD), "process"))
    anna, bert, channel = pair(server)
    (child,) = children(server.pid)
    assert Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[1:3] == [b"run-native-hook", b"bad"]
    assert not any(link.startswith("socket:") for link in open_files(child)), "no connection of the server is open in it"
    os.kill(child, signal.SIGKILL)
    until(lambda: children(server.pid) not in ([], [child]), "another one runs")
    until(lambda: anna.send(bert, "seven!!", channel).status == 403, "and answers")


def test_a_child_ends_with_its_server(serve: Start, tmp_path: Path) -> None:
    server = serving(serve, tmp_path, native("bad", native_hook(tmp_path / "bad.so", BAD), "process"))
    (child,) = children(server.pid)
    server.crash()
    until(lambda: not Path(f"/proc/{child}").exists(), "the kernel ends it")


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return found


def open_files(pid: int) -> list[str]:
    return [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]


def test_the_watchdog_names_who_blocks(serve: Start, tmp_path: Path) -> None:
    server = serving(serve, tmp_path, native("bad", native_hook(tmp_path / "bad.so", BAD), "none"))
    anna, bert, channel = pair(server)
    assert anna.send(bert, "xxxxx", channel).status == 201
    line = server.wait_log("native code of a plugin blocks its thread", plugin="bad")
    assert int(line["running_ms"]) >= 1000
    assert 'heddle_plugin_stalls_total{plugin="bad"} 1' in server.metrics()


GUARD = "#include <heddle/abi/qpc_plugin.h>\n"
REFUSED = {
    "returns_three": (GUARD + "int32_t qpc_plugin_init(HookVTable *t) { (void)t; return 3; }", "qpc_plugin_init returned 3"),
    "negative": (GUARD + "int32_t qpc_plugin_init(HookVTable *t) { (void)t; return -1; }", "qpc_plugin_init returned -1"),
    "other_symbol": (GUARD + "int32_t qpq_plugin_init(HookVTable *t); int32_t qpq_plugin_init(HookVTable *t) { return t == 0; }",
                     "qpc_plugin_init"),
    "longer_table": (GUARD + "int32_t qpc_plugin_init(HookVTable *t) { ((void **)t)[10] = t; return 0; }", "a longer table"),
}


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("name", list(REFUSED))
def test_a_plugin_that_is_not_one(serve: Start, tmp_path: Path, name: str, isolation: str) -> None:
    source, reason = REFUSED[name]
    path = native_hook(tmp_path / f"{name}.{'wasm' if isolation == 'wasm' else 'so'}", source)
    refused(serve, tmp_path, native("bad", path, isolation, kind="native_hook"), reason)


def test_a_start_without_end(serve: Start, tmp_path: Path) -> None:
    source = GUARD + "int32_t qpc_plugin_init(HookVTable *t) { (void)t; while (1) __asm__ volatile(\"\"); }"
    server = serving(serve, tmp_path, native("bad", native_hook(tmp_path / "endless.wasm", source), "wasm", kind="native_hook"))
    assert server.plugin("bad")["last_error"].endswith("failed in qpc_plugin_init: time limit of 1000 ms reached (timeout)")


def refused(serve: Start, tmp_path: Path, entry: Config, reason: str) -> None:
    server = serving(serve, tmp_path, entry)
    shown = server.plugin("bad")
    assert shown["state"] == "failed" and reason in shown["last_error"], shown
    assert "\n" not in shown["last_error"] and entry["path"] in shown["last_error"]
    anna, bert, channel = pair(server)
    assert anna.send(bert, "passes", channel).status == 201, "requests and messages do not suffer"


def elf_of_another_machine() -> bytes:
    header = bytearray(64)
    header[:7] = b"\x7fELF\x02\x01\x01"
    header[16:20] = bytes([3, 0, 183, 0])  # ET_DYN, EM_AARCH64
    return bytes(header)


@pytest.mark.parametrize(("name", "content", "reason"), [
    ("text.so", b"#!/bin/sh\necho hello\n", "is no shared object"),
    ("empty.so", b"", "the file is empty"),
    ("cut.so", b"\x7fELF", "truncated shared object"),
    ("arm.so", elf_of_another_machine(), "is built for aarch64"),
    ("junk.wasm", b"\0asm\1\0\0\0 junk", "build the plugin again"),
])
def test_a_wrong_file(serve: Start, tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    refused(serve, tmp_path, plugin("bad", tmp_path / name, kind="native_hook"), reason)


def test_a_missing_file_and_a_program(serve: Start, tmp_path: Path) -> None:
    refused(serve, tmp_path, plugin("bad", tmp_path / "gone.so"), "no such file")
    program = tmp_path / "program.so"
    subprocess.run(["clang-19", "-no-pie", "-x", "c", "-", "-o", program], input="int main(void){return 0;}", text=True, check=True)
    refused(serve, tmp_path, plugin("bad", program), "no shared object")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_stopping_under_load_loses_nothing(serve: Start, tmp_path: Path, isolation: str, message_storage: Config) -> None:
    """SIGTERM while messages are sent: each is answered, and what was answered with 201 is there after the next start."""
    path = built(tmp_path, "c/qpc_logger/logger.c", isolation)
    config = {**configuration(tmp_path / "data", message_storage, messages_per_second=0), "plugins": [native("log", path, isolation)],
              "drain_timeout": "20s"}
    server = serve(config)
    recipient = register(server, "r")
    known: dict[int, str] = {}
    cut: list[str] = []
    threads = [threading.Thread(target=load, args=(server, register(server, "s"), recipient, index, known, cut)) for index in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(known) > 50, "the load runs")
    server.stop()
    for thread in threads:
        thread.join(timeout=60)
    assert cut == [], "a request in flight was not answered"
    assert "the server shuts down" in server.messages()
    again = serve(config)
    recipient.server = again
    found: list[dict[str, object]] = []
    while more := recipient.fetch(f"?after={found[-1]['seq'] if found else 0}&limit=1000"):
        found += more
    texts = {message["seq"]: message["text"] for message in found}
    assert {seq: texts.get(seq) for seq in known} == known


def load(server: Server, sender: Person, recipient: Person, index: int, known: dict[int, str], cut: list[str]) -> None:
    channel = sender.channel(recipient)
    for number in range(1_000_000):
        text = f"{index}.{number}"
        try:
            connection = server.connect()
        except OSError:
            return  # nobody accepts any more
        connection.close()
        try:
            answer = sender.send(recipient, text, channel)
        except ConnectionRefusedError:
            return
        except (OSError, wire.Broken) as problem:
            cut.append(f"{text}: {problem!r}")
            return
        if answer.status == 503:
            return
        assert answer.status == 201, answer.body
        known[answer.json()["seq"]] = text


def test_unknown_isolation_is_a_problem_of_the_configuration(serve: Start, tmp_path: Path) -> None:
    config = serve.write({**configuration(tmp_path / "data"), "plugins": [plugin("x", tmp_path / "x.so", isolation="vm")]})
    result = serve.run("validate", "-c", str(config))
    assert result.returncode == 78 and "isolation" in result.stdout + result.stderr


def test_a_forged_call_of_the_childs_verb_does_nothing(serve: Start) -> None:
    assert serve.run("run-native-hook", "x", "0").returncode == 70
