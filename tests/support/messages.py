"""Accounts of the message service, and what they do over HTTP."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any

from websockets.sync.client import ClientConnection, connect

from support import wire
from support.configs import Config
from support.server import Server

# Hashing as cheap as Argon2id allows: tests make many accounts.
CHEAP: Config = {"enabled": True, "password_memory": "8KiB", "password_operations": 1, "logins_per_second": 0}
PASSWORD = "correct horse"


def configuration(tmp_path: object, storage: Config | None = None, **messaging: Any) -> Config:
    return {**({"storage": storage} if storage else {}), "listeners": [{"name": "public", "address": "127.0.0.1:0"}], "admin": {"address": "127.0.0.1:0"},
            "data_dir": str(tmp_path), "messaging": {**CHEAP, **messaging}}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def call(server: Server, method: str, target: str, body: object = None, token: str | None = None) -> wire.Response:
    headers = [("Authorization", f"Bearer {token}")] if token is not None else []
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.fetch(target, method, headers, data)


def error(response: wire.Response) -> tuple[int, str]:
    return response.status, response.json()["error"]["code"]


@dataclass
class Person:
    server: Server
    name: str
    key: bytes
    token: str = ""

    def call(self, method: str, target: str, body: object = None) -> wire.Response:
        return call(self.server, method, target, body, self.token)

    def log_in(self, password: str = PASSWORD) -> wire.Response:
        response = call(self.server, "POST", "/v1/sessions", {"username": self.name, "password": password})
        if response.status == 200:
            self.token = response.json()["token"]
        return response

    def channel(self, other: "Person") -> str:
        response = self.call("POST", "/v1/channels", {"peer_key": b64(other.key)})
        assert response.status in (200, 201), response.body
        return response.json()["id"]

    def send(self, other: "Person", text: str, channel: str | None = None, **more: Any) -> wire.Response:
        message = {"recipient_key": b64(other.key), "channel_id": channel or self.channel(other), "text": text, **more}
        return self.call("POST", "/v1/messages", message)

    def fetch(self, query: str = "") -> list[dict[str, Any]]:
        response = self.call("GET", "/v1/messages" + query)
        assert response.status == 200, response.body
        return response.json()["messages"]

    def ack(self, up_to: int) -> int:
        response = self.call("POST", "/v1/messages/ack", {"up_to": up_to})
        assert response.status == 200, response.body
        return response.json()["acknowledged"]


def register(server: Server, name: str) -> Person:
    person = Person(server, f"{name}-{secrets.token_hex(4)}", secrets.token_bytes(32))
    response = call(server, "POST", "/v1/accounts",
                    {"username": person.name, "password": PASSWORD, "identity_key": b64(person.key)})
    assert response.status == 201, response.body
    assert person.log_in().status == 200
    return person


def stream(person: Person, query: str = "", **options: Any) -> ClientConnection:
    """GET /v1/stream, opened."""
    host, port = person.server.address
    return connect(f"ws://{host}:{port}/v1/stream{query}", additional_headers={"Authorization": f"Bearer {person.token}"},
                   max_size=None, compression=None, **options)
