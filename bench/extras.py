"""What is not a load: memory of idle servers and instances, time of a reload."""

from __future__ import annotations

import json
import re
import statistics
import time
import urllib.request
from pathlib import Path

import proxies
from processes import Process

MANY = 50  # plugin entries with which the memory of an instance is measured
RELOADS = 15
POOL = 64 << 20  # bytes; address space that is reserved next to a guest's memory is larger, nothing else's is


def guest_bytes(process: Process) -> int:
    """Resident bytes of guests' linear memories: what lies between reserved address space of the instance pool."""
    total = 0
    for pid in process.tree():
        previous, current = (0, ""), None
        pending = 0  # accessible mappings since the last reserved one
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ", line):
                start, end = int(head[1], 16), int(head[2], 16)
                adjacent = previous[0] == start
                reserved = head[3].startswith("---") and end - start >= POOL
                if not adjacent:
                    pending = 0
                if reserved and adjacent:
                    total, pending = total + pending, 0
                current = None if head[3].startswith("---") else head[3]
                previous = (end, head[3])
            elif line.startswith("Rss:") and current and "x" not in current:
                pending += int(line.split()[1]) * 1024
    return total


def memory(binary: Path, folder: Path, origin: int, wasm: Path) -> dict[str, float]:
    """Resident bytes of an idle server, and what one more idle instance takes beyond its guest's own pages."""
    sizes, guests = {}, {}
    for count in (0, 1, MANY):
        server = proxies.heddle(f"memory-{count}", binary, folder, origin, [wasm] * count).start()
        try:
            sizes[count], guests[count] = server.resident_bytes(), guest_bytes(server)
        finally:
            server.stop()
    guest = (guests[MANY] - guests[1]) / (MANY - 1)
    return {"idle": sizes[0], "per_instance": (sizes[MANY] - sizes[1]) / (MANY - 1) - guest, "guest": guest}


def loading(binary: Path, folder: Path, origin: int, modules: dict[str, Path]) -> dict[str, tuple[float, float]]:
    """With the compiled code in the cache: seconds of loading it, as the log has them (hash, map, check), and of a whole
    reload over the admin API (read, load, start, configure)."""
    out = {}
    for name, wasm in modules.items():
        server = proxies.heddle(f"load-{name}", binary, folder, origin, [wasm]).start()
        try:
            whole = statistics.median(_reload_seconds(server, "plugin-0") for _ in range(RELOADS))
            out[name] = (statistics.median(_load_seconds(server)), whole)
        finally:
            server.stop()
    return out


def _load_seconds(server: Process) -> list[float]:
    """Of the reloads, which the first load is none of: that one compiles."""
    lines = [json.loads(line) for line in server.log().splitlines() if "plugin reloaded" in line]
    assert len(lines) == RELOADS
    assert all(line["compile_cache"] for line in lines)
    return [line["compile_ms"] / 1e3 for line in lines]


def _reload_seconds(server: Process, plugin: str) -> float:
    request = urllib.request.Request(f"http://127.0.0.1:{server.admin}/plugins/{plugin}/reload", method="POST")
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - start
