"""JSON-RPC over a WebSocket: calls, batches, and the plugin's own requests, which the client answers."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support import rpc
from support.configs import gateway, plugin
from support.server import Server
from support.waiting import until

Methods = dict[str, Callable[[Any], Any]]


@pytest.fixture(scope="module")
def server(serve_module, examples: Path, compile_wat, tmp_path_factory: pytest.TempPathFactory) -> Server:
    driver = compile_wat.program(Path("conformance/json_rpc/driver.c"))
    return serve_module(gateway(plugins=[plugin("rpc_pdk", examples / "rpc_pdk.wasm", cpu_limit="30s"),
                                         plugin("driver", driver, body_limit="100KiB")],
                                routes=[], data_dir=str(tmp_path_factory.mktemp("data"))))


def open_socket(server: Server, name: str = "rpc_pdk", **options: Any) -> ClientConnection:
    host, port = server.address
    return connect(f"ws://{host}:{port}/rpc/{name}/ws", max_size=None, compression=None, **options)


def receive(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=60))


def call(socket: ClientConnection, method: str, params: Any = None, methods: Methods | None = None) -> rpc.Answer:
    """One call, its plugin's requests answered by `methods`."""
    socket.send(rpc.request(method, params, "mine"))
    while True:
        message = receive(socket)
        if message.get("id") == "mine":
            return message
        answer = (methods or {})[message["method"]](message["params"])
        socket.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}))


def idle(server: Server, name: str) -> bool:
    return server.plugin(name)["stats"]["instances"] == 0


def test_ping(server: Server) -> None:
    """The plugin asks the host `ping` while it serves, and takes only id 0 and "pong"."""
    def ping(params: Any) -> str:
        assert params is None
        time.sleep(0.1)
        return "pong"

    with open_socket(server) as socket:
        assert call(socket, "ping", None, {"ping": ping})["result"] == "pong"


def test_many_echo(server: Server) -> None:
    seen: list[int] = []

    def echo(params: int) -> int:
        seen.append(params)
        return params

    with open_socket(server) as socket:
        assert call(socket, "many_echo", 200, {"echo": echo})["result"] is None
    assert seen == list(range(200))


def test_an_error_of_the_client_reaches_the_plugin(server: Server) -> None:
    with open_socket(server) as socket:
        socket.send(rpc.request("ping"))
        asked = receive(socket)
        error = {"code": -32601, "message": "Method not found"}
        socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
        assert receive(socket) == {"jsonrpc": "2.0", "id": 1, "error": error}


def test_calls_run_at_a_time_and_answers_overtake(server: Server) -> None:
    with open_socket(server) as socket:
        socket.send(rpc.request("sleep", 500, "slow"))
        socket.send(rpc.request("hello", None, "quick"))
        assert [receive(socket)["id"] for _ in range(2)] == ["quick", "slow"]


def test_two_plugins_ask_at_a_time(server: Server) -> None:
    """Ids of requests to the client are the server's, so that two calls do not get each other's answers."""
    with open_socket(server) as socket:
        for number in (1, 2):
            socket.send(rpc.request("ask", {"method": "which", "params": number}, number))
        asked = [receive(socket), receive(socket)]
        assert asked[0]["id"] != asked[1]["id"]
        for message in reversed(asked):
            socket.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message["params"] * 10}))
        assert {message["id"]: message["result"] for message in (receive(socket), receive(socket))} == {1: 10, 2: 20}


def test_batch(server: Server) -> None:
    with open_socket(server) as socket:
        socket.send(f'[{rpc.request("hello", None, 1)},{{"jsonrpc":"2.0","method":"hello"}},5]')
        answers = receive(socket)
        assert sorted(str(answer["id"]) for answer in answers) == ["1", "None"]


def test_notifications_of_the_plugin(server: Server) -> None:
    note = '{"jsonrpc":"2.0","method":"progress","params":[5]}'
    with open_socket(server, "driver") as socket:
        socket.send(rpc.request("run", rpc.script(f"out {note}", 'out {"jsonrpc":"2.0","id":0,"result":1}')))
        assert receive(socket) == json.loads(note)
        assert receive(socket)["result"] == 1


def test_bad_messages_are_answered(server: Server) -> None:
    with open_socket(server) as socket:
        for text, code in (("{", -32700), ("17", -32600), ("[]", -32600)):
            socket.send(text)
            assert receive(socket)["error"]["code"] == code
        socket.send('{"jsonrpc":"2.0","id":77,"result":"nobody asked"}')
        assert call(socket, "hello")["result"]


@pytest.mark.parametrize(("message", "code"), [(b"{}", 1003), ("x" * 200_000, 1009)], ids=["binary", "too long"])
def test_what_ends_the_connection(server: Server, message: str | bytes, code: int) -> None:
    with open_socket(server, "driver") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.send(message)
            socket.recv(timeout=60)
        assert closed.value.rcvd and closed.value.rcvd.code == code


def test_a_client_that_goes_gives_up_its_calls(server: Server) -> None:
    socket = open_socket(server, legacy=True)
    for number in range(10):
        socket.send(rpc.request("ask", {"method": "never", "params": None}, number))
    for _ in range(10):
        receive(socket)
    assert server.plugin("rpc_pdk")["stats"]["instances"] == 10
    socket.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: a reset instead of goodbyes
    socket.socket.close()
    until(lambda: idle(server, "rpc_pdk"), "the calls to be given up")


def test_closing_gives_up_its_calls(server: Server) -> None:
    with open_socket(server) as socket:
        socket.send(rpc.request("ask", {"method": "never", "params": None}))
        receive(socket)
    until(lambda: idle(server, "rpc_pdk"), "the call to be given up")


def test_more_calls_than_run_at_a_time(server: Server) -> None:
    with open_socket(server) as socket:
        for number in range(500):
            socket.send(rpc.request("hello", None, number))
        assert sorted(receive(socket)["id"] for _ in range(500)) == list(range(500))


def test_unknown_plugin(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(server, "nothing")
    assert refused.value.response.status_code == 404
