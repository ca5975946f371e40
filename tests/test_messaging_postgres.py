"""The message service on PostgreSQL: several servers on one database, and a database that goes and comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.configs import plugin
from support.hooks import native_hook
from support.message_load import Load, check
from support.messages import PASSWORD as ACCOUNT_PASSWORD
from support.messages import Person, configuration, error, register
from support.postgres import PASSWORD, Postgres
from support.server import Server
from support.tls import Authority
from support.waiting import until


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Its own, as it is stopped."""
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture()
def config(postgres: Postgres, tmp_path: Path) -> dict[str, Any]:
    return configuration(tmp_path / "data", {"url": postgres.url, "timeout": "20s"}, messages_per_second=0, mailbox_messages=0)


def at(person: Person, server: Server) -> Person:
    """The same account, with the same token, at another server."""
    return Person(server, person.name, person.key, person.token)


def test_servers_share_accounts_tokens_and_messages(serve, config: dict[str, Any]) -> None:
    one, other = serve(config), serve(config)
    anna, bert = register(one, "anna"), register(other, "bert")
    channel = anna.channel(bert)
    assert at(bert, one).channel(anna) == channel
    assert anna.send(bert, "first", channel, client_message_id="k").json()["seq"] == 1
    assert at(anna, other).send(bert, "first", channel, client_message_id="k").json()["seq"] == 1, "a repeat"
    assert at(anna, other).send(bert, "second", channel).json()["seq"] == 2
    assert [m["text"] for m in bert.fetch()] == [m["text"] for m in at(bert, one).fetch()] == ["first", "second"]
    assert at(bert, one).ack(2) == 2
    assert bert.fetch() == []


def test_a_token_that_ends_at_one_server_ends_at_the_other(serve, config: dict[str, Any]) -> None:
    one, other = serve(config), serve(config)
    anna = register(one, "anna")
    there = at(anna, other)
    assert there.call("GET", "/v1/messages/peek").status == 200
    assert anna.call("DELETE", "/v1/sessions/current").status == 204
    until(lambda: there.call("GET", "/v1/messages/peek").status == 401, "the other server to look again", timeout=60)


def test_senders_at_two_servers_leave_no_hole(serve, config: dict[str, Any]) -> None:
    servers = [serve(config), serve(config)]
    recipient = register(servers[0], "r")
    senders = [register(servers[i % 2], "s") for i in range(6)]
    load = Load(senders, [s.channel(recipient) for s in senders], recipient)
    load.begin()
    until(lambda: len(load.known) >= 300, "messages", timeout=60)
    load.end()
    last = check(recipient, load, 0, "two servers")
    assert last == len(load.known), "each was answered"
    for index in range(len(senders)):
        own = [text for _, text in sorted(load.known.items()) if text.startswith(f"{index}.")]
        assert own == [f"{index}.{i + 1}" for i in range(len(own))], "in the order in which they were sent"


NUMBERS = """
#include <heddle/abi/qpc_plugin.h>
#include <stdio.h>
static int32_t on_message_enqueue(void *data, const CMessageEvent *event) {
  (void)data;
  if (event->payload_len % 5 == 0) return HOOK_REJECT;
  fprintf(stderr, "seq %llu for %zu bytes\\n", (unsigned long long)event->seq, event->payload_len);
  return HOOK_CONTINUE;
}
int32_t qpc_plugin_init(HookVTable *table) {
  table->on_message_enqueue = on_message_enqueue;
  return PLUGIN_OK;
}
"""


def test_hooks_of_both_servers_see_the_numbers_that_are_stored(serve, config: dict[str, Any], tmp_path: Path) -> None:
    config["plugins"] = [plugin("numbers", native_hook(tmp_path / "numbers.so", NUMBERS))]
    servers = [serve(config), serve(config)]
    recipient = register(servers[0], "r")
    senders = [register(servers[i % 2], "s") for i in range(4)]
    channels = [s.channel(recipient) for s in senders]

    def work(index: int) -> None:
        for size in range(index + 1, 101, 4):  # each size once
            assert senders[index].send(recipient, "x" * size, channels[index]).status == (403 if size % 5 == 0 else 201)

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(work, index) for index in range(4)]:
            done.result()
    stored = {f"seq {m['seq']} for {len(m['text'])} bytes" for m in recipient.fetch("?limit=1000")}
    assert len(stored) == 80
    until(lambda: stored == {text for server in servers for text in server.messages() if text.startswith("seq ")}, "the line of each message")


def test_a_server_that_is_killed_holds_nobody_up(serve, config: dict[str, Any]) -> None:
    stays = serve(config)
    recipient = register(stays, "r")
    acknowledged = 0
    for kill in range(3):
        dies = serve(config)
        senders = [register(server, "s") for server in (stays, dies, stays, dies)]
        load = Load(senders, [s.channel(recipient) for s in senders], recipient)
        load.begin()
        until(lambda: len(load.known) >= 50, "messages", timeout=60)
        dies.crash()
        before = len(load.known)
        until(lambda: len(load.known) >= before + 50, "messages of the server that stayed", timeout=60)
        load.end()
        acknowledged = check(recipient, load, acknowledged, f"kill {kill}")
        recipient.ack(acknowledged)


def test_the_database_goes_and_comes_back(serve, config: dict[str, Any], postgres: Postgres) -> None:
    server = serve(config, expect_errors=True)
    anna, bert = register(server, "anna"), register(server, "bert")
    channel = anna.channel(bert)
    assert anna.send(bert, "before", channel).status == 201
    mark = server.mark()
    postgres.stop()
    try:
        for answer in (anna.send(bert, "lost", channel), bert.call("GET", "/v1/messages"), bert.call("POST", "/v1/messages/ack", {"up_to": 1}),
                       *(bert.log_in(ACCOUNT_PASSWORD) for _ in range(6)), anna.send(bert, "lost too", channel)):
            assert error(answer) == (503, "unavailable") and int(answer.header("Retry-After") or 0) >= 1
        server.wait_log("the message store cannot be reached; requests to it are answered 503", after=mark, level="error")
        assert server.fetch("/nothing").status == 404, "the rest goes on"
    finally:
        postgres.start()
    until(lambda: anna.send(bert, "after", channel).status == 201, "the database to be back", timeout=60)
    server.wait_log("the message store can be reached again", after=mark, level="info")
    assert bert.log_in(ACCOUNT_PASSWORD).status == 200, "nobody's password was wrong"
    texts = [m["text"] for m in bert.fetch()]
    assert texts == ["before", "after"]
    assert PASSWORD not in server.log.text()


def test_a_database_that_does_not_answer_is_not_waited_for(serve, config: dict[str, Any], postgres: Postgres) -> None:
    config["storage"]["timeout"] = "500ms"
    server = serve(config, expect_errors=True)
    anna, bert = register(server, "anna"), register(server, "bert")
    channel = anna.channel(bert)
    assert anna.send(bert, "before", channel).status == 201
    postgres.freeze()
    try:
        assert error(anna.send(bert, "lost", channel)) == (503, "unavailable")
        assert error(bert.call("GET", "/v1/messages")) == (503, "unavailable")
        assert server.fetch("/nothing").status == 404, "the rest goes on"
    finally:
        postgres.thaw()
    until(lambda: anna.send(bert, "after", channel).status == 201, "the database to answer again", timeout=60)
    found = bert.fetch()
    assert [m["seq"] for m in found] == list(range(1, len(found) + 1))
    assert (found[0]["text"], found[-1]["text"]) == ("before", "after")


def test_what_was_acknowledged_survives_crashes_of_the_database(serve, config: dict[str, Any], postgres: Postgres) -> None:
    server = serve(config, expect_errors=True)
    recipient = register(server, "r")
    senders = [register(server, "s") for _ in range(4)]
    load = Load(senders, [s.channel(recipient) for s in senders], recipient, tolerated={503})
    acknowledged = 0
    for crash in range(3):
        load.begin()
        until(lambda: len(load.known) >= 30, "messages", timeout=60)
        postgres.stop()
        postgres.start()
        before = len(load.known)
        until(lambda: len(load.known) >= before + 10, "messages again", timeout=60)
        load.end()
        acknowledged = check(recipient, load, acknowledged, f"crash {crash}")
        recipient.ack(acknowledged)


def test_a_long_poll_outlives_the_database(serve, config: dict[str, Any], postgres: Postgres) -> None:
    config["messaging"]["max_wait"] = "55s"
    config["upstreams"] = [{"name": "chat", "builtin": "messages"}]
    config["routes"] = [{"path": "/v1/*", "upstream": "chat", "timeout": "60s"}]
    server = serve(config, expect_errors=True)
    anna, bert = register(server, "anna"), register(server, "bert")
    channel = anna.channel(bert)
    got: list[list[str]] = []
    poll = threading.Thread(target=lambda: got.append([m["text"] for m in bert.fetch("?wait=55s")]))
    poll.start()
    until(lambda: "heddle_exchanges_active 1" in server.metrics(), "the poll waits")
    postgres.stop()
    postgres.start()
    until(lambda: anna.send(bert, "news", channel).status == 201, "the database to be back", timeout=60)
    poll.join(timeout=60)
    assert got == [["news"]]


@pytest.mark.parametrize("wrong", ["another password", "nobody there", "not a URL"])
def test_a_server_without_its_database_says_so_and_ends(serve, config: dict[str, Any], postgres: Postgres, wrong: str) -> None:
    config["storage"]["url"] = {"another password": postgres.url.replace(PASSWORD, "hunter2"),
                                "nobody there": "postgresql://admin:hunter2@127.0.0.1:1/db",
                                "not a URL": "postgresql://admin:hunter2 @x/db"}[wrong]
    done = serve.run("serve", "-c", str(serve.write(config)))
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert "message store" in text and "hunter2" not in text, text


def test_the_url_is_not_shown(serve, config: dict[str, Any], postgres: Postgres) -> None:
    server = serve(config)
    shown = server.admin("/config").text
    assert f":{PASSWORD}@" not in shown and postgres.url not in shown and 'url: "***"' in shown
    bad = serve.write({**config, "storage": {"url": f"mysql://admin:{PASSWORD}@x/db"}})
    refused = serve.run("validate", "-c", str(bad))
    assert refused.returncode != 0 and "storage.url" in refused.stdout + refused.stderr
    assert PASSWORD not in refused.stdout + refused.stderr


@pytest.fixture(scope="module")
def tls_postgres(authority: Authority) -> Iterator[Postgres]:
    """It takes nothing but TLS at its port, with a certificate for the name localhost."""
    server = Postgres(certificate=authority.issue("database", "DNS:localhost"))
    yield server
    server.remove()


def test_over_tls(serve, tmp_path: Path, tls_postgres: Postgres, authority: Authority) -> None:
    server = serve(configuration(tmp_path / "data", {"url": tls_postgres.tls_url("localhost", authority.cert), "timeout": "20s"}))
    anna, bert = register(server, "anna"), register(server, "bert")
    assert anna.send(bert, "hello").status == 201
    assert [m["text"] for m in bert.fetch()] == ["hello"]
    sessions = tls_postgres.sql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL").split()
    assert sessions and set(sessions) == {"t"}, sessions


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_a_database_that_is_not_who_it_should_be(serve, tmp_path: Path, tls_postgres: Postgres, authority: Authority, wrong: str) -> None:
    url = (tls_postgres.tls_url("127.0.0.1", authority.cert) if wrong == "name" else
           tls_postgres.tls_url("localhost", Authority(tmp_path / "other", "other").cert))
    done = serve.run("serve", "-c", str(serve.write(configuration(tmp_path / "data", {"url": url, "timeout": "20s"}))))
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "message store" in text and "certificate" in text, text
    assert PASSWORD not in text
