"""Configurations for tests: dictionaries with everything on port 0, written as JSON (which is YAML)."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

ECHO: Config = {"name": "echo", "builtin": "echo"}


def listener(**limits: Any) -> Config:
    return {"name": "public", "address": "127.0.0.1:0", "limits": limits}


def upstream(name: str, *endpoints: tuple[str, int], **more: Any) -> Config:
    return {"name": name, "endpoints": [f"{host}:{port}" for host, port in endpoints], **more}


def route(path: str = "/*", to: str = "echo", **more: Any) -> Config:
    return {"path": path, "upstream": to, **more}


def plugin(name: str, path: object, **more: Any) -> Config:
    return {"name": name, "path": str(path), **more}


def gateway(routes: list[Config] | None = None, upstreams: list[Config] | None = None,
            plugins: list[Config] | None = None, limits: Config | None = None, **top: Any) -> Config:
    """A whole configuration; without arguments `/*` goes to the built-in echo."""
    config: Config = {
        "listeners": [listener(**(limits or {}))],
        "admin": {"address": "127.0.0.1:0"},
        "upstreams": [ECHO, *(upstreams or [])],
        "routes": routes if routes is not None else [{"id": "all", **route()}],
    }
    if plugins:
        config["plugins"] = plugins
    config.update(top)
    return config
