"""What clients of the message service get wrong, and what attackers try."""

from __future__ import annotations

import secrets
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.configs import Config
from support.messages import PASSWORD, Person, b64, call, configuration, error, register
from support.server import Server

KEY = b64(b"k" * 32)


@pytest.fixture(scope="module")
def server(serve_module, tmp_path_factory: pytest.TempPathFactory, message_storage: Config) -> Server:
    return serve_module(configuration(tmp_path_factory.mktemp("data"), message_storage, max_payload="1KiB", max_body="64KiB", max_batch=3))


@pytest.fixture(scope="module")
def pair(server: Server) -> tuple[Person, Person, str]:
    anna, bert = register(server, "anna"), register(server, "bert")
    return anna, bert, anna.channel(bert)


ACCOUNTS: dict[str, tuple[Any, tuple[int, str]]] = {
    "not JSON": (b"{", (400, "bad_request")),
    "not an object": ([1], (400, "bad_request")),
    "deep": (b"[" * 1000, (400, "bad_request")),
    "not UTF-8": (b'{"username":"\xff"}', (400, "bad_request")),
    "nothing": ({}, (400, "bad_request")),
    "number": ({"username": 1, "password": PASSWORD, "identity_key": KEY}, (400, "bad_request")),
    "short key": ({"username": "x", "password": PASSWORD, "identity_key": b64(b"k" * 31)}, (400, "bad_request")),
    "long key": ({"username": "x", "password": PASSWORD, "identity_key": b64(b"k" * 33)}, (400, "bad_request")),
    "bad base64": ({"username": "x", "password": PASSWORD, "identity_key": "*" * 44}, (400, "bad_request")),
    "unpadded": ({"username": "x", "password": PASSWORD, "identity_key": KEY.rstrip("=")}, (400, "bad_request")),
    "empty name": ({"username": "", "password": PASSWORD, "identity_key": KEY}, (400, "bad_username")),
    "long name": ({"username": "x" * 65, "password": PASSWORD, "identity_key": KEY}, (400, "bad_username")),
    "name with NUL": ({"username": "a\0b", "password": PASSWORD, "identity_key": KEY}, (400, "bad_username")),
    "short password": ({"username": "x", "password": "1234567", "identity_key": KEY}, (400, "bad_password")),
    "long password": ({"username": "x", "password": "p" * 1025, "identity_key": KEY}, (400, "bad_password")),
    "too large": (b"x" * 70_000, (413, "too_large")),
}


@pytest.mark.parametrize("case", ACCOUNTS)
def test_accounts(server: Server, case: str) -> None:
    body, expected = ACCOUNTS[case]
    assert error(call(server, "POST", "/v1/accounts", body)) == expected


MESSAGES: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "no text": ({"text": None}, (400, "bad_request")),
    "text and payload": ({"payload": "AAAA"}, (400, "bad_request")),
    "payload not base64": ({"text": ..., "payload": "%%%"}, (400, "bad_request")),
    "giant text": ({"text": "x" * 1025}, (413, "payload_too_large")),
    "giant payload": ({"text": ..., "payload": b64(b"x" * 1025)}, (413, "payload_too_large")),
    "channel of another length": ({"channel_id": "00" * 15}, (400, "bad_request")),
    "channel not hex": ({"channel_id": "zz" * 16}, (400, "bad_request")),
    "unknown channel": ({"channel_id": "00" * 16}, (404, "unknown_channel")),
    "short recipient": ({"recipient_key": b64(b"x" * 16)}, (400, "bad_request")),
    "unknown recipient": ({"recipient_key": b64(b"?" * 32)}, (404, "unknown_recipient")),
    "files not a list": ({"involved_files": "a"}, (400, "bad_request")),
    "files not strings": ({"involved_files": [1]}, (400, "bad_request")),
    "too many files": ({"involved_files": ["f"] * 101}, (400, "bad_files")),
    "sealed not boolean": ({"sealed": 1}, (400, "bad_request")),
    "long client id": ({"client_message_id": "i" * 129}, (400, "bad_client_message_id")),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(pair: tuple[Person, Person, str], case: str) -> None:
    anna, bert, channel = pair
    changes, expected = MESSAGES[case]
    body = {"recipient_key": b64(bert.key), "channel_id": channel, "text": "t", **changes}
    body = {name: value for name, value in body.items() if value is not ...}
    assert error(anna.call("POST", "/v1/messages", body)) == expected
    assert bert.fetch() == []


def test_a_recipient_of_another_channel(server: Server, pair: tuple[Person, Person, str]) -> None:
    anna, _, channel = pair
    carl = register(server, "carl")
    assert error(anna.send(carl, "t", channel)) == (403, "not_in_channel")
    assert error(carl.send(anna, "t", channel)) == (404, "unknown_channel"), "not told that it exists"


@pytest.mark.parametrize("messages", [None, [], [{}] * 4, "x"])
def test_batches(pair: tuple[Person, Person, str], messages: object) -> None:
    assert error(pair[0].call("POST", "/v1/messages/batch", {"messages": messages})) == (400, "bad_request")


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=9223372036854775808", "limit=0", "limit=1e3", "channel=ab",
                                   "wait=soon", "wait=-1", "what=1", "after=1&after=2", "after=%zz", "after=%"])
def test_queries(pair: tuple[Person, Person, str], query: str) -> None:
    assert error(pair[0].call("GET", f"/v1/messages?{query}")) == (400, "bad_request")


@pytest.mark.parametrize("body", [{}, {"up_to": "1"}, {"up_to": -1}, {"up_to": 1.5}, {"up_to": 2**63}, {"up_to": None}])
def test_acknowledgements(pair: tuple[Person, Person, str], body: object) -> None:
    assert error(pair[0].call("POST", "/v1/messages/ack", body)) == (400, "bad_request")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer " + "A" * 43, "Bearer " + "x" * 5000])
def test_forged_tokens(server: Server, authorization: str | None) -> None:
    headers = [] if authorization is None else [("Authorization", authorization)]
    answer = server.fetch("/v1/messages", headers=headers)
    assert error(answer) == (401, "unauthorized")


def test_a_token_with_one_letter_changed(pair: tuple[Person, Person, str], server: Server) -> None:
    token = pair[0].token
    for place in (0, 20, len(token) - 1):
        forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1:]
        assert call(server, "GET", "/v1/messages/peek", token=forged).status == 401


def test_an_ended_token(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", session_lifetime="1s"))
    anna = register(server, "anna")
    assert anna.call("GET", "/v1/messages/peek").status == 200
    deadline = time.monotonic() + 10
    while anna.call("GET", "/v1/messages/peek").status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert error(anna.call("GET", "/v1/messages/peek")) == (401, "unauthorized")


def test_guessing_locks_out_and_ends(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", login_failures=3, login_lockout="2s"))
    anna, bert = register(server, "anna"), register(server, "bert")
    assert [anna.log_in("wrong horse").status for _ in range(3)] == [401] * 3
    locked = anna.log_in()
    assert error(locked) == (429, "locked") and int(locked.header("Retry-After") or 0) >= 1
    assert bert.log_in().status == 200, "others are not concerned"
    deadline = time.monotonic() + 20
    while anna.log_in().status == 429:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_many_right_logins_at_once_are_no_failures(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", login_failures=3))
    anna = register(server, "anna")
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: anna.log_in(), range(48)))
    refused = [error(answer) for answer in answers if answer.status != 200]
    assert set(refused) <= {(429, "rate_limited")}, "more at once than may fail wait a little"
    assert anna.log_in().status == 200


def test_an_unknown_name_is_locked_out_the_same(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", login_failures=3))
    nobody = Person(server, "nobody", b"")
    assert [nobody.log_in().status for _ in range(4)] == [401, 401, 401, 429]


def test_an_unknown_name_takes_as_long_as_a_wrong_password(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", login_failures=0, password_memory="16MiB", password_operations=3))
    anna = register(server, "anna")
    nobody = Person(server, "nobody", b"")

    def took(person: Person) -> float:
        begun = time.monotonic()
        assert person.log_in("wrong horse").status == 401
        return time.monotonic() - begun

    times = [(took(anna), took(nobody)) for _ in range(9)]
    known, unknown = (statistics.median(column) for column in zip(*times))
    assert 0.4 < known / unknown < 2.5, times


def test_rate_limit_of_an_account(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", messages_per_second=1, message_burst=5))
    anna, bert = register(server, "anna"), register(server, "bert")
    channel = anna.channel(bert)
    statuses = [anna.send(bert, "t", channel).status for _ in range(12)]
    assert 429 in statuses and statuses[:3] == [201] * 3
    limited = anna.send(bert, "t", channel)
    while limited.status == 201:
        limited = anna.send(bert, "t", channel)
    assert error(limited) == (429, "rate_limited") and limited.header("Retry-After") == "1"
    assert bert.send(anna, "t", channel).status == 201, "others are not concerned"


def test_rate_limit_of_an_address(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", logins_per_second=1, login_burst=3))
    statuses = [Person(server, f"n{i}", b"").log_in().status for i in range(8)]
    assert statuses[:3] == [401] * 3 and 429 in statuses


def test_a_full_mailbox(serve, tmp_path: Path, message_storage: Config) -> None:
    server = serve(configuration(tmp_path / "data", message_storage, mailbox_messages=2))
    anna, bert = register(server, "anna"), register(server, "bert")
    assert [anna.send(bert, "t").status for _ in range(2)] == [201, 201]
    full = anna.send(bert, "t")
    assert error(full) == (507, "mailbox_full") and "mailbox_messages" in full.json()["error"]["message"]
    bert.ack(1)
    assert anna.send(bert, "t").json()["seq"] == 3


def test_file_names_fill_a_mailbox_too(serve, tmp_path: Path, message_storage: Config) -> None:
    server = serve(configuration(tmp_path / "data", message_storage, mailbox_bytes=10_000))
    anna, bert = register(server, "anna"), register(server, "bert")
    names = [str(number) * 1_000 for number in range(4)]
    assert [anna.send(bert, "", involved_files=names).status for _ in range(3)] == [201, 201, 507]
    bert.ack(2)
    assert [anna.send(bert, "", involved_files=names).status for _ in range(3)] == [201, 201, 507]


def test_a_fetch_has_few_file_names_at_once(serve, tmp_path: Path, message_storage: Config) -> None:
    server = serve(configuration(tmp_path / "data", message_storage, messages_per_second=0))
    anna, bert = register(server, "anna"), register(server, "bert")
    channel = anna.channel(bert)
    names = [f"{number:0>1000}" for number in range(100)]
    for _ in range(60):
        assert anna.send(bert, "", channel, involved_files=names).status == 201
    first = bert.call("GET", "/v1/messages?limit=100").json()["messages"]
    assert 30 <= len(first) <= 45, "4 MiB"
    assert len(bert.call("GET", f"/v1/messages?limit=100&after={len(first)}").json()["messages"]) == 60 - len(first)


def test_closed_registration(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data", registration=False))
    body = {"username": f"n{secrets.token_hex(4)}", "password": PASSWORD, "identity_key": KEY}
    assert error(call(server, "POST", "/v1/accounts", body)) == (403, "registration_closed")


def test_names_and_tokens_are_not_in_the_log_nor_on_the_disk(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data"))
    anna = register(server, "anna")
    anna.call("GET", "/v1/messages/peek")
    assert anna.token not in server.messages().__repr__() and PASSWORD not in server.messages().__repr__()
    server.stop()
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())
    assert anna.token.encode() not in stored and PASSWORD.encode() not in stored
