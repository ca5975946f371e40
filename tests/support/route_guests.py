"""Packages of the route plugin plugins/route_guest.c, whose handlers each have the path of their name, and calls of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from support import wire
from support.configs import Config, plugin
from support.server import Server

HANDLERS = ("echo", "query", "execute_sql", "fetch", "keep", "kept", "emit", "heard", "count_calls", "trap")
JSON = {"Content-Type": "application/json"}


def manifest(name: str, auth: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    routes = [{"path": f"/{name}/{handler}", "method": "POST", "handler": handler, "auth": handler in auth} for handler in HANDLERS]
    return {"name": name, "version": "1.0.0", "routes": routes, **more}


def package(folder: Path, module: Path, about: dict[str, Any]) -> Path:
    """A folder, its module last, so that nobody sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(about))
    shutil.copy(module, folder / "plugin.wasm")
    return folder


def entry(folder: Path, module: Path, name: str, about: dict[str, Any] | None = None, **more: Any) -> Config:
    """An entry of `plugins:` for a package below `folder`."""
    path = package(folder / name, module, about or manifest(name))
    return plugin(name, path, merge_body=False, **more)


def call(server: Server, name: str, handler: str, body: object = None, headers: dict[str, str] | None = None) -> wire.Response:
    data = b"" if body is None else json.dumps(body).encode()
    return server.fetch(f"/{name}/{handler}", "POST", {**JSON, **(headers or {})}, data)
