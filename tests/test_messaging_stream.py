"""GET /v1/stream: messages pushed over a WebSocket."""

from __future__ import annotations

import json
import socket as sockets
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection

from support import wire
from support.messages import Person, call, configuration, error, register, stream
from support.paths import heddle_binary, is_sanitized
from support.server import Server
from support.waiting import until


@pytest.fixture(scope="module")
def server(serve_module, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return serve_module(configuration(tmp_path_factory.mktemp("data"), message_burst=5000))


@pytest.fixture()
def pair(server: Server) -> tuple[Person, Person, str]:
    anna, bert = register(server, "anna"), register(server, "bert")
    return anna, bert, anna.channel(bert)


def open_by_hand(connection: wire.Connection, person: Person) -> None:
    """A stream of which nobody reads on its own."""
    connection.send(wire.head("GET", "/v1/stream", {
        "Authorization": f"Bearer {person.token}", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}))
    assert connection.informational().status == 101


def receive(socket: ClientConnection) -> dict[str, object]:
    return json.loads(socket.recv(timeout=20))


def test_what_waits_and_what_comes(pair: tuple[Person, Person, str]) -> None:
    anna, bert, channel = pair
    anna.send(bert, "before", channel)
    with stream(bert) as socket:
        first = receive(socket)
        assert (first["type"], first["seq"], first["text"]) == ("message", 1, "before")
        anna.send(bert, "now", channel)
        assert receive(socket)["text"] == "now"


def test_acknowledging_over_the_stream(pair: tuple[Person, Person, str]) -> None:
    anna, bert, channel = pair
    for text in "abc":
        anna.send(bert, text, channel)
    with stream(bert) as socket:
        assert [receive(socket)["text"] for _ in range(3)] == ["a", "b", "c"]
        socket.send(json.dumps({"type": "ack", "up_to": 2}))
        assert receive(socket) == {"type": "acknowledged", "up_to": 2, "acknowledged": 2}
    with stream(bert) as again:
        assert receive(again)["text"] == "c", "what was not acknowledged comes again"


def test_begins_behind_after(pair: tuple[Person, Person, str]) -> None:
    anna, bert, channel = pair
    for text in "abc":
        anna.send(bert, text, channel)
    with stream(bert, "?after=2") as socket:
        assert receive(socket)["text"] == "c"


def test_two_streams_of_one_account(pair: tuple[Person, Person, str]) -> None:
    anna, bert, channel = pair
    with stream(bert) as one, stream(bert) as other:
        anna.send(bert, "both", channel)
        assert receive(one)["text"] == receive(other)["text"] == "both"


def test_refused_without_a_token(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        stream(Person(server, "nobody", b"", token="forged"))
    assert refused.value.response.status_code == 401


def test_without_an_upgrade(server: Server) -> None:
    assert error(call(server, "GET", "/v1/stream")) == (426, "upgrade_required")


@pytest.mark.parametrize("text", ["hello", "{}", '{"type":"ack"}', '{"type":"ack","up_to":-1}', '{"type":"ping"}'])
def test_what_is_not_understood_closes(pair: tuple[Person, Person, str], text: str) -> None:
    with stream(pair[1]) as socket:
        socket.send(text)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert socket.close_code == 1008


def test_a_large_client_message_closes(pair: tuple[Person, Person, str]) -> None:
    with stream(pair[1]) as socket:
        socket.send("x" * 5_000)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert socket.close_code == 1009


def test_a_ping_is_answered(pair: tuple[Person, Person, str]) -> None:
    with stream(pair[1]) as socket:
        assert socket.ping().wait(20)


def test_a_slow_reader_costs_no_memory_and_loses_nothing(pair: tuple[Person, Person, str], server: Server) -> None:
    anna, bert, channel = pair
    with stream(bert, max_queue=1) as socket:
        before = server.resident()
        text = "x" * 100_000
        for i in range(300):
            assert anna.send(bert, f"{i}:{text}", channel).status == 201
        if not is_sanitized(heddle_binary()):
            assert server.resident() - before < 25 << 20, "30 MB were sent and not read"
        for i in range(300):
            message = receive(socket)
            assert message["seq"] == i + 1 and str(message["text"]).startswith(f"{i}:")


def test_pings_and_acks_of_a_client_that_does_not_read_cost_no_memory(pair: tuple[Person, Person, str], server: Server) -> None:
    anna, bert, channel = pair
    anna.send(bert, "one", channel)
    with server.connect() as connection:
        connection.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 131_072)
        open_by_hand(connection, bert)
        before = server.resident()
        ping = Frame(Opcode.PING, b"p" * 125).serialize(mask=True)
        ack = Frame(Opcode.TEXT, b'{"type":"ack","up_to":1}').serialize(mask=True)
        for _ in range(12):
            connection.send((ping * 100 + ack) * 80)  # 1 MB
        connection.send(Frame(Opcode.PING, b"the last").serialize(mask=True))
        if not is_sanitized(heddle_binary()):
            assert server.resident() - before < 12 << 20, "answers to 12 MB that nobody reads"
        rest = b""
        while not rest.endswith(b"the last"):
            rest = (rest + connection.socket.recv(1 << 20))[-1_000:]
    assert bert.call("GET", "/v1/messages").json()["messages"] == []


def test_an_ack_counts_though_its_client_leaves(pair: tuple[Person, Person, str]) -> None:
    anna, bert, channel = pair
    anna.send(bert, "one", channel)
    with stream(bert) as socket:
        assert receive(socket)["text"] == "one"
        socket.send(json.dumps({"type": "ack", "up_to": 1}))
    until(lambda: bert.call("GET", "/v1/messages").json()["messages"] == [], "the ack")


def test_a_stream_ends_with_its_token_and_its_connection_with_it(pair: tuple[Person, Person, str], server: Server) -> None:
    anna, bert, channel = pair
    with stream(bert) as socket:
        until(lambda: "heddle_exchanges_active 1" in server.metrics(), "the stream is open")
        assert bert.call("DELETE", "/v1/sessions/current").status == 204
        anna.send(bert, "too late", channel)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert (socket.close_code, socket.close_reason) == (4401, "the token has ended")


def test_a_client_that_does_not_close_is_closed(pair: tuple[Person, Person, str], server: Server) -> None:
    """The server has ended the stream; its client neither answers the close frame nor ends its connection."""
    _, bert, _ = pair
    with server.connect() as connection:
        open_by_hand(connection, bert)
        connection.send(Frame(Opcode.TEXT, b"what is this").serialize(mask=True))
        assert connection.read_to_end()[2:4] == (1008).to_bytes(2, "big")
        until(lambda: "heddle_exchanges_active 0" in server.metrics(), "the connection is given up")


def test_stopping_closes_streams(serve, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data"))
    with stream(register(server, "bert")) as socket:
        until(lambda: "heddle_exchanges_active 1" in server.metrics(), "the stream is open")
        server.stop()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert socket.close_code == 1001
