"""Reads the tables, and compares what came with what they expect; ../README.md has the words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.table import lines

FOLDER = Path(__file__).parent
ANY = "%any"


@dataclass
class Row:
    table: str
    name: str
    given: str
    expected: list[str]

    def statements(self) -> list[str]:
        return [part.strip() for part in self.given.split(" ; ")]


def read(file: Path) -> list[Row]:
    return [Row(line.table, line.name, line.cells[1], [part.strip() for part in line.cells[2].split(" ; ")])
            for line in lines(file, range(3, 4))]


def rows() -> list[Row]:
    return [row for file in sorted(FOLDER.glob("*.table")) for row in read(file)]


def value(text: str) -> Any:
    """JSON in which %any stands for any value."""
    return json.loads(text.replace(ANY, json.dumps(ANY)))


def values(text: str) -> list[Any]:
    """Several JSON texts behind each other."""
    decoder, out = json.JSONDecoder(), []
    text = text.replace(ANY, json.dumps(ANY)).strip()
    while text:
        found, end = decoder.raw_decode(text)
        out.append(found)
        text = text[end:].strip()
    return out


def same(expected: Any, got: Any) -> bool:
    if expected == ANY:
        return True
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(item, got[key]) for key, item in expected.items())
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(same(a, b) for a, b in zip(expected, got))
    return type(expected) is type(got) and expected == got
