"""TCP listeners over TLS, and TCP connections to upstreams that speak it."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import tls, wat, wire
from support.configs import gateway, plugin, upstream
from support.prometheus import parse
from support.server import Server
from support.tcp import Client, Script, TcpServer, Watch, echo
from support.waiting import until

NAMES = ("DNS:localhost", "IP:127.0.0.1")


@pytest.fixture
def backend() -> Iterator[TcpServer]:
    with TcpServer(echo) as server:
        yield server


def over_tls(context: ssl.SSLContext, script: Script) -> Script:
    """The script behind a handshake; it ends with close_notify."""
    def serve(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as secured:
            script(secured)
            secured.unwrap()
    return serve


def config(to: wire.Address, listener: dict[str, Any] | None = None, plugins: list[dict[str, Any]] | None = None,
           **behind: Any) -> dict[str, Any]:
    made = gateway(upstreams=[upstream("behind", to, **behind)], plugins=plugins)
    made["listeners"].append({"name": "tcp", "address": "127.0.0.1:0", "protocol": "tls", "upstream": "behind",
                              "plugins": [each["name"] for each in plugins or []], **(listener or {})})
    return made


def connect(server: Server, context: ssl.SSLContext | None = None, name: str = "localhost") -> Client:
    client = Client(server.listeners["tcp"])
    return client.start_tls(context, name) if context else client


def end(client: Client) -> None:
    """close_notify both ways; the socket is plain again."""
    assert isinstance(client.socket, ssl.SSLSocket)
    client.socket = client.socket.unwrap()


def test_what_is_inside_is_passed_on(serve, backend: TcpServer, authority: tls.Authority, site: tls.Certificate) -> None:
    server = serve(config(backend.address, {"tls": site.setting()}))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.client()
        context.minimum_version = context.maximum_version = version
        mark = server.mark()
        with connect(server, context) as client:
            assert client.send(b"hello").read(5) == b"hello"
            end(client)
        line = server.log.wait(lambda each: each.get("protocol") == "TLS", 20, mark)
        assert (line["bytes_in"], line["bytes_out"], line.get("details")) == (5, 5, None)


def test_much_data_over_tls_on_both_sides(serve, authority: tls.Authority, site: tls.Certificate) -> None:
    with TcpServer(over_tls(authority.server(site), echo)) as backend:
        server = serve(config(backend.address, {"tls": site.setting()}, tls={"ca_file": str(authority.cert)}))
        data = os.urandom(1 << 20) * 8
        with connect(server, authority.client()) as client:
            got = client.echoed(data)
            end(client)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_holds_the_sender_back(serve, authority: tls.Authority, site: tls.Certificate) -> None:
    size = 128 << 20  # more than the kernel keeps in all sockets on the way, up to 36 MiB a connection
    sent = 0

    def pour(peer: socket.socket) -> None:
        nonlocal sent
        while sent < size:
            peer.sendall(b"x" * 65536)
            sent += 65536

    with TcpServer(over_tls(authority.server(site), pour)) as backend:
        server = serve(config(backend.address, {"tls": site.setting()}, tls={"ca_file": str(authority.cert)}))
        before = server.resident()
        with connect(server, authority.client()) as client:
            client.read(1)
            seen: list[int] = []

            def stands_still() -> bool:
                seen.append(sent)
                return len(seen) > 50 and len(set(seen[-50:])) == 1
            until(stands_still, "the sender to wait")
            assert sent < size
            assert server.resident() - before < 24 << 20
            assert len(client.read(size - 1)) == size - 1


def test_plugins_see_what_is_inside(serve, backend: TcpServer, authority: tls.Authority, site: tls.Certificate,
                                    compile_wat: wat.Compiler) -> None:
    probe = compile_wat.c(Path("plugins/tcp_probe.c"))
    server = serve(config(backend.address, {"tls": site.setting()}, [plugin("probe", probe, config="downstream_data upper 2")]))
    with connect(server, authority.client()) as client:
        assert client.send(b"hello").read(5) == b"HELLO"


def test_clients_that_fail_the_handshake(serve, backend: TcpServer, site: tls.Certificate) -> None:
    server = serve(config(backend.address, {"tls": site.setting()}))
    with connect(server) as client:
        client.socket.sendall(b"this is no TLS at all\r\n\r\n")
        try:
            client.read_all()
        except ConnectionResetError:
            pass
    with pytest.raises(ssl.SSLError):
        connect(server, ssl.create_default_context())  # does not trust the authority
    until(lambda: parse(server.metrics())["heddle_tcp_connections_active"].value(listener="tcp") == 0, "both to end")
    until(lambda: sum(line.get("details") == "tls_handshake_failed" for line in server.log.lines()) == 2, "both to be logged")
    assert backend.accepted == 0


def test_a_client_that_says_nothing(serve, backend: TcpServer, site: tls.Certificate) -> None:
    server = serve(config(backend.address, {"tls": {**site.setting(), "handshake_timeout": "200ms"}}))
    with connect(server) as client:
        assert client.read_all() == b""
    assert backend.accepted == 0


def test_client_certificates(serve, backend: TcpServer, authority: tls.Authority, site: tls.Certificate) -> None:
    server = serve(config(backend.address, {"tls": {**site.setting(), "client_ca_file": str(authority.cert)}}))
    with connect(server, authority.client(authority.issue("alice"))) as client:
        assert client.send(b"hello").read(5) == b"hello"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with connect(server, authority.client()) as client:
            client.send(b"hello").read(5)


def test_a_client_without_close_notify_is_a_reset(serve, authority: tls.Authority, site: tls.Certificate) -> None:
    """Otherwise whoever can end the connection could cut off what it carries."""
    with TcpServer(watch := Watch()) as backend:
        server = serve(config(backend.address, {"tls": site.setting()}))
        client = connect(server, authority.client()).send(b"hello")
        client.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: watch.outcome == "reset", "the server to see the reset")
        client.close()


@pytest.mark.parametrize("trusted", [True, False])
def test_upstreams_over_tls(serve, authority: tls.Authority, site: tls.Certificate, tmp_path: Path, trusted: bool) -> None:
    with TcpServer(over_tls(authority.server(site), echo)) as backend:
        ca = authority.cert if trusted else tls.Authority(tmp_path / "other").cert
        server = serve(config(backend.address, {"protocol": "tcp"}, tls={"ca_file": str(ca)}))
        with connect(server) as client:
            if trusted:
                assert client.exchange(b"hello") == b"hello"
                return
            assert client.read_all() == b""
        line = server.wait_log("cannot be passed on", upstream="behind")
        assert "certificate" in line["reason"]


def test_an_upstream_of_another_name(serve, authority: tls.Authority) -> None:
    other = authority.issue("other", "DNS:other.test")
    with TcpServer(over_tls(authority.server(other), echo)) as backend:
        for name, works in (("other.test", True), ("localhost", False)):
            server = serve(config(backend.address, {"protocol": "tcp"},
                                  tls={"ca_file": str(authority.cert), "server_name": name}))
            with connect(server) as client:
                assert client.exchange(b"hello") == (b"hello" if works else b"")


def test_a_handshake_that_never_ends_is_the_upstreams_connect_timeout(serve, authority: tls.Authority) -> None:
    def mute(peer: socket.socket) -> None:
        while peer.recv(65536):
            pass

    with TcpServer(mute) as backend:
        server = serve(config(backend.address, {"protocol": "tcp"}, tls={"ca_file": str(authority.cert)},
                              limits={"connect_timeout": "300ms"}))
        with connect(server) as client:
            assert client.read_all() == b""
        assert "connect_timeout" in server.wait_log("cannot be passed on")["reason"]


def test_a_changed_certificate_is_for_new_connections(serve, backend: TcpServer, authority: tls.Authority, tmp_path: Path) -> None:
    mine = authority.issue("first", *NAMES, into=tmp_path)
    file = serve.write(config(backend.address, {"tls": mine.setting()}))
    server = serve(file)

    def common_name(client: Client) -> str:
        assert isinstance(client.socket, ssl.SSLSocket)
        return dict(pair[0] for pair in client.socket.getpeercert()["subject"])["commonName"]

    with connect(server, authority.client()) as old:
        assert common_name(old) == "first"
        next_one = authority.issue("second", *NAMES)
        mine.key.write_bytes(next_one.key.read_bytes())
        mine.cert.write_bytes(next_one.cert.read_bytes())
        assert server.admin("/config/reload", "POST").status == 200
        with connect(server, authority.client()) as new:
            assert common_name(new) == "second"
            assert new.send(b"new").read(3) == b"new"
        assert old.send(b"old").read(3) == b"old", "goes on"


@pytest.mark.parametrize("change, message", [
    ({"protocol": "tls"}, "needs a certificate"),
    ({"protocol": "tcp", "tls": {"cert_file": "x.pem"}}, "set protocol: tls"),
])
def test_mistakes_are_named(serve, backend: TcpServer, change: dict[str, Any], message: str) -> None:
    result = serve.run("validate", "-c", str(serve.write(config(backend.address, change))))
    assert result.returncode == 78
    assert message in result.stdout + result.stderr
