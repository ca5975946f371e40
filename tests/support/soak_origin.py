"""An origin for long runs, as a process of its own so that a test can kill it: `python -m support.soak_origin HOST HTTP WS TCP`.

Serves HTTP/1.1 (GET answers with the path, other methods with the body; the request's x-dropped comes back), WebSocket
echo and TCP echo on these ports of HOST, where 0 leaves one out. Prints "ready".
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket


class Http(asyncio.Protocol):
    """One connection; each answer leaves in one piece, so that killing the process breaks none in the middle."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line, *fields = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            if "chunked" in headers.get("transfer-encoding", ""):
                body, rest = self._chunks(end + 4)
            else:
                rest = end + 4 + int(headers.get("content-length", "0"))
                body = self._buffer[end + 4:rest] if len(self._buffer) >= rest else None
            if body is None:
                return
            self._buffer = self._buffer[rest:]
            method, target, _ = line.split(" ")
            self._answer(target.encode() if method == "GET" else body, headers.get("x-dropped", ""))

    def _chunks(self, at: int) -> tuple[bytes | None, int]:
        body = b""
        while (end := self._buffer.find(b"\r\n", at)) >= 0:
            size = int(self._buffer[at:end].split(b";")[0], 16)
            at = end + 2 + size + 2
            if len(self._buffer) < at:
                break
            if size == 0:
                return body, at
            body += self._buffer[end + 2:end + 2 + size]
        return None, at

    def _answer(self, body: bytes, mark: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nx-dropped: {mark}\r\n\r\n"
        self._transport.write(head.encode("latin-1") + body)


async def echo_messages(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def echo_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(host: str, http: int, websocket: int, tcp: int) -> None:
    servers: list[object] = []
    if http:
        servers.append(await asyncio.get_running_loop().create_server(Http, host, http, backlog=1024))
    if websocket:
        servers.append(await serve_websocket(echo_messages, host, websocket, compression=None))
    if tcp:
        servers.append(await asyncio.start_server(echo_bytes, host, tcp, backlog=1024))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
