"""A process of a benchmark: pinned, with the CPU time and memory of its tree."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

PROXY_CORE = "0"
LOAD_CORE = "1"
PROBE = ["curl", "--silent", "--fail", "--insecure", "--max-time", "5", "--output", "/dev/null"]


_ports = itertools.count(20_000)


def free_port() -> int:
    """Below the ports that the kernel gives to connecting sockets: nobody takes it before the process listens."""
    for port in _ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("ports never end")


def program(name: str, package: str) -> str:
    """Where a program is, also those that only root has in the path."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise SystemExit(f"bench: {name} is missing: apt-get install {package}")
    return found


def tree(pid: int) -> list[int]:
    """The process and all that came from it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        try:
            for task in os.listdir(f"/proc/{found[-1]}/task"):
                children = Path(f"/proc/{found[-1]}/task/{task}/children").read_text().split()
                waiting += [int(child) for child in children]
        except OSError:
            pass
    return found


def cpu_seconds(pid: int) -> float:
    """Of the process and all that came from it."""
    files = [file for each in tree(pid) for file in Path(f"/proc/{each}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


@dataclass
class Process:
    """One pinned process; its CPU time is that of its whole tree."""

    name: str
    command: list[str]
    core: str
    port: int
    folder: Path
    entry: str = "http"  # http, https, h2c (HTTP/2 by prior knowledge), h2 (over TLS)
    admin: int = 0
    probe: str = "/20"  # answered with 200 when the process is ready
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def url(self, path: str) -> str:
        scheme = "https" if self.entry in ("https", "h2") else "http"
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def probe_options(self) -> list[str]:
        return ["--http2-prior-knowledge"] if self.entry == "h2c" else []

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
            if subprocess.run([*PROBE, *self.probe_options(), self.url(self.probe)], check=False).returncode == 0:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {self.name} does not answer: {self._tail()}")
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    def _tail(self) -> str:
        return self.log()[-1500:]

    def tree(self) -> list[int]:
        return tree(self.process.pid)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

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
