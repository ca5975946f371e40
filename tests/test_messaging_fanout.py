"""Two servers on one PostgreSQL, with Redis between them: what one stores wakes who waits at the other."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from support.configs import Config
from support.messages import Person, configuration, register
from support.postgres import Postgres
from support.redis import Redis
from support.server import Server
from support.waiting import until

Start = Callable[..., Server]
PATIENCE = 15  # seconds; a stream looks by itself only after 20


@pytest.fixture()
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path) as redis:
        yield redis


class Servers:
    """Two on one database."""

    def __init__(self, serve: Start, folder: Path, database: Postgres, redis: Redis) -> None:
        self._serve = serve
        self._configs = [self._config(folder / name, database, redis) for name in ("one", "other")]
        self.one, self.other = (serve(config) for config in self._configs)
        self.wait_connected()

    @staticmethod
    def _config(data: Path, database: Postgres, redis: Redis) -> Config:
        storage = {"url": database.url, "timeout": "20s"}
        return {**configuration(data, storage, max_wait="60s"), "redis": {"url": redis.url}}

    def wait_connected(self, connected: int = 1) -> None:
        for server in (self.one, self.other):
            until(lambda server=server: f"heddle_messaging_fanout_connected {connected}" in server.metrics(), f"connected: {connected}")

    def pair(self) -> tuple[Person, Person, str]:
        """One who sends at the one server, one who waits at the other, and their channel."""
        anna, bert = register(self.one, "anna"), register(self.one, "bert")
        channel = anna.channel(bert)
        bert.server = self.other
        return anna, bert, channel


@pytest.fixture()
def servers(serve: Start, tmp_path: Path, message_postgres: Postgres, redis: Redis) -> Servers:
    return Servers(serve, tmp_path, message_postgres, redis)


def stream(person: Person) -> ClientConnection:
    host, port = person.server.address
    return connect(f"ws://{host}:{port}/v1/stream", additional_headers={"Authorization": f"Bearer {person.token}"}, compression=None)


def receive(socket: ClientConnection) -> str:
    return json.loads(socket.recv(timeout=PATIENCE))["text"]


class Waiting:
    """A long-poll under way."""

    def __init__(self, person: Person) -> None:
        self._found: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._wait, args=(person,))
        self._thread.start()

    def _wait(self, person: Person) -> None:
        self._found = person.fetch("?wait=60s")

    def texts(self) -> list[str]:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the long-poll was not woken"
        return [message["text"] for message in self._found]


def waiters(server: Server, count: int) -> None:
    until(lambda: f"heddle_exchanges_active {count}" in server.metrics(), f"{count} to wait")


def test_a_stream_and_a_long_poll_at_the_other_server(servers: Servers) -> None:
    anna, bert, channel = servers.pair()
    with stream(bert) as socket:
        poll = Waiting(bert)
        waiters(servers.other, 2)
        assert anna.send(bert, "from afar", channel).status == 201
        assert receive(socket) == "from afar"
        assert poll.texts() == ["from afar"]
        for i in range(50):
            anna.send(bert, str(i), channel)
        assert [receive(socket) for _ in range(50)] == [str(i) for i in range(50)]


def test_only_who_has_news_is_published(servers: Servers, redis: Redis) -> None:
    anna, bert, channel = servers.pair()
    with redis.monitor() as seen, stream(bert) as socket:
        anna.send(bert, "a very private text", channel)
        assert receive(socket) == "a very private text"
        until(lambda: any(" news " in line for line in seen.lines), "the news in Redis")
        assert not any("private" in line or channel in line for line in seen.lines)


def test_redis_goes_and_returns(servers: Servers, redis: Redis) -> None:
    anna, bert, channel = servers.pair()
    with stream(bert) as socket:
        redis.stop()
        servers.wait_connected(0)
        poll = Waiting(bert)
        waiters(servers.other, 2)
        assert anna.send(bert, "without Redis", channel).status == 201
        assert receive(socket) == "without Redis" and poll.texts() == ["without Redis"]
        redis.start()
        servers.wait_connected()
        assert anna.send(bert, "with Redis", channel).status == 201
        assert receive(socket) == "with Redis"
    for server in (servers.one, servers.other):
        server.wait_log("Redis is back")
        assert sum("through Redis" in text for text in server.messages()) == 1, "an outage is one line"


def test_the_last_words_of_a_server_that_stops(servers: Servers) -> None:
    anna, bert, channel = servers.pair()
    with stream(bert) as socket:
        waiters(servers.other, 1)
        assert anna.send(bert, "goodbye", channel).status == 201
        servers.one.stop()
        assert receive(socket) == "goodbye"


def test_a_redis_url_that_is_none(serve, tmp_path: Path, message_postgres: Postgres) -> None:
    config = {**configuration(tmp_path, {"url": message_postgres.url}), "redis": {"url": "http://nowhere"}}
    ended = serve.run("serve", "-c", str(serve.write(config)))
    assert ended.returncode == 78 and "redis.url is neither redis://" in ended.stderr
