"""Origins as processes (support/soak_origin.py), and somebody who kills and restarts them one after another."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from support import wire
from support.upstreams import closed_port
from support.waiting import until

TESTS = Path(__file__).parent.parent


class Origin:
    """`host` is an address of its own in 127.0.0.0/8: no client's connection takes its port while it is down, and none that
    is made to it then meets itself."""

    def __init__(self, host: str, tunnels: bool = False) -> None:
        self.host = host
        self.http = closed_port()
        self.websocket = closed_port() if tunnels else 0
        self.tcp = closed_port() if tunnels else 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "support.soak_origin", self.host, *map(str, (self.http, self.websocket, self.tcp))]
        self._process = subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout and self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def address(self) -> wire.Address:
        return self.host, self.http


class Killer:
    """Within the block one of the origins after another dies without a word and comes back; the next one when `recovered`
    says that the former serves again."""

    def __init__(self, origins: list[Origin], recovered: Callable[[], bool]) -> None:
        self._origins = origins
        self._recovered = recovered
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            origin = self._origins[self.kills % len(self._origins)]
            origin.kill()
            self.kills += 1
            self._stop.wait(random.uniform(0, 0.3))
            origin.start()
            until(self._recovered, "the endpoint to be used again", 60)
            self._stop.wait(random.uniform(0, 0.5))
