"""Every row of the table in each isolation: a plugin of its own, written in C, on a message service of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.messages import HOOK, check
from conformance.table import Line, lines, split
from support.configs import plugin
from support.hooks import native_hook
from support.messages import configuration

# A row is of all isolations unless it says of which.
ROWS = [(line, isolation) for line in lines(Path(__file__).parent / "native_hook.table", range(4, 6))
        for isolation in line.settings(4).get("isolations", "none,process,wasm").split(",")]
SLOTS = {
    "enqueue": ("on_message_enqueue", "int32_t {}(void *data, const CMessageEvent *event)"),
    "batch": ("on_batch_enqueue", "void {}(void *data, const CMessageEvent *events, size_t count)"),
    "auth": ("on_auth", "void {}(void *data, const CAuthEvent *event)"),
    "channel": ("on_channel_created", "void {}(void *data, const CChannelEvent *event)"),
    "fetch": ("on_fetch", "void {}(void *data, const CFetchEvent *event)"),
    "user": ("on_user_registered", "void {}(void *data, const uint8_t *username, size_t username_len, const uint8_t *identity_key, size_t identity_key_len)"),
    "reason": ("error_message", "const uint8_t *{}(void *data)"),
    "destroy": ("destroy", "void {}(void *data)"),
    "shutdown": ("on_shutdown", "void {}(void *data)"),
}
# What every plugin has at hand: a line of standard error, and something of its own.
HEAD = """#include <heddle/abi/qpc_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define say(...) do { fprintf(stderr, __VA_ARGS__); fputc('\\n', stderr); fflush(stderr); } while (0)
static int own;
"""


def source(row: Line) -> str:
    """`SLOT: BODY` fills a slot; `init: BODY` stands in qpc_plugin_init, which returns 0 at its end; `+ C` is anything."""
    text, filled, init = HEAD, [], ""
    for part in split(row.cells[1]):
        slot, _, body = part.partition(": ")
        if slot == "init":
            init = body
        elif part.startswith("+ "):
            text += part[2:] + "\n"
        else:
            field, signature = SLOTS[slot]
            text += f"static {signature.format(field)} {{ {body} }}\n"
            filled.append(f"  table->{field} = {field};\n")
    if not any(part.startswith("+ int32_t qpc_plugin_init") for part in split(row.cells[1])):
        text += f"int32_t qpc_plugin_init(HookVTable *table) {{\n  table->user_data = &own;\n{''.join(filled)}  {init}\n  return PLUGIN_OK;\n}}\n"
    return text


@pytest.mark.parametrize(("row", "isolation"), ROWS, ids=[f"{row.name} ({isolation})" for row, isolation in ROWS])
def test_row(serve, tmp_path: Path, row: Line, isolation: str) -> None:
    settings = {key: value for key, value in row.settings(4).items() if key != "isolations"}
    file = native_hook(tmp_path / f"{HOOK}.{'wasm' if isolation == 'wasm' else 'so'}", source(row))
    entry = plugin(HOOK, file, **({"isolation": isolation} if isolation != "wasm" else {}), **settings)
    server = serve({**configuration(tmp_path / "data"), "plugins": [{**entry, "kind": "native_hook"}]}, expect_errors=True)
    problem = check(server, row)
    assert not problem, f"{row.name}\n  {row.cells[1]}\n  {problem}"
