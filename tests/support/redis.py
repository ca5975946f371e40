"""A real Redis, for what is kept in one when it is configured."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from support.upstreams import closed_port
from support.waiting import until


class Redis:
    """A server with an empty store on a port of its own."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: apt-get install redis-server"
        self.port = closed_port()
        self._process = subprocess.Popen([program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                          "--dir", str(folder)], stdout=subprocess.DEVNULL)
        until(self._answers, "redis-server to answer")

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

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
