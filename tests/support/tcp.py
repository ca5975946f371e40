"""TCP peers for the tests of TCP listeners: servers that do what a function says, and a client that reads to the end."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from support import wire

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Script = Callable[[socket.socket], None]


def echo(peer: socket.socket) -> None:
    """Sends back what comes, then ends."""
    while data := peer.recv(65536):
        peer.sendall(data)


def sink(peer: socket.socket) -> None:
    """Takes everything and answers with its length when the client has ended."""
    total = 0
    while data := peer.recv(1 << 20):
        total += len(data)
    peer.sendall(str(total).encode())


def reset(peer: socket.socket) -> None:
    """Makes close() send RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class Watch:
    """Takes what comes; `outcome` is then how it ended, "end" or "reset"."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting = greeting
        self.outcome = ""

    def __call__(self, peer: socket.socket) -> None:
        try:
            peer.sendall(self.greeting)
            while peer.recv(65536):
                pass
            self.outcome = "end"
        except ConnectionResetError:
            self.outcome = "reset"


class TcpServer:
    """Runs `script` for every connection, in a thread each; the socket is closed after it."""

    def __init__(self, script: Script = echo, port: int = 0) -> None:
        self.script = script
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self._peers: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> wire.Address:
        return self._listener.getsockname()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            peer.settimeout(wire.TIMEOUT)
            self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            self.script(peer)
        except OSError:
            pass
        finally:
            peer.close()

    def stop(self) -> None:
        """Nothing listens any more; a connection attempt is refused."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> "TcpServer":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        except OSError:
            pass
        for peer in self._peers:
            peer.close()


class Client:
    """A connection to a listener. Every wait has a time-out."""

    def __init__(self, address: wire.Address, timeout: float = wire.TIMEOUT) -> None:
        self.socket: socket.socket = socket.create_connection(address, timeout)

    def start_tls(self, context: ssl.SSLContext, name: str) -> "Client":
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        return self

    def send(self, data: bytes) -> "Client":
        self.socket.sendall(data)
        return self

    def end(self) -> "Client":
        """Half-close: nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def read(self, count: int) -> bytes:
        out = bytearray()  # bytes would be copied for every piece
        while len(out) < count:
            data = self.socket.recv(count - len(out))
            if not data:
                raise wire.Broken(f"ended after {len(out)} of {count} bytes: {bytes(out[:200])!r}")
            out += data
        return bytes(out)

    def read_all(self) -> bytes:
        """Until the other side ends; a reset is an error."""
        out = bytearray()
        while data := self.socket.recv(1 << 18):
            out += data
        return bytes(out)

    def exchange(self, data: bytes) -> bytes:
        """Sends, ends, and reads everything."""
        return self.send(data).end().read_all()

    def echoed(self, data: bytes) -> bytes:
        """Sends, and reads as much meanwhile. In one thread: two must not use a TLS socket of Python 3.11 at once."""
        out, sent, deadline = bytearray(), 0, time.monotonic() + wire.TIMEOUT
        self.socket.setblocking(False)
        while len(out) < len(data):
            select.select([self.socket], [self.socket] if sent < len(data) else [], [], wire.TIMEOUT)
            assert time.monotonic() < deadline, f"{sent} bytes sent, {len(out)} read"
            with contextlib.suppress(*WOULD_BLOCK):
                if sent < len(data):
                    sent += self.socket.send(data[sent:sent + 65536])
            with contextlib.suppress(*WOULD_BLOCK):
                piece = self.socket.recv(1 << 18)
                if not piece:
                    raise wire.Broken(f"ended after {len(out)} of {len(data)} bytes")
                out += piece
        self.socket.settimeout(wire.TIMEOUT)
        return bytes(out)

    def reset(self) -> None:
        reset(self.socket)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
