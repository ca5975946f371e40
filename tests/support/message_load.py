"""Senders that note what was acknowledged, and the check that all of it is there."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from support import wire
from support.messages import Person


class Load:
    """Messages of several senders to one recipient; each sender until its server breaks off, or until the end."""

    def __init__(self, senders: list[Person], channels: list[str], recipient: Person, tolerated: Collection[int] = ()) -> None:
        self._senders = senders
        self._channels = channels
        self._recipient = recipient
        self._tolerated = tolerated
        self._counter = [0] * len(senders)
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self.known: dict[int, str] = {}
        self.unexpected: list[bytes] = []

    def begin(self) -> None:
        self.known.clear()
        self._over.clear()
        self._threads = [threading.Thread(target=self._send, args=(i,)) for i in range(len(self._senders))]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        assert not self.unexpected

    def _send(self, index: int) -> None:
        while not self._over.is_set():
            self._counter[index] += 1
            text = f"{index}.{self._counter[index]}"
            try:
                answer = self._senders[index].send(self._recipient, text, self._channels[index])
            except (OSError, wire.Broken):
                return
            if answer.status == 201:
                self.known[answer.json()["seq"]] = text
            elif answer.status not in self._tolerated:
                self.unexpected.append(answer.body)


def everything(person: Person) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    while more := person.fetch(f"?after={out[-1]['seq'] if out else 0}&limit=1000"):
        out += more
    return out


def check(recipient: Person, load: Load, acknowledged: int, when: str) -> int:
    """Everything behind number `acknowledged` is there once, in order and without a hole; the last number."""
    found = everything(recipient)
    last = acknowledged + len(found)
    assert [m["seq"] for m in found] == list(range(acknowledged + 1, last + 1)), f"{when}: a hole"
    texts = {m["seq"]: m["text"] for m in found}
    lost = {seq: text for seq, text in load.known.items() if texts.get(seq) != text}
    assert not lost, f"{when}: acknowledged and not there"
    assert len(set(texts.values())) == len(texts), f"{when}: a message is there twice"
    return last
