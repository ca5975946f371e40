"""Reads the tables: `what | requests and statements | expected | settings`, a row each; ../README.md has the words in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.table import lines, split

FOLDER = Path(__file__).parent
REQUEST = re.compile(r"([A-Z]+) (\S+)((?: [\w-]+=\S*)*)(?: (?:'(.*)'|(.)\*(\d+)))?")
CLAUSES = ("status ", "error ", "message ", "says ", "header ", "no ", "body ", "json ", "input ", "refused ", "size ")


@dataclass
class Request:
    """One request; without a target it is `execute` of the admin API."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Row:
    table: str
    name: str
    requests: list[Request]
    results: list[str]  # of the statements
    clauses: list[tuple[str, str]]
    module: str
    settings: dict[str, Any]  # of the plugin


def read_request(text: str) -> Request:
    found = REQUEST.fullmatch(text)
    assert found, f"no request: {text}"
    method, target, headers, body, letter, count = found.groups()
    fields = dict(part.split("=", 1) for part in headers.split())
    if "type" in fields:
        fields["content-type"] = fields.pop("type")
    return Request(method, target, fields, unescaped(body or "") or (letter or "").encode() * int(count or 0))


def unescaped(text: str) -> bytes:
    """UTF-8; \\xNN is one byte."""
    parts = re.split(r"\\x([0-9a-f]{2})", text)
    return b"".join(bytes([int(part, 16)]) if index % 2 else part.encode() for index, part in enumerate(parts))


def requests(text: str) -> list[Request]:
    """Each item that begins with a method is a request; statements that follow each other are the body of one."""
    out: list[Request] = []
    script: list[str] = []

    def run() -> None:
        if script:
            out.append(Request("POST", "/run", {"content-type": "text/plain"}, "\n".join(script).encode()))
            script.clear()

    for item in split(text):
        if item == "again":
            run()
            out.append(out[-1])
        elif item.split(" ")[0].isupper():
            run()
            out.append(Request("POST", "", {}, b"") if item == "EXECUTE" else read_request(item))
        elif item == "then":
            run()
        else:
            script.append(item)
    run()
    return out


def read(file: Path) -> list[Row]:
    rows: list[Row] = []
    for line in lines(file, range(3, 5)):
        mine = line.settings(3)
        module = str(mine.pop("module", ""))
        expected = split(line.cells[2])
        clauses = [tuple(text.split(" ", 1)) for text in expected if f"{text} ".startswith(CLAUSES)]
        results = [text for text in expected if not f"{text} ".startswith(CLAUSES)]
        rows.append(Row(line.table, line.name, requests(line.cells[1]), results, clauses, module, mine))
    return rows


def tables() -> dict[str, list[Row]]:
    return {file.stem: read(file) for file in sorted(FOLDER.glob("*.table"))}
