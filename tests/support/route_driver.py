"""Route plugins of tests: packages of a folder each, most of them with the plugin that does what a request's body says
(conformance/route/driver.c)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.paths import TESTS

RUN = {"path": "/run", "method": "POST", "handler": "run"}
ECHO_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Driver:
    """Compiles the driver; `words` are its defines: SDK, ALLOC=alloc, INIT=1, …"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, words: str = "") -> Path:
        name = "-".join(["driver", *words.split()]).replace("=", "_")
        wasm = self._folder / f"{name}.wasm"
        if not wasm.exists():
            defines = [f"-D{word}" for word in words.split()]
            subprocess.run(["clang-19", "--target=wasm32", "-O1", "-mbulk-memory", "-nostdlib", "-fno-builtin", "-Wl,--no-entry",
                            "-Wall", "-Wextra", "-Werror", *defines, "-o", str(wasm),
                            str(TESTS / "conformance/route/driver.c")], check=True)
        return wasm

    def package(self, name: str, words: str = "", routes: Iterable[dict[str, Any]] = (RUN,), **more: Any) -> Path:
        """The path of a package whose routes these are."""
        return package(self._folder / f"package-{name}", self(words), name, routes, **more)


def package(folder: Path, module: Path, name: str, routes: Iterable[dict[str, Any]], **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    about = {"name": name, "version": "1.0.0", "routes": list(routes), "wasm_entry": "plugin.wasm", **more}
    (folder / "manifest.json").write_text(json.dumps(about))
    (folder / "plugin.wasm").write_bytes(module.read_bytes())
    return folder


def script(*statements: str) -> bytes:
    return "\n".join(statements).encode("latin-1")
