"""The message service over HTTP: the table of contracts.md, "The message service", row by row."""

from __future__ import annotations

import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import wire
from support.configs import Config
from support.messages import PASSWORD, Person, b64, call, configuration, error, register
from support.server import Server
from support.waiting import until


@pytest.fixture(scope="module")
def server(serve_module, tmp_path_factory: pytest.TempPathFactory, message_storage: Config) -> Server:
    return serve_module(configuration(tmp_path_factory.mktemp("data"), message_storage))


@pytest.fixture()
def anna(server: Server) -> Person:
    return register(server, "anna")


@pytest.fixture()
def bert(server: Server) -> Person:
    return register(server, "bert")


def test_register_answers_with_the_account_and_refuses_doubles(server: Server) -> None:
    name, key = f"n{secrets.token_hex(4)}", secrets.token_bytes(32)
    body = {"username": name, "password": PASSWORD, "identity_key": b64(key)}
    made = call(server, "POST", "/v1/accounts", body)
    assert made.status == 201
    assert made.json()["username"] == name and made.json()["identity_key"] == b64(key) and made.json()["id"] > 0
    assert error(call(server, "POST", "/v1/accounts", {**body, "identity_key": b64(secrets.token_bytes(32))})) == (409, "username_taken")
    assert error(call(server, "POST", "/v1/accounts", {**body, "username": name + "x"})) == (409, "identity_taken")


def test_login_gives_a_token_until_it_is_revoked(anna: Person) -> None:
    answer = anna.log_in()
    assert answer.status == 200 and set(answer.json()) == {"token", "expires_at"}
    assert answer.header("Cache-Control") == "no-store"
    assert anna.call("GET", "/v1/messages/peek").status == 200
    assert anna.call("DELETE", "/v1/sessions/current").status == 204
    refused = anna.call("GET", "/v1/messages/peek")
    assert error(refused) == (401, "unauthorized") and refused.header("WWW-Authenticate") == "Bearer"


def test_a_channel_of_a_pair_is_one(anna: Person, bert: Person) -> None:
    first = anna.call("POST", "/v1/channels", {"peer_key": b64(bert.key)})
    again = bert.call("POST", "/v1/channels", {"peer_key": b64(anna.key)})
    assert (first.status, first.json()["was_new"]) == (201, True)
    assert (again.status, again.json()["was_new"]) == (200, False)
    assert first.json()["id"] == again.json()["id"] and len(first.json()["id"]) == 32
    assert first.json()["session_id"] == again.json()["session_id"]


def test_a_message_arrives_with_what_was_sent(anna: Person, bert: Person) -> None:
    channel = anna.channel(bert)
    sent = anna.send(bert, "**hello** ü", channel, involved_files=["a.png"])
    assert sent.status == 201 and sent.json()["seq"] == 1
    (message,) = bert.fetch()
    assert message.pop("sent_at").endswith("Z")
    assert message == {"id": sent.json()["id"], "seq": 1, "channel_id": channel, "sender_key": b64(anna.key),
                       "text": "**hello** ü", "involved_files": ["a.png"]}


def test_an_opaque_payload_and_a_sealed_sender(anna: Person, bert: Person) -> None:
    channel = anna.channel(bert)
    payload = bytes(range(256))
    body = {"recipient_key": b64(bert.key), "channel_id": channel, "payload": b64(payload), "sealed": True}
    assert anna.call("POST", "/v1/messages", body).status == 201
    (message,) = bert.fetch()
    assert message["payload"] == b64(payload) and message["sender_key"] is None and "text" not in message


def test_numbers_are_the_recipients(anna: Person, bert: Person) -> None:
    assert [anna.send(bert, str(i)).json()["seq"] for i in range(3)] == [1, 2, 3]
    assert bert.send(anna, "back").json()["seq"] == 1
    assert [m["text"] for m in bert.fetch("?after=1")] == ["1", "2"]
    assert [m["seq"] for m in bert.fetch("?limit=2")] == [1, 2]


def test_fetch_of_one_channel(server: Server, anna: Person, bert: Person) -> None:
    carl = register(server, "carl")
    channel = carl.channel(bert)
    anna.send(bert, "from anna")
    carl.send(bert, "from carl", channel)
    assert [m["text"] for m in bert.fetch(f"?channel={channel}")] == ["from carl"]
    assert error(anna.call("GET", f"/v1/messages?channel={channel}")) == (404, "unknown_channel")


def test_peek_and_acknowledge(anna: Person, bert: Person) -> None:
    for text in "abc":
        anna.send(bert, text)
    assert bert.call("GET", "/v1/messages/peek").json() == {"count": 3, "first_seq": 1, "last_seq": 3}
    assert bert.ack(2) == 2
    assert bert.ack(2) == 0
    assert [m["text"] for m in bert.fetch()] == ["c"]
    assert bert.ack(3) == 1
    assert bert.call("GET", "/v1/messages/peek").json() == {"count": 0, "first_seq": 0, "last_seq": 0}
    assert anna.send(bert, "d").json()["seq"] == 4, "an acknowledged number is not given again"


def test_batch_answers_each_in_order(anna: Person, bert: Person) -> None:
    channel = anna.channel(bert)
    good = {"recipient_key": b64(bert.key), "channel_id": channel}
    messages = [{**good, "text": "one"}, {"text": "no recipient"}, {**good, "channel_id": "00" * 16, "text": "no channel"}, {**good, "text": "two"}]
    answer = anna.call("POST", "/v1/messages/batch", {"messages": messages})
    assert answer.status == 200
    results = answer.json()["results"]
    assert [r.get("seq") for r in results] == [1, None, None, 2]
    assert [r["error"]["code"] for r in results if "error" in r] == ["bad_request", "unknown_channel"]
    assert [m["text"] for m in bert.fetch()] == ["one", "two"]


def test_a_repeat_gets_the_first_answer(anna: Person, bert: Person) -> None:
    channel = anna.channel(bert)
    first = anna.send(bert, "once", channel, client_message_id="x1")
    assert anna.send(bert, "once", channel, client_message_id="x1").json() == first.json()
    assert bert.send(anna, "mine", channel, client_message_id="x1").json()["seq"] == 1, "unique per sender"
    assert anna.send(bert, "next", channel).json()["seq"] == 2
    assert len(bert.fetch()) == 2


def test_repeats_at_once_store_one_message(anna: Person, bert: Person) -> None:
    channel = anna.channel(bert)
    answers: list[wire.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(anna.send(bert, "once", channel, client_message_id="y")))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({a.body for a in answers}) == 1 and answers[0].status == 201
    assert len(bert.fetch()) == 1
    assert anna.send(bert, "next", channel).json()["seq"] == 2


def test_long_poll_gets_what_comes(server: Server, anna: Person, bert: Person) -> None:
    channel = anna.channel(bert)
    got: list[list[str]] = []
    thread = threading.Thread(target=lambda: got.append([m["text"] for m in bert.fetch("?wait=20s")]))
    thread.start()
    until(lambda: "heddle_exchanges_active 1" in server.metrics(), "the poll waits")
    begun = time.monotonic()
    anna.send(bert, "news", channel)
    thread.join(timeout=15)
    assert got == [["news"]] and time.monotonic() - begun < 10


def test_long_poll_ends_empty(bert: Person) -> None:
    begun = time.monotonic()
    assert bert.fetch("?wait=300ms") == []
    assert time.monotonic() - begun >= 0.3


def test_a_poller_that_leaves_is_forgotten(server: Server, anna: Person, bert: Person) -> None:
    with server.connect() as connection:
        connection.send(wire.head("GET", "/v1/messages?wait=20s", [("Authorization", f"Bearer {bert.token}")]))
        connection.reset()
    assert anna.send(bert, "still works").status == 201
    assert [m["text"] for m in bert.fetch()] == ["still works"]


def test_parallel_repeats_disturb_nobody(server: Server, bert: Person) -> None:
    """One sends each message four times at once; the others' messages to the same recipient are all stored."""
    eager, *others = (register(server, "s") for _ in range(4))
    channel = eager.channel(bert)

    def repeat(number: int) -> int:
        return eager.send(bert, f"{number}", channel, client_message_id=str(number // 4)).status

    def work(other: Person) -> list[int]:
        own = other.channel(bert)
        return [other.send(bert, "other", own).status for _ in range(100)]

    with ThreadPoolExecutor(7) as threads:
        ordinary = [threads.submit(work, other) for other in others]
        repeats = list(threads.map(repeat, range(200)))
        assert set(repeats) == {201} and all(set(each.result()) == {201} for each in ordinary)
    assert bert.call("GET", "/v1/messages/peek").json()["count"] == 350


def test_many_senders_leave_no_hole(server: Server, bert: Person) -> None:
    senders = [register(server, "s") for _ in range(4)]
    channels = [s.channel(bert) for s in senders]
    seqs: list[int] = []

    def work(index: int) -> None:
        for i in range(25):
            seqs.append(senders[index].send(bert, f"{index}.{i}", channels[index]).json()["seq"])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 101))
    fetched = bert.fetch("?limit=1000")
    assert [m["seq"] for m in fetched] == list(range(1, 101))
    for index in range(4):
        assert [m["text"] for m in fetched if m["text"].startswith(f"{index}.")] == [f"{index}.{i}" for i in range(25)]


def test_paths_and_methods(server: Server) -> None:
    assert error(call(server, "GET", "/v1/nothing")) == (404, "not_found")
    wrong = call(server, "PUT", "/v1/messages")
    assert call(server, "HEAD", "/v1/messages").body == b""
    assert error(wrong) == (405, "method_not_allowed") and wrong.header("Allow") == "POST, GET"


def test_the_openapi_document_describes_what_is_there(server: Server) -> None:
    answer = call(server, "GET", "/v1/openapi.json")
    assert answer.status == 200 and answer.header("Content-Type") == "application/json"
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    for method, path in described:
        assert call(server, method, path).status in (400, 401, 426), (method, path)
    assert len(described) == 10
    refs = [part.split('"')[0] for part in answer.text.split('"$ref":"#/components/schemas/')[1:]]
    assert set(refs) == set(document["components"]["schemas"])


def test_everything_is_there_after_a_restart(serve, tmp_path: Path, message_storage: Config) -> None:
    server = serve(configuration(tmp_path / "data", message_storage))
    anna, bert = register(server, "anna"), register(server, "bert")
    anna.send(bert, "before", client_message_id="r")
    server.stop()
    again = serve(configuration(tmp_path / "data", message_storage))
    anna.server = bert.server = again
    assert anna.send(bert, "before", client_message_id="r").json()["seq"] == 1, "tokens and repeats last"
    assert anna.send(bert, "after").json()["seq"] == 2
    assert [m["text"] for m in bert.fetch()] == ["before", "after"]


def test_stopping_answers_who_waits(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data"))
    bert = register(server, "bert")
    answers: list[list[object]] = []
    thread = threading.Thread(target=lambda: answers.append(bert.fetch("?wait=25s")))
    thread.start()
    until(lambda: "heddle_exchanges_active 1" in server.metrics(), "the poll waits")
    begun = time.monotonic()
    server.stop()
    thread.join(timeout=20)
    assert answers == [[]] and time.monotonic() - begun < 15


def test_filters_apply_to_the_service(serve, tmp_path: Path) -> None:
    config = configuration(tmp_path / "data")
    config["response_headers"] = {"set": {"x-guarded": "yes"}}
    answer = call(serve(config), "GET", "/v1/messages")
    assert answer.status == 401 and answer.header("X-Guarded") == "yes"


def test_group_commit_shows_in_the_metrics(server: Server, anna: Person, bert: Person) -> None:
    anna.send(bert, "counted")
    text = server.metrics()
    assert "heddle_messaging_commits_total" in text and "heddle_messaging_messages_total" in text
