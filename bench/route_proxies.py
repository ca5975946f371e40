"""Servers whose handlers answer by themselves: Heddle with a route plugin, and `wasmtime serve`. Both run route_guest/."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from processes import LOAD_CORE, PROXY_CORE, Process, free_port

ROOT = Path(__file__).resolve().parents[1]
WASMTIME = ROOT / "build/tools/wasmtime"
ITEM = "/item?name=heddle"
SUSPENDED = 1000


def build_guest() -> tuple[Path, Path]:
    """The route plugin and the component, out of the same source."""
    target = ROOT / "build/bench-guest"
    folder = ROOT / "bench/route_guest"
    cargo = shutil.which("cargo")
    if not cargo:
        raise SystemExit("bench: cargo is missing: install rustup, then rustup target add wasm32-wasip2 wasm32-unknown-unknown")
    for triple in ("wasm32-unknown-unknown", "wasm32-wasip2"):
        done = subprocess.run([cargo, "build", "--quiet", "--release", "--locked", "--target", triple], cwd=folder,
                              env={**os.environ, "CARGO_TARGET_DIR": str(target)}, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: route_guest cannot be built for {triple}: rustup target add {triple}")
    return tuple(target / triple / "release/route_guest.wasm" for triple in ("wasm32-unknown-unknown", "wasm32-wasip2"))


def wasmtime_binary() -> Path:
    if not WASMTIME.exists():
        subprocess.run([ROOT / "scripts/build-wasmtime-serve"], check=True)
    return WASMTIME


def heddle(name: str, binary: Path, folder: Path, origin: int, guest: Path, instances: str) -> Process:
    package = folder / f"{name}-package"
    package.mkdir(exist_ok=True)
    shutil.copy(guest, package / "guest.wasm")
    (package / "manifest.json").write_text(json.dumps({
        "name": "guest", "version": "1.0.0", "wasm_entry": "guest.wasm",
        "routes": [{"path": "/item", "method": "GET", "handler": "item"}, {"path": "/wait", "method": "GET", "handler": "wait"}]}))
    port, admin = free_port(), free_port()
    config = {
        "listeners": [{"name": "public", "address": f"127.0.0.1:{port}"}], "admin": {"address": f"127.0.0.1:{admin}"}, "workers": 1,
        "upstreams": [{"name": "origin", "endpoints": [f"127.0.0.1:{origin}"]}],
        "routes": [{"id": "all", "path": "/*", "upstream": "origin"}],
        "engine": {"cache_dir": str(folder / "cache"), "suspendable_instances": SUSPENDED + 200},
        "logging": {"access_log": False}, "data_dir": str(folder / f"{name}-data"), "outbound_http": {"timeout": "1h"},
        "plugins": [{"name": "guest", "path": str(package), "instances": instances, "timeout": "1h",
                     "permissions": {"http": ["127.0.0.1:*"]}}]}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return Process(name, [str(binary), "serve", "-c", str(file)], PROXY_CORE, port, folder, "http", admin)


def wasmtime(name: str, binary: Path, folder: Path, component: Path, reuse: bool) -> Process:
    port = free_port()
    command = [str(binary), "serve", "-S", "cli", "--addr", f"127.0.0.1:{port}"]
    command += ["--max-instance-reuse-count", "1000000000"] if reuse else []
    return Process(name, [*command, str(component)], PROXY_CORE, port, folder)


class Crowded(Process):
    """A Heddle with handlers that wait all the time, for an upstream that does not answer."""

    _crowd: subprocess.Popen[str] | None = None

    def start(self) -> Process:
        super().start()
        slow = free_port()
        url = self.url("/wait?url=" + quote(f"http://127.0.0.1:{slow}/"))
        crowd = [shutil.which("python3") or "python3", str(ROOT / "bench/crowd.py"), str(SUSPENDED), str(slow), url]
        self._crowd = subprocess.Popen(["taskset", "-c", LOAD_CORE, *crowd], stdout=subprocess.PIPE, text=True)
        if self._crowd.stdout.readline().strip() != "waiting":
            raise SystemExit("bench: the suspended handlers do not come to wait")
        return self

    def stop(self) -> None:
        if self._crowd is not None:
            self._crowd.terminate()
            self._crowd.wait()
            self._crowd = None
        super().stop()


def crowded(plain: Process) -> Process:
    """The same server, another process of it."""
    return Crowded(plain.name, plain.command, plain.core, plain.port, plain.folder, plain.entry, plain.admin)
