"""Message hooks built for tests: tests/plugins/message_hook.c in its variants, and quicprochat's plugins of examples/."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.paths import ROOT, TESTS

WASM = ("clang-19", "--target=wasm32", "-std=c11", "-O1", "-nostdlib", "-Wl,--no-entry")
NATIVE = ("clang-19", "-shared", "-fPIC", "-O1", f"-I{ROOT / 'include'}")
WASI = ("clang-19", "--target=wasm32-wasi", "-mexec-model=reactor", "-O1", f"-I{ROOT / 'include'}", "-Wl,--export-table,--export-if-defined=malloc,--export-if-defined=free")


def build(compiler: tuple[str, ...], source: Path, output: Path, *options: str) -> Path:
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([*compiler, *options, "-o", str(output), str(source)], check=True)
    return output


def message_hook(output: Path, name: str = "a", life: int = 0, load: int = 0, *flags: str) -> Path:
    """`name` begins its log lines, and `block-NAME` is what it blocks. Flags: ALLOC, MODULE_LOG."""
    return build(WASM, TESTS / "plugins" / "message_hook.c", output, f'-DNAME="{name}"', f"-DLIFE={life}", f"-DLOAD={load}",
                 *(f"-D{flag}" for flag in flags))


def native_hook(output: Path, source: str = "", *options: str) -> Path:
    """A shared object, or a module when `output` ends in .wasm, of C source text."""
    file = output.with_suffix(".c")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return build(WASI if output.suffix == ".wasm" else NATIVE, file, output, *options)
