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
            connection: wire.Connection | None = None
            try:
                connection = self._connect()
                self._use(connection)
            except (OSError, wire.Broken, AssertionError, ValueError) as problem:
                if not self._ends_well(problem, connection):
                    with self._lock:
                        self.failures.append(repr(problem))
            finally:
                if connection:
                    connection.close()

    def _connect(self) -> wire.Connection:
        return wire.Connection(self._address)

    def _ends_well(self, problem: BaseException, connection: wire.Connection | None) -> bool:
        """Whether this is no failure after all; a subclass for servers that stop knows when."""
        return False

    def _use(self, connection: wire.Connection) -> None:
        for _ in range(self._reconnect):
            if self._stop.is_set():
                return
            connection.answer_begun = False
            response = connection.request("GET", self._target)
            with self._lock:
                self.statuses[response.status] += 1
                if response.status != 200:
                    self.failures.append(f"status {response.status}: {response.body[:300]!r}")
            if response.header("connection") == "close":
                return


class LoadOnAStoppingServer(Load):
    """The same when the server is told to stop meanwhile. From then on two things are no failures: a connection that is
    refused, and one that ends before any byte of an answer (the request met the close of an idle connection, which
    HTTP/1.1 cannot avoid). An answer that broke off and a time-out are failures still."""

    def __init__(self, address: wire.Address) -> None:
        super().__init__(address)
        self.stopping = threading.Event()

    def _ends_well(self, problem: BaseException, connection: wire.Connection | None) -> bool:
        if not self.stopping.is_set() or isinstance(problem, TimeoutError):
            return False
        if not isinstance(problem, (ConnectionError, wire.Broken)):
            return False
        return connection is None or not connection.answer_begun
