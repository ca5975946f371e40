"""Measuring: one load against one proxy, CPU time of the proxy's process tree by completed request."""

from __future__ import annotations

import re
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from processes import LOAD_CORE, Process, program

PATIENCE = 30  # seconds
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    """What is asked of a proxy. `rate` is requests a second in all; 0 is as many as there can be."""

    path: str = "/20"
    connections: int = 32
    streams: int = 1  # a connection; HTTP/2 only
    headers: tuple[tuple[str, str], ...] = ()
    body: Path | None = None
    rate: int = 0
    script: Path | None = None  # of wrk: makes the requests


@dataclass
class Round:
    cpu_us: float
    rps: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


@dataclass
class Row:
    """All rounds of one proxy with one load. Failed requests make it void."""

    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def median(self, figure: str) -> float:
        return statistics.median(getattr(each, figure) for each in self.rounds)

    @property
    def cpu_us(self) -> float:
        return self.median("cpu_us")

    @property
    def least_cpu_us(self) -> float:
        return min(each.cpu_us for each in self.rounds)


@dataclass
class Outcome:
    requests: int
    rps: float
    latencies_ms: tuple[float, float, float]  # p50, p99, p99.9
    failures: list[str]


def run_wrk(proxy: Process, load: Load, seconds: int) -> Outcome:
    """HTTP/1.1 as fast as it goes; bodies only by a script."""
    headers = [item for name, value in load.headers for item in ("-H", f"{name}: {value}")]
    script = ["-s", str(load.script)] if load.script else []
    command = ["taskset", "-c", LOAD_CORE, program("wrk", "wrk"), "-t1", f"-c{load.connections}", f"-d{seconds}s",
               "--latency", *script, *headers, proxy.url(load.path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    out = result.stdout
    failures = [line.strip() for line in out.splitlines() if "Non-2xx" in line or "Socket errors" in line]
    if result.returncode != 0:
        failures.append(f"wrk ended with {result.returncode}: {out} {result.stderr}")
    completed = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    found = [re.search(rf"{share}%\s+([\d.]+)(us|ms|s|m)", out) for share in (50, 99)]
    latencies = [float(each[1]) * UNITS[each[2]] * 1e3 if each else 0.0 for each in found]
    return Outcome(int(completed[1]) if completed else 0, float(rate[1]) if rate else 0.0, (*latencies, 0.0), failures)


def run_h2load(proxy: Process, load: Load, seconds: int) -> Outcome:
    """HTTP/2, bodies, and fixed rates. Latencies are those of all requests, from h2load's log."""
    log = proxy.folder / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["taskset", "-c", LOAD_CORE, program("h2load", "nghttp2-client"), f"-c{load.connections}", f"-m{load.streams}",
               f"-D{seconds}", f"--log-file={log}"]
    command += [] if proxy.entry in ("h2c", "h2") else ["--h1"]
    command += [f"--rps={load.rate / load.connections:g}"] if load.rate else []
    command += ["-d", str(load.body)] if load.body else []
    command += [item for name, value in load.headers for item in ("-H", f"{name}: {value}")]
    try:
        result = subprocess.run([*command, proxy.url(load.path)], capture_output=True, text=True, check=False, timeout=seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        return Outcome(0, 0.0, (0.0, 0.0, 0.0), [f"h2load did not end {PATIENCE} s after its time"])
    times, bad = [], 0
    for line in log.read_text().splitlines() if log.exists() else []:
        _, status, micros = line.split("\t")
        bad += status[0] != "2"
        times.append(int(micros) / 1e3)
    failures = [f"{bad} of {len(times)} answers were not 2xx"] if bad else []
    # In a timed run h2load counts what was under way at the end as neither failed nor done.
    errors = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", result.stdout)
    if result.returncode != 0 or errors is None or any(int(each) for each in errors.groups()):
        failures.append(f"h2load ended with {result.returncode}: {result.stdout[-300:]} {result.stderr[-300:]}")
    times.sort()
    shares = tuple(times[min(len(times) - 1, int(len(times) * share))] if times else 0.0 for share in (0.5, 0.99, 0.999))
    return Outcome(len(times), len(times) / seconds, shares, failures)


def one_round(proxy: Process, load: Load, seconds: int, row: Row) -> None:
    run = run_h2load if load.body or load.rate or proxy.entry in ("h2c", "h2") else run_wrk
    before = proxy.cpu_seconds()
    outcome = run(proxy, load, seconds)
    spent = proxy.cpu_seconds() - before
    row.failures += outcome.failures
    if outcome.requests == 0:
        row.failures.append("no request completed")
        return
    row.rounds.append(Round(spent / outcome.requests * 1e6, outcome.rps, *outcome.latencies_ms))


def one_round_of_both(one: Process, one_row: Row, other: Process, other_row: Row, load: Load, seconds: int) -> None:
    """Both at once."""
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one_round, one, load, seconds, one_row), pool.submit(one_round, other, load, seconds, other_row)]:
            done.result()
