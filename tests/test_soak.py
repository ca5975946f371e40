"""Everything that can change at run time changes again and again, under load of every protocol, while upstreams die and
come back: no client notices, and nothing grows. `make soak` is the long form."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from support import paths, tls, wat
from support.configs import gateway, plugin, route, upstream
from support.fleet import Killer, Origin
from support.mixed_load import MARKS, MixedLoad
from support.server import Server
from support.waiting import until
from test_activation import marking, replace
from test_reload import live_snapshots

RELOADS = int(os.environ.get("HEDDLE_SOAK_RELOADS") or (10_000 if os.environ.get("HEDDLE_SOAK") else 200))
WARM_UP = 100  # reloads, until every plugin and allocator has seen all there is
BALANCERS = ["round_robin", "weighted", "least_conn", "random", "consistent_hash"]


def calling(to: str) -> str:
    """A plugin that asks an upstream before it lets a request pass."""
    fields = (":method", "GET", ":path", "/asked", ":authority", to)
    sizes = b"".join(len(field).to_bytes(4, "little") for field in fields)
    pairs = (3).to_bytes(4, "little") + sizes + b"".join(field.encode() + b"\0" for field in fields)
    slot = "(i32.add (i32.const 32768) (i32.mul (i32.const 4) (i32.and {} (i32.const 4095))))"
    call = (f"(if (call $proxy_http_call (i32.const 1024) (i32.const {len(to)}) (i32.const 2048) (i32.const {len(pairs)})"
            " (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 8192)) (then unreachable))"
            f"(i32.store {slot.format('(i32.load (i32.const 8192))')} (local.get $p0))"
            "(return (i32.const 1))")
    resume = (f"(drop (call $proxy_set_effective_context (i32.load {slot.format('(local.get $p1)')})))"
              "(drop (call $proxy_continue_stream (i32.const 0)))")
    return wat.plugin({"request_headers": call, "http_call_response": resume},
                      ("proxy_http_call", "proxy_set_effective_context", "proxy_continue_stream"), {to: 1024},
                      extra=f"(data (i32.const 2048) {wat.string(pairs)})")


class Site:
    """The configuration that goes through its changes, and the files that it names."""

    def __init__(self, folder: Path, mortal: list[Origin], lasting: Origin, compile_wat: wat.Compiler) -> None:
        self.file = folder / "gateway.yaml"
        self.authority = tls.Authority(folder / "authority")
        self._mortal, self._lasting = mortal, lasting
        self._certificates = [self.authority.issue(name, "DNS:localhost") for name in MARKS]
        self._served = tls.Certificate(folder / "served.pem", folder / "served.key")
        self._modules = [compile_wat(marking(mark)) for mark in MARKS]
        self._module = folder / "changing.wasm"
        self._caller = compile_wat(calling("pool"))
        self._probe = compile_wat.c(Path("plugins/probe.c"))
        self._tcp_probe = compile_wat.c(Path("plugins/tcp_probe.c"))
        self._step = dict.fromkeys(("module", "routes", "upstreams", "plugins", "certificates", "listeners"), 0)
        self.renew_module(0)
        self._renew_certificate(0)
        self.write()

    def change(self, number: int) -> str:
        """Step `number`: what of it changed. Every kind in turn, sometimes two at once."""
        kind = list(self._step)[number % len(self._step)]
        self._step[kind] += 1
        if kind == "module":
            self.renew_module(self._step[kind])
            return kind
        if kind == "certificates" and self._step[kind] % 2:
            self._renew_certificate(self._step[kind])
        if number % 5 == 0:
            self.renew_module(self._step["module"] + number)
        self.write()
        return kind

    def renew_module(self, number: int) -> None:
        replace(self._module, self._modules[number % 2])

    def _renew_certificate(self, number: int) -> None:
        new = self._certificates[number // 2 % 2]
        shutil.copy(new.key, self._served.key)
        shutil.copy(new.cert, self._served.cert)

    def write(self) -> None:
        fresh = self.file.with_suffix(".tmp")
        fresh.write_text(json.dumps(self.settings()))
        fresh.rename(self.file)

    def settings(self) -> dict[str, Any]:
        return gateway(routes=self._routes(), plugins=self._plugins(), listeners=self._listeners(), workers=2,
                       watch_config=False, drain_timeout="20s", logging={"access_log": False},
                       upstreams=self._upstreams())

    def _routes(self) -> list[dict[str, Any]]:
        step = self._step["routes"]
        routes = [route(to="pool"), route("/websocket", to="tunnels")]
        more = [{"plugins": ["changing", {"name": "probe", "config": f"request_headers add 0 x-step {step}"}]},
                {"plugins": ["changing"], "rate_limit": {"rate": 1_000_000}}, {"plugins": ["probe", "changing"]},
                {"plugins": ["changing"], "response_headers": {"set": {"x-step": str(step)}}},
                {"plugins": ["changing", "caller"], "id": f"step-{step}"}]
        for number in range(step % len(more) + 1):
            routes.append(route(f"/v{number}/*", to="pool", **more[(number + step) % len(more)]))
        routes[0]["plugins"] = routes[1]["plugins"] = ["changing"]
        return [*routes, {**route("/asking", to="pool"), "plugins": ["changing", "caller", "probe"]}]

    def _upstreams(self) -> list[dict[str, Any]]:
        """`pool` has one endpoint more in every second step; `named-N` comes and goes."""
        step = self._step["upstreams"]
        endpoints = [{"address": "%s:%d" % each.address, "weight": 1 + (step + number) % 3}
                     for number, each in enumerate(self._mortal[:2 + step % 2])]
        pool = {"name": "pool", "endpoints": endpoints, "load_balancer": BALANCERS[step % len(BALANCERS)],
                "retry": {"max_retries": 5, "non_idempotent": True, "backoff_base": "5ms", "backoff_max": "100ms",
                          "budget_min": 1000},
                "ejection": {"time": "100ms", "max_time": "100ms", "consecutive_failures": 5}}
        if step % 3:
            pool["health_check"] = {"interval": "100ms", "unhealthy_threshold": 2}
        named = {"name": f"named-{step}", "endpoints": [f"localhost:{9000 + step}"]}
        return [pool, upstream("tunnels", (self._lasting.host, self._lasting.websocket)),
                upstream("bytes", (self._lasting.host, self._lasting.tcp)), named]

    def _plugins(self) -> list[dict[str, Any]]:
        step = self._step["plugins"]
        plugins = [plugin("changing", self._module),
                   plugin("probe", self._probe, config=f"request_headers count step_{step % 5}\ntick 50"),
                   plugin("caller", self._caller),
                   plugin("shouting", self._tcp_probe, config=f"downstream_data count bytes_{step % 5}")]
        if step % 2:
            plugins.append(plugin(f"shared-{step}", self._probe, vm_id="shared", config="request_headers count shared"))
        for each in plugins:
            each["timeout"] = "5s"  # a busy machine may leave a callback lying for longer than the default
        return plugins

    def _listeners(self) -> list[dict[str, Any]]:
        certificates, step = self._step["certificates"], self._step["listeners"]
        secure: dict[str, Any] = {"tls": self._served.setting()}
        if certificates % 3 == 0:
            secure = {"tls": self._certificates[certificates % 2].setting()}
        listeners = [{"name": "public", "limits": {"max_headers": 50 + step % 50}}, {"name": "secure", "protocol": "https", **secure},
                     {"name": "tcp", "protocol": "tcp", "upstream": "bytes", "plugins": ["shouting"]},
                     {"name": "tcp_tls", "protocol": "tls", "upstream": "bytes", **secure}]
        if step % 2:
            listeners.append({"name": f"extra-{step}", **({"protocol": "https", **secure} if step % 4 == 1 else {})})
            listeners.append({"name": "extra-tcp", "protocol": "tcp", "upstream": "bytes"})
        return [{"address": "127.0.0.1:0", **each} for each in listeners]


@pytest.fixture
def mortal() -> Iterator[list[Origin]]:
    origins = [Origin(f"127.0.0.{number}") for number in (2, 3, 4)]
    yield origins
    for origin in origins:
        origin.kill()


@pytest.fixture
def lasting() -> Iterator[Origin]:
    origin = Origin("127.0.0.5", tunnels=True)
    yield origin
    origin.kill()


def test_changes_without_end_lose_nothing_and_leak_nothing(serve, tmp_path: Path, compile_wat: wat.Compiler, heddle: Path,
                                                           mortal: list[Origin], lasting: Origin) -> None:
    assert RELOADS >= 2 * WARM_UP
    site = Site(tmp_path, mortal, lasting, compile_wat)
    server: Server = serve(site.file)
    resident = []
    load = MixedLoad(site.authority.cert, **server.listeners)
    with load, Killer(mortal, lambda: serves_everywhere(server)) as killer:
        for number in range(RELOADS):
            target = "/plugins/changing/reload" if site.change(number) == "module" else "/config/reload"
            answer = server.admin(target, "POST")
            assert answer.status == 200, answer.body
            resident.append(server.resident())
    report(load, killer, resident)
    assert load.failures == []
    assert set(load.done) == {"h1", "h1 tls", "h2 tls", "h2c", "ws", "wss", "tcp", "tcp tls"}
    until(lambda: live_snapshots(server) <= 1, "old snapshots to be gone", 60)
    if not paths.is_sanitized(heddle):
        early, late = tenth(resident[WARM_UP:], 0), tenth(resident[WARM_UP:], 9)
        assert late <= early * 1.05, f"resident memory grew from {early} to {late}"


def serves_everywhere(server: Server) -> bool:
    pool = next(each for each in server.admin("/upstreams").json() if each["name"] == "pool")
    return all(endpoint["state"] == "healthy" for endpoint in pool["endpoints"])


def tenth(values: list[int], number: int) -> float:
    """Mean of a tenth of the values."""
    size = len(values) // 10
    return mean(values[number * size:(number + 1) * size])


def report(load: MixedLoad, killer: Killer, resident: list[int]) -> None:
    megabytes = ", ".join(f"{tenth(resident, number) / 2**20:.1f}" for number in range(10))
    print(f"{RELOADS} reloads, {killer.kills} kills, requests {load.done}, {len(load.failures)} failures; "
          f"resident MiB by tenths: {megabytes}", *load.failures[:10], sep="\n")
