"""JSON-RPC plugins and everybody around them doing wrong: each gets the right error, with its cause, and leaves nothing behind.
What guests may write wrongly is in conformance/json_rpc."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import rpc
from support.configs import gateway, plugin
from support.server import Server
from support.upstreams import Peer, Upstream
from support.waiting import until

PERMITTED = {"http": ["127.0.0.1:*"], "private_networks": ["127.0.0.0/8"], "sql": "write", "plugins": ["*"]}


def silent(peer: Peer) -> None:
    """Takes a request and never answers."""
    peer.wait_closed()


@pytest.fixture(scope="module")
def driver(compile_wat) -> Path:
    return compile_wat.program(Path("conformance/json_rpc/driver.c"))


@pytest.fixture(scope="module")
def server(serve_module, driver: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    def entry(name: str, **more: object) -> dict[str, object]:
        return plugin(name, driver, kind="json_rpc", **{"timeout": "60s", "permissions": PERMITTED, **more})

    server = serve_module(gateway(routes=[], plugins=[
        entry("driver"),
        entry("short", timeout="300ms"),
        entry("asking", host_calls=10),
        entry("narrow", outbound_calls=2),
        entry("single", max_calls=1, max_queued_calls=2),
        entry("quiet", permissions={"state": False, "capabilities": ["log", "kv.get"]}),
        entry("talker", log_lines_per_second=10),
    ], workers=1, data_dir=str(tmp_path_factory.mktemp("data"))))
    yield server
    for name in ("driver", "short", "asking", "narrow", "single", "quiet", "talker"):
        until(lambda: server.plugin(name)["stats"]["instances"] == 0, f"the instances of {name} to end")


ANSWER = 'out {"jsonrpc":"2.0","id":0,"result":1}'


def ask(method: str, params: object = None, number: object = 1) -> str:
    return "out " + rpc.request(method, params, number)


def heard(server: Server, name: str, *statements: str) -> list[dict[str, object]]:
    """What the guest read with `hear`."""
    return rpc.result(server, name, "run", rpc.script(*statements, "tell"))


# ---- clients

def test_denied_memory_is_counted(server: Server) -> None:
    before = server.plugin("driver")["stats"]["limit_hits"]
    assert rpc.result(server, "driver", "run", rpc.script("grow 200")) == "no memory"
    assert server.plugin("driver")["stats"]["limit_hits"] == before + 1


def test_params_of_100_megabytes(server: Server) -> None:
    with server.connect(timeout=60) as connection:
        head = f"POST /rpc/driver HTTP/1.1\r\nHost: a\r\nContent-Length: {100 << 20}\r\n\r\n"
        connection.send(head.encode())
        try:
            connection.send(b'{"jsonrpc":"2.0","id":1,"method":"m","params":"')
            for _ in range(100):
                connection.send(b"x" * (1 << 20))
        except OSError:
            pass  # refused before all of it was sent
        answer = connection.response("POST")
    assert answer.status == 413
    assert answer.json()["error"]["code"] == -32005 and answer.json()["error"]["data"]["cause"] == "params_limit"


def test_params_just_under_the_limit(server: Server) -> None:
    text = "x" * (900 << 10)
    assert rpc.result(server, "driver", "m", [text])[0]["params"] == [text]


@pytest.mark.parametrize("depth", [65, 100_000], ids=["a bit", "very"])
def test_deep_nesting(server: Server, depth: int) -> None:
    body = '{"jsonrpc":"2.0","id":1,"method":"m","params":' + "[" * depth + "]" * depth + "}"
    answer = rpc.post(server, "driver", body)
    assert answer.status == 400
    assert answer.json()["error"]["code"] == -32700 and answer.json()["error"]["data"]["cause"] == "too_deep"


def test_binary_as_a_body(server: Server) -> None:
    answer = rpc.post(server, "driver", bytes(range(256)))
    assert (answer.status, answer.json()["error"]["code"]) == (400, -32700)


def test_a_batch_that_is_too_large(server: Server) -> None:
    answer = rpc.post(server, "driver", "[" + ",".join(["1"] * 1001) + "]")
    assert (answer.status, answer.json()["error"]["code"]) == (400, -32600)


def test_unknown_plugin_and_wrong_method(server: Server) -> None:
    assert rpc.post(server, "nobody", rpc.request("m")).status == 404
    assert server.fetch("/rpc/driver", "PUT", body=b"{}").status == 405


def test_the_caller_is_gone(server: Server) -> None:
    body = rpc.request("run", rpc.script("sleep 60000")).encode()
    with socket.create_connection(server.address, timeout=20) as client:
        client.sendall(b"POST /rpc/driver HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: server.plugin("driver")["stats"]["instances"] == 1, "the call to begin")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: server.plugin("driver")["stats"]["instances"] == 0, "the call to be given up")


# ---- guests that ask too much, or what fails

def test_a_host_method_that_fails(server: Server) -> None:
    (answer,) = heard(server, "driver", ask("http.fetch", {"url": "http://127.0.0.1:1/"}), "hear")
    assert answer["error"]["code"] == -32002 and answer["error"]["data"]["cause"] == "unavailable"


def test_a_host_method_that_never_returns(server: Server) -> None:
    with Upstream(silent) as upstream:
        url = f"http://127.0.0.1:{upstream.address[1]}/"
        assert rpc.error(server, "short", "run", rpc.script(ask("http.fetch", {"url": url}), "hear")) == (-32005, "timeout")
        # Its own time-out, and the guest goes on.
        (answer,) = heard(server, "driver", ask("http.fetch", {"url": url, "timeout_ms": 100}), "hear")
        assert answer["error"]["data"]["cause"] == "timeout"


def test_an_answer_while_a_host_method_works(server: Server) -> None:
    with Upstream(silent) as upstream:
        url = f"http://127.0.0.1:{upstream.address[1]}/"
        assert rpc.result(server, "driver", "run", rpc.script(ask("http.fetch", {"url": url}), ANSWER)) == 1


def test_too_many_host_calls(server: Server) -> None:
    asks = [line for _ in range(11) for line in (ask("random.bytes"), "hear")]
    assert rpc.error(server, "asking", "run", rpc.script(*asks, ANSWER)) == (-32005, "host_calls")
    assert rpc.result(server, "asking", "run", rpc.script(*asks[2:], ANSWER)) == 1


def test_too_many_host_calls_at_a_time(server: Server) -> None:
    sets = [ask("kv.set", {"key": str(number), "value": number}, number) for number in range(3)]
    answers = heard(server, "narrow", *sets, "hear", "hear", "hear")
    refused = [answer for answer in answers if "error" in answer]
    assert [answer["error"]["data"]["cause"] for answer in refused] == ["outbound_calls"]


def test_the_queue_is_full(server: Server) -> None:
    sleep = rpc.request("run", rpc.script("sleep 500", ANSWER))
    answers = rpc.post(server, "single", "[" + ",".join([sleep] * 4) + "]").json()
    causes = [answer.get("error", {}).get("data", {}).get("cause") for answer in answers]
    assert causes == [None, None, None, "max_queued_calls"]


def test_a_full_queue_is_503(server: Server) -> None:
    sleep = rpc.request("run", rpc.script("sleep 3000", ANSWER)).encode()
    clients = []
    for number in range(3):
        client = socket.create_connection(server.address, timeout=20)
        client.sendall(b"POST /rpc/single HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(sleep) + sleep)
        clients.append(client)
    until(lambda: 'heddle_plugin_queued_calls{plugin="single"} 2' in server.metrics(), "two calls to wait")
    refused = rpc.post(server, "single", rpc.request("m"))
    assert refused.status == 503 and refused.json()["error"]["data"]["cause"] == "max_queued_calls"
    for client in clients:
        client.close()


def test_permissions(server: Server) -> None:
    for method, params in (("kv.get", {"key": "k"}), ("time.now", None), ("random.bytes", None)):
        (answer,) = heard(server, "quiet", ask(method, params), "hear")
        assert answer["error"]["code"] == -32002 and answer["error"]["data"]["cause"] == "permission", answer
    assert heard(server, "quiet", ask("log", "allowed"), "hear")[0]["result"] is None


def test_log_lines_are_limited(server: Server) -> None:
    mark = server.mark()
    assert rpc.result(server, "talker", "run", rpc.script("chatter 18000", ANSWER)) == 1
    server.wait_access(after=mark, path="/rpc/talker")  # it is written behind the plugin's lines
    lines = [line for line in server.log.lines()[mark:] if line.get("message") == "a line of the log"]
    assert 0 < len(lines) <= 20


def test_hundreds_of_bad_calls_leave_nothing(server: Server) -> None:
    """Every kind of end at a time, many times."""
    kinds = [("trap", -32603), ("exit 3", -32603), ("out print", -32700), (ANSWER, None), ("raw ff0a", -32700)]
    body = "[" + ",".join(rpc.request("run", rpc.script(kinds[n % 5][0]), n) for n in range(500)) + "]"
    answers = rpc.post(server, "driver", body).json()
    assert [answer.get("error", {}).get("code") for answer in answers] == [kinds[n % 5][1] for n in range(500)]
    until(lambda: server.plugin("driver")["stats"]["instances"] == 0, "every instance to end")
    shown = server.plugin("driver")
    assert shown["stats"]["errors"] >= 400 and shown["last_error"]
