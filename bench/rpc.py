"""JSON-RPC plugins: Heddle against the wasmi framework's own host, with the same guest, in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from processes import PROXY_CORE, cpu_seconds

ROOT = Path(__file__).resolve().parents[1]
# What is called, how often a round, and what must be reached (design/performance.md).
CASES = {
    "do-nothing call (hello)": (400, "hello", None, ""),
    "one host call (ping)": (400, "ping", None, "<= 0.35"),
    "10 host calls": (100, "many_echo", 10, "-"),
    "200 host calls": (10, "many_echo", 200, "<= 0.12"),
    "prime sieve to 100,000": (20, "prime_sieve", 100_000, "<= 0.10"),
}


@dataclass
class Host:
    """A program that calls the guest as its standard input says, pinned."""

    name: str
    command: list[str]
    cores: str = PROXY_CORE
    process: subprocess.Popen[str] | None = field(default=None, init=False)
    figures: dict[str, list[float]] = field(default_factory=dict, init=False)  # CPU us per call, by case

    def start(self) -> None:
        self.process = subprocess.Popen(["taskset", "-c", self.cores, *self.command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self._wait("ready")

    def _wait(self, word: str) -> None:
        line = self.process.stdout.readline().strip()
        if line != word:
            raise SystemExit(f"bench: {self.name} failed ({line or 'ended'}): the figures mean nothing")

    def cpu_us(self) -> float:
        """Of it and its children, since it was started."""
        return cpu_seconds(self.process.pid) * 1e6

    def ask(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self._wait("done")

    def run(self, case: str, scale: float = 1.0) -> float:
        count, method, params, _ = CASES[case]
        count = max(1, int(count * scale))
        before = self.cpu_us()
        self.ask(f"{count} {method} {json.dumps(params)}")
        return (self.cpu_us() - before) / count

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=20)


def prepare(build: Path) -> list[Host]:
    """Heddle's program, in the folder `build`, and the framework's with Cargo."""
    guest = str(ROOT / "build/examples/rpc_pdk.wasm")
    target = ROOT / "build/cargo-bench"
    subprocess.run([ROOT / "scripts/build-examples", "rpc_pdk"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, "heddle_rpc_calls"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["/usr/bin/cargo", "build", "--quiet", "--locked", "--release", "--target-dir", target], check=True,
                   cwd=ROOT / "bench/rpc/hdk", env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "RUSTC": "/usr/bin/rustc"})
    return [Host("wasmi-plugin-hdk 0.1.0", [str(target / "release/rpc_hdk"), guest]),
            Host("Heddle", [str(build / "bench/heddle_rpc_calls"), guest])]


def measure(build: Path, rounds: int) -> list[Host]:
    hosts = prepare(build)
    for host in hosts:
        host.start()
        for case in CASES:
            host.run(case, 0.2)  # warm-up
            host.figures[case] = []
    for done in range(rounds):
        for case in CASES:
            for host in hosts:
                host.figures[case].append(host.run(case))
        print(f"bench: JSON-RPC round {done + 1} of {rounds}", file=sys.stderr)
    for host in hosts:
        host.stop()
    return hosts


def table(hosts: list[Host]) -> str:
    theirs, ours = hosts
    lines = ["**JSON-RPC plugins, CPU us per call, the same guest (examples/json_rpc/rust_pdk), a fresh instance each**", "",
             f"| | {theirs.name} | {ours.name} | ratio | must |", "|---|---|---|---|---|"]
    for case, (_, _, _, must) in CASES.items():
        a, b = statistics.median(theirs.figures[case]), statistics.median(ours.figures[case])
        least = min(theirs.figures[case]), min(ours.figures[case])
        lines.append(f"| {case} | {a:.1f} ({least[0]:.1f}) | {b:.1f} ({least[1]:.1f}) | {b / a:.3f} | {must or '-'} |")
    return "\n".join(lines)


def as_json(hosts: list[Host]) -> dict[str, dict[str, list[float]]]:
    return {host.name: host.figures for host in hosts}
