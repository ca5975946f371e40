"""An acknowledged message survives kill -9: the server is killed at random moments under load, started again, and every message
that was answered with 201 is there once, at its number, without a hole before it."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path


from support import wire
from support.messages import Person, configuration, register

KILLS = int(os.environ.get("HEDDLE_SOAK_KILLS", "500" if os.environ.get("HEDDLE_SOAK") else "20"))
SENDERS = 4


class Load:
    """Senders that note what was acknowledged, until the server has gone."""

    def __init__(self, senders: list[Person], channels: list[str], recipient: Person, known: dict[int, str], counter: list[int]) -> None:
        self._threads = [threading.Thread(target=self._send, args=(i, sender, channels[i], recipient, known, counter))
                         for i, sender in enumerate(senders)]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _send(index: int, sender: Person, channel: str, recipient: Person, known: dict[int, str], counter: list[int]) -> None:
        while True:
            counter[index] += 1
            text = f"{index}.{counter[index]}"
            try:
                answer = sender.send(recipient, text, channel)
            except (OSError, wire.Broken):
                return
            assert answer.status == 201, answer.body
            known[answer.json()["seq"]] = text

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()


def everything(person: Person) -> list[dict[str, object]]:
    out: list[dict[str, object]] = []
    while more := person.fetch(f"?after={out[-1]['seq'] if out else 0}&limit=1000"):
        out += more
    return out


def test_acknowledged_messages_survive_kills(serve, tmp_path: Path) -> None:
    chance = random.Random(int(os.environ.get("HEDDLE_SEED", "7")))
    config = configuration(tmp_path / "data", messages_per_second=0, mailbox_messages=0)
    server = serve(config)
    recipient = register(server, "r")
    senders = [register(server, "s") for _ in range(SENDERS)]
    channels = [sender.channel(recipient) for sender in senders]
    known: dict[int, str] = {}
    counter = [0] * SENDERS
    acknowledged = 0
    for kill in range(KILLS):
        load = Load(senders, channels, recipient, known, counter)
        time.sleep(chance.uniform(0.01, 0.4))
        server.crash()
        load.join()
        server = serve(config)
        for person in [recipient, *senders]:
            person.server = server
        found = everything(recipient)
        assert [m["seq"] for m in found] == list(range(acknowledged + 1, acknowledged + 1 + len(found))), f"kill {kill}: a hole"
        texts = {int(str(m["seq"])): str(m["text"]) for m in found}
        lost = {seq: text for seq, text in known.items() if texts.get(seq) != text}
        assert not lost, f"kill {kill}: acknowledged and not there"
        assert len(set(texts.values())) == len(texts), f"kill {kill}: a message is there twice"
        if found:
            acknowledged += recipient.ack(int(str(found[-1]["seq"])))
            known.clear()
    assert acknowledged > KILLS
