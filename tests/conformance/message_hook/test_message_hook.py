"""Every row of the table: a hook of its own, written in WAT, on a message service of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.messages import HOOK, check
from conformance.table import Line, lines, split
from support import wat
from support.configs import plugin
from support.messages import configuration

ROWS = list(lines(Path(__file__).parent / "message_hook.table", range(4, 6)))
MESSAGE = "(param $ptr i32) (param $len i32) (result i32)"
SHAPES = {"void": "", "int": "(result i32)", "two": "(param i32 i32) (result i32)"}
IMPORTS = {"$log": '(import "env" "ourchat_log" (func $log (param i32 i32 i32)))',
           "$module_log": '(import "ourchat" "log" (func $module_log (param i32 i32 i32)))',
           "$get_config": '(import "ourchat" "get_config" (func $get_config (param i32 i32)))'}


def module(row: Line) -> str:
    """`send BODY`, `sent BODY`, `on_plugin_X SHAPE BODY`, `+ WAT`; `say LEVEL "TEXT"` in a body logs."""
    parts = []
    for part in split(row.cells[1]):
        word, _, body = part.partition(" ")
        if word in ("send", "sent"):
            parts.append(f'(func (export "on_message_{word}") {MESSAGE} {body})')
        elif word.startswith("on_plugin_"):
            shape, _, body = body.partition(" ")
            parts.append(f'(func (export "{word}") {SHAPES[shape]} {body})')
        else:
            assert word == "+", part
            parts.append(body)
    code = " ".join(part for part in parts if not part.startswith("(import"))
    texts: dict[str, int] = {}
    code = re.sub(r'say (\d) "([^"]*)"', lambda found: f"(call $log (i32.const {found[1]}) (i32.const {wat.place(found[2], texts)}) "
                  f"(i32.const {len(found[2])}))", code)
    imports = [text for name, text in IMPORTS.items() if re.search(re.escape(name) + r"\b", code)]
    imports += [part for part in parts if part.startswith("(import")]
    memory = "" if row.settings(4).get("memory") == "none" else '(memory (export "memory") 1)'
    data = [f"(data (i32.const {address}) {wat.string(text.encode())})" for text, address in texts.items()]
    return "\n".join(["(module", *imports, memory, *data, code, ")"])


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row(serve, compile_wat: wat.Compiler, tmp_path: Path, row: Line) -> None:
    settings = {key: value for key, value in row.settings(4).items() if key != "memory"}
    server = serve({**configuration(tmp_path / "data"), "logging": {"level": "trace"},
                    "plugins": [plugin(HOOK, compile_wat(module(row)), kind="message_hook", **settings)]}, expect_errors=True)
    problem = check(server, row)
    assert not problem, f"{row.name}\n  {row.cells[1]}\n  {problem}"
