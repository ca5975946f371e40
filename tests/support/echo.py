"""Reads what the built-in echo upstream says it saw. The one place that knows the form of its answer."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from support import wire


@dataclass
class Seen:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        values = self.header_list(name)
        return ", ".join(values) if values else None

    def header_list(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


def seen(response: wire.Response) -> Seen:
    """What the upstream saw of the request that got this answer."""
    assert response.status == 200, (response.status, response.body[:500])
    answer = response.json()
    headers = answer["headers"]
    pairs = [tuple(pair) for pair in headers] if isinstance(headers, list) else flatten(headers)
    body = answer["body"] if "body" in answer else base64.b64decode(answer["body_base64"]).decode("latin-1")
    return Seen(answer["method"], answer["path"], pairs, body)


def flatten(headers: dict[str, object]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in headers.items():
        values = value if isinstance(value, list) else [value]
        pairs.extend((name, str(item)) for item in values)
    return pairs
