"""Many calls of JSON-RPC plugins: memory stays flat, and every caller behind the cap is answered. `make soak` is the long form."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from websockets.sync.client import connect

from support import paths, rpc
from support.configs import gateway, plugin
from support.server import Server
from support.waiting import until

CALLS = int(os.environ.get("HEDDLE_SOAK_CALLS") or (1_000_000 if os.environ.get("HEDDLE_SOAK") else 20_000))
BATCH = 500
KINDS = ("out {}", "trap", "exit 3", "out print", "spin")  # how calls end; the last is the dearest
RUNNING, QUEUED = 1_000, 10_000
ANSWER = '{"jsonrpc":"2.0","id":0,"result":1}'


@pytest.fixture
def driver(compile_wat) -> Path:
    return compile_wat.program(Path("conformance/json_rpc/driver.c"))


def batch(number: int) -> str:
    """Calls that end in every way; most of them well."""
    calls = []
    for index in range(BATCH):
        kind = KINDS[index % 4 if index % 10 == 0 else 0] if index else KINDS[4] if number % 10 == 0 else KINDS[0]
        statement = kind.format(ANSWER)
        asking = ['out {"jsonrpc":"2.0","id":5,"method":"kv.get","params":{"key":"k"}}', "hear"] if index % 7 == 0 else []
        calls.append(rpc.request("run", rpc.script(*asking, "err a line", statement), index))
    return "[" + ",".join(calls) + "]"


def run(server: Server, calls: int) -> None:
    """From two clients at a time."""
    failures: list[str] = []

    def client(first: int) -> None:
        for number in range(first, calls // BATCH, 2):
            answers = rpc.post(server, "driver", batch(number)).json()
            if [answer["id"] for answer in answers] != list(range(BATCH)):
                failures.append(f"batch {number}: {str(answers)[:300]}")

    threads = [threading.Thread(target=client, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def test_many_calls_leak_nothing(serve, driver: Path, heddle: Path, tmp_path: Path) -> None:
    server = serve(gateway(routes=[], data_dir=str(tmp_path / "data"), logging={"access_log": False}, plugins=[
        plugin("driver", driver, kind="json_rpc", cpu_limit="20ms", max_calls=50, log_lines_per_second=10)]), expect_errors=True)
    run(server, 5_000)
    before = server.resident()
    run(server, CALLS)
    grown = server.resident() - before
    stats = server.plugin("driver")["stats"]
    assert stats["calls"] >= CALLS and stats["errors"] > 0
    until(lambda: server.plugin("driver")["stats"]["instances"] == 0, "every instance to end")
    if not paths.is_sanitized(heddle):
        assert grown < 8 << 20, f"{grown >> 10} KiB more after {CALLS} calls"


def test_a_thousand_wait_and_ten_thousand_queue(serve, driver: Path, tmp_path: Path) -> None:
    """A thousand guests wait for a host method at once, each on a stack of its own; ten thousand callers stand behind the cap."""
    server = serve(gateway(
        workers=1, routes=[], data_dir=str(tmp_path / "data"), engine={"suspendable_instances": RUNNING},
        plugins=[plugin("driver", driver, kind="json_rpc", timeout="10m", max_calls=RUNNING, max_queued_calls=QUEUED,
                        host_calls=10)]))
    ask = rpc.script('out {"jsonrpc":"2.0","id":1,"method":"wait","params":null}', "hear", "tell")
    host, port = server.address
    sockets = [connect(f"ws://{host}:{port}/rpc/driver/ws", max_size=None, compression=None, legacy=True) for _ in range(11)]
    for socket in sockets:
        for part in range(2):
            calls = [rpc.request("run", ask, number) for number in range(part * 500, part * 500 + 500)]
            socket.send("[" + ",".join(calls) + "]")
    until(lambda: server.plugin("driver")["stats"]["instances"] == RUNNING, "a thousand guests to wait", 120)
    until(lambda: f'heddle_plugin_queued_calls{{plugin="driver"}} {QUEUED}' in server.metrics(), "ten thousand to queue", 60)
    refused = rpc.post(server, "driver", rpc.request("run", ask))
    assert refused.status == 503 and refused.json()["error"]["data"]["cause"] == "max_queued_calls"

    answered = [answer_all(socket, 1_000) for socket in sockets]
    for thread, ids in answered:
        thread.join(timeout=300)
        assert sorted(ids) == list(range(1_000))
    until(lambda: server.plugin("driver")["stats"]["instances"] == 0, "every instance to end")
    for socket in sockets:
        socket.close()


def answer_all(socket, count: int) -> tuple[threading.Thread, list[int]]:
    """Answers what the plugin asks on this socket until all its calls are answered; gives their ids."""
    ids: list[int] = []

    def work() -> None:
        while len(ids) < count:
            message = json.loads(socket.recv(timeout=300))
            if isinstance(message, list):
                ids.extend(answer["id"] for answer in message if "result" in answer)
            else:
                socket.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": True}))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, ids
