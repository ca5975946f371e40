"""A server with hostile plugins, each on a route of its own beside routes that have none, and what must hold after every
attack: another route answers, resident memory stays flat, the attacker got its policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import wire
from support.configs import gateway, plugin, route, upstream
from support.paths import heddle_binary, is_sanitized
from support.server import Server

# Short enough for a test, long enough for a busy machine to run an honest callback in (sanitizers slow it down).
TIMEOUT = "1s" if is_sanitized(heddle_binary()) else "100ms"
FLAT = 1.05  # resident memory after the last tenth of a run, against that after its first tenth


def hostile_server(serve: Callable[..., Server], plugins: dict[str, Path], *,
                   upstreams: dict[str, wire.Address] | None = None, to: dict[str, str] | None = None,
                   **entry: Any) -> Server:
    """Route /NAME has plugin NAME and leads to echo (or to[NAME]); /safe has none."""
    entry = {"timeout": TIMEOUT, "memory_limit": "4MiB", **entry}
    config = gateway(
        routes=[*({"id": name, **route(f"/{name}", (to or {}).get(name, "echo"), plugins=[name], timeout="2s")}
                  for name in plugins), {"id": "safe", **route("/safe")}],
        upstreams=[upstream(name, address) for name, address in (upstreams or {}).items()],
        plugins=[plugin(name, path, **entry) for name, path in plugins.items()], workers=1)
    return serve(config, expect_errors=True)


def assert_safe(server: Server) -> None:
    """The next request to another route is answered."""
    assert server.process.poll() is None, "the server is gone:\n" + server.log.text()
    assert server.fetch("/safe").status == 200


def attack(server: Server, name: str, method: str = "GET", headers: wire.Headers = (), body: bytes = b"") -> int:
    """The status of one request to the attacker's route; 0 when the connection broke before a whole answer."""
    try:
        return server.fetch(f"/{name}", method, headers, body).status
    except wire.Broken:
        return 0


def assert_flat(server: Server, once: Callable[[], object], times: int) -> None:
    """Runs an attack many times; resident memory must not grow with them."""
    early = 0
    for number in range(times):
        once()
        if number == times // 10:
            early = server.resident()
    late = server.resident()
    if not is_sanitized(heddle_binary()):
        assert late <= early * FLAT, f"resident memory grew from {early} to {late} in {times} attacks"
    assert_safe(server)


def limit_hits(server: Server, plugin_name: str, limit: str) -> float:
    for line in server.metrics().splitlines():
        if line.startswith("heddle_plugin_limit_hits_total{") and f'plugin="{plugin_name}"' in line \
                and f'limit="{limit}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return 0
