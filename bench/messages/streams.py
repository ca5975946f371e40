#!/usr/bin/env python3
"""streams.py PORT FILE: opens a WebSocket for every recipient in FILE and prints "ready". Then, for each line of standard input (a
count), has its senders post that many messages in batches, one to each recipient in turn, and prints "done" when all were stored and
pushed. FILE is JSON: {"recipients": [{"token", "key", "channels": one for each sender}], "senders": [token]}."""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
from collections.abc import Iterator

BATCH = 100
PATIENCE = 60  # seconds without any event
HEAD_END = b"\r\n\r\n"


class Stream:
    """Counts the messages that are pushed on one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
        head = b""
        while HEAD_END not in head:
            head += self.socket.recv(4096) or fail("the server closed a stream")
        if not head.startswith(b"HTTP/1.1 101"):
            fail(f"a stream was refused: {head[:100]!r}")
        self._held = head.partition(HEAD_END)[2]
        self.socket.setblocking(False)

    def read(self) -> int:
        data = self._held + (self.socket.recv(1 << 16) or fail("the server closed a stream"))
        at, messages = 0, 0
        while len(data) >= at + 4:
            length = data[at + 1]
            body = at + (4 if length == 126 else 2)
            if length == 126:
                length = int.from_bytes(data[at + 2:at + 4], "big")
            if len(data) < body + length:
                break
            messages += data[at] == 0x81  # text; the others are pings
            at = body + length
        self._held = data[at:]
        return messages


class Sender:
    """One batch at a time."""

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self._token = token
        self._held = b""

    def send(self, messages: list[dict[str, str]]) -> None:
        body = json.dumps({"messages": messages}).encode()
        self.socket.sendall(f"POST /v1/messages/batch HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n"
                            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def read(self) -> int:
        """How many messages were stored, when the whole answer is there; else 0."""
        self._held += self.socket.recv(1 << 16) or fail("the server closed a sender's connection")
        head, found, body = self._held.partition(HEAD_END)
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if not found or len(body) < length:
            return 0
        results = json.loads(body).get("results", [])
        if not results or any("error" in each for each in results):
            fail(f"a batch failed: {body[:300]!r}")
        self._held = b""
        return len(results)


class Crowd:
    def __init__(self, port: int, accounts: dict[str, list]) -> None:
        self._streams = {stream.socket.fileno(): stream for stream in (Stream(port, each["token"]) for each in accounts["recipients"])}
        self._senders = {sender.socket.fileno(): sender for sender in (Sender(port, token) for token in accounts["senders"])}
        self._messages = self._endless([{"recipient_key": each["key"], "text": "t" * 100} for each in accounts["recipients"]],
                                       [each["channels"] for each in accounts["recipients"]])
        self._index = {number: index for index, number in enumerate(self._senders)}
        self._poll = select.epoll()
        for number in (*self._streams, *self._senders):
            self._poll.register(number, select.EPOLLIN)

    @staticmethod
    def _endless(messages: list[dict[str, str]], channels: list[list[str]]) -> Iterator[tuple[dict[str, str], list[str]]]:
        while True:
            yield from zip(messages, channels, strict=True)

    def _batch(self, number: int) -> list[dict[str, str]]:
        index = self._index[number]
        return [{**message, "channel_id": channels[index]} for message, channels in (next(self._messages) for _ in range(BATCH))]

    def run(self, count: int) -> None:
        batches, stored, pushed = count // BATCH, 0, 0
        for number, sender in self._senders.items():
            sender.send(self._batch(number))
            batches -= 1
        while stored < count or pushed < count:
            events = self._poll.poll(PATIENCE)
            if not events:
                fail(f"nothing came for {PATIENCE} s: {stored} stored and {pushed} pushed of {count}")
            for number, _ in events:
                if stream := self._streams.get(number):
                    pushed += stream.read()
                elif done := self._senders[number].read():
                    stored += done
                    if batches > 0:
                        self._senders[number].send(self._batch(number))
                        batches -= 1
        if pushed != count:
            fail(f"{pushed} messages were pushed, {count} were sent")


def fail(why: str) -> bytes:
    raise SystemExit(f"streams: {why}")


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with open(sys.argv[2], encoding="utf-8") as file:
        crowd = Crowd(int(sys.argv[1]), json.load(file))
    print("ready", flush=True)
    for line in sys.stdin:
        crowd.run(int(line))
        print("done", flush=True)


if __name__ == "__main__":
    main()
