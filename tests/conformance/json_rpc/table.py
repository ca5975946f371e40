"""Reads the tables, and compares what came with what they expect; ../README.md has the words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ANY = "%any"


@dataclass
class Row:
    table: str
    section: str
    what: str
    given: str
    expected: list[str]

    @property
    def name(self) -> str:
        return f"{self.table}: {self.section}: {self.what}"

    def statements(self) -> list[str]:
        return [part.strip() for part in self.given.split(" ; ")]


def read(file: Path) -> list[Row]:
    rows: list[Row] = []
    section = ""
    for line in file.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif line.strip():
            cells = [cell.strip() for cell in line.split(" | ")]
            assert len(cells) == 3, f"{file.name}: {line}"
            rows.append(Row(file.stem, section, cells[0], cells[1], [part.strip() for part in cells[2].split(" ; ")]))
    assert len({row.name for row in rows}) == len(rows), f"{file.name}: rows of the same name"
    return rows


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
