"""The message service: what a verdict of a hook costs, durable messages per second on both databases, pushes to many WebSockets."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import rpc
from measure import Load, Row, one_round
from processes import LOAD_CORE, PROXY_CORE, Process, free_port

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "bench" / "messages"
sys.path.append(str(ROOT / "tests"))
from support.postgres import Postgres  # noqa: E402

# What a verdict is asked of: label, plugin, isolation, cores, how often a round, what must be reached, and the aim.
VERDICTS = (
    ("message_hook that looks at nothing", "allow_message.wasm", "none", PROXY_CORE, 200_000, "<= 2 us", "0.5"),
    ("message_hook: the example word_filter, 100 bytes", "c_word_filter.wasm", "none", PROXY_CORE, 100_000, "-", "-"),
    ("native_hook within the server", "allow_native.so", "none", PROXY_CORE, 2_000_000, "<= 0.05 us", "0.01"),
    ("native_hook compiled to wasm32, in the sandbox", "allow_native.wasm", "none", PROXY_CORE, 200_000, "-", "-"),
    ("native_hook in a child process", "allow_native.so", "process", f"{PROXY_CORE},{LOAD_CORE}", 20_000, "-", "-"),
)
# Of enqueues: hooks in the chain, connections that post one message at a time.
ENQUEUES = ((0, 1), (0, 32), (0, 256), (1, 32), (5, 32))
MAILBOXES = 64
STREAMS, SENDERS, PUSHES = 10_000, 8, 20_000


class Asker(rpc.Host):
    """The program that asks one hook. Figures are (CPU us, wall us) of a verdict."""

    def measure(self, count: int) -> tuple[float, float]:
        before, start = self.cpu_us(), time.perf_counter()
        self.ask(str(count))
        return (self.cpu_us() - before) / count, (time.perf_counter() - start) * 1e6 / count


@dataclass
class Enqueues:
    """One server under one load; how many writes shared a commit stands beside each round."""

    storage: str
    hooks: int
    connections: int
    process: Process
    load: Load
    row: Row = field(default_factory=Row)
    shared: list[float] = field(default_factory=list)


@dataclass
class Results:
    verdicts: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    enqueues: list[Enqueues] = field(default_factory=list)
    pushes: list[tuple[float, float]] = field(default_factory=list)  # a second, CPU us of each
    resident: list[int] = field(default_factory=list)  # bytes: with no stream, with all

    def as_json(self) -> dict:
        return {"verdicts": self.verdicts, "pushes": self.pushes, "resident": self.resident,
                "enqueues": [{"storage": each.storage, "hooks": each.hooks, "connections": each.connections, "writes_per_commit": each.shared,
                              "rounds": [asdict(one) for one in each.row.rounds]} for each in self.enqueues]}


def measure(heddle: Path, folder: Path, rounds: int) -> Results:
    results = Results()
    verdicts(heddle.parent, folder, rounds, results)
    database = Postgres(durable=True)
    try:
        enqueues(heddle, folder, database.url, rounds, results)
    finally:
        database.remove()
    pushes(heddle, folder, rounds, results)
    return results


def verdicts(build: Path, folder: Path, rounds: int, results: Results) -> None:
    include = f"-I{ROOT / 'include'}"
    wasm = ["--target=wasm32", "-nostdlib", "-Wl,--no-entry"]
    reactor = ["--target=wasm32-wasi", "-mexec-model=reactor", "-Wl,--export-table,--export-if-defined=malloc,--export-if-defined=free"]
    for name, source, flags in (("allow_message.wasm", "allow_message", wasm), ("allow_native.wasm", "allow_native", reactor),
                                ("allow_native.so", "allow_native", ["-shared", "-fPIC"])):
        subprocess.run(["clang-19", "-O2", include, *flags, "-o", folder / name, SOURCES / f"{source}.c"], check=True)
    subprocess.run([ROOT / "scripts/build-examples", "c_word_filter"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, "heddle_verdicts"], check=True, stdout=subprocess.DEVNULL)
    askers = []
    for label, plugin, isolation, cores, count, _, _ in VERDICTS:
        file = folder / plugin if plugin.startswith("allow") else ROOT / "build/examples" / plugin
        asker = Asker(label, [str(build / "bench/heddle_verdicts"), str(file), isolation], cores)
        asker.start()
        asker.measure(count // 5)  # warm-up
        results.verdicts[label] = []
        askers.append((asker, count))
    for _ in range(rounds):
        for asker, count in askers:
            results.verdicts[asker.name].append(asker.measure(count))
    for asker, _ in askers:
        asker.stop()
    print("bench: verdicts measured", file=sys.stderr)


def server(heddle: Path, folder: Path, name: str, hooks: int, url: str | None) -> Process:
    port, admin = free_port(), free_port()
    config = {
        "listeners": [{"name": "public", "address": f"127.0.0.1:{port}", "limits": {"max_connections": 2 * STREAMS}}],
        "admin": {"address": f"127.0.0.1:{admin}"}, "workers": 1, "engine": {"cache_dir": str(folder / "cache")},
        "logging": {"access_log": False}, "data_dir": str(folder / f"{name}-data"),
        "messaging": {"enabled": True, "password_memory": "8KiB", "password_operations": 1, "logins_per_second": 0,
                      "messages_per_second": 0, "mailbox_messages": 0, "mailbox_bytes": 0},
        "plugins": [{"name": f"hook-{i}", "path": str(ROOT / "build/examples/c_word_filter.wasm")} for i in range(hooks)]}
    if url:
        config["storage"] = {"url": url}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return Process(name, [str(heddle), "serve", "-c", str(file)], PROXY_CORE, port, folder, "http", admin, "/v1/openapi.json")


class Client:
    """Makes accounts and channels over one connection."""

    def __init__(self, process: Process) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
        self._made = 0

    def call(self, target: str, body: dict, token: str = "") -> dict:
        self._connection.request("POST", target, json.dumps(body), {"Authorization": f"Bearer {token}"} if token else {})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"bench: {target} was answered {answer.status}: {text[:300]!r}")
        return json.loads(text)

    def account(self) -> dict[str, str]:
        self._made += 1
        login = {"username": f"bench-{os.getpid()}-{time.monotonic_ns()}-{self._made}", "password": "correct horse"}
        key = base64.b64encode(os.urandom(32)).decode()
        self.call("/v1/accounts", {**login, "identity_key": key})
        return {"key": key, "token": self.call("/v1/sessions", login)["token"]}

    def channel(self, sender: dict[str, str], recipient: dict[str, str]) -> str:
        return self.call("/v1/channels", {"peer_key": recipient["key"]}, sender["token"])["id"]


def write_script(process: Process) -> Path:
    """For wrk: messages of 100 bytes of one sender, to one mailbox after the other."""
    client = Client(process)
    sender = client.account()
    bodies = []
    for _ in range(MAILBOXES):
        recipient = client.account()
        bodies.append(json.dumps({"recipient_key": recipient["key"], "channel_id": client.channel(sender, recipient), "text": "t" * 100}))
    script = process.folder / f"{process.name}.lua"
    script.write_text(f"""local bodies = {{{",".join(f"[==[{body}]==]" for body in bodies)}}}
local headers = {{["Authorization"] = "Bearer {sender["token"]}", ["Content-Type"] = "application/json"}}
local next = 0
function request()
  next = next % #bodies + 1
  return wrk.format("POST", "/v1/messages", headers, bodies[next])
end
""")
    return script


def counters(process: Process) -> tuple[float, float]:
    """Writes and commits since the start."""
    connection = http.client.HTTPConnection("127.0.0.1", process.admin, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = [re.search(rf"^heddle_messaging_{name}_total(?:{{}})? ([0-9.e+]+)$", text, re.MULTILINE) for name in ("writes", "commits")]
    return float(found[0][1]), float(found[1][1])


def enqueues(heddle: Path, folder: Path, url: str, rounds: int, results: Results) -> None:
    processes = []
    for storage in ("SQLite", "PostgreSQL"):
        for hooks in sorted({each[0] for each in ENQUEUES}):
            process = server(heddle, folder, f"messages-{storage.lower()}-{hooks}", hooks, url if storage == "PostgreSQL" else None).start()
            processes.append(process)
            script = write_script(process)
            results.enqueues += [Enqueues(storage, hooks, connections, process, Load("/v1/messages", connections, script=script))
                                 for with_hooks, connections in ENQUEUES if with_hooks == hooks]
    try:
        for done in range(-1, rounds):  # the first is the warm-up
            for each in results.enqueues:
                before = counters(each.process)
                one_round(each.process, each.load, 1, each.row if done >= 0 else Row())
                if done >= 0:
                    writes, commits = (after - then for after, then in zip(counters(each.process), before, strict=True))
                    each.shared.append(writes / max(1.0, commits))
            print(f"bench: enqueues, round {done + 1} of {rounds}", file=sys.stderr)
    finally:
        for process in processes:
            process.stop()
    if void := [each.row.failures for each in results.enqueues if each.row.failures]:
        raise SystemExit(f"bench: messages were refused, the figures mean nothing: {void[0][0]}")


def pushes(heddle: Path, folder: Path, rounds: int, results: Results) -> None:
    process = server(heddle, folder, "messages-streams", 0, None).start()
    try:
        client = Client(process)
        senders = [client.account() for _ in range(SENDERS)]
        recipients = [client.account() for _ in range(STREAMS)]
        for each in recipients:
            each["channels"] = [client.channel(sender, each) for sender in senders]
        file = folder / "streams.json"
        file.write_text(json.dumps({"recipients": recipients, "senders": [sender["token"] for sender in senders]}))
        results.resident = [process.resident_bytes()]
        crowd = rpc.Host("streams", [sys.executable, str(SOURCES / "streams.py"), str(process.port), str(file)], LOAD_CORE)
        crowd.start()
        results.resident.append(process.resident_bytes())
        for done in range(-1, rounds):
            before, start = process.cpu_seconds(), time.perf_counter()
            crowd.ask(str(PUSHES))
            if done >= 0:
                results.pushes.append((PUSHES / (time.perf_counter() - start), (process.cpu_seconds() - before) * 1e6 / PUSHES))
        crowd.stop()
    finally:
        process.stop()
    print("bench: pushes measured", file=sys.stderr)


def median(values: list, figure: Callable[[object], float]) -> float:
    return statistics.median(figure(each) for each in values)


def table(results: Results) -> str:
    lines = ["**Verdict of one hook that allows, one call at a time**", "", "| | CPU us (least) | us until it is there | must | aim |", "|---|---|---|---|---|"]
    for label, _, _, _, _, must, aim in VERDICTS:
        figures = results.verdicts[label]
        least = min(cpu for cpu, _ in figures)
        lines.append(f"| {label} | {median(figures, lambda f: f[0]):.3f} ({least:.3f}) | {median(figures, lambda f: f[1]):.3f} | {must} | {aim} |")
    lines += ["", f"**Durable messages: `POST /v1/messages` of 100 bytes to {MAILBOXES} mailboxes, each answered when it is on the disk; hooks are the example word_filter**", "",
              "| storage | hooks | connections | messages/s | p50 ms | p99 ms | CPU us of Heddle | writes in one commit |", "|---|---|---|---|---|---|---|---|"]
    for each in results.enqueues:
        row = each.row
        lines.append(f"| {each.storage} | {each.hooks} | {each.connections} | {row.median('rps'):,.0f} | {row.median('p50_ms'):.2f} | "
                     f"{row.median('p99_ms'):.2f} | {row.cpu_us:.1f} | {statistics.median(each.shared):.1f} |")
    kilobytes = (results.resident[1] - results.resident[0]) / STREAMS / 1024
    lines += ["", f"**Pushes to {STREAMS:,} WebSockets, each of its own account; {SENDERS} senders post batches of 100; SQLite**", "",
              "| stored and pushed per second | CPU us of Heddle for each, storing included | KB of memory for each stream |", "|---|---|---|",
              f"| {median(results.pushes, lambda p: p[0]):,.0f} | {median(results.pushes, lambda p: p[1]):.1f} | {kilobytes:.1f} |"]
    return "\n".join(lines)
