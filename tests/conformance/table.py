"""What the tables of all contracts have in common: rows of cells under `## section`, and settings of a whole section behind `@`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Line:
    """One row as it stands in its file."""

    table: str
    section: str
    cells: list[str]
    common: dict[str, Any]  # settings of the section

    @property
    def name(self) -> str:
        return f"{self.table}: {self.section}: {self.cells[0]}"

    def settings(self, cell: int) -> dict[str, Any]:
        """Those of the section and, over them, those in this cell, if it is there."""
        return {**self.common, **(settings(self.cells[cell]) if len(self.cells) > cell else {})}


def split(text: str) -> list[str]:
    return [part.strip() for part in f" {text} ".split(" ; ") if part.strip()]


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


def lines(file: Path, columns: range) -> Iterator[Line]:
    section, common = "", {}
    names: set[str] = set()
    for text in file.read_text().splitlines():
        if text.startswith("## "):
            section, common = text[3:].strip(), {}
        elif text.startswith("@ "):
            common = settings(text[2:])
        elif text.strip() and not text.startswith("# "):
            line = Line(file.stem, section, [cell.strip() for cell in text.split(" | ")], common)
            assert len(line.cells) in columns, f"{file.name}: {text}"
            assert line.name not in names, f"{file.name}: two rows of the same name: {line.name}"
            names.add(line.name)
            yield line
