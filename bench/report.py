"""The tables of a benchmark in Markdown and JSON."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from datetime import date
from pathlib import Path

from measure import Row

Rows = dict[tuple[str, str], Row]
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

LABELS = {
    "nginx": "nginx", "heddle": "Heddle", "envoy": "Envoy, no filter",
    "heddle-empty": "Heddle + empty filter", "envoy-empty": "Envoy + empty filter",
    "heddle-header-c": "Heddle + filter adding one header, C", "envoy-header-c": "Envoy + the same",
    "heddle-header-rust": "Heddle + filter adding one header, Rust SDK", "envoy-header-rust": "Envoy + the same .wasm",
    "heddle-reads50": "Heddle + filter with 50 header reads, C", "envoy-reads50": "Envoy + the same",
}
ORDER = list(LABELS)
NEW_PAGE = f"""# Performance

What Heddle costs, next to its peers. How it is measured: [bench/README.md](../bench/README.md).

{BEGIN}
{END}
"""


def cpu(rows: Rows, name: str, path: str = "/20") -> float:
    return rows[name, path].cpu_us


def figure(row: Row) -> str:
    return f"{row.cpu_us:.1f} ({row.least_cpu_us:.1f})"


def tables(rows: Rows, resident: dict[str, int], extra: dict, rounds: int) -> str:
    names = [name for name in ORDER if (name, "/20") in rows]
    lines = [f"CPU us per request, median of {rounds} interleaved rounds (least in brackets); one worker each, wrk with 32",
             f"connections, keep-alive on both sides. {date.today()}, {os.cpu_count()} cores, Linux {platform.release()}.", "",
             "| | 20-byte reply | 10 KB | 100 KB | requests/s | p99 ms | resident MB |", "|---|---|---|---|---|---|---|"]
    for name in names:
        small = rows[name, "/20"]
        cells = [figure(rows[name, path]) for path in ("/20", "/10k", "/100k")]
        lines.append(f"| {LABELS[name]} | {' | '.join(cells)} | {small.rps:,.0f} | {small.p99_ms:.1f} "
                     f"| {resident[name] / 1e6:.0f} |")
    lines += ["", "| what | measured | must | aim |", "|---|---|---|---|"]
    lines += [f"| {what} | {measured} | {must} | {aim} |" for what, measured, must, aim in targets(rows, extra)]
    lines += ["", "Made by `make bench` (`bench/run.py --write-docs`)."]
    return "\n".join(lines)


def targets(rows: Rows, extra: dict) -> list[tuple[str, str, str, str]]:
    base = cpu(rows, "heddle")
    out = [("gateway, no plugin, against nginx", f"{base / cpu(rows, 'nginx'):.2f}", "<= 0.85", "0.70")]
    if ("envoy", "/20") in rows:
        ratio = cpu(rows, "heddle-header-rust") / cpu(rows, "envoy-header-rust")
        out.append(("gateway, one Rust-SDK filter, against Envoy with the same .wasm", f"{ratio:.2f}", "<= 0.40", "0.20"))
    read = (cpu(rows, "heddle-reads50") - cpu(rows, "heddle-empty")) / 50
    out += [
        ("an empty filter adds", f"{cpu(rows, 'heddle-empty') - base:.2f} us", "<= 0.8 us", "0.3"),
        ("a filter adding one header (Rust SDK) adds", f"{cpu(rows, 'heddle-header-rust') - base:.2f} us", "<= 2 us", "0.7"),
        ("the same in C adds", f"{cpu(rows, 'heddle-header-c') - base:.2f} us", "-", "-"),
        ("one header read adds", f"{read:.3f} us", "<= 0.2 us", "0.06"),
        ("memory, idle server", f"{extra['memory']['idle'] / 1e6:.0f} MB", "<= 40 MB", "20"),
        ("memory, one more idle instance (its touched pages included)",
         f"{extra['memory']['per_instance'] / 1024:.0f} KB", "<= 64 KB", "16"),
    ]
    for name, seconds in extra["loading"].items():
        out.append((f"reload of `{name}.wasm` from the cache, whole request to the admin API", f"{seconds * 1e3:.1f} ms",
                    "<= 5 ms to load", "1"))
    return out


def as_json(rows: Rows, resident: dict[str, int], extra: dict, void: dict[str, list[str]]) -> dict:
    return {
        "date": str(date.today()), "cores": os.cpu_count(), "kernel": platform.release(), "void": void,
        "rows": [{"proxy": name, "path": path, "cpu_us": row.cpu_us if row.rounds else None,
                  "rounds": [asdict(each) for each in row.rounds]} for (name, path), row in rows.items()],
        "resident_bytes": resident, **extra,
    }


def write_docs(page: Path, text: str) -> None:
    """Replaces what stands between the markers."""
    content = page.read_text() if page.exists() else NEW_PAGE
    if BEGIN not in content:
        content += f"\n{BEGIN}\n{END}\n"
    head, _, rest = content.partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
