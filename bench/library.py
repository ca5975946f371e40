"""One call of a plugin from a program, through libheddle: Heddle against Extism, in one run. Both pass 100 bytes of JSON to a
plugin, which takes them into its memory and gives them back."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import rpc

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "bench" / "library"
PARAMS = json.dumps({"user": "ada", "roles": ["admin", "editor"], "note": "x" * 49}, separators=(",", ":"))
# How often a round, and what must be reached (design/performance.md), and the aim.
CASES = {"reused": (20_000, "<= 0.2", "0.05"), "fresh": (2_000, "<= 0.1", "0.025")}


@dataclass
class Program(rpc.Host):
    """A program that calls a plugin as its standard input says, pinned."""

    def run(self, case: str, scale: float = 1.0) -> float:
        count = max(1, int(CASES[case][0] * scale))
        before = self.cpu_us()
        self.ask(f"{count} {case} {PARAMS}")
        return (self.cpu_us() - before) / count


def guest(folder: Path, name: str, *flags: str) -> str:
    out = folder / f"{name}.wasm"
    subprocess.run(["clang-19", "-O2", *flags, "-o", out, SOURCES / f"{name}.c"], check=True)
    return str(out)


def prepare(build: Path, folder: Path) -> list[Program]:
    """Extism's program with Cargo (minutes, once), and Heddle's in the folder `build`."""
    target = ROOT / "build/cargo-bench"
    subprocess.run(["nice", "-n", "19", "/usr/bin/cargo", "build", "--quiet", "--locked", "--release", "--target-dir", target],
                   check=True, cwd=SOURCES / "extism",
                   env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "RUSTC": "/usr/bin/rustc"})
    subprocess.run(["ninja", "-C", build, "heddle_library_calls"], check=True, stdout=subprocess.DEVNULL)
    return [Program("Extism 1.41", [str(target / "release/extism_calls"),
                                    guest(folder, "extism_echo", "--target=wasm32", "-nostdlib", "-Wl,--no-entry")]),
            Program("Heddle", [str(build / "bench/heddle_library_calls"),
                               guest(folder, "heddle_echo", "--target=wasm32-wasi")])]


def measure(build: Path, folder: Path, rounds: int) -> list[Program]:
    programs = prepare(build, folder)
    for program in programs:
        program.start()
        for case in CASES:
            program.run(case, 0.2)  # warm-up
            program.figures[case] = []
    for done in range(rounds):
        for case in CASES:
            for program in programs:
                program.figures[case].append(program.run(case))
        print(f"bench: library round {done + 1} of {rounds}", file=sys.stderr)
    for program in programs:
        program.stop()
    return programs


def table(programs: list[Program]) -> str:
    theirs, ours = programs
    lines = ["**Calls from a program through the library, CPU us per call, 100 bytes of JSON there and back**", "",
             f"| instance | {theirs.name} | {ours.name} | ratio | must | aim |", "|---|---|---|---|---|---|"]
    for case, (_, must, aim) in CASES.items():
        medians = [statistics.median(program.figures[case]) for program in programs]
        cells = [f"{median:.2f} ({min(program.figures[case]):.2f})" for median, program in zip(medians, programs, strict=True)]
        lines.append(f"| {case} | {cells[0]} | {cells[1]} | {medians[1] / medians[0]:.3f} | {must} | {aim} |")
    return "\n".join(lines)
