"""Clients that take their answers slowly, or not at all: they wait for nobody but themselves, and nobody else for them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support import http2, wire
from support.configs import gateway, route, upstream
from support.http2_upstream import Call, Http2Upstream
from support.server import Server
from support.upstreams import Peer, Upstream
from support.waiting import until

KIB = 1 << 10
MIB = 1 << 20
SIZES = {"/whole": 200 * KIB, "/large": 8 * MIB}  # the upstream is done with the first long before the client is


def take(connection: wire.Connection, size: int) -> None:
    """How much of an answer fits into the client's socket. Less than a packet (64 KiB here) would only come by time-outs."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def test_clients_that_do_not_read_leave_a_shared_connection_to_others(serve) -> None:
    """Answers over one connection of HTTP/2 are held back one by one, not all with the connection's window."""
    poured: dict[Call, int] = {}

    def script(call: Call) -> None:
        call.head(200)
        while call[":path"] == "/large":
            call.send(bytes(16 * KIB))
            poured[call] = poured.get(call, 0) + 16 * KIB
        call.send(b"small", end=True)

    with Http2Upstream(script) as origin, ExitStack() as stack:
        server = serve(gateway(workers=1, routes=[route(to="two", timeout="60s")],
                               upstreams=[upstream("two", origin.address, protocol="http2")]))
        for _ in range(5):
            idler = stack.enter_context(server.connect())
            take(idler, 128 * KIB)
            idler.send(wire.head("GET", "/large"))
        until(lambda: len(poured) == 5, "all answers to begin")
        seen_so_far = -1
        while sum(poured.values()) != seen_so_far:  # until nothing moves for a while
            seen_so_far = sum(poured.values())
            assert seen_so_far < 256 * MIB
            time.sleep(0.3)
        with server.connect(timeout=10) as other:
            assert other.request("GET", "/small").body == b"small"
        assert len(origin.connections) == 1


@pytest.fixture(scope="module")
def patient(serve_module) -> Iterator[Server]:
    """A server whose route has a `timeout` of one second, and whose clients must take something in each second."""
    def script(peer: Peer) -> None:
        while request := peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZES[request.target])
            peer.send(bytes(SIZES[request.target]))

    with Upstream(script) as origin:
        yield serve_module(gateway(workers=1, limits={"send_timeout": "1s"}, routes=[route(to="one", timeout="1s")],
                                   upstreams=[upstream("one", origin.address)]))


def test_a_slow_client_of_http1_is_not_cut(patient: Server) -> None:
    with patient.connect() as connection:
        take(connection, 512 * KIB)
        connection.send(wire.head("GET", "/large"))
        assert connection.informational().status == 200
        taken, end = 0, time.monotonic() + 2.5
        while time.monotonic() < end:
            taken += len(connection.read(16 * KIB))
            time.sleep(0.02)
        assert taken < SIZES["/large"] / 2, "most of it waits"
        take(connection, MIB)
        connection.read(SIZES["/large"] - taken)


@pytest.mark.parametrize("path", SIZES)
def test_a_slow_client_of_http2_is_not_cut(patient: Server, path: str) -> None:
    with http2.Client(patient.address, read_bodies=False) as client:
        stream = client.begin("GET", path, end=True)
        size = len(client.body(stream, 65_535))
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            client.h2.increment_flow_control_window(KIB)
            client.h2.increment_flow_control_window(KIB, stream.id)
            client.flush()
            size += len(client.body(stream, KIB))
            time.sleep(0.03)
        assert size < SIZES[path], "some of it waits"
        client.read_bodies = True
        client.give_back(stream)
        assert size + len(client.response(stream).body) == SIZES[path]
