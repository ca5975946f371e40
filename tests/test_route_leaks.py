"""Fresh instances without end, some of which fail in every way there is: memory and file descriptors stay flat. `make soak` is the
long form."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

from support import paths
from support.configs import gateway, plugin
from support.route_driver import RUN, Driver, script
from support.server import Server
from support.upstreams import Peer, Upstream, ok
from support.waiting import until

REQUESTS = 100_000 if os.environ.get("HEDDLE_SOAK") else 5_000
CLIENTS = 4


def kinds(upstream: str) -> list[tuple[bytes, int]]:
    """What a client asks in turn, and the status of the answer."""
    good = [script("served"), script("get_config 'x'", "crypto_random 1000", "log 3 'x'"), script("state_set 'k' 'v'", "state_get 'k'"),
            script("db_query 'select 1 as a' ''"), script(f"http_request 'GET' 'http://{upstream}/' '' ''"),
            script("return big 100000"), script("emit_event 'e' '{}'")]
    bad = [(script("trap"), 500), (script("return at 4294967295"), 502), (script("recurse"), 500), (script("repeat 300 log 4 'x'"), 507)]
    return [(each, 200) for each in good * 5] + bad


def answer(peer: Peer) -> None:
    try:
        while peer.read_request():
            peer.send(ok(b"x" * 1000))
    except TimeoutError:
        pass  # a connection that is kept and not needed for long


class Client(threading.Thread):
    def __init__(self, server: Server, asked: list[tuple[bytes, int]], count: int) -> None:
        super().__init__(daemon=True)
        self._server, self._asked, self._count = server, asked, count
        self.answers: Counter[int] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        with self._server.connect() as connection:
            for number in range(self._count):
                body, status = self._asked[number % len(self._asked)]
                answer = connection.request("POST", "/run", {"content-type": "text/plain"}, body)
                self.answers[answer.status] += 1
                if answer.status != status:
                    self.wrong.append(f"{body!r}: {answer.status} {answer.text[:200]}")


def load(server: Server, asked: list[tuple[bytes, int]], count: int) -> None:
    clients = [Client(server, asked, count // CLIENTS) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [wrong for client in clients for wrong in client.wrong][:3] == []
    assert sum(sum(client.answers.values()) for client in clients) == count // CLIENTS * CLIENTS


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def settled(server: Server) -> int:
    """Open files once the clients' connections are gone."""
    until(lambda: server.plugin("run")["stats"]["instances"] == 0, "the instances to be gone")
    counts = [-1]

    def same() -> bool:
        counts.append(descriptors(server))
        return len(counts) > 5 and len(set(counts[-5:])) == 1

    until(same, "the open files to settle")
    return counts[-1]


def test_fresh_instances_leak_nothing(serve, tmp_path: Path, heddle: Path) -> None:
    with Upstream(answer) as upstream:
        host = "%s:%d" % upstream.address
        path = Driver(tmp_path).package("run", "SDK ALLOC=allocate DEALLOC=deallocate CLEANUP", [RUN])
        server = serve(gateway(workers=2, logging={"access_log": False}, data_dir=str(tmp_path / "data"), plugins=[
            plugin("run", path, host_calls=200, permissions={"sql": "write", "state": True, "events": True, "http": [host]})]), expect_errors=True)
        asked = kinds(host)
        for _ in range(8):  # until every worker has had connections, and every thread's allocator has seen all there is
            load(server, asked, REQUESTS // 10)
        resident, files = [server.resident()], [settled(server)]
        for _ in range(8):
            load(server, asked, REQUESTS // 10)
            resident.append(server.resident())
            files.append(settled(server))
        print(f"{REQUESTS} requests; resident MiB: {', '.join(f'{each / 2**20:.1f}' for each in resident)}; files: {files}")
        assert max(files) <= files[0] + 4
        if not paths.is_sanitized(heddle):
            assert resident[-1] <= resident[0] * 1.05 + (1 << 20), resident
