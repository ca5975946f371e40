"""Measuring: wrk against one proxy, CPU time of the proxy's process tree by completed request."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from dataclasses import dataclass, field

from processes import LOAD_CORE, Process

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass
class Round:
    cpu_us: float
    rps: float
    p99_ms: float


@dataclass
class Row:
    """All rounds of one proxy with one reply size. Failed requests make it void."""

    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        return statistics.median(each.cpu_us for each in self.rounds)

    @property
    def least_cpu_us(self) -> float:
        return min(each.cpu_us for each in self.rounds)

    @property
    def rps(self) -> float:
        return statistics.median(each.rps for each in self.rounds)

    @property
    def p99_ms(self) -> float:
        return statistics.median(each.p99_ms for each in self.rounds)


def wrk(port: int, path: str, seconds: float, connections: int) -> str:
    tool = shutil.which("wrk")
    if not tool:
        raise SystemExit("bench: wrk is missing: apt-get install wrk")
    command = ["taskset", "-c", LOAD_CORE, tool, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency",
               f"http://127.0.0.1:{port}{path}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return f"Socket errors: wrk ended with {result.returncode}: {result.stdout} {result.stderr}"
    return result.stdout


def failures(output: str) -> list[str]:
    """What wrk says of requests that failed."""
    return [line.strip() for line in output.splitlines() if "Non-2xx" in line or "Socket errors" in line]


def one_round(proxy: Process, path: str, seconds: float, connections: int, row: Row) -> None:
    before = proxy.cpu_seconds()
    output = wrk(proxy.port, path, seconds, connections)
    spent = proxy.cpu_seconds() - before
    row.failures += failures(output)
    completed = re.search(r"(\d+) requests in", output)
    requests = int(completed[1]) if completed else 0
    if requests == 0:
        row.failures.append("no request completed")
        return
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", output)
    rps = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])
    row.rounds.append(Round(spent / requests * 1e6, rps, float(latency[1]) * UNITS[latency[2]] * 1e3))


def interleaved(proxies: list[Process], paths: list[str], rounds: int, seconds: float,
                connections: int) -> dict[tuple[str, str], Row]:
    """Every proxy with every path in turn, again and again, so that a noisy minute hits them all."""
    rows = {(proxy.name, path): Row() for proxy in proxies for path in paths}
    for proxy in proxies:  # warm up: connections, caches, tiers of compilers
        wrk(proxy.port, paths[0], min(seconds, 1), connections)
    for _ in range(rounds):
        for path in paths:
            for proxy in proxies:
                one_round(proxy, path, seconds, connections, rows[proxy.name, path])
    return rows
