"""An upstream that answers when it is told to, and clients in hundreds: neither takes a thread for a connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from support import wire


class SlowUpstream:
    """Keeps every request until release(); those that come later are answered at once."""

    def __init__(self) -> None:
        self.arrived = 0
        self.gone = 0  # connections that ended while they waited
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SlowUpstream":
        self._thread.start()
        assert self._ready.wait(wire.TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=wire.TIMEOUT)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def hold(self) -> None:
        self._loop.call_soon_threadsafe(self._open.clear)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._open, self._end = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=4096)
        self.address: wire.Address = server.sockets[0].getsockname()
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.arrived += 1
                opened, gone = asyncio.ensure_future(self._open.wait()), asyncio.ensure_future(reader.read(1))
                await asyncio.wait({opened, gone}, return_when=asyncio.FIRST_COMPLETED)
                opened.cancel()
                if gone.done():
                    self.gone += 1
                    return
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Crowd:
    """Clients that ask at the same time, each on a connection of its own; their answers are there at the end."""

    def __init__(self, address: wire.Address, requests: Iterable[bytes]) -> None:
        self._address, self._requests = address, list(requests)
        self.sent = 0
        self.answers: list[tuple[int, bytes]] = []
        self.failures: list[str] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def wait(self, timeout: float = 120) -> None:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"{len(self.answers)} of {len(self._requests)} answers came"

    async def _run(self) -> None:
        # Not more at a time than the server's backlog takes.
        gate = asyncio.Semaphore(100)
        await asyncio.gather(*(self._ask(request, gate) for request in self._requests))

    async def _ask(self, request: bytes, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                reader, writer = await asyncio.open_connection(*self._address)
                writer.write(request)
                await writer.drain()
                self.sent += 1
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = await reader.readexactly(int(fields[b"content-length"]))
            self.answers.append((int(head.split(b" ")[1]), body))
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failures.append(repr(error))


def post(path: str, body: bytes) -> bytes:
    return wire.head("POST", path, {"content-type": "text/plain", "content-length": str(len(body))}) + body
