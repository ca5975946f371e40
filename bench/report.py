"""The tables of a benchmark in Markdown and JSON."""

from __future__ import annotations

import operator
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

import library
import messages
import rpc
from measure import Row
from rows import ROUTES, Case, Pair

TITLES = {"plain": "Small replies, and filters before them", "pairs": "Two at the same time", "heads": "A browser's request", "entries": "TLS and HTTP/2",
          "sizes": "Larger replies", "bodies": "Bodies through filters", "chains": "Filters in a row", "latencies": "Latency at a fixed rate",
          "routes": "Route plugins", "rpc": "JSON-RPC plugins", "library": "Calls from a program", "messages": "The message service"}


class Results:
    """Every case with its rounds."""

    def __init__(self, rows: list[tuple[Case, Row]], pairs: list[tuple[Pair, Row, Row]], resident: dict[str, int], extra: dict, rounds: int) -> None:
        self.rows, self.pairs, self.resident, self.extra, self.rounds = rows, pairs, resident, extra, rounds
        self.calls: list[rpc.Host] = []  # of JSON-RPC plugins; empty: not measured
        self.library: list[library.Program] = []  # through libheddle; empty: not measured
        self.messages: messages.Results | None = None
        self._by_key = {(case.title, case.key): row for case, row in rows}

    def ratio(self, title: str, key: str, other: str) -> str | None:
        pairs = self._pairs(title, key, other)
        return f"{statistics.median(mine / theirs for mine, theirs in pairs):.2f}" if pairs else None

    def share(self, key: str) -> str | None:
        """Of the second of a pair in the first."""
        found = self._of_pair(key, operator.truediv)
        return None if found is None else f"{found:.2f}"

    def added(self, key: str, parts: int = 1) -> str | None:
        """By the second of a pair to the first."""
        found = self._of_pair(key, operator.sub)
        return None if found is None else f"{found / parts:.{3 if parts > 1 else 2}f} us"

    def _of_pair(self, key: str, relation: Callable[[float, float], float]) -> float | None:
        found = next((each for each in self.pairs if each[0].key == key), None)
        return None if found is None else related(found[1], found[2], relation)

    def _pairs(self, title: str, key: str, other: str) -> list[tuple[float, float]]:
        """CPU time of two cases in the same round, measured within seconds of each other: what they have in common, a
        neighbour's load above all, cancels out."""
        mine, theirs = self._by_key.get((title, key)), self._by_key.get((title, other))
        if mine is None or theirs is None or len(mine.rounds) != len(theirs.rounds):
            return []
        return [(one.cpu_us, another.cpu_us) for one, another in zip(mine.rounds, theirs.rounds, strict=True)]


def tables(results: Results) -> dict[str, str]:
    """Of each group that was measured, in Markdown."""
    out = {}
    for group in dict.fromkeys(case.group for case, _ in results.rows):
        lines = ["CPU us per request (least in brackets); one worker each, 32 connections if the title says nothing else, keep-alive on both sides."]
        for title in dict.fromkeys(case.title for case, _ in results.rows if case.group == group):
            lines += ["", f"**{title[0].upper()}{title[1:]}**", "", "| | CPU us | requests/s | p50 ms | p99 ms | p99.9 ms | resident MB |",
                      "|---|---|---|---|---|---|---|"]
            lines += [_line(case, row, results.resident) for case, row in results.rows if case.title == title]
        if reached := targets(results, group):
            lines += ["", "| what | measured | must | aim |", "|---|---|---|---|"]
            lines += [f"| {what} | {measured} | {must} | {aim} |" for what, measured, must, aim in reached]
        out[group] = "\n".join(lines)
    if results.pairs:
        out["pairs"] = "\n".join(_pairs_table(results))
    if results.calls:
        out["rpc"] = rpc.table(results.calls)
    if results.library:
        out["library"] = library.table(results.library)
    if results.messages:
        out["messages"] = messages.table(results.messages)
    when = f"{date.today()}, median of {results.rounds} interleaved rounds, {os.cpu_count()} cores, Linux {platform.release()}."
    return {group: f"## {TITLES[group]}\n\n{text}\n\n`bench/run.py --groups {group}`, {when}" for group, text in out.items()}


def _line(case: Case, row: Row, resident: dict[str, int]) -> str:
    tail = row.median("p999_ms")
    cells = [case.label, f"{row.cpu_us:.1f} ({row.least_cpu_us:.1f})", f"{row.median('rps'):,.0f}", f"{row.median('p50_ms'):.2f}",
             f"{row.median('p99_ms'):.2f}", f"{tail:.2f}" if tail else "-", f"{resident[case.process.name] / 1e6:.0f}"]
    return f"| {' | '.join(cells)} |"


def related(base: Row, row: Row, relation: Callable[[float, float], float]) -> float:
    """CPU time of the second to that of the first, median over the rounds."""
    return statistics.median(relation(one.cpu_us, other.cpu_us) for one, other in zip(row.rounds, base.rounds, strict=True))


def _pairs_table(results: Results) -> list[str]:
    lines = ["CPU us per request of two proxies under the same load of 32 connections each, at the same time on the same core.", "",
             "| the first, the second | first | second | ratio | difference |", "|---|---|---|---|---|"]
    for pair, base, row in results.pairs:
        lines.append(f"| {pair.label} | {base.cpu_us:.1f} | {row.cpu_us:.1f} | {related(base, row, operator.truediv):.2f} | "
                     f"{related(base, row, operator.sub):.2f} |")
    lines += ["", "| what | measured | must | aim |", "|---|---|---|---|"]
    return lines + [f"| {' | '.join(row)} |" for row in targets(results, "pairs")]


def targets(results: Results, group: str) -> list[tuple[str, str, str, str]]:
    """The rows of the design's table that a group measures: what, measured, must, aim."""
    small, browser = "reply of 20", "a browser's head (12 headers, 1 KB)"
    h2c, large = "HTTP/2 by prior knowledge, 8 connections with 8 streams", "reply of 100KB through filters"
    tls_h2 = "HTTP/2 over TLS 1.3, 8 connections with 8 streams"
    out = {
        "plain": [
            ("gateway, no plugin, against nginx", results.ratio(small, "heddle", "nginx"), "<= 0.85", "0.70"),
            ("the same against nginx that sends no forwarding headers", results.ratio(small, "heddle", "nginx-bare"), "-", "-"),
            ("gateway, one Rust-SDK filter, against Envoy with the same .wasm",
             results.ratio(small, "heddle-minimal", "envoy-minimal"), "<= 0.40", "0.20"),
            *_idle(results.extra)],
        "pairs": [
            ("gateway, no plugin, against nginx", results.share("nginx"), "<= 0.85", "0.70"),
            ("the same with a browser's head", results.share("nginx-browser"), "<= 0.85", "0.70"),
            ("an empty filter adds", results.added("empty"), "<= 0.8 us", "0.3"),
            ("each of its three callbacks, with a third of all else that a filter costs", results.added("empty", 3), "<= 0.3 us", "0.1"),
            ("a filter adding one header (Rust SDK) adds", results.added("minimal"), "<= 2 us", "0.7"),
            ("the same in C adds", results.added("one_header"), "-", "-"),
            ("one header read adds", results.added("reads", 50), "<= 0.2 us", "0.06"),
            ("route handler (Rust, 200-byte JSON), fresh instance, whole request, against `wasmtime serve` fresh", results.share("fresh"),
             "<= 0.5", "0.25")],
        "heads": [("gateway, no plugin, against nginx", results.ratio(browser, "heddle", "nginx"), "<= 0.85", "0.70")],
        "entries": [
            ("HTTP/2 downstream, against nginx", results.ratio(h2c, "heddle", "nginx"), "<= 0.75", "0.6"),
            ("HTTP/2 over TLS downstream, against nginx", results.ratio(tls_h2, "heddle", "nginx"), "-", "-")],
        "bodies": [("100 KB body through a filter that does not look at it, against HAProxy",
                    results.ratio(large, "heddle-empty", "haproxy"), "<= 1.1", "0.9")],
        "routes": [
            ("route handler (Rust, 200-byte JSON), fresh instance, whole request, against `wasmtime serve` fresh",
             results.ratio(ROUTES, "fresh", "wasmtime-fresh"), "<= 0.5", "0.25"),
            ("the same with reused instances, against `wasmtime serve` with reuse", results.ratio(ROUTES, "reuse", "wasmtime-reuse"),
             "-", "-"),
            ("the same, fresh, against the gateway that forwards", results.ratio(ROUTES, "fresh", "gateway"), "-", "-")],
    }
    return [row for row in out.get(group, []) if row[1] is not None]


def _idle(extra: dict) -> list[tuple[str, str, str, str]]:
    out = []
    if memory := extra.get("memory"):
        out += [("memory, idle server", f"{memory['idle'] / 1e6:.0f} MB", "<= 40 MB", "20"),
                ("memory, one more idle instance beyond the guest's own pages", f"{memory['per_instance'] / 1024:.0f} KB",
                 "<= 64 KB", "16"),
                ("the guest's own touched pages of such an instance", f"{memory['guest'] / 1024:.0f} KB", "-", "-")]
    for name, (load, whole) in extra.get("loading", {}).items():
        out += [(f"`{name}.wasm` loaded from the compile cache", f"{load * 1e3:.1f} ms", "<= 5 ms", "1"),
                ("the whole reload of it, as the admin API's client sees it", f"{whole * 1e3:.1f} ms", "-", "-")]
    return out


def as_json(results: Results, void: dict[str, list[str]]) -> dict:
    return {
        "date": str(date.today()), "cores": os.cpu_count(), "kernel": platform.release(), "void": void,
        "rows": [{"group": case.group, "title": case.title, "case": case.key, "proxy": case.process.name,
                  "cpu_us": row.cpu_us if row.rounds else None, "rounds": [asdict(each) for each in row.rounds]}
                 for case, row in results.rows],
        "pairs": [{"pair": pair.label, "base": [asdict(each) for each in base.rounds], "rounds": [asdict(each) for each in row.rounds]}
                  for pair, base, row in results.pairs],
        "resident_bytes": results.resident, **results.extra, "rpc": rpc.as_json(results.calls), "library": rpc.as_json(results.library),
        "messages": results.messages.as_json() if results.messages else None,
    }


def write_docs(page: Path, measured: dict[str, str]) -> None:
    """Replaces the sections of the groups that were measured; a group that has none yet gets one at the end."""
    content = page.read_text()
    for group, text in measured.items():
        begin, end = f"<!-- bench {group}: begin -->", f"<!-- bench {group}: end -->"
        if begin not in content:
            content += f"\n{begin}\n{end}\n"
        head, _, rest = content.partition(begin)
        _, _, tail = rest.partition(end)
        content = f"{head}{begin}\n{text}\n{end}{tail}"
    page.write_text(content)
