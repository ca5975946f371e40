"""What JSON-RPC plugins may ask of the server: log, key-value, HTTP, SQL, time, randomness, each other."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import rpc
from support.configs import gateway, plugin
from support.redis import Redis
from support.server import Server
from support.upstreams import Peer, Request, Upstream, ok

ALL = {"http": ["127.0.0.1:*"], "private_networks": ["127.0.0.0/8"], "sql": "write", "plugins": ["*"]}
CHAIN = [f"link{number}" for number in range(10)]


def reply(request: Request) -> bytes:
    if request.target == "/binary":
        return ok(b"\xff\x00")
    return ok(f"{request.method} {request.target} {request.header('x-own')} ".encode() + request.body)


def serve_replies(peer: Peer) -> None:
    while request := peer.read_request():
        peer.send(reply(request))


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with Upstream(serve_replies) as made:
        yield f"http://127.0.0.1:{made.address[1]}"


@pytest.fixture(scope="module")
def server(serve_module, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    module = examples / "rpc_pdk.wasm"
    entries = [plugin("all", module, permissions=ALL), plugin("reader", module, permissions={"sql": "read"}),
               plugin("none", module, permissions={"state": False})]
    entries += [plugin(name, module, permissions={"plugins": ["*"]}) for name in CHAIN]
    return serve_module(gateway(plugins=entries, routes=[], data_dir=str(tmp_path_factory.mktemp("data"))))


def ask(server: Server, method: str, params: object = None, name: str = "all") -> Any:
    """A host method, through the plugin's `ask`."""
    return rpc.result(server, name, "ask", {"method": method, "params": params})


def refused(server: Server, name: str, method: str, params: object = None) -> str:
    """The message of the host's error, which the crate passes on."""
    return rpc.call(server, name, "ask", {"method": method, "params": params})["error"]["message"]


def test_key_value(server: Server) -> None:
    assert ask(server, "kv.get", {"key": "k"}) is None
    assert ask(server, "kv.set", {"key": "k", "value": {"a": [1, None]}}) is None
    assert ask(server, "kv.get", {"key": "k"}) == {"a": [1, None]}
    for key in ("p:1", "p:2", "q"):
        ask(server, "kv.set", {"key": key, "value": 0})
    assert ask(server, "kv.list", {"prefix": "p:"}) == ["p:1", "p:2"]
    assert ask(server, "kv.list", {"after": "k", "limit": 1}) == ["p:1"]
    assert [ask(server, "kv.delete", {"key": "k"}) for _ in range(2)] == [True, False]


def test_every_plugin_has_keys_of_its_own(server: Server) -> None:
    ask(server, "kv.set", {"key": "mine", "value": 1})
    assert ask(server, "kv.get", {"key": "mine"}, "reader") is None


def test_keys_are_in_redis_when_there_is_one(serve, examples: Path, tmp_path: Path) -> None:
    with Redis(tmp_path) as redis:
        server = serve(gateway(plugins=[plugin("all", examples / "rpc_pdk.wasm")], redis={"url": redis.url}, routes=[],
                               data_dir=str(tmp_path / "data")))
        ask(server, "kv.set", {"key": "k", "value": [1]})
        assert ask(server, "kv.get", {"key": "k"}) == [1]
        assert redis.keys() > 0
        server.stop()


def test_http(server: Server, upstream: str) -> None:
    answer = ask(server, "http.fetch", {"url": f"{upstream}/a?b", "method": "POST", "headers": {"X-Own": "1"}, "body": "ä"})
    assert (answer["status"], answer["body"]) == (200, "POST /a?b 1 ä")
    assert answer["headers"]["content-length"] == str(len(answer["body"].encode()))
    binary = ask(server, "http.fetch", {"url": f"{upstream}/binary"})
    assert base64.b64decode(binary["body_base64"]) == b"\xff\x00"
    given = base64.b64encode(b"bytes").decode()
    assert ask(server, "http.fetch", {"url": upstream, "method": "PUT", "body_base64": given})["body"].endswith("bytes")


def test_sql(server: Server) -> None:
    ask(server, "sql.execute", {"sql": "create table t (a integer, b text)"})
    affected = ask(server, "sql.execute", {"sql": "insert into t values (?, ?), (2, 'y')", "params": [1, "x"]})
    assert affected == {"affected": 2}
    rows = ask(server, "sql.query", {"sql": "select a, b from t where a >= ? order by a", "params": [1]})["rows"]
    assert rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_sql_query_changes_nothing(server: Server) -> None:
    assert refused(server, "all", "sql.query", {"sql": "delete from t"})


def test_time_and_randomness(server: Server) -> None:
    assert ask(server, "time.now")["rfc3339"].startswith("20")
    assert len(base64.b64decode(ask(server, "random.bytes", {"count": 16}))) == 16


def test_log(server: Server) -> None:
    mark = server.mark()
    ask(server, "log", {"level": "warn", "message": "mind the gap"})
    assert server.wait_log("mind the gap", after=mark)["level"] == "warn"


def test_permissions(server: Server, upstream: str) -> None:
    assert refused(server, "none", "kv.get", {"key": "k"}) == "not permitted"
    assert refused(server, "none", "sql.query", {"sql": "select 1"}) == "not permitted"
    assert refused(server, "reader", "sql.execute", {"sql": "create table u (a)"}) == "not permitted"
    assert refused(server, "none", "http.fetch", {"url": upstream})
    assert refused(server, "none", "rpc.call", {"plugin": "all", "method": "hello"}) == "not permitted"


def nested(names: list[str]) -> dict[str, Any]:
    """Params of `ask` that pass a call from plugin to plugin."""
    if not names:
        return {"method": "time.now", "params": None}
    return {"method": "rpc.call", "params": {"plugin": names[0], "method": "ask", "params": nested(names[1:])}}


def test_calls_of_other_plugins(server: Server) -> None:
    assert ask(server, "rpc.call", {"plugin": "none", "method": "prime_sieve", "params": 100})["count"] == 25
    assert refused(server, "all", "rpc.call", {"plugin": "nobody", "method": "m"}) == "no such plugin"


def test_depth_of_calls(server: Server) -> None:
    assert rpc.result(server, "link0", "ask", nested(CHAIN[1:8]))["unix_ms"] > 0
    answer = rpc.call(server, "link0", "ask", nested(CHAIN[1:9]))
    assert answer["error"]["message"] == "plugins call each other too deeply"


def test_no_circle_of_calls(server: Server) -> None:
    answer = rpc.call(server, "link0", "ask", nested(["link1", "link2", "link0"]))
    assert answer["error"]["message"] == "Invalid request"


def test_the_request_id_goes_along(server: Server) -> None:
    mark = server.mark()
    body = rpc.request("ask", {"method": "rpc.call", "params": {"plugin": "none", "method": "nothing"}}).encode()
    server.fetch("/rpc/all", "POST", [("x-request-id", "id-of-the-caller")], body)
    server.wait_log("Method not found: nothing", after=mark, plugin="none", request_id="id-of-the-caller")
