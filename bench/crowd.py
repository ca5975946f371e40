#!/usr/bin/env python3
"""crowd.py COUNT PORT URL: an upstream at PORT that never answers, and COUNT clients of URL. Prints "waiting" when COUNT requests have
reached the upstream, and stays until it is ended."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urlsplit


async def main(count: int, port: int, url: str) -> None:
    arrived = 0
    all_there = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1
        if arrived == count:
            all_there.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", port, backlog=4096)
    parts = urlsplit(url)
    clients = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        await writer.drain()
        clients.append((reader, writer))
    await asyncio.wait_for(all_there.wait(), 60)
    print("waiting", flush=True)
    async with server:
        await asyncio.wait({asyncio.ensure_future(reader.read(1)) for reader, _ in clients}, return_when=asyncio.FIRST_COMPLETED)
    sys.exit("crowd: a request was answered that should have waited")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
