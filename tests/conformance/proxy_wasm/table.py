"""Reads the tables: `what | statements | expected | settings`, a row each; see README.md for the words in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.table import lines, split

FOLDER = Path(__file__).parent


@dataclass
class Row:
    table: str
    name: str
    script: list[str]
    expected: list[str]
    settings: dict[str, Any]


def script(text: str) -> list[str]:
    """Lines for the driver; a statement without a callback belongs to the one before."""
    lines, callback = [], ""
    for statement in split(text):
        first, _, rest = statement.partition(" ")
        if first.endswith(":"):
            callback, statement = first[:-1], rest
        lines.append(f"{callback} {statement.strip()}")
    return lines


def read(file: Path) -> list[Row]:
    return [Row(line.table, line.name, script(line.cells[1]), split(line.cells[2]), line.settings(3))
            for line in lines(file, range(3, 5))]


def tables() -> dict[str, list[Row]]:
    return {file.stem: read(file) for file in sorted(FOLDER.glob("*.table"))}
