"""A load generator for tests: threads with keep-alive connections that count what went wrong."""

from __future__ import annotations

import threading
from collections import Counter

from support import wire


class Load:
    """Sends GET requests from `threads` connections until the end of the block; `failures` must then be empty."""

    def __init__(self, address: wire.Address, target: str = "/", threads: int = 4, reconnect: int = 50) -> None:
        self._address = address
        self._target = target
        self._reconnect = reconnect
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self._lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._use_one_connection()
            except (OSError, wire.Broken, AssertionError, ValueError) as problem:
                if not self._ends_well(problem):
                    with self._lock:
                        self.failures.append(repr(problem))

    def _ends_well(self, problem: BaseException) -> bool:
        """What this error means; a subclass for servers that stop knows better."""
        return False

    def _use_one_connection(self) -> None:
        with wire.Connection(self._address) as connection:
            for _ in range(self._reconnect):
                if self._stop.is_set():
                    return
                response = connection.request("GET", self._target)
                with self._lock:
                    self.statuses[response.status] += 1
                    if response.status != 200:
                        self.failures.append(f"status {response.status}: {response.body[:300]!r}")
                if response.header("connection") == "close":
                    return


class LoadOnAStoppingServer(Load):
    """The same when the server is told to stop meanwhile: from then on a refused connection, and one that is closed
    before any byte of an answer, are no failures. A request that was sent on a connection which the server had already
    decided to close is such a case; a client may send it again elsewhere."""

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type]
        self.stopping = threading.Event()

    def _ends_well(self, problem: BaseException) -> bool:
        if not self.stopping.is_set():
            return False
        return isinstance(problem, OSError) or "unread: b''" in str(problem) or "reset" in str(problem)
