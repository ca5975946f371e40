"""How a server ends: drained, in time, at once when asked twice; and what it does with a port in use."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import http2, tls, wat, wire
from support.configs import gateway, plugin, route, upstream
from support.load import LoadOnAStoppingServer
from support.server import Server
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until


def test_sigterm_lets_requests_in_flight_end(serve) -> None:
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        release.wait(20)
        peer.send(ok(b"late but whole"))

    with Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            connection.send(wire.head("GET", "/"))
            until(lambda: bool(origin.requests), "the request to be under way")
            server.signal(signal.SIGTERM)
            until(lambda: wire.refuses(server.address), "the listener to be closed")
            release.set()
            response = connection.response()
            assert response.body == b"late but whole"
            assert connection.is_closed()
        assert server.wait_exit() == 0


def test_sigterm_under_load_fails_no_request(serve) -> None:
    with Upstream(answering(ok())) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)],
                               logging={"access_log": False}))
        with LoadOnAStoppingServer(server.address) as load:
            until(lambda: load.requests > 500, "some load", timeout=60)
            load.stopping.set()
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0
        assert load.failures == []


def test_sigterm_closes_idle_connections_at_once(serve) -> None:
    server = serve(gateway(drain_timeout="20s"))
    with server.connect() as connection:
        assert connection.request("GET", "/").status == 200
        server.signal(signal.SIGTERM)
        assert connection.is_closed()
        assert server.wait_exit(timeout=10) == 0


def stop_listening(server: Server) -> None:
    server.signal(signal.SIGTERM)
    until(lambda: wire.refuses(server.address), "the listener to be closed")


def test_the_first_request_of_a_new_connection_is_answered_after_sigterm(serve) -> None:
    server = serve(gateway())
    with server.connect() as connection:
        stop_listening(server)
        assert connection.request("GET", "/").status == 200
        assert connection.is_closed()
    assert server.wait_exit() == 0


def test_the_same_behind_a_handshake(serve, tmp_path: Path) -> None:
    authority = tls.Authority(tmp_path)
    site = authority.issue("site", "DNS:localhost")
    server = serve(gateway(listeners=[{"name": "public", "address": "127.0.0.1:0", "protocol": "https", "tls": site.setting()}]))
    with socket.create_connection(server.address, wire.TIMEOUT) as plain:
        stop_listening(server)
        with authority.client().wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(wire.head("GET", "/"))
            assert secured.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.wait_exit() == 0


def test_silent_clients_that_keep_coming_do_not_hold_up_the_end(serve, tmp_path: Path) -> None:
    """Those who connect while a server stops, and never begin their handshake."""
    site = tls.Authority(tmp_path).issue("site", "DNS:localhost")
    server = serve(gateway(workers=1, drain_timeout="1m", listeners=[
        {"name": "public", "address": "127.0.0.1:0", "protocol": "https", "tls": {**site.setting(), "handshake_timeout": "1m"}}]))
    with ExitStack() as silent:
        for number in range(900):  # a process may have 1024 files
            if number == 300:
                server.signal(signal.SIGTERM)
            each = silent.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(server.address)
        assert server.wait_exit(timeout=15) == 0


def test_a_stream_that_http2_opens_before_the_second_goaway_is_answered(serve) -> None:
    server = serve(gateway())
    with http2.Raw(server.address) as client:
        assert client.answers()
        server.signal(signal.SIGTERM)
        seen: list[int] = []
        while (got := client.read_frame()) is not None:
            seen.append(got[0])
            if got[0] == http2.GOAWAY and seen.count(http2.GOAWAY) == 1:
                assert int.from_bytes(got[3][:4], "big") == 2**31 - 1
                client.send(client.headers(1))
            elif got[0] == http2.PING and not got[1]:
                client.send(http2.frame(http2.PING, http2.ACK, payload=got[3]))
        assert seen.count(http2.HEADERS) == 1
        assert seen.count(http2.GOAWAY) == 2
    assert server.wait_exit() == 0


def test_the_drain_timeout_ends_what_does_not_end(serve) -> None:
    with Upstream(lambda peer: peer.read_request() and peer.wait_closed()) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)],
                               drain_timeout="300ms"))
        with server.connect() as connection:
            connection.send(wire.head("GET", "/"))
            until(lambda: bool(origin.requests), "the request to be under way")
            server.signal(signal.SIGTERM)
            server.wait_exit(timeout=15)
        assert server.exit_code == 0


def test_a_second_sigterm_stops_at_once(serve) -> None:
    with Upstream(lambda peer: peer.read_request() and peer.wait_closed()) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)],
                               drain_timeout="5m"))
        with server.connect() as connection:
            connection.send(wire.head("GET", "/"))
            until(lambda: bool(origin.requests), "the request to be under way")
            server.signal(signal.SIGTERM)
            until(lambda: wire.refuses(server.address), "the listener to be closed")
            server.signal(signal.SIGTERM)
            assert server.wait_exit(timeout=15) == 0


ENDLESS = wat.plugin({"configure": "(loop $again (br $again))"})


def test_a_second_sigterm_ends_a_start_at_once(serve, compile_wat: wat.Compiler) -> None:
    server = serve(gateway(plugins=[plugin("endless", compile_wat(ENDLESS), timeout="5m")]), wait=False)
    server.wait_log("admin listening")
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGINT)
    assert server.wait_exit(timeout=30) == 0


def test_a_second_sigterm_ends_a_reload_at_once(serve, compile_wat: wat.Compiler, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(gateway()))
    server = serve(file)
    file.write_text(json.dumps(gateway(plugins=[plugin("endless", compile_wat(ENDLESS), timeout="5m")])))
    with wire.Connection(server.admin_address) as client:
        client.send(wire.head("POST", "/config/reload", host="localhost"))
        assert server.admin("/health").status == 200  # by then the reload was asked for
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)
        assert server.wait_exit(timeout=30) == 0


def test_a_log_that_nobody_reads_does_not_hold_up_the_end(heddle, environment, serve) -> None:
    reading, writing = os.pipe()
    file = serve.write(gateway(logging={"level": "debug"}, workers=1))
    process = subprocess.Popen([str(heddle), "serve", "-c", str(file)], env=environment, stdout=writing,
                               stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        line = b""
        while b'"listening"' not in line:
            line = b"".join(iter(lambda: os.read(reading, 1), b"\n"))
        address = wire.parse_address(json.loads(line)["address"])
        with wire.Connection(address) as client:
            for _ in range(12):  # more than a pipe holds
                assert client.request("GET", "/" + "x" * 7000).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_sigint_drains_too(serve) -> None:
    server = serve(gateway())
    assert server.fetch("/").status == 200
    server.signal(signal.SIGINT)
    assert server.wait_exit() == 0


def test_ready_and_changes_say_no_while_draining(serve) -> None:
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        release.wait(20)
        peer.send(ok())

    with Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="raw")], upstreams=[upstream("raw", origin.address)]))
        with server.connect() as connection:
            connection.send(wire.head("GET", "/"))
            until(lambda: bool(origin.requests), "the request to be under way")
            server.signal(signal.SIGTERM)
            until(lambda: wire.refuses(server.address), "the listener to be closed")
            assert server.admin("/ready").status == 503
            refused = server.admin("/config/reload", "POST")
            assert refused.status == 503 and refused.json()["error"]["code"] == "draining"
            release.set()
            assert connection.response().status == 200
        assert server.wait_exit() == 0


def test_a_port_in_use_is_said_clearly(serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        file = serve.write(gateway(listeners=[{"name": "public", "address": address}]))
        result = serve.run("serve", "-c", str(file))
    assert result.returncode not in (0, -6, -11)
    lines = [line for line in result.stderr.splitlines() if "in use" in line]
    assert len(lines) == 1 and address in lines[0]


def test_two_servers_do_not_share_a_port(serve) -> None:
    """SO_REUSEPORT would let the second one take half of the first one's connections."""
    first = serve(gateway())
    address = f"{first.address[0]}:{first.address[1]}"
    file = serve.write(gateway(listeners=[{"name": "public", "address": address}]))
    result = serve.run("serve", "-c", str(file))
    assert result.returncode != 0
    assert address in result.stdout + result.stderr
    assert first.fetch("/").status == 200


@pytest.mark.parametrize(("listeners", "admin"), [
    (["localhost:{0}"], "127.0.0.1:{0}"),
    (["0.0.0.0:{0}"], "127.0.0.1:{0}"),
    (["127.0.0.1:{0}"], ":{0}"),
    (["0.0.0.0:{0}"], ":{0}"),
    (["127.0.0.1:{0}", "localhost:{0}"], "127.0.0.1:0"),
], ids=str)
def test_listeners_and_the_admin_api_do_not_share_a_port(serve, listeners: list[str], admin: str) -> None:
    """Each of them would get a part of the other's connections, which SO_REUSEPORT allows without a word."""
    port = closed_port()
    addresses = [address.format(port) for address in listeners]
    file = serve.write(gateway(listeners=[{"name": f"l{i}", "address": address} for i, address in enumerate(addresses)],
                               admin={"address": admin.format(port)}))
    result = serve.run("serve", "-c", str(file))
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if "is also that of" in line]
    assert len(lines) == 1 and addresses[-1] in lines[0]


def test_an_address_of_the_command_line_is_not_the_admin_apis(serve) -> None:
    address = f"127.0.0.1:{closed_port()}"
    result = serve.run("serve", "-c", str(serve.write(gateway())), "--listen", address, "--admin", address)
    assert result.returncode == 1
    assert "is also that of the admin API" in result.stderr


def test_all_addresses_of_one_kind_leave_the_other_kind_alone(serve) -> None:
    port = closed_port()
    server = serve(gateway(listeners=[{"name": "four", "address": f"0.0.0.0:{port}"}, {"name": "six", "address": f"[::]:{port}"}]))
    assert wire.fetch(("127.0.0.1", port), "GET", "/").status == 200
