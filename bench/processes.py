"""The processes of a benchmark: an nginx upstream, and proxies in front of it with one worker each, every one pinned."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

PROXY_CORE = "0"
LOAD_CORE = "1"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def nginx_binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise SystemExit("bench: nginx is missing: apt-get install nginx-light")
    return found


@dataclass
class Process:
    """One pinned process; its CPU time is that of its whole tree."""

    name: str
    command: list[str]
    core: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> "Process":
        log = open(self.folder / f"{self.name}.log", "wb")  # the child's; closed with ours below
        with log:
            self.process = subprocess.Popen(["taskset", "-c", self.core, *self.command], stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.folder)
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {self.name} ended: {self._tail()}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/20", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {self.name} does not answer: {self._tail()}")
            time.sleep(0.05)

    def _tail(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-1500:]

    def tree(self) -> list[int]:
        """The process and all that came from it."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
                    waiting += [int(child) for child in children]
            except OSError:
                pass
        return found

    def cpu_seconds(self) -> float:
        total = 0
        for pid in self.tree():
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(file.read_text().split()[0])
        return total / 1e9

    def resident_bytes(self) -> int:
        pages = 0
        for pid in self.tree():
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


NGINX_HEAD = """
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
"""

NGINX_UPSTREAM = NGINX_HEAD + """
  open_file_cache max=10 inactive=1h;
  server {{
    listen 127.0.0.1:{port} reuseport; default_type text/plain;
    location = /20 {{ return 200 "12345678901234567890"; }}
    location / {{ root {folder}/files; }}
  }}
}}
"""

NGINX_PROXY = NGINX_HEAD + """
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


def nginx(name: str, template: str, folder: Path, core: str, origin: int = 0) -> Process:
    port = free_port()
    config = folder / f"{name}.conf"
    config.write_text(template.format(folder=folder, name=name, port=port, origin=origin))
    command = [nginx_binary(), "-p", str(folder), "-c", str(config), "-e", str(folder / f"{name}.err")]
    return Process(name, command, core, port, folder)


def upstream(folder: Path) -> Process:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    (files / "10k").write_bytes(b"x" * 10_240)
    (files / "100k").write_bytes(b"x" * 102_400)
    return nginx("upstream", NGINX_UPSTREAM, folder, LOAD_CORE)


def nginx_proxy(folder: Path, origin: int) -> Process:
    return nginx("nginx", NGINX_PROXY, folder, PROXY_CORE, origin)


def envoy(name: str, binary: Path, folder: Path, origin: int, wasm: Path | None) -> Process:
    port = free_port()
    router = {"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench", "http_filters": [*envoy_filter(wasm), router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]}}
    config = {"static_resources": {
        "listeners": [{"address": socket_address(port), "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{"name": "origin", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": socket_address(origin)}}]}]}}]}}
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config))
    command = [str(binary), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warn"]
    return Process(name, command, PROXY_CORE, port, folder)


def socket_address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy_filter(wasm: Path | None) -> list[dict]:
    if wasm is None:
        return []
    return [{"name": "envoy.filters.http.wasm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {"name": "bench", "root_id": "", "vm_config": {
            "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(wasm)}}}}}}]


@dataclass
class Heddle(Process):
    admin: int = 0

    def reload_seconds(self, plugin: str) -> float:
        """How long one reload over the admin API takes."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}/plugins/{plugin}/reload", method="POST")
        start = time.perf_counter()
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return time.perf_counter() - start


def heddle(name: str, binary: Path, folder: Path, origin: int, plugins: list[Path]) -> Heddle:
    port, admin = free_port(), free_port()
    config = {
        "listeners": [{"name": "public", "address": f"127.0.0.1:{port}"}],
        "admin": {"address": f"127.0.0.1:{admin}"}, "workers": 1,
        "upstreams": [{"name": "origin", "endpoints": [f"127.0.0.1:{origin}"]}],
        "routes": [{"id": "all", "path": "/*", "upstream": "origin"}],
        "engine": {"cache_dir": str(folder / "cache")}, "logging": {"access_log": False},
        "plugins": [{"name": f"plugin-{index}", "path": str(wasm)} for index, wasm in enumerate(plugins)]}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return Heddle(name, [str(binary), "serve", "-c", str(file)], PROXY_CORE, port, folder, admin)
