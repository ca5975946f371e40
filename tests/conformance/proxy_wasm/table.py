"""Reads the tables: `what | statements | expected | settings`, a row each; see README.md for the words in them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass
class Row:
    table: str
    section: str
    what: str
    script: list[str]
    expected: list[str]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.table}: {self.section}: {self.what}"


def split(text: str) -> list[str]:
    return [part.strip() for part in f" {text} ".split(" ; ") if part.strip()]


def script(text: str) -> list[str]:
    """Lines for the driver; a statement without a callback belongs to the one before."""
    lines, callback = [], ""
    for statement in split(text):
        first, _, rest = statement.partition(" ")
        if first.endswith(":"):
            callback, statement = first[:-1], rest
        lines.append(f"{callback} {statement.strip()}")
    return lines


def settings(text: str) -> dict[str, Any]:
    """`key=JSON`, or `key=word`."""
    out: dict[str, Any] = {}
    for part in split(text):
        key, _, value = part.partition("=")
        try:
            out[key] = json.loads(value)
        except ValueError:
            out[key] = value
    return out


def read(file: Path) -> list[Row]:
    rows: list[Row] = []
    section, common = "", {}
    for line in file.read_text().splitlines():
        if line.startswith("## "):
            section, common = line[3:].strip(), {}
        elif line.startswith("@ "):
            common = settings(line[2:])
        elif "|" in line:
            cells = [cell.strip() for cell in line.split(" | ")]
            assert len(cells) in (3, 4), f"{file.name}: {line}"
            own = settings(cells[3]) if len(cells) == 4 else {}
            rows.append(Row(file.stem, section, cells[0], script(cells[1]), split(cells[2]), {**common, **own}))
    names = [row.name for row in rows]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"{file.name}: rows of the same name: {twice}"
    return rows


def tables() -> dict[str, list[Row]]:
    return {file.stem: read(file) for file in sorted(FOLDER.glob("*.table"))}
