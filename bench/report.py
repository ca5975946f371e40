"""The tables of a benchmark in Markdown and JSON."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import asdict
from datetime import date
from pathlib import Path

import library
import rpc
from measure import Row
from rows import ROUTES, Case

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
NEW_PAGE = f"""# Performance

What Heddle costs, next to its peers. How it is measured: [bench/README.md](../bench/README.md).

{BEGIN}
{END}
"""


class Results:
    """Every case with its rounds."""

    def __init__(self, rows: list[tuple[Case, Row]], resident: dict[str, int], extra: dict, rounds: int) -> None:
        self.rows, self.resident, self.extra, self.rounds = rows, resident, extra, rounds
        self.calls: list[rpc.Host] = []  # of JSON-RPC plugins; empty: not measured
        self.library: list[library.Program] = []  # through libheddle; empty: not measured
        self._by_key = {(case.group, case.key): row for case, row in rows}

    def ratio(self, group: str, key: str, other: str) -> str | None:
        pairs = self._pairs(group, key, other)
        return f"{statistics.median(mine / theirs for mine, theirs in pairs):.2f}" if pairs else None

    def difference(self, group: str, key: str, other: str, parts: int = 1) -> str | None:
        pairs = self._pairs(group, key, other)
        if not pairs:
            return None
        return f"{statistics.median(mine - theirs for mine, theirs in pairs) / parts:.{3 if parts > 1 else 2}f} us"

    def _pairs(self, group: str, key: str, other: str) -> list[tuple[float, float]]:
        """CPU time of two cases in the same round, measured within seconds of each other: what they have in common, a
        neighbour's load above all, cancels out."""
        mine, theirs = self._by_key.get((group, key)), self._by_key.get((group, other))
        if mine is None or theirs is None or len(mine.rounds) != len(theirs.rounds):
            return []
        return [(one.cpu_us, another.cpu_us) for one, another in zip(mine.rounds, theirs.rounds, strict=True)]


def tables(results: Results) -> str:
    lines = [f"CPU us per request, median of {results.rounds} interleaved rounds (least in brackets); one worker each, 32",
             "connections if the title says nothing else, keep-alive on both sides. "
             f"{date.today()}, {os.cpu_count()} cores, Linux {platform.release()}."]
    groups = list(dict.fromkeys(case.group for case, _ in results.rows))
    for group in groups:
        lines += ["", f"**{group[0].upper()}{group[1:]}**", "", "| | CPU us | requests/s | p50 ms | p99 ms | p99.9 ms | resident MB |",
                  "|---|---|---|---|---|---|---|"]
        lines += [_line(case, row, results.resident) for case, row in results.rows if case.group == group]
    reached = [f"| {what} | {measured} | {must} | {aim} |" for what, measured, must, aim in targets(results) if measured]
    if reached:
        lines += ["", "| what | measured | must | aim |", "|---|---|---|---|", *reached]
    if results.calls:
        lines += ["", rpc.table(results.calls)]
    if results.library:
        lines += ["", library.table(results.library)]
    lines += ["", "Made by `make bench` (`bench/run.py --write-docs`)."]
    return "\n".join(lines)


def _line(case: Case, row: Row, resident: dict[str, int]) -> str:
    tail = row.median("p999_ms")
    cells = [case.label, f"{row.cpu_us:.1f} ({row.least_cpu_us:.1f})", f"{row.median('rps'):,.0f}", f"{row.median('p50_ms'):.2f}",
             f"{row.median('p99_ms'):.2f}", f"{tail:.2f}" if tail else "-", f"{resident[case.process.name] / 1e6:.0f}"]
    return f"| {' | '.join(cells)} |"


def targets(results: Results) -> list[tuple[str, str | None, str, str]]:
    """The rows of the design's table that this benchmark measures; None where the run left the group out."""
    small, browser = "reply of 20", "a browser's head (12 headers, 1 KB)"
    h2c, large = "HTTP/2 by prior knowledge, 8 connections with 8 streams", "reply of 100KB through filters"
    tls_h2 = "HTTP/2 over TLS 1.3, 8 connections with 8 streams"
    out = [
        ("gateway, no plugin, against nginx", results.ratio(small, "heddle", "nginx"), "<= 0.85", "0.70"),
        ("the same with a browser's head", results.ratio(browser, "heddle", "nginx"), "<= 0.85", "0.70"),
        ("the same against nginx that sends no forwarding headers", results.ratio(small, "heddle", "nginx-bare"), "-", "-"),
        ("gateway, one Rust-SDK filter, against Envoy with the same .wasm",
         results.ratio(small, "heddle-minimal", "envoy-minimal"), "<= 0.40", "0.20"),
        ("an empty filter adds", results.difference(small, "heddle-empty", "heddle"), "<= 0.8 us", "0.3"),
        ("a filter adding one header (Rust SDK) adds", results.difference(small, "heddle-minimal", "heddle"), "<= 2 us", "0.7"),
        ("the same in C adds", results.difference(small, "heddle-one_header", "heddle"), "-", "-"),
        ("one header read adds", results.difference(small, "heddle-reads50", "heddle-empty", 50), "<= 0.2 us", "0.06"),
        ("HTTP/2 downstream, against nginx", results.ratio(h2c, "heddle", "nginx"), "<= 0.75", "0.6"),
        ("HTTP/2 over TLS downstream, against nginx", results.ratio(tls_h2, "heddle", "nginx"), "-", "-"),
        ("100 KB body through a filter that does not look at it, against HAProxy",
         results.ratio(large, "heddle-empty", "haproxy"), "<= 1.1", "0.9"),
        ("route handler (Rust, 200-byte JSON), fresh instance, whole request, against `wasmtime serve` fresh",
         results.ratio(ROUTES, "fresh", "wasmtime-fresh"), "<= 0.5", "0.25"),
        ("the same with reused instances, against `wasmtime serve` with reuse", results.ratio(ROUTES, "reuse", "wasmtime-reuse"),
         "-", "-"),
        ("the same, fresh, against the gateway that forwards", results.ratio(ROUTES, "fresh", "gateway"), "-", "-"),
    ]
    if memory := results.extra.get("memory"):
        out += [("memory, idle server", f"{memory['idle'] / 1e6:.0f} MB", "<= 40 MB", "20"),
                ("memory, one more idle instance beyond the guest's own pages", f"{memory['per_instance'] / 1024:.0f} KB",
                 "<= 64 KB", "16"),
                ("the guest's own touched pages of such an instance", f"{memory['guest'] / 1024:.0f} KB", "-", "-")]
    for name, (load, whole) in results.extra.get("loading", {}).items():
        out += [(f"`{name}.wasm` loaded from the compile cache", f"{load * 1e3:.1f} ms", "<= 5 ms", "1"),
                ("the whole reload of it, as the admin API's client sees it", f"{whole * 1e3:.1f} ms", "-", "-")]
    return out


def as_json(results: Results, void: dict[str, list[str]]) -> dict:
    return {
        "date": str(date.today()), "cores": os.cpu_count(), "kernel": platform.release(), "void": void,
        "rows": [{"group": case.group, "case": case.key, "proxy": case.process.name,
                  "cpu_us": row.cpu_us if row.rounds else None, "rounds": [asdict(each) for each in row.rounds]}
                 for case, row in results.rows],
        "resident_bytes": results.resident, **results.extra, "rpc": rpc.as_json(results.calls), "library": rpc.as_json(results.library),
    }


def write_docs(page: Path, text: str) -> None:
    """Replaces what stands between the markers."""
    content = page.read_text() if page.exists() else NEW_PAGE
    if BEGIN not in content:
        content += f"\n{BEGIN}\n{END}\n"
    head, _, rest = content.partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
