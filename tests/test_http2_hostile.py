"""HTTP/2 clients that break rules or use what they allow to cost more than they pay. Each ends with its own connection or stream,
is counted and named in the log; a client beside it notices nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from support import http2
from support.configs import gateway, route
from support.http2 import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
                           FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
                           REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Raw, frame)
from support.prometheus import parse
from support.server import Server
from support.waiting import until

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(serve_module) -> Server:
    return serve_module(gateway(limits={"max_head_bytes": "16KiB"}, workers=1))


def hits(server: Server, limit: str) -> float:
    return parse(server.metrics())["heddle_http_limit_hits_total"].value(limit=limit) or 0


@pytest.fixture
def others(server: Server) -> Iterator[http2.Client]:
    """A client with a request under way during the test, which must end well."""
    with http2.Client(server.address) as client:
        stream = client.begin("POST", "/others")
        yield client
        client.send(stream, b"fine", end=True)
        assert client.response(stream).json()["body"] == "fine"
        until(lambda: "heddle_exchanges_active 0" in server.metrics(), "every exchange to end")


def integer(number: int) -> bytes:
    return struct.pack(">I", number)


def setting(code: int, value: int) -> bytes:
    return struct.pack(">HI", code, value)


# ---- Floods: allowed frames, too many of them ----


def rapid_reset(raw: Raw) -> Iterator[bytes]:
    for stream in range(1, 20_001, 2):
        yield raw.headers(stream) + frame(RST_STREAM, stream=stream, payload=integer(CANCEL))


def made_to_reset(raw: Raw) -> Iterator[bytes]:
    """MadeYouReset: each stream makes the server reset it, by a window that overflows."""
    for stream in range(1, 20_001, 2):
        if stream % 64 == 63:
            raw.answers()  # its resets are read
        yield raw.headers(stream, end=False) + frame(WINDOW_UPDATE, stream=stream, payload=integer(0x7FFFFFFF))


def repeat(data: bytes) -> Callable[[Raw], Iterator[bytes]]:
    def frames(_raw: Raw) -> Iterator[bytes]:
        for _ in range(200):
            yield data * 100
    return frames


def empty_data(raw: Raw) -> Iterator[bytes]:
    yield raw.headers(1, end=False)
    yield from repeat(frame(DATA, stream=1))(raw)


def continuations(raw: Raw) -> Iterator[bytes]:
    yield frame(HEADERS, 0, 1, raw.head())
    yield from repeat(frame(CONTINUATION, 0, 1, b""))(raw)


@pytest.mark.parametrize("attack, limit", [
    (rapid_reset, "h2_resets"), (made_to_reset, "h2_resets"),
    (repeat(frame(PING, payload=b"12345678")), "h2_control_frames"),
    # Which comes first depends on how much the server may write meanwhile.
    (repeat(frame(SETTINGS, payload=setting(4, 65535))), "h2_outbound_acks h2_control_frames"),
    (repeat(frame(SETTINGS)), "h2_outbound_acks h2_control_frames"),
    (repeat(frame(PRIORITY, stream=5, payload=bytes(5))), "h2_control_frames"),
    (repeat(frame(0xEE, payload=b"unknown")), "h2_control_frames"),
    (repeat(frame(WINDOW_UPDATE, payload=integer(1))), "h2_control_frames"),
    (empty_data, "h2_control_frames"), (continuations, "h2_continuations"),
], ids=["rapid reset", "made you reset", "ping", "settings", "empty settings", "priority", "unknown frames", "window updates",
        "empty data", "continuations"])
def test_a_flood_ends_its_connection(server: Server, others: http2.Client, attack: Callable[[Raw], Iterator[bytes]],
                                     limit: str) -> None:
    before, mark = {name: hits(server, name) for name in limit.split()}, server.mark()
    with Raw(server.address) as raw:
        for data in attack(raw):
            if not raw.send(data):
                break
        peer = "{}:{}".format(*raw.socket.getsockname())
        assert raw.end_code() in (ENHANCE_YOUR_CALM, None), "GOAWAY, unless what was sent behind it destroyed it"
    passed = server.wait_log("a client passed a limit of HTTP/2", after=mark, remote=peer)["limit"]
    assert hits(server, passed) == before[passed] + 1
    others.ping()


def test_a_flood_that_nobody_reads_answers_of_is_bounded(server: Server, others: http2.Client) -> None:
    """The answers to many requests wait in their streams, never without bound."""
    resident = server.resident()
    with Raw(server.address) as raw:
        raw.socket.settimeout(1)
        body = "x" * 10_000
        try:
            for stream in range(1, 4001, 2):
                raw.send(raw.headers(stream, ("x-much", body)))
        except TimeoutError:
            pass
        assert server.resident() - resident < 64 * MIB
    others.ping()


def test_a_client_that_reads_slowly_but_well_is_no_flood(server: Server) -> None:
    """Window updates in small steps belong to reading: 1 KiB at a time of 1 MiB."""
    with http2.Client(server.address) as client:
        answer = client.request("POST", "/", body=b"y" * MIB)
        assert len(answer.body) > MIB


# ---- Limits ----


def test_more_streams_than_allowed_are_refused_and_may_be_repeated(serve) -> None:
    server = serve(gateway(listeners=[{"name": "public", "address": "127.0.0.1:0", "http2": {"max_concurrent_streams": 3}}]))
    with Raw(server.address, greet=False) as raw:
        raw.send(http2.PREFACE + frame(SETTINGS))
        raw.send(b"".join(raw.headers(stream, end=False) for stream in (1, 3, 5)))
        for stream in (7, 9):
            raw.send(raw.headers(stream))
            assert raw.reset_code(stream) == REFUSED_STREAM
        assert hits(server, "h2_concurrent_streams") == 2
        server.wait_log("a client passed a limit of HTTP/2", limit="h2_concurrent_streams")
        raw.send(frame(RST_STREAM, stream=1, payload=integer(CANCEL)) + raw.headers(11))
        kinds = []
        while got := raw.read_frame():
            kinds.append((got[0], got[2]))
            if got[1] & END_STREAM and got[2] == 11:
                break
        assert (HEADERS, 11) in kinds
        assert sum("limit" in line and line.get("limit") == "h2_concurrent_streams" for line in server.log.lines()) == 1
    with Raw(server.address) as raw:
        assert raw.answers()
        raw.send(b"".join(raw.headers(stream, end=False) for stream in (1, 3, 5, 7)))
        assert raw.reset_code(7) == REFUSED_STREAM, "a stream error, though the client has acknowledged the limit"
        raw.send(frame(DATA, END_STREAM, 7, b"already on its way") + frame(DATA, END_STREAM, 3))
        while (got := raw.read_frame()) and not (got[1] & END_STREAM and got[2] == 3):
            assert got[0] != GOAWAY, got
        raw.send(raw.headers(9))
        while (got := raw.read_frame()) and not (got[1] & END_STREAM and got[2] == 9):
            assert got[0] not in (GOAWAY, RST_STREAM), got
        assert got is not None
    assert hits(server, "h2_concurrent_streams") == 3


def test_the_limit_of_streams_is_announced(serve) -> None:
    server = serve(gateway(listeners=[{"name": "public", "address": "127.0.0.1:0", "http2": {"max_concurrent_streams": 3}}]))
    with Raw(server.address) as raw:
        kind, flags, stream, payload = raw.read_frame() or (0, 0, 0, b"")
        assert (kind, flags, stream) == (SETTINGS, 0, 0)
        entries = {int.from_bytes(payload[at:at + 2]): int.from_bytes(payload[at + 2:at + 6]) for at in range(0, len(payload), 6)}
        assert entries[3] == 3 and len(payload) == 6 * len(entries)


def test_who_goes_on_opening_streams_too_many_is_told_to_calm_down(serve) -> None:
    http2_settings = {"max_concurrent_streams": 1, "max_resets_per_second": 10}
    server = serve(gateway(listeners=[{"name": "public", "address": "127.0.0.1:0", "http2": http2_settings}]))
    with Raw(server.address) as raw:
        raw.send(b"".join(raw.headers(stream, end=False) for stream in range(1, 401, 2)))
        assert raw.end_code() == ENHANCE_YOUR_CALM
    assert hits(server, "h2_resets") == 1
    assert server.fetch("/").status == 200


def until_ended(raw: Raw, streams: set[int]) -> None:
    """Reads until the answers of these streams have ended."""
    while streams and (got := raw.read_frame()):
        assert got[0] != GOAWAY, got
        if got[0] in (HEADERS, DATA) and got[1] & END_STREAM:
            streams.discard(got[2])
    assert not streams, f"the connection ended before {len(streams)} answers"


def test_bodies_on_their_way_to_requests_that_are_answered_break_nothing(serve) -> None:
    """The client could not know yet: as many as it may have streams."""
    count = 600
    server = serve(gateway(workers=1, routes=[route("/echo")], listeners=[
        {"name": "public", "address": "127.0.0.1:0", "http2": {"max_concurrent_streams": 1000}}]))
    with Raw(server.address) as raw:
        raw.send(frame(WINDOW_UPDATE, payload=integer(1 << 24)))
        streams = range(1, 2 * count, 2)
        raw.send(b"".join(raw.headers(stream, end=False, method="POST", path="/nowhere") for stream in streams))
        until_ended(raw, set(streams))
        raw.send(b"".join(frame(DATA, END_STREAM, stream, b"hello") for stream in streams))
        raw.send(raw.headers(2 * count + 1, path="/echo"))
        until_ended(raw, {2 * count + 1})


def test_a_head_may_be_too_large(server: Server, others: http2.Client) -> None:
    before, mark = hits(server, "head_bytes"), server.mark()
    with http2.Client(server.address) as client:
        assert client.request("GET", "/", {"x-large": "x" * 17_000}).status == 431
        assert client.request("GET", "/", {f"x-{number}": "1" for number in range(200)}).status == 431
        assert client.request("GET", "/" + "p" * 17_000).status in (414, 431)
        assert client.request("GET", "/").status == 200, "the connection lives on"
        with pytest.raises(http2.Reset) as reset:
            client.request("GET", "/", {f"x-large-{number}": "x" * 10_000 for number in range(4)})
        assert reset.value.code == ENHANCE_YOUR_CALM, "twice the limit is not even answered"
        assert client.request("GET", "/").status == 200
    server.wait_log("bad request", after=mark, status=431)
    assert hits(server, "head_bytes") == before + 3
    others.ping()


def test_an_hpack_bomb_is_too_large_a_head(server: Server, others: http2.Client) -> None:
    """4 KiB in the table, named thousands of times by one byte each: 16 MiB of headers in 4 KiB."""
    resident = server.resident()
    with Raw(server.address) as raw:
        block = raw.head(("x-bomb", "b" * 3900))
        index = raw.encoder.encode([("x-bomb", "b" * 3900)])
        assert len(index) == 1
        before = hits(server, "head_bytes")
        for stream in range(1, 151, 2):
            raw.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, (block if stream == 1 else raw.head()) + index * 12_000))
            assert raw.reset_code(stream) == ENHANCE_YOUR_CALM
        assert raw.answers()
        assert hits(server, "head_bytes") == before + 75
    assert server.resident() - resident < 32 * MIB
    others.ping()


def test_a_table_larger_than_announced_is_an_error(server: Server) -> None:
    with Raw(server.address) as raw:
        raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f\xe1\xff\x03" + raw.head()))
        assert raw.end_code() == COMPRESSION_ERROR


def test_a_header_block_of_many_frames(server: Server) -> None:
    """A few CONTINUATIONs are fine."""
    with Raw(server.address) as raw:
        block = raw.head(("x-a", "a" * 5000))
        raw.send(frame(HEADERS, END_STREAM, 1, block[:100])
                 + b"".join(frame(CONTINUATION, 0, 1, block[at:at + 100]) for at in range(100, 5000, 100))
                 + frame(CONTINUATION, END_HEADERS, 1, block[5000:]))
        while got := raw.read_frame():
            if got[0] == HEADERS:
                break
        assert got is not None and got[2] == 1


def test_an_answer_ends_while_a_header_block_is_on_its_way(server: Server) -> None:
    """The end of one stream has nothing to do with the head of another, half of which is there."""
    with Raw(server.address) as raw:
        block = raw.head(("x-a", "a" * 5000))
        raw.send(raw.headers(1, method="GET") + raw.headers(3, end=False, method="POST"))
        data = frame(HEADERS, END_HEADERS | END_STREAM, 5, block)
        raw.send(frame(DATA, END_STREAM, 3, b"x") + data[:2000])
        ended = set()
        while got := raw.read_frame():
            if got[0] in (HEADERS, DATA) and got[1] & END_STREAM:
                ended.add(got[2])
            if ended == {1, 3} and data:
                raw.send(data[2000:])
                data = b""
            if 5 in ended:
                break
        assert ended == {1, 3, 5}


# ---- Window games ----


def test_a_window_that_overflows(server: Server, others: http2.Client) -> None:
    with Raw(server.address) as raw:
        raw.send(frame(WINDOW_UPDATE, payload=integer(0x7FFFFFFF)))
        assert raw.end_code() == FLOW_CONTROL_ERROR
    with Raw(server.address) as raw:
        raw.send(raw.headers(1, end=False) + frame(WINDOW_UPDATE, stream=1, payload=integer(0x7FFFFFFF)))
        assert raw.reset_code(1) == FLOW_CONTROL_ERROR
        assert raw.answers()
    others.ping()


def test_more_data_than_the_window_has(server: Server, others: http2.Client) -> None:
    """Without looking at windows: the connection's own is 1 MiB."""
    resident = server.resident()
    with Raw(server.address) as raw:
        raw.send(raw.headers(1, end=False, method="POST"))
        raw.socket.settimeout(5)
        for _ in range(6400):
            if not raw.send(frame(DATA, stream=1, payload=bytes(16_384))):
                break
    assert server.resident() - resident < 32 * MIB
    others.ping()


def test_a_client_with_a_window_of_nothing_ends_by_send_timeout(serve) -> None:
    server = serve(gateway(limits={"send_timeout": "300ms"}))
    with Raw(server.address, greet=False) as raw:
        raw.send(http2.PREFACE + frame(SETTINGS, payload=setting(4, 0)) + raw.headers(1))
        raw.reset_code(1)
        assert raw.answers()
    assert hits(server, "send_timeout") == 1
    server.wait_access(details="downstream_timeout")


def test_a_body_that_does_not_come_ends_by_body_timeout(serve) -> None:
    server = serve(gateway(limits={"body_timeout": "300ms"}))
    with http2.Client(server.address) as client:
        slow, quick = client.begin("POST", "/slow"), client.begin("GET", "/quick", end=True)
        assert client.response(quick).status == 200
        client.h2.send_data(slow.id, b"some")
        client.flush()
        assert client.response(slow).status == 408
    assert hits(server, "body_timeout") == 1
    server.wait_access(path="/slow", status=408)


def drain(raw: Raw) -> None:
    """Reads what is there, and what comes until the socket's time-out."""
    try:
        while raw.read_frame():
            pass
    except TimeoutError:
        pass


def test_heads_that_come_in_pieces_do_not_keep_a_body_waiting(serve) -> None:
    """Each request has its own time: others of the connection do not start that of a stalled body again."""
    server = serve(gateway(limits={"body_timeout": "500ms"}))
    with Raw(server.address) as raw:
        raw.send(raw.headers(1, end=False, method="POST", path="/stalled"))
        raw.socket.settimeout(0.05)
        for stream in range(3, 103, 2):
            block = raw.head(method="HEAD")
            raw.send(frame(HEADERS, END_STREAM, stream, block[:3]))
            drain(raw)
            raw.send(frame(CONTINUATION, END_HEADERS, stream, block[3:]))
            drain(raw)
            if hits(server, "body_timeout"):
                break
        assert hits(server, "body_timeout") == 1
        server.wait_access(path="/stalled", status=408)


def test_each_head_has_its_own_time(serve) -> None:
    """Also when the end of one comes together with the beginning of the next, again and again."""
    server = serve(gateway(limits={"head_timeout": "1s"}))
    with Raw(server.address) as raw:
        raw.socket.settimeout(0.05)
        rest = b""
        for stream in range(1, 61, 2):
            head = frame(HEADERS, END_STREAM | END_HEADERS, stream, raw.head(method="HEAD"))
            raw.send(rest + head[:12])
            rest = head[12:]
            drain(raw)
        raw.send(rest)
        assert raw.answers()
    assert hits(server, "head_timeout") == 0


def test_a_head_that_does_not_come_ends_by_head_timeout(serve) -> None:
    server = serve(gateway(limits={"head_timeout": "300ms"}))
    with Raw(server.address) as raw:
        raw.send(frame(HEADERS, END_STREAM, 1, raw.head()))
        assert raw.end_code() == ENHANCE_YOUR_CALM
    assert hits(server, "head_timeout") == 1
    server.wait_log("bad request", status=408)


# ---- Bytes that are no HTTP/2 ----


@pytest.mark.parametrize("data, code", [
    (frame(DATA, stream=0, payload=b"x"), PROTOCOL_ERROR), (frame(DATA, stream=1, payload=b"x"), PROTOCOL_ERROR),
    (frame(HEADERS, END_HEADERS, 0, b"\x82"), PROTOCOL_ERROR), (frame(HEADERS, END_HEADERS, 2, b"\x82"), PROTOCOL_ERROR),
    (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
    (frame(HEADERS, END_HEADERS | 8, 1, b"\xff\x82"), PROTOCOL_ERROR),
    (frame(CONTINUATION, END_HEADERS, 1, b"\x82"), PROTOCOL_ERROR),
    (frame(RST_STREAM, stream=1, payload=integer(8)), PROTOCOL_ERROR),
    (frame(RST_STREAM, stream=0, payload=integer(8)), PROTOCOL_ERROR), (frame(RST_STREAM, stream=1, payload=b"x"), FRAME_SIZE_ERROR),
    (frame(SETTINGS, payload=b"12345"), FRAME_SIZE_ERROR), (frame(SETTINGS, ACK, payload=setting(1, 1)), FRAME_SIZE_ERROR),
    (frame(SETTINGS, stream=1), PROTOCOL_ERROR), (frame(SETTINGS, payload=setting(2, 2)), PROTOCOL_ERROR),
    (frame(SETTINGS, payload=setting(4, 0x80000000)), FLOW_CONTROL_ERROR), (frame(SETTINGS, payload=setting(5, 1)), PROTOCOL_ERROR),
    (frame(PING, payload=b"short"), FRAME_SIZE_ERROR), (frame(PING, stream=1, payload=b"12345678"), PROTOCOL_ERROR),
    (frame(PUSH_PROMISE, END_HEADERS, 1, integer(2) + b"\x82"), PROTOCOL_ERROR),
    (frame(WINDOW_UPDATE, payload=integer(0)), PROTOCOL_ERROR), (frame(WINDOW_UPDATE, payload=b"123"), FRAME_SIZE_ERROR),
    (frame(WINDOW_UPDATE, stream=9, payload=integer(1)), PROTOCOL_ERROR),
    (frame(DATA, stream=1, length=0xFFFFFF), FRAME_SIZE_ERROR), (frame(PRIORITY, stream=1, payload=b"1"), FRAME_SIZE_ERROR),
    (frame(GOAWAY, payload=b"123"), FRAME_SIZE_ERROR), (frame(GOAWAY, stream=1, payload=bytes(8)), PROTOCOL_ERROR),
])
def test_a_frame_that_is_not_allowed_ends_the_connection(server: Server, data: bytes, code: int) -> None:
    mark = server.mark()
    with Raw(server.address) as raw:
        raw.send(data)
        peer = "{}:{}".format(*raw.socket.getsockname())
        assert raw.end_code() == code
    server.wait_log("bad request", after=mark, remote=peer)


def test_data_right_behind_a_reset_is_an_error(server: Server) -> None:
    """In the same packet too, where the stream is still known when the frame's head comes into sight."""
    for cut in range(0, 30):
        with Raw(server.address) as raw:
            data = frame(RST_STREAM, stream=1, payload=integer(CANCEL)) + frame(DATA, END_STREAM, 1, b"test")
            raw.send(raw.headers(1, end=False) + data[:cut])
            if cut > 0:
                raw.send(data[cut:])
            else:
                raw.send(b"")
                raw.send(data)
            assert raw.end_code() == STREAM_CLOSED


@pytest.mark.parametrize("fields", [
    [("X-Upper", "1")], [("connection", "close")], [("te", "gzip")], [(":late", "1")], [("transfer-encoding", "chunked")],
    [("x-a", "a\r\nb: c")], [("x-a", "a\0b")], [("bad name", "1")], [("", "1")], [("content-length", "1"), ("content-length", "2")],
    [("content-length", "-1")], [("content-length", "5")], [("upgrade", "h2c")], [("proxy-connection", "close")],
    [(":path", "/again")],
])
def test_a_malformed_request_gets_a_reset(server: Server, others: http2.Client, fields: list[tuple[str, str]]) -> None:
    mark = server.mark()
    with Raw(server.address) as raw:
        raw.send(raw.headers(1, *fields))
        assert raw.reset_code(1) == PROTOCOL_ERROR
        assert raw.answers()
        peer = "{}:{}".format(*raw.socket.getsockname())
    server.wait_log("bad request", after=mark, remote=peer)
    others.ping()


def test_bytes_cut_anywhere(server: Server, others: http2.Client) -> None:
    with Raw(server.address, greet=False) as raw:
        whole = http2.PREFACE + frame(SETTINGS) + raw.headers(1, end=False, method="POST") + frame(DATA, 0, 1, b"x" * 50)
    for cut in range(0, len(whole), 3):
        with Raw(server.address, greet=False) as raw:
            raw.send(whole[:cut])
    others.ping()


def ended_after(server: Server, data: bytes, greet: bool = True) -> str:
    """A client that closes its side after these bytes; its address."""
    with Raw(server.address, greet=greet) as raw:
        raw.send(data)
        raw.socket.shutdown(socket.SHUT_WR)
        while raw.socket.recv(65536):
            pass
        return "{}:{}".format(*raw.socket.getsockname())


@pytest.mark.parametrize("size", [5, 9, 20, -1], ids=["in the frame's head", "behind it", "in the payload", "before its last byte"])
def test_a_head_that_is_cut_off_is_told_with_its_peer(server: Server, size: int) -> None:
    with Raw(server.address) as raw:
        whole = raw.headers(1)
    mark = server.mark()  # the kernel may give a port a second time
    peer = ended_after(server, whole[:size])
    assert server.wait_log("bad request", after=mark, remote=peer)["reason"] == "the client closed before the head was whole"


def test_a_preface_that_is_cut_off_is_told_with_its_peer(server: Server) -> None:
    mark = server.mark()
    server.wait_log("bad request", after=mark, remote=ended_after(server, http2.PREFACE[:10], greet=False))


def test_a_client_that_closes_between_requests_is_not_told(server: Server) -> None:
    mark = server.mark()
    peers = [ended_after(server, b""), ended_after(server, frame(PING, payload=b"12345678"))]
    server.wait_log("bad request", after=mark, remote=ended_after(server, http2.PREFACE[:10], greet=False))
    assert not [line for line in server.log.lines()[mark:] if line.get("remote") in peers]
