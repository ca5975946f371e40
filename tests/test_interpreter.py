"""`engine: {strategy: pulley}`: plugins of every contract run in the interpreter, with the same results and limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import messages, rpc, tcp, wat
from support.configs import gateway, plugin, route
from support.echo import seen
from support.server import Server
from test_route_plugins import HELLO, manifest, package
from test_tcp import tcp_gateway

INTERPRETER = {"strategy": "pulley"}
BLOCK = '(module (memory (export "memory") 2) (func (export "on_message_send") (param i32 i32) (result i32) i32.const 1))'
SPIN = "(loop $again (br $again))"


@pytest.fixture(scope="module")
def server(serve_module, examples: Path, compile_wat: wat.Compiler, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("route")
    handlers = package(folder / "greeter", compile_wat(HELLO % "1", "hello"), manifest("greeter"))
    return serve_module(gateway(engine=INTERPRETER, routes=[route()], data_dir=str(folder / "data"), plugins=[
        plugin("minimal", examples / "minimal.wasm"),
        plugin("greeter", handlers),
        plugin("rpc_pdk", examples / "rpc_pdk.wasm"),
        plugin("rpc_go", examples / "rpc_go.wasm", timeout="60s", cpu_limit="30s", memory_limit="128MiB"),
        plugin("rpc_as", examples / "rpc_as.wasm"),
    ]))


def test_proxy_wasm(server: Server) -> None:
    shown = server.plugin("minimal")
    assert (shown["kind"], shown["state"]) == ("proxy_wasm", "active")
    assert server.fetch("/").status == 200
    assert server.plugin("minimal")["stats"]["calls"] > 0


def test_go_filter(serve, examples: Path) -> None:
    server = serve(gateway(engine=INTERPRETER, plugins=[
        plugin("headers", examples / "go_headers.wasm", timeout="20s")]), expect_errors=True)
    assert server.fetch("/").status == 200
    assert server.plugin("headers")["state"] == "active"


def test_network_filter(serve, compile_wat: wat.Compiler) -> None:
    counting = compile_wat(wat.plugin({"downstream_data": wat_log("seen")[0]}, ("proxy_log",), wat_log("seen")[1]), "network")
    with tcp.TcpServer(tcp.echo) as origin:
        server = serve(tcp_gateway(origin, [plugin("network", counting)], engine=INTERPRETER))
        with tcp.Client(server.listeners["tcp"]) as client:
            assert client.exchange(b"hello") == b"hello"
        server.wait_log("seen", plugin="network")


def wat_log(text: str) -> tuple[str, dict[str, int]]:
    texts: dict[str, int] = {}
    return wat.log_call(text, texts), texts


def test_route(server: Server) -> None:
    assert server.fetch("/hello/you").json() == {"hello": 1}


def test_json_rpc(server: Server) -> None:
    assert rpc.result(server, "rpc_pdk", "prime_sieve", 1000) == {"count": 168, "limit": 1000}
    assert rpc.result(server, "rpc_pdk", "sleep", 50) >= 50
    assert [rpc.result(server, "rpc_go", "count") for _ in range(2)] == [1, 2]
    assert rpc.result(server, "rpc_as", "summary", [1, 2])["mean"] == 1.5


def test_message_hook(serve, compile_wat: wat.Compiler, tmp_path: Path) -> None:
    config = messages.configuration(tmp_path)
    server = serve({**config, "engine": INTERPRETER, "plugins": [plugin("block", compile_wat(BLOCK, "block"))]})
    anna, bert = messages.register(server, "anna"), messages.register(server, "bert")
    assert server.plugin("block")["kind"] == "message_hook"
    assert anna.send(bert, "hello").status == 403


def test_native_hook(serve, examples: Path, tmp_path: Path) -> None:
    """quicprochat's rate limiter, compiled to wasm32."""
    config = messages.configuration(tmp_path)
    server = serve({**config, "engine": INTERPRETER, "plugins": [plugin("limit", examples / "qpc_rate_limiter.wasm")]})
    anna, bert = messages.register(server, "anna"), messages.register(server, "bert")
    assert server.plugin("limit")["kind"] == "native_hook"
    each = {"recipient_key": messages.b64(bert.key), "channel_id": anna.channel(bert), "text": "again"}
    results = anna.call("POST", "/v1/messages/batch", {"messages": [each] * 60}).json()["results"]
    assert "seq" in results[0]
    assert {result["error"]["plugin"] for result in results if "error" in result} == {"limit"}


def test_limits(serve, compile_wat: wat.Compiler) -> None:
    spinning = compile_wat(wat.plugin({"request_headers": SPIN}), "spinning")
    server = serve(gateway(engine=INTERPRETER, plugins=[plugin("spinning", spinning, timeout="50ms")]), expect_errors=True)
    assert server.fetch("/").status == 500
    assert server.plugin("spinning")["stats"]["limit_hits"] == 1


def test_one_cache_for_both(serve, compile_wat: wat.Compiler, tmp_path: Path) -> None:
    """Code of one strategy is never taken for the other's."""
    module = compile_wat(wat.plugin({"request_headers": "(nop)"}), "both")
    cache = tmp_path / "cache"
    for strategy in ("pulley", "cranelift", "pulley", "cranelift"):
        server = serve(gateway(engine={"strategy": strategy, "cache_dir": str(cache)}, plugins=[plugin("both", module)]))
        assert seen(server.fetch("/")).method == "GET"
        server.stop()
