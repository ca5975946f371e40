"""Values that a plugin hands to the host and the host to the wire: header pairs that lie about themselves, headers with
line breaks, local replies with wild statuses. Nothing of them may reach the wire as another message than was meant."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import pytest

from hostile.harness import assert_flat, assert_safe, hostile_server
from support import wat, wire
from support.server import Server
from support.upstreams import Upstream, answering, ok

DATA = wat.TEXTS
BODY = b"the body of the reply"


def pairs(*entries: tuple[bytes, bytes]) -> bytes:
    """Headers as the ABI serialises them."""
    out = struct.pack("<I", len(entries)) + b"".join(struct.pack("<II", len(k), len(v)) for k, v in entries)
    return out + b"".join(key + b"\0" + value + b"\0" for key, value in entries)


GOOD = ((b":method", b"GET"), (b":path", b"/x"), (b":authority", b"h"), (b":scheme", b"http"))

LYING_PAIRS: dict[str, bytes] = {
    "empty": b"",
    "three_bytes": b"\1\0\0",
    "no_pairs": struct.pack("<I", 0),
    "count_beyond": struct.pack("<I", 0xFFFFFFFF),
    "count_wraps": struct.pack("<I", 0x20000001) + b"\0" * 8,
    "a_million": struct.pack("<I", 1_000_000) + b"\0" * 64,
    "key_beyond": struct.pack("<III", 1, 0xFFFFFFFF, 1) + b"k\0v\0",
    "sizes_wrap": struct.pack("<III", 1, 0xFFFFFFFE, 4) + b"k\0v\0",
    "value_beyond": struct.pack("<III", 1, 1, 1000) + b"k\0v\0",
    "no_terminators": struct.pack("<III", 1, 1, 1) + b"kxvx",
    "too_long": pairs(*GOOD) + b"more",
    "too_short": pairs(*GOOD)[:-1],
    "empty_key": pairs(*GOOD, (b"", b"v")),
    "no_path": pairs(*GOOD[:1], *GOOD[2:]),
    "no_method": pairs(*GOOD[1:]),
    "two_paths": pairs(*GOOD, (b":path", b"/smuggled")),
    "unknown_pseudo": pairs(*GOOD, (b":protocol", b"websocket")),
    "line_break": pairs(*GOOD, (b"x-a", b"1\r\nx-injected: 1")),
    "line_break_in_name": pairs(*GOOD, (b"x-a: 1\r\nx-injected", b"1")),
    "line_break_in_path": pairs((b":path", b"/x HTTP/1.1\r\nx-injected: 1\r\n\r\n"), *GOOD[:1], *GOOD[2:]),
    "line_break_in_method": pairs((b":method", b"GET /y HTTP/1.1\r\nx-injected: 1\r\n\r\nGET"), *GOOD[1:]),
    "line_break_in_authority": pairs(*GOOD[:2], (b":authority", b"h\r\nx-injected: 1"), *GOOD[3:]),
    "space_in_path": pairs((b":path", b"/x y"), *GOOD[:1], *GOOD[2:]),
    "nul": pairs(*GOOD, (b"x-a", b"a\0b"), (b"x\0b", b"v")),
    "transfer_encoding": pairs(*GOOD, (b"transfer-encoding", b"chunked"), (b"content-length", b"5")),
    "two_lengths": pairs(*GOOD, (b"content-length", b"5"), (b"content-length", b"6")),
    "connection_and_upgrade": pairs(*GOOD, (b"connection", b"upgrade"), (b"upgrade", b"h2c")),
    "names_in_capitals": pairs(*GOOD, (b"X-LOUD", b"1")),
    "bytes_beyond_ascii": pairs(*GOOD, (b"x-\xff", b"\xff\xfe")),
}

REPLY_STATUSES = [0, 1, 99, 100, 101, 103, 199, 204, 205, 304, 599, 600, 999, 1000, 65536, 0x7FFFFFFF, 0xFFFFFFFF]

REPLY_HEADERS: dict[str, bytes] = {
    "line_break": pairs((b"x-a", b"1\r\nx-injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n")),
    "line_break_in_name": pairs((b"x-a: 1\r\nx-injected", b"1")),
    "length_too_long": pairs((b"content-length", b"1000")),
    "length_too_short": pairs((b"content-length", b"1")),
    "length_of_text": pairs((b"content-length", b"many")),
    "two_lengths": pairs((b"content-length", b"1"), (b"content-length", b"2")),
    "chunked": pairs((b"transfer-encoding", b"chunked")),
    "gzip_chunked": pairs((b"transfer-encoding", b"gzip, chunked")),
    "upgrade": pairs((b"connection", b"upgrade"), (b"upgrade", b"websocket")),
    "connection_names": pairs((b"connection", b"content-length"),),
    "own_status": pairs((b":status", b"999")),
    "pseudo": pairs((b":path", b"/x")),
    "empty_name": pairs((b"", b"v")),
    "space_in_name": pairs((b"x a", b"v")),
    "nul": pairs((b"x-a", b"a\0b")),
    "trailer": pairs((b"trailer", b"x-t"), (b"te", b"trailers")),
    "lies": struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF),
}


def data(content: bytes) -> str:
    return f"(data (i32.const {DATA}) {wat.string(content)})"


def sets_pairs(content: bytes, map_type: int, callback: str) -> str:
    call = f"(drop (call $proxy_set_header_map_pairs (i32.const {map_type}) (i32.const {DATA}) (i32.const {len(content)})))"
    return wat.plugin({callback: call}, ("proxy_set_header_map_pairs",), {}, data(content))


def replies(status: int, headers: bytes) -> str:
    signed = status if status < 1 << 31 else status - (1 << 32)
    call = f"""(drop (call $proxy_send_local_response (i32.const {signed}) (i32.const 0) (i32.const 0)
        (i32.const {DATA + len(headers)}) (i32.const {len(BODY)}) (i32.const {DATA}) (i32.const {len(headers)})
        (i32.const -1)))
        (return (i32.const 1))"""
    return wat.plugin({"request_headers": call}, ("proxy_send_local_response",), {}, data(headers + BODY))


@pytest.fixture(scope="module")
def origin() -> Iterator[Upstream]:
    with Upstream(answering(ok(b"from the origin"))) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(serve_module, compile_wat: wat.Compiler, origin: Upstream) -> Server:
    modules = {f"request-{name}": sets_pairs(content, 0, "request_headers") for name, content in LYING_PAIRS.items()}
    modules |= {f"response-{name}": sets_pairs(content.replace(b":method", b":status").replace(b"GET", b"200"), 2,
                                               "response_headers") for name, content in LYING_PAIRS.items()}
    modules |= {f"status-{status}": replies(status, b"") for status in REPLY_STATUSES}
    modules |= {f"reply-{name}": replies(200, headers) for name, headers in REPLY_HEADERS.items()}
    plugins = {name: compile_wat(text, name) for name, text in modules.items()}
    return hostile_server(serve_module, plugins, upstreams={"raw": origin.address}, to=dict.fromkeys(plugins, "raw"))


def one_message(server: Server, name: str) -> wire.Response | None:
    """The answer; None when the connection broke off. Behind it on the connection there is nothing or a second answer,
    never the plugin's bytes as a message."""
    with server.connect() as connection:
        connection.send(wire.head("GET", f"/{name}"))
        try:
            response = connection.response()
        except wire.Broken:
            return None
        if response.status == 101:
            return response
        if response.header("connection") == "close":
            assert connection.read_to_end() == b""
        else:
            assert connection.request("GET", "/safe").status == 200
        return response


def assert_clean(response: wire.Response | None) -> None:
    if response is None:
        return
    assert 200 <= response.status <= 599
    assert response.header("x-injected") is None
    for name, value in response.headers:
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), name
        assert not re.search(r"[\r\n\0]", value), value


@pytest.mark.parametrize("name", LYING_PAIRS)
def test_request_pairs(server: Server, origin: Upstream, name: str) -> None:
    count = len(origin.requests)
    assert_clean(one_message(server, f"request-{name}"))
    assert_safe(server)
    for request in origin.requests[count:]:
        assert request.header("x-injected") is None
        assert re.fullmatch(r"[A-Z]+ /\S* HTTP/1\.1", request.line), request.line
        assert request.target != "/smuggled"
        assert len([key for key, _ in request.headers if key.lower() == "content-length"]) <= 1
        assert len([key for key, _ in request.headers if key.lower() == "host"]) <= 1


@pytest.mark.parametrize("name", LYING_PAIRS)
def test_response_pairs(server: Server, name: str) -> None:
    assert_clean(one_message(server, f"response-{name}"))
    assert_safe(server)


@pytest.mark.parametrize("status", REPLY_STATUSES)
def test_reply_statuses(server: Server, status: int) -> None:
    response = one_message(server, f"status-{status}")
    assert response is not None
    assert_clean(response)
    assert response.status == (status if 200 <= status <= 599 else 500)
    assert_safe(server)


@pytest.mark.parametrize("name", REPLY_HEADERS)
def test_reply_headers(server: Server, name: str) -> None:
    response = one_message(server, f"reply-{name}")
    assert response is not None
    assert_clean(response)
    if response.status == 200:
        assert response.body == BODY
    assert_safe(server)


def test_memory_stays_flat(server: Server) -> None:
    names = [f"request-{name}" for name in LYING_PAIRS] + [f"reply-{name}" for name in REPLY_HEADERS]
    assert_flat(server, lambda: [one_message(server, name) for name in names], 20)
