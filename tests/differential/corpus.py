"""Requests that a server must frame one way only, as raw bytes. Used by the table of malformed requests and by the
comparison with llhttp.

`Case.verdict`: what Heddle does: "accept", or the status with which it refuses.
`Case.stricter`: why Heddle refuses what llhttp takes (RFC 9112 unless said otherwise); empty when both agree.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    raw: bytes
    verdict: str | int = "accept"
    stricter: str = ""


def get(*lines: str, target: str = "/t", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"GET {target} {version}", "Host: h", *lines, "", ""]).encode("latin-1")


def post(*lines: str, body: str = "") -> bytes:
    return "\r\n".join(["POST /t HTTP/1.1", "Host: h", *lines, "", body]).encode("latin-1")


def chunks(body: str, *lines: str) -> bytes:
    return post("Transfer-Encoding: chunked", *lines, body=body)


ACCEPTED = [
    Case("plain GET", get()),
    Case("query", get(target="/t?a=1&b=%20")),
    Case("asterisk OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
         stricter="it is understood, but no route of a gateway is called *: 404"),
    Case("absolute form", get(target="http://h/t")),
    Case("absolute form with query only", get(target="http://h/?q=1")),
    Case("long target", get(target="/" + "a" * 4000)),
    Case("pct-encoded path", get(target="/%2e%41/%00")),
    Case("DELETE without body", b"DELETE /t HTTP/1.1\r\nHost: h\r\n\r\n"),
    Case("DELETE with body", b"DELETE /t HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
    Case("GET with body", get("Content-Length: 3") + b"abc"),
    Case("POST of length 0", post("Content-Length: 0")),
    Case("POST without length", post()),
    Case("POST with length", post("Content-Length: 5", body="hello")),
    Case("length with leading zeros", post("Content-Length: 0005", body="hello")),
    Case("PATCH", b"PATCH /t HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
    Case("white space around a value", get("X-A:  \t v \t ")),
    Case("no white space before a value", get("X-A:v")),
    Case("empty value", get("X-A:")),
    Case("value with inner tab", get("X-A: a\tb")),
    Case("value beyond ASCII", get("X-A: caf\xe9")),
    Case("header name of all token characters", get("x!#$%&'*+-.^_`|~9: v")),
    Case("repeated header", get("X-A: 1", "X-A: 2")),
    Case("header names in capitals", b"GET /t HTTP/1.1\r\nHOST: h\r\nX-LOUD: 1\r\n\r\n"),
    Case("empty line before the request", b"\r\n" + get()),
    Case("one chunk", chunks("5\r\nhello\r\n0\r\n\r\n")),
    Case("several chunks", chunks("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")),
    Case("no chunk", chunks("0\r\n\r\n")),
    Case("chunk size in capitals", chunks("A\r\n0123456789\r\n0\r\n\r\n")),
    Case("chunk size with leading zeros", chunks("0005\r\nhello\r\n000\r\n\r\n")),
    Case("chunk extension", chunks("5;name=value\r\nhello\r\n0\r\n\r\n")),
    Case("chunk extension quoted", chunks('5;name="v;w"\r\nhello\r\n0\r\n\r\n')),
    Case("trailers", chunks("5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", "Trailer: X-T")),
    Case("transfer coding in capitals", post("Transfer-Encoding: CHUNKED", body="0\r\n\r\n")),
    Case("host with a port", b"GET /t HTTP/1.1\r\nHost: h:8080\r\n\r\n"),
    Case("host as IPv6", b"GET /t HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
    Case("HTTP/1.0", get(version="HTTP/1.0")),
    Case("Connection: close", get("Connection: close")),
    Case("Connection with a list", get("Connection: keep-alive, X-Hop", "X-Hop: 1")),
]

REFUSED = [
    Case("no Host", b"GET /t HTTP/1.1\r\n\r\n", 400),
    Case("length and chunked", post("Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    Case("chunked and length", post("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"), 400),
    Case("two different lengths", post("Content-Length: 5", "Content-Length: 6", body="hello!"), 400),
    Case("two equal lengths", post("Content-Length: 5", "Content-Length: 5", body="hello"), 400),
    Case("length as a list", post("Content-Length: 5, 5", body="hello"), 400),
    Case("negative length", post("Content-Length: -5", body="hello"), 400),
    Case("length with a sign", post("Content-Length: +5", body="hello"), 400),
    Case("length in hex", post("Content-Length: 0x5", body="hello"), 400),
    Case("length with text", post("Content-Length: 5a", body="hello"), 400),
    Case("length with inner space", post("Content-Length: 5 5", body="hello"), 400),
    Case("empty length", post("Content-Length: ", body="hello"), 400),
    Case("length beyond 64 bits", post("Content-Length: 99999999999999999999", body="x"), 400),
    Case("space before the colon", post("Content-Length : 5", body="hello"), 400),
    Case("tab before the colon", get("X-A\t: v"), 400),
    Case("chunked not last", post("Transfer-Encoding: chunked, identity", body="0\r\n\r\n"), 400),
    Case("gzip not last", post("Transfer-Encoding: gzip", body="0\r\n\r\n"), 400),
    Case("xchunked", post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), 400),
    Case("chunked twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    Case("chunked twice in a list", post("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"), 501),
    Case("identity before chunked", post("Transfer-Encoding: identity, chunked", body="0\r\n\r\n"), 501,
         "7: codings that are not understood are refused; identity is gone since RFC 7230"),
    Case("gzip before chunked", post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501,
         "7: a coding that is not understood is refused with 501"),
    Case("vertical tab in the coding", post("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"), 400),
    Case("chunked with a parameter", post("Transfer-Encoding: chunked;q=1", body="0\r\n\r\n"), 400),
    Case("transfer coding in HTTP/1.0", b"POST /t HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "6.1: the framing of such a message is faulty"),
    Case("bare LF after the request line", b"GET /t HTTP/1.1\nHost: h\r\n\r\n", 400),
    Case("bare LF after a header", b"GET /t HTTP/1.1\r\nHost: h\nX-A: 1\r\n\r\n", 400),
    Case("bare LF at the end of the head", b"GET /t HTTP/1.1\r\nHost: h\r\n\n", 400),
    Case("bare CR in a header", b"GET /t HTTP/1.1\r\nHost: h\r\nX-A: 1\rX-B: 2\r\n\r\n", 400),
    Case("folded header", b"GET /t HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n folded\r\n\r\n", 400),
    Case("white space before the first header", b"GET /t HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    Case("header without a colon", get("X-A"), 400),
    Case("header without a name", get(": v"), 400),
    Case("header name with a space", get("X A: v"), 400),
    Case("header name with a slash", get("X/A: v"), 400),
    Case("header name beyond ASCII", get("X-\xe9: v"), 400),
    Case("NUL in a value", get("X-A: a\x00b"), 400),
    Case("control character in a value", get("X-A: a\x01b"), 400),
    Case("DEL in a value", get("X-A: a\x7fb"), 400),
    Case("two hosts", b"GET /t HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "3.2: more than one Host line is refused"),
    Case("two equal hosts", b"GET /t HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "3.2: more than one Host line"),
    Case("host with a space", b"GET /t HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "3.2: an invalid host"),
    Case("host with a path", b"GET /t HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "3.2: an invalid host"),
    Case("host with user information", b"GET /t HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "3.2: an invalid host"),
    Case("method with a space before", b" GET /t HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    Case("method in brackets", b"G(T /t HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    Case("two spaces before the version", b"GET /t  HTTP/1.1\r\nHost: h\r\n\r\n", 400, "3: one space, not two"),
    Case("space in the target", b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    Case("target beyond ASCII", get(target="/caf\xe9"), 400),
    Case("target without a slash", b"GET t HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    Case("fragment in the target", get(target="/t#f"), 400, "3.2: a target has no fragment"),
    Case("no version", b"GET /t\r\nHost: h\r\n\r\n", 400, "3: a request line has a version; HTTP/0.9 is not served"),
    Case("version in small letters", b"GET /t http/1.1\r\nHost: h\r\n\r\n", 400),
    Case("version 1.10", b"GET /t HTTP/1.10\r\nHost: h\r\n\r\n", 400),
    Case("version 2.0 in HTTP/1", b"GET /t HTTP/2.0\r\nHost: h\r\n\r\n", 505, "2.3: another major version than 1"),
    Case("version with a space", b"GET /t HTTP/ 1.1\r\nHost: h\r\n\r\n", 400),
    Case("tab in the request line", b"GET\t/t\tHTTP/1.1\r\nHost: h\r\n\r\n", 400),
    Case("chunk size empty", chunks("\r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk size with a sign", chunks("+5\r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk size in hex notation", chunks("0x5\r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk size beyond 64 bits", chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk size that wraps", chunks("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400),
    Case("space before a chunk size", chunks(" 5\r\nhello\r\n0\r\n\r\n"), 400),
    Case("space behind a chunk size", chunks("5 \r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk size line with LF", chunks("5\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk with LF in its extension", chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk longer than its size", chunks("3\r\nhello\r\n0\r\n\r\n"), 400),
    Case("chunk data without CRLF", chunks("5\r\nhello0\r\n\r\n"), 400),
    Case("last chunk with LF", chunks("5\r\nhello\r\n0\n\n"), 400),
    Case("trailer without a colon", chunks("0\r\nbad\r\n\r\n"), 400),
    Case("trailer with a bare LF", chunks("0\r\nX-T: 1\n\r\n"), 400),
    Case("CONNECT", b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501),
    Case("binary", bytes(range(1, 33)) + b"\r\n\r\n", 400),
    Case("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 40, 400),
]

CASES = ACCEPTED + REFUSED
