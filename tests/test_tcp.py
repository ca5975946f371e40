"""TCP listeners: bytes both ways, ends and resets, back-pressure, plugins on connections, failure, reload, shutdown."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import termios
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support import wat, wire
from support.configs import gateway, plugin, upstream
from support.prometheus import parse
from support.server import Line, Server
from support.tcp import Client, TcpServer, Watch, echo, reset, sink
from support.upstreams import closed_port
from support.waiting import until


def tcp_gateway(to: TcpServer | list[wire.Address], plugins: list[dict[str, Any]] | None = None,
                named: list[str] | None = None, limits: dict[str, Any] | None = None, upstream_limits: Any = None,
                **more: Any) -> dict[str, Any]:
    """A TCP listener in front of `to`, with all `plugins` on it unless `named` says which."""
    endpoints = [to.address] if isinstance(to, TcpServer) else to
    config = gateway(upstreams=[upstream("behind", *endpoints, limits=upstream_limits or {})], plugins=plugins, **more)
    names = named if named is not None else [each["name"] for each in plugins or []]
    config["listeners"].append({"name": "tcp", "address": "127.0.0.1:0", "protocol": "tcp", "upstream": "behind",
                                "plugins": names, "limits": limits or {}})
    return config


def connect(server: Server) -> Client:
    return Client(server.listeners["tcp"])


def wait_tcp(server: Server, after: int = 0, **fields: Any) -> Line:
    """The access-log line of a TCP connection with these values."""
    def wanted(line: Line) -> bool:
        return line.get("protocol") == "TCP" and all(line.get(k) == v for k, v in fields.items())
    return server.log.wait(wanted, 20, after)


def probe_trace(server: Server, context: int | None = None) -> list[str]:
    lines = [text for text in server.messages() if text.startswith("probe ")]
    return [text for text in lines if context is None or text.split()[2] == str(context)]


@pytest.fixture
def tcp_probe(compile_wat: wat.Compiler) -> Path:
    return compile_wat.c(Path("plugins/tcp_probe.c"))


@pytest.fixture
def backend() -> Iterator[TcpServer]:
    with TcpServer(echo) as server:
        yield server


# ---- Bytes ----


def test_bytes_go_both_ways_and_are_counted(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend))
    with connect(server) as client:
        assert client.send(b"hello").read(5) == b"hello"
        assert client.send(b"again").read(5) == b"again"
        assert client.end().read_all() == b""
    line = wait_tcp(server)
    assert (line["bytes_in"], line["bytes_out"]) == (10, 10)
    assert line["listener"] == "tcp" and line["upstream"] == "behind"
    assert line["upstream_address"] == "{}:{}".format(*backend.address)
    assert line["request_id"] and line["remote"].startswith("127.0.0.1:")
    assert "details" not in line
    families = parse(server.metrics())
    assert families["heddle_tcp_connections_total"].value(listener="tcp") == 1
    assert families["heddle_tcp_connections_active"].value(listener="tcp") == 0
    assert families["heddle_tcp_bytes_total"].value(listener="tcp", direction="in") == 10
    assert server.fetch("/").status == 200, "the HTTP listener goes on beside it"


def test_a_client_that_ended_still_hears_the_answer(serve) -> None:
    with TcpServer(sink) as backend:
        server = serve(tcp_gateway(backend))
        data = os.urandom(3_000_000)
        with connect(server) as client:
            assert client.exchange(data) == str(len(data)).encode()


def test_a_server_that_ended_still_hears_the_client(serve) -> None:
    heard: list[bytes] = []

    def greet(peer: socket.socket) -> None:
        peer.sendall(b"welcome")
        peer.shutdown(socket.SHUT_WR)
        while data := peer.recv(65536):
            heard.append(data)

    with TcpServer(greet) as backend:
        server = serve(tcp_gateway(backend))
        with connect(server) as client:
            assert client.read_all() == b"welcome"
            client.send(b"thanks").end()
        until(lambda: b"".join(heard) == b"thanks", "the server to hear the client")
        assert wait_tcp(server)["bytes_in"] == 6


def test_much_data_arrives_unchanged(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend))
    data = os.urandom(1 << 20) * 16
    with connect(server) as client:
        sender = threading.Thread(target=lambda: client.send(data).end(), daemon=True)
        sender.start()
        got = client.read_all()
        sender.join(20)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_holds_the_sender_back(serve) -> None:
    size = 128 << 20  # more than the kernel keeps in all sockets on the way, up to 36 MiB a connection
    sent = 0

    def pour(peer: socket.socket) -> None:
        nonlocal sent
        piece = b"x" * 65536
        while sent < size:
            peer.sendall(piece)
            sent += len(piece)

    with TcpServer(pour) as backend:
        server = serve(tcp_gateway(backend))
        before = server.resident()
        with connect(server) as client:
            client.read(1)
            last = -1
            while sent != last:  # until nothing moves any more
                last = sent
                time.sleep(0.3)
            assert sent < size, "the sender waits"
            assert server.resident() - before < 16 << 20, "and the bytes do not pile up here"
            assert len(client.read_all()) == size - 1


def test_a_slow_server_holds_the_client_back(serve) -> None:
    go_on = threading.Event()
    size = 128 << 20  # more than the kernel keeps in all sockets on the way, up to 36 MiB a connection

    def lazy(peer: socket.socket) -> None:
        go_on.wait(30)
        sink(peer)

    with TcpServer(lazy) as backend:
        server = serve(tcp_gateway(backend))
        before = server.resident()
        with connect(server) as client:
            sent = 0
            client.socket.setblocking(False)
            quiet = time.monotonic() + 1.0
            while time.monotonic() < quiet:
                try:
                    sent += client.socket.send(b"y" * 65536)
                    quiet = time.monotonic() + 0.5
                except BlockingIOError:
                    time.sleep(0.01)
                assert sent < size, "nobody reads, yet everything was taken"
            assert server.resident() - before < 16 << 20
            go_on.set()
            client.socket.settimeout(wire.TIMEOUT)
            assert client.exchange(b"z" * (size - sent)) == str(size).encode()


def test_a_reset_reaches_the_other_side(serve) -> None:
    with TcpServer(watch := Watch(b"here")) as backend:
        server = serve(tcp_gateway(backend))
        client = connect(server)
        client.read(4)
        client.reset()
        until(lambda: watch.outcome == "reset", "the server to see the reset")
        assert wait_tcp(server)["details"] == "client_reset"


def test_a_reset_of_the_server_reaches_the_client(serve) -> None:
    def rude(peer: socket.socket) -> None:
        peer.recv(100)
        reset(peer)

    with TcpServer(rude) as backend:
        server = serve(tcp_gateway(backend))
        with connect(server) as client, pytest.raises(ConnectionResetError):
            client.send(b"hello").read_all()
        line = wait_tcp(server)
        assert (line["details"], line["flags"]) == ("upstream_reset", "UC")


def test_a_reset_of_the_server_reaches_a_client_that_reads_later(serve) -> None:
    """The client, who has sent nothing, must not take what came before it for the whole."""
    gone = threading.Event()

    def pour(peer: socket.socket) -> None:
        peer.settimeout(0.5)  # until nothing moves any more
        try:
            while True:
                peer.sendall(bytes(65536))
        except TimeoutError:
            reset(peer)
            gone.set()

    with TcpServer(pour) as backend:
        server = serve(tcp_gateway(backend))
        with connect(server) as client:
            assert gone.wait(20)
            with pytest.raises(ConnectionResetError):
                client.read_all()
        assert wait_tcp(server)["details"] == "upstream_reset"


def test_an_answer_that_has_ended_is_whole_whatever_the_client_sends(serve) -> None:
    """The server has closed and resets what still comes; a client that reads later gets all that it sent before."""
    arrived: list[int] = []

    def answer(peer: socket.socket) -> None:
        size = int(peer.recv(20))
        peer.settimeout(0.5)
        with suppress(TimeoutError, AssertionError):
            peer.sendall(bytes(size))
            until(lambda: unacknowledged(peer) == 0, "everything to be there", 0.5)
            arrived.append(size)

    with TcpServer(answer) as backend:
        server = serve(tcp_gateway(backend))
        for size in range(2_000_000, 6_000_000, 250_000):
            with connect(server) as client:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
                client.send(b"%d" % size)
                with suppress(AssertionError):
                    until(lambda size=size: size in arrived, "the answer to be there", 1.0)
                if size not in arrived:
                    break  # more than the sockets on the way hold
                client.send(b"more")
                time.sleep(0.05)
                assert len(client.read_all()) == size
    assert arrived


def unacknowledged(peer: socket.socket) -> int:
    """Bytes that the other side's kernel does not have yet."""
    held = array("i", [0])
    fcntl.ioctl(peer, termios.TIOCOUTQ, held)
    return held[0]


def test_a_server_may_answer_early(serve) -> None:
    """It answers and closes although the client is still sending; the answer arrives."""
    def early(peer: socket.socket) -> None:
        peer.recv(10)
        peer.sendall(b"too much")
        peer.shutdown(socket.SHUT_WR)
        time.sleep(0.2)  # until the answer has left: closing with unread bytes resets

    with TcpServer(early) as backend:
        server = serve(tcp_gateway(backend))
        with connect(server) as client:
            client.send(b"x" * 2_000_000)
            assert client.read(8) == b"too much"


# ---- Connecting ----


def test_an_upstream_that_is_down_closes_the_client(serve) -> None:
    port = closed_port()
    server = serve(tcp_gateway([("127.0.0.1", port)]))
    with connect(server) as client:
        assert client.send(b"hello").read_all() == b""
    line = server.wait_log("cannot be passed on")
    assert line["upstream"] == "behind" and line["listener"] == "tcp"
    assert line["reason"] == f"127.0.0.1:{port}: Connection refused"
    access = wait_tcp(server)
    assert (access["details"], access["flags"]) == ("upstream_unreachable", "UF")
    assert 'heddle_tcp_upstream_failures_total{listener="tcp"} 1' in server.metrics()


def test_another_endpoint_is_tried(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway([("127.0.0.1", closed_port()), backend.address]))
    for _ in range(4):
        with connect(server) as client:
            assert client.exchange(b"hello") == b"hello"


def test_connections_are_spread_over_the_endpoints(serve) -> None:
    with TcpServer(echo) as first, TcpServer(echo) as second:
        server = serve(tcp_gateway([first.address, second.address], workers=1))
        for _ in range(10):
            with connect(server) as client:
                assert client.exchange(b"hello") == b"hello"
        assert (first.accepted, second.accepted) == (5, 5)


def test_a_name_that_does_not_resolve_is_named(serve) -> None:
    config = tcp_gateway([("127.0.0.1", 1)])
    config["upstreams"][1]["endpoints"] = ["no-such-host.invalid:1"]
    server = serve(config)
    with connect(server) as client:
        assert client.read_all() == b""
    assert "no-such-host.invalid" in server.wait_log("cannot be passed on", timeout=60)["reason"]


def test_a_connection_that_does_not_stand_in_time(serve) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(8):  # until the queue is full and nobody is let in any more
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        server = serve(tcp_gateway([full.getsockname()], upstream_limits={"connect_timeout": "200ms"}))
        with connect(server) as client:
            assert client.read_all() == b""
        assert "connect_timeout" in server.wait_log("cannot be passed on")["reason"]
        for filler in fillers:
            filler.close()


def test_idle_connections_are_closed(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend, limits={"tcp_idle_timeout": "300ms"}))
    with connect(server) as client:
        assert client.send(b"hello").read(5) == b"hello"
        assert client.read_all() == b""
    assert wait_tcp(server)["details"] == "idle_timeout"


def test_too_many_connections_are_closed(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend, limits={"max_connections": 2}, workers=1))
    with connect(server) as one, connect(server) as two:
        assert one.send(b"1").read(1) + two.send(b"2").read(1) == b"12"
        with connect(server) as three:
            try:
                assert three.read_all() == b""
            except ConnectionResetError:
                pass
        server.wait_log("has its most connections", limit="max_connections")
        assert one.exchange(b"x") == b"x"
    until(lambda: 'heddle_tcp_connections_active{listener="tcp"} 0' in server.metrics(), "the end of both")
    with connect(server) as four:
        assert four.exchange(b"4") == b"4"


# ---- Plugins ----


def test_callbacks_come_in_envoys_order(serve, backend: TcpServer, tcp_probe: Path) -> None:
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config="* trace")], workers=1))
    with connect(server) as client:
        assert client.send(b"hello").read(5) == b"hello"
        assert client.end().read_all() == b""
    server.wait_log("probe delete 2")
    assert probe_trace(server, 2) == ["probe context_create 2 1", "probe new_connection 2", "probe downstream_data 2 5 0",
                                      "probe upstream_data 2 5 0", "probe downstream_data 2 0 1",
                                      "probe upstream_data 2 0 1", "probe upstream_connection_close 2 0",
                                      "probe downstream_connection_close 2 1", "probe done 2", "probe log 2",
                                      "probe delete 2"]


def test_a_reset_is_told_with_who_did_it(serve, backend: TcpServer, tcp_probe: Path) -> None:
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config="* trace")], workers=1))
    client = connect(server)
    client.send(b"hello").read(5)
    client.reset()
    server.wait_log("probe delete 2")
    assert probe_trace(server, 2)[-5:] == ["probe downstream_connection_close 2 2", "probe upstream_connection_close 2 1",
                                           "probe done 2", "probe log 2", "probe delete 2"]


def test_an_unreachable_upstream_is_no_upstream_close(serve, tcp_probe: Path) -> None:
    server = serve(tcp_gateway([("127.0.0.1", closed_port())], [plugin("probe", tcp_probe, config="* trace")], workers=1))
    with connect(server) as client:
        assert client.read_all() == b""
    server.wait_log("probe delete 2")
    assert probe_trace(server, 2) == ["probe context_create 2 1", "probe new_connection 2",
                                      "probe downstream_connection_close 2 1", "probe done 2", "probe log 2",
                                      "probe delete 2"]


def test_a_plugin_rewrites_both_directions(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = "downstream_data upper 2\nupstream_data prepend 3 [\nupstream_data append 3 ]"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)]))
    with connect(server) as client:
        assert client.send(b"hello").read(7) == b"[HELLO]"
        assert client.end().read_all() == b"[]", "also the last, empty call may add"


def test_what_a_plugin_holds_comes_with_the_next_call(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = "downstream_data trace\ndownstream_data hold 10\ndownstream_data show 2"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)], workers=1))
    with connect(server) as client:
        for piece in (b"abcd", b"efgh"):
            mark = server.mark()
            client.send(piece)
            server.wait_log("probe downstream_data", after=mark)
        assert client.send(b"ijkl").read(12) == b"abcdefghijkl"
        client.send(b"mn")
        server.wait_log("probe downstream_data 2 2 0")
        assert client.end().read_all() == b"mn", "the end takes along what was held"
    server.wait_log("probe downstream_data 2 2 1")
    assert probe_trace(server) == ["probe downstream_data 2 4 0", "probe downstream_data 2 8 0",
                                   "probe downstream_data 2 12 0", "probe downstream_data 2 2 0",
                                   "probe downstream_data 2 2 1"]
    assert "abcdefgh" in server.messages()


def test_filters_run_by_priority_and_back(serve, backend: TcpServer, tcp_probe: Path) -> None:
    def stamp(name: str, priority: int) -> dict[str, Any]:
        lines = f"downstream_data when 2 go append 2 {name}\nupstream_data when 3 go append 3 {name}"
        return plugin(name, tcp_probe, priority=priority, config=lines)
    server = serve(tcp_gateway(backend, [stamp("low", 1), stamp("high", 9)]))
    with connect(server) as client:
        assert client.send(b"go:").read(3 + 7 + 7) == b"go:highlowlowhigh"


def test_a_plugin_continues_from_a_tick(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = ("new_connection pause\nnew_connection remember\nnew_connection tick 100\n"
              "tick trace\ntick resume 2\ntick tick 0")
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)]))
    with connect(server) as client:
        client.send(b"hello")
        server.wait_log("probe tick")
        assert client.exchange(b", world") == b"hello, world"


@pytest.mark.parametrize("stream, callback", [(2, "downstream_data"), (3, "upstream_data")])
def test_a_plugin_continues_after_a_call(serve, backend: TcpServer, tcp_probe: Path, stream: int, callback: str) -> None:
    config = f"{callback} when {stream} wait call echo /\n{callback} when {stream} wait pause\n" \
             f"http_call_response resume {stream}\nhttp_call_response log answered"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)]))
    with connect(server) as client:
        assert client.send(b"wait for it").read(11) == b"wait for it"
        server.wait_log("answered")
        assert client.exchange(b", and on") == b", and on"


@pytest.mark.parametrize("stream", [2, 3])
def test_a_plugin_closes_the_connection(serve, backend: TcpServer, tcp_probe: Path, stream: int) -> None:
    config = f"* trace\ndownstream_data when 2 bye close {stream}"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)], workers=1))
    with connect(server) as client:
        assert client.send(b"hello").read(5) == b"hello"
        assert client.send(b"bye").read_all() in (b"", b"bye")
    line = wait_tcp(server)
    assert (line["details"], line["plugin"]) == ("closed_by_plugin", "probe")
    assert "probe downstream_connection_close 2 1" in probe_trace(server)
    assert probe_trace(server)[-1] == "probe delete 2"


def test_a_plugin_refuses_at_the_door(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = "new_connection close 2\nnew_connection pause"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)]))
    with connect(server) as client:
        assert client.send(b"hello").read_all() == b""
    assert backend.accepted == 0


def test_properties_of_a_connection(serve, backend: TcpServer, tcp_probe: Path) -> None:
    names = ["source.address", "destination.address", "upstream.address", "connection.id", "plugin_name", "request.path",
             "cluster_name", "mine"]
    lines = ["new_connection export mine own"] + [f"downstream_data property {name}" for name in names]
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config="\n".join(lines))]))
    with connect(server) as client:
        own = "{}:{}".format(*client.socket.getsockname())
        client.send(b"hello").read(5)
    server.wait_log("property mine=")
    shown = dict(text.removeprefix("property ").split("=", 1) for text in server.messages() if text.startswith("property "))
    assert shown["source.address"] == own
    assert shown["destination.address"] == "{}:{}".format(*server.listeners["tcp"])
    assert shown["upstream.address"] == "{}:{}".format(*backend.address)
    assert (shown["plugin_name"], shown["cluster_name"], shown["mine"]) == ("probe", "behind", "own")
    assert shown["request.path"] == " 1", "not found: there is no request"


def test_a_plugin_of_a_tcp_listener_is_not_on_routes(serve, backend: TcpServer, tcp_probe: Path) -> None:
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config="* trace\nrequest_headers reply 418 no")]))
    assert server.fetch("/").status == 200
    with connect(server) as client:
        assert client.exchange(b"hello") == b"hello"


def test_a_plugin_of_requests_does_nothing_on_a_tcp_listener(serve, backend: TcpServer, compile_wat: wat.Compiler) -> None:
    probe = compile_wat.c(Path("plugins/probe.c"))  # has the callbacks of HTTP only
    server = serve(tcp_gateway(backend, [plugin("web", probe, config="* trace")]))
    server.wait_log("has no callback of TCP connections", plugin="web", listener="tcp")
    with connect(server) as client:
        assert client.exchange(b"hello") == b"hello"


def test_bytes_are_counted_while_a_connection_is_open(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend))
    with connect(server) as client:
        client.send(b"hello").read(5)

        def counted() -> list[float]:
            family = parse(server.metrics())["heddle_tcp_bytes_total"]
            return [family.value(listener="tcp", direction=way) for way in ("in", "out")]
        until(lambda: counted() == [5, 5], "the bytes to be counted")


def test_a_full_buffer_holds_the_client_back(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = "downstream_data hold 100000000\ndownstream_data trace"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config, buffer_limit="64KiB")]))
    with connect(server) as client:
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            client.send(b"x" * (32 << 20))
        line = server.wait_log("buffer_limit", plugin="probe", listener="tcp")
        assert line["bytes"] < 1 << 20
        client.reset()
    assert wait_tcp(server)["details"] == "client_reset", "seen although nothing is read"


# ---- Failure ----


def test_a_trap_closes_only_its_connection(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = "downstream_data when 2 boom trap"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config)]), expect_errors=True)
    with connect(server) as client:
        assert client.send(b"boom").read_all() == b""
    server.wait_log(plugin="probe", level="error")
    with connect(server) as client:
        assert client.exchange(b"fine") == b"fine"
    assert wait_tcp(server, details="closed_by_plugin")["plugin"] == "probe"


def test_a_trap_with_the_open_policy_lets_pass(serve, backend: TcpServer, tcp_probe: Path) -> None:
    config = "downstream_data when 2 boom trap\ndownstream_data upper 2"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config, on_failure="open")]),
                   expect_errors=True)
    with connect(server) as client:
        assert client.send(b"hello").read(5) == b"HELLO"
        assert client.send(b"boom").read(4) == b"boom"
        assert client.exchange(b"on it goes") == b"on it goes"
    with connect(server) as client:
        assert client.exchange(b"again") == b"AGAIN", "a fresh instance"


def test_a_trap_frees_what_the_plugin_held(serve, backend: TcpServer, tcp_probe: Path) -> None:
    """One connection waits for the plugin while another traps it: by the policy it goes on."""
    config = "downstream_data when 2 boom trap\ndownstream_data when 2 hold pause\ndownstream_data trace"
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config=config, on_failure="open")], workers=1),
                   expect_errors=True)
    with connect(server) as waiting, connect(server) as trapping:
        waiting.send(b"hold this")
        server.wait_log("probe downstream_data 2 9 0")
        assert trapping.send(b"boom").read(4) == b"boom"
        assert waiting.read(9) == b"hold this"


@pytest.mark.parametrize("policy", ["closed", "open"])
def test_a_plugin_that_cannot_be_loaded(serve, backend: TcpServer, tmp_path: Path, policy: str) -> None:
    server = serve(tcp_gateway(backend, [plugin("gone", tmp_path / "gone.wasm", on_failure=policy)]), expect_errors=True)
    with connect(server) as client:
        answer = client.exchange(b"hello")
    if policy == "open":
        assert answer == b"hello"
        return
    assert answer == b"" and backend.accepted == 0
    line = server.wait_log("a TCP connection is refused")
    assert "gone" in line["reason"] and line["listener"] == "tcp"
    assert wait_tcp(server)["details"] == "refused"


# ---- Change and end ----


def test_reload_under_load_breaks_no_connection(serve, backend: TcpServer, tmp_path: Path, tcp_probe: Path) -> None:
    changing = tmp_path / "changing.wasm"
    shutil.copy(tcp_probe, changing)
    server = serve(tcp_gateway(backend, [plugin("changing", changing, config="downstream_data upper 2")]))
    stop = threading.Event()
    problems: list[str] = []
    done = 0

    def talk() -> None:
        nonlocal done
        while not stop.is_set():
            try:
                with connect(server) as client:
                    for _ in range(3):
                        assert client.send(b"hello").read(5) == b"HELLO"
                    assert client.exchange(b"x" * 5000) == b"X" * 5000
                done += 1
            except Exception as problem:  # noqa: BLE001: whatever it is, it is a finding
                problems.append(repr(problem))
                return

    with connect(server) as lasting:
        lasting.send(b"long").read(4)
        threads = [threading.Thread(target=talk, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            assert server.admin("/plugins/changing/reload", "POST").status == 200
        stop.set()
        for thread in threads:
            thread.join(20)
        assert lasting.exchange(b"lived") == b"LIVED"
    assert not problems and done > 0
    until(lambda: "heddle_snapshots_live 1\n" in server.metrics(), "the old snapshots to go")


def test_a_connection_of_an_old_version_ends_after_drain_timeout(serve, backend: TcpServer, tcp_probe: Path) -> None:
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config="* trace")], drain_timeout="300ms"))
    with connect(server) as client:
        client.send(b"hello").read(5)
        assert server.admin("/plugins/probe/reload", "POST").status == 200
        assert client.read_all() == b""
    assert wait_tcp(server)["details"] == "drain_timeout"


def test_a_change_elsewhere_leaves_connections_alone(serve, backend: TcpServer, tcp_probe: Path) -> None:
    other = plugin("other", tcp_probe, config="")
    config = tcp_gateway(backend, [plugin("probe", tcp_probe, config="* trace"), other], named=["probe"],
                         drain_timeout="300ms")
    config["routes"][0]["plugins"] = ["other"]
    server = serve(config)
    with connect(server) as client:
        client.send(b"hello").read(5)
        assert server.admin("/plugins/other/reload", "POST").status == 200
        until(lambda: "heddle_snapshots_live 1\n" in server.metrics(), "the old snapshot to go")
        time.sleep(0.6)  # twice the drain_timeout
        assert client.exchange(b"still here") == b"still here"


def test_disabling_a_plugin_takes_it_off(serve, backend: TcpServer, tcp_probe: Path) -> None:
    server = serve(tcp_gateway(backend, [plugin("probe", tcp_probe, config="downstream_data upper 2")]))
    for change, expected in (("disable", b"hello"), ("enable", b"HELLO")):
        assert server.admin(f"/plugins/probe/{change}", "POST").status == 200
        with connect(server) as client:
            assert client.exchange(b"hello") == expected


def test_a_configuration_reload_moves_the_listener(serve, backend: TcpServer, tcp_probe: Path) -> None:
    """`upstream:` and `plugins:` of a TCP listener change by reload, for new connections at once."""
    def shout(peer: socket.socket) -> None:
        while data := peer.recv(65536):
            peer.sendall(data + b"!")

    with TcpServer(shout) as other:
        config = tcp_gateway(backend, [plugin("probe", tcp_probe, config="downstream_data upper 2")], named=[],
                             drain_timeout="500ms")
        config["upstreams"].append(upstream("other", other.address))
        file = serve.write(config)
        server = serve(file)
        with connect(server) as old:
            assert old.send(b"hello").read(5) == b"hello"
            config["listeners"][1].update(upstream="other", plugins=["probe"])
            file.write_text(json.dumps(config))
            answer = server.admin("/config/reload", "POST")
            assert answer.status == 200 and "restart" not in answer.text
            with connect(server) as new:
                assert new.send(b"hello").read(6) == b"HELLO!"
            assert old.send(b"hello").read(5) == b"hello", "open connections stay as they began"
            assert old.read_all() == b"", "until drain_timeout"


def test_sigterm_lets_connections_end(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend))
    with connect(server) as client:
        client.send(b"hello").read(5)
        server.signal(signal.SIGTERM)
        server.wait_log("draining")
        assert client.send(b"still").read(5) == b"still"
        with pytest.raises(ConnectionRefusedError):
            until(lambda: connect(server).close() or False, "the listener to close")
        assert client.exchange(b"bye") == b"bye"
    assert server.wait_exit() == 0
    assert server.wait_log("stopped")["clean"] is True


def test_sigterm_ends_softly_what_does_not_end(serve, backend: TcpServer) -> None:
    server = serve(tcp_gateway(backend, drain_timeout="300ms"))
    with connect(server) as client:
        client.send(b"hello").read(5)
        server.signal(signal.SIGTERM)
        assert client.read_all() == b""
    assert server.wait_exit() == 0
    assert server.wait_log("stopped")["clean"] is False
    assert wait_tcp(server)["details"] == "drain_timeout"


# ---- Configuration ----


@pytest.mark.parametrize("change, message", [
    ({"upstream": ""}, "names none"),
    ({"upstream": "behnd"}, 'did you mean "behind"'),
    ({"upstream": "echo"}, "speaks HTTP only"),
    ({"plugins": ["none"]}, 'there is no plugin "none"'),
    ({"protocol": "http"}, "is for TCP listeners"),
])
def test_mistakes_are_named(serve, backend: TcpServer, change: dict[str, Any], message: str) -> None:
    config = tcp_gateway(backend)
    config["listeners"][1].update(change)
    result = serve.run("validate", "-c", str(serve.write(config)))
    assert result.returncode == 78
    assert message in result.stdout + result.stderr
