"""A real Redis, for what is kept in one when it is configured."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path

from support.upstreams import closed_port
from support.waiting import until


class Redis:
    """A server with an empty store on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = closed_port()
        self.start()

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: apt-get install redis-server"
        self._process = subprocess.Popen([program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                          "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        until(self._answers, "redis-server to answer")

    def stop(self) -> None:
        """As a crash would."""
        self._process.kill()
        self._process.wait(timeout=20)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def keys(self) -> int:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(b"DBSIZE\r\n")
            return int(client.recv(64).strip(b":\r\n"))

    def monitor(self) -> "Monitor":
        return Monitor(self.port)

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)


class Monitor:
    """Every command that a Redis gets, as its own lines."""

    def __init__(self, port: int) -> None:
        self.lines: list[str] = []
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.sendall(b"MONITOR\r\n")
        self._reader = self._socket.makefile("r", errors="replace")
        assert self._reader.readline() == "+OK\n"
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._reader:
            self.lines.append(line)

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._socket.close()
