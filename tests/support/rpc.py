"""Calling JSON-RPC plugins of a running server."""

from __future__ import annotations

import json
from typing import Any

from support import wire
from support.server import Server

Answer = dict[str, Any]


def post(server: Server, plugin: str, body: bytes | str) -> wire.Response:
    data = body.encode() if isinstance(body, str) else body
    return server.fetch(f"/rpc/{plugin}", "POST", [("content-type", "application/json")], data)


def request(method: str, params: object = None, number: object = 1) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def call(server: Server, plugin: str, method: str, params: object = None) -> Answer:
    """The whole answer, which has the request's id."""
    response = post(server, plugin, request(method, params))
    answer = response.json()
    assert answer["jsonrpc"] == "2.0" and answer["id"] == 1, answer
    return answer


def result(server: Server, plugin: str, method: str, params: object = None) -> Any:
    answer = call(server, plugin, method, params)
    assert "result" in answer, answer
    return answer["result"]


def error(server: Server, plugin: str, method: str, params: object = None) -> tuple[int, str]:
    """The code of the error and its cause."""
    answer = call(server, plugin, method, params)
    assert "error" in answer, answer
    return answer["error"]["code"], answer["error"].get("data", {}).get("cause", "")


def script(*statements: str) -> str:
    """The params that make the driver of conformance/json_rpc do this."""
    return "\n".join(statements).encode().hex()
