"""A running `heddle serve`: started on ports of its own choice, awaited by its log, stopped with its manners checked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from support import http2, wire

START_TIMEOUT = 180.0
STOP_TIMEOUT = 60.0
Line = dict[str, Any]


class LogBook:
    """Collects a process's output lines; waits for one without polling."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._open_streams = 0

    def follow(self, stream: IO[str], source: str) -> threading.Thread:
        with self._changed:
            self._open_streams += 1
        thread = threading.Thread(target=self._read, args=(stream, source), daemon=True)
        thread.start()
        return thread

    def _read(self, stream: IO[str], source: str) -> None:
        for text in stream:
            try:
                line = json.loads(text)
            except ValueError:
                line = text.rstrip("\n")
            if not isinstance(line, dict):
                line = {"message": str(line), "plain": True}
            line["source"] = source
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    def lines(self) -> list[Line]:
        with self._changed:
            return list(self._lines)

    def wait(self, wanted: Callable[[Line], bool], timeout: float, after: int = 0) -> Line:
        """The first line from number `after` on that is wanted."""
        deadline = time.monotonic() + timeout
        seen = after
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if wanted(line):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._open_streams == 0 or left <= 0:
                    raise TimeoutError("the awaited log line did not come; the log was:\n" + self.text_unlocked())
                self._changed.wait(left)

    def text_unlocked(self) -> str:
        return "\n".join(json.dumps(line) for line in self._lines[-60:])

    def text(self) -> str:
        with self._changed:
            return self.text_unlocked()


class Server:
    """One server process. `expect_errors` says that ERROR lines in its log are what the test is about."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.log = LogBook()
        self.expect_errors = False
        self.fetch_by_http2 = False  # what fetch() speaks
        self.crashed = False
        self.exit_code: int | None = None
        self.process = subprocess.Popen(command, env=env, cwd=cwd, text=True, errors="replace",
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout and self.process.stderr
        self._readers = [self.log.follow(self.process.stdout, "stdout"),
                         self.log.follow(self.process.stderr, "stderr")]
        self.listeners: dict[str, wire.Address] = {}
        self.admin_address: wire.Address | None = None

    def wait_ready(self) -> "Server":
        self.log.wait(lambda line: line.get("message") == "ready", START_TIMEOUT)
        for line in self.log.lines():
            if line.get("message") == "listening":
                self.listeners[line["listener"]] = wire.parse_address(line["address"])
            elif line.get("message") == "admin listening":
                self.admin_address = wire.parse_address(line["address"])
        return self

    @property
    def address(self) -> wire.Address:
        """The first listener's."""
        return next(iter(self.listeners.values()))

    @property
    def pid(self) -> int:
        return self.process.pid

    def connect(self, timeout: float = wire.TIMEOUT) -> wire.Connection:
        return wire.Connection(self.address, timeout)

    def fetch(self, target: str, method: str = "GET", headers: wire.Headers = (), body: bytes = b"",
              host: str | None = "heddle.test") -> wire.Response:
        if not self.fetch_by_http2:
            return wire.fetch(self.address, method, target, headers, body, host)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        with http2.Client(self.address) as client:
            return client.request(method, target, [(name.lower(), value) for name, value in pairs], body, host)

    def admin(self, target: str, method: str = "GET", headers: wire.Headers = (), body: bytes = b"",
              host: str | None = None) -> wire.Response:
        """A request to the admin API, with its own address as Host unless told otherwise."""
        assert self.admin_address
        own = f"{self.admin_address[0]}:{self.admin_address[1]}"
        return wire.fetch(self.admin_address, method, target, headers, body, host or own)

    def plugin(self, name: str) -> dict[str, Any]:
        response = self.admin(f"/plugins/{name}")
        assert response.status == 200, response
        return response.json()

    def metrics(self) -> str:
        return self.admin("/metrics").text

    def mark(self) -> int:
        """The number of log lines so far, for wait_log(after=…)."""
        return len(self.log.lines())

    def wait_log(self, text: str = "", timeout: float = 20.0, after: int = 0, **fields: Any) -> Line:
        """Waits for a line whose message contains `text` and whose fields have these values."""
        def wanted(line: Line) -> bool:
            return text in str(line.get("message", "")) and all(line.get(k) == v for k, v in fields.items())
        return self.log.wait(wanted, timeout, after)

    def messages(self) -> list[str]:
        """The texts of the log so far, the access log left out."""
        return [line["message"] for line in self.log.lines() if "message" in line]

    def access_lines(self) -> list[Line]:
        return [line for line in self.log.lines() if "status" in line and "method" in line]

    def wait_access(self, timeout: float = 20.0, after: int = 0, **fields: Any) -> Line:
        """Waits for an access log line with these values, behind the mark `after`."""
        def wanted(line: Line) -> bool:
            return "status" in line and "method" in line and all(line.get(k) == v for k, v in fields.items())
        return self.log.wait(wanted, timeout, after)

    def resident(self) -> int:
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_exit(self, timeout: float = STOP_TIMEOUT) -> int:
        try:
            self.exit_code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not end; its log:\n" + self.log.text()) from None
        for reader in self._readers:
            reader.join(timeout=10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return self.exit_code

    def stop(self) -> None:
        """SIGTERM; it must end with 0 and, unless errors were expected, without having logged one."""
        if self.crashed:
            return
        if self.exit_code is None:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            self.wait_exit()
        assert self.exit_code == 0, f"exit code {self.exit_code}; log:\n{self.log.text()}"
        assert "Sanitizer" not in self.log.text(), self.log.text()
        if not self.expect_errors:
            errors = [line for line in self.log.lines() if line.get("level") in ("error", "critical")]
            assert not errors, f"unexpected errors in the log: {errors[:5]}"

    def crash(self) -> None:
        """kill -9, as a part of the test."""
        self.kill()
        self.crashed = True

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.wait_exit()
