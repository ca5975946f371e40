"""An acknowledged message survives kill -9: the server is killed at random moments under load, started again, and every message
that was answered with 201 is there once, at its number, without a hole before it."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path


from support.configs import Config
from support.message_load import Load, check
from support.messages import configuration, register

KILLS = int(os.environ.get("HEDDLE_SOAK_KILLS", "500" if os.environ.get("HEDDLE_SOAK") else "20"))
SENDERS = 4


def test_acknowledged_messages_survive_kills(serve, tmp_path: Path, message_storage: Config) -> None:
    chance = random.Random(int(os.environ.get("HEDDLE_SEED", "7")))
    config = configuration(tmp_path / "data", message_storage, messages_per_second=0, mailbox_messages=0)
    server = serve(config)
    recipient = register(server, "r")
    senders = [register(server, "s") for _ in range(SENDERS)]
    channels = [sender.channel(recipient) for sender in senders]
    load = Load(senders, channels, recipient)
    acknowledged = 0
    for kill in range(KILLS):
        load.begin()
        time.sleep(chance.uniform(0.01, 0.4))
        server.crash()
        load.join()
        server = serve(config)
        for person in [recipient, *senders]:
            person.server = server
        last = check(recipient, load, acknowledged, f"kill {kill}")
        if last > acknowledged:
            recipient.ack(last)
        acknowledged = last
    assert acknowledged > KILLS
