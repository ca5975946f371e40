#!/usr/bin/env python3
"""Adds a custom section to a Wasm module; its content comes from standard input.

  cat manifest.json | python3 add_custom_section.py my_plugin.wasm -s manifest -o with_manifest.wasm

A section of that name that is there already is replaced. `heddle embed` does the same and checks the manifest too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"\0asm"
HEADER = 8  # magic and version


def leb(value: int) -> bytes:
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | 0x80 if value else low)
        if not value:
            return bytes(out)


def read_leb(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("the module is cut off or damaged")


def sections(module: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Of each section its id, its body, and the whole of it."""
    at = HEADER
    while at < len(module):
        start = at
        size, at = read_leb(module, at + 1)
        if at + size > len(module):
            raise ValueError("the module is cut off or damaged")
        yield module[start], module[at:at + size], module[start:at + size]
        at += size


def name_of(body: bytes) -> bytes:
    length, at = read_leb(body, 0)
    return body[at:at + length]


def with_section(module: bytes, name: bytes, content: bytes) -> bytes:
    if not module.startswith(MAGIC) or len(module) < HEADER:
        raise ValueError("it is not a Wasm module")
    body = leb(len(name)) + name + content
    kept = [whole for number, body_of, whole in sections(module) if number != 0 or name_of(body_of) != name]
    return module[:HEADER] + b"\0" + leb(len(body)) + body + b"".join(kept)


def write(path: Path, data: bytes) -> None:
    """In one step: a server may be watching the folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("-s", "--section", required=True, help="name of the section")
    parser.add_argument("-o", "--output", type=Path, help="file to write; else the module itself")
    arguments = parser.parse_args()
    try:
        out = with_section(arguments.module.read_bytes(), arguments.section.encode(), sys.stdin.buffer.read())
        write(arguments.output or arguments.module, out)
    except (OSError, ValueError) as error:
        print(f"add_custom_section: {arguments.module}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
