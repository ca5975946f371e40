"""Endpoints that are names: resolved again and again, all addresses used, connections to addresses that are gone closed.

The server runs in a mount namespace of its own with a file of hosts that the test changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import wire
from support.balanced import answers, endpoints, hanging, named
from support.configs import gateway, route
from support.server import Server
from support.tcp import Client
from support.upstreams import Peer, Upstream, closed_port, ok
from support.waiting import until


class Hosts:
    """/etc/hosts of a server."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hosts"
        self.set("127.0.0.1 localhost")

    def set(self, *lines: str) -> None:
        # In place: another file would not be the one that is mounted.
        with self.file.open("r+" if self.file.exists() else "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.truncate()


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path)


@pytest.fixture
def start(serve, heddle: Path, environment: dict[str, str], hosts: Hosts, tmp_path: Path) -> Iterator[object]:
    servers: list[Server] = []

    def run(port: int, **options: object) -> Server:
        config = gateway(routes=[route(to="api", timeout="10s")], workers=2,
                         upstreams=[{"name": "api", "endpoints": [f"api.test:{port}"], "resolve_interval": "50ms", **options}])
        config["listeners"].append({"name": "tcp", "address": "127.0.0.1:0", "protocol": "tcp", "upstream": "api"})
        script = f"mount --bind {hosts.file} /etc/hosts && exec {heddle.resolve()} serve -c {serve.write(config)}"
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
        servers.append(Server([*unshare, "sh", "-c", script], environment, tmp_path))
        return servers[-1].wait_ready()

    try:
        yield run
        for server in servers:
            server.stop()
    finally:
        for server in servers:
            server.kill()


def addresses(server: Server) -> list[str]:
    return sorted(endpoint["address"] for endpoint in endpoints(server))


def at(host: str, port: int, script) -> Upstream:
    return Upstream(script, port=port, host=host)


def test_all_addresses_are_used_and_followed(start, hosts: Hosts) -> None:
    port = closed_port()
    with at("127.0.0.1", port, named("one")), at("127.0.0.2", port, named("two")), at("127.0.0.3", port, named("three")):
        hosts.set("127.0.0.1 localhost api.test", "127.0.0.2 api.test")
        server = start(port)
        until(lambda: addresses(server) == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"], "both addresses")
        assert all(endpoint["host"] == f"api.test:{port}" for endpoint in endpoints(server))
        assert answers(server, 10) == {"one": 5, "two": 5}
        hosts.set("127.0.0.1 localhost", "127.0.0.3 api.test")
        until(lambda: addresses(server) == [f"127.0.0.3:{port}"], "the new address")
        assert answers(server, 4) == {"three": 4}


def test_tcp_connections_follow_a_name(start, hosts: Hosts) -> None:
    port = closed_port()

    def said(server: Server) -> bytes:
        with Client(server.listeners["tcp"]) as client:
            return client.send(wire.head("GET", "/")).end().read_all()[-5:]

    with at("127.0.0.2", port, named("  two")), at("127.0.0.3", port, named("three")):
        hosts.set("127.0.0.2 api.test")
        server = start(port)
        until(lambda: addresses(server) == [f"127.0.0.2:{port}"], "the address")
        assert said(server) == b"  two"
        hosts.set("127.0.0.3 api.test")
        until(lambda: addresses(server) == [f"127.0.0.3:{port}"], "the new address")
        assert said(server) == b"three"


def test_a_name_that_does_not_resolve_any_more_keeps_its_addresses(start, hosts: Hosts) -> None:
    port = closed_port()
    with at("127.0.0.2", port, named("two")):
        hosts.set("127.0.0.2 api.test")
        server = start(port)
        until(lambda: addresses(server) == [f"127.0.0.2:{port}"], "the address")
        hosts.set("127.0.0.1 localhost")
        line = server.wait_log("a name cannot be resolved")
        assert line["name"] == f"api.test:{port}"
        assert answers(server, 4) == {"two": 4}
        assert addresses(server) == [f"127.0.0.2:{port}"]


def test_an_address_that_is_gone_serves_what_it_has_and_loses_its_connections(start, hosts: Hosts) -> None:
    port = closed_port()
    closed: list[bool] = []

    def slow(peer: Peer) -> None:
        while request := peer.read_request():
            if request.target == "/slow":
                until(lambda: addresses(server) == [f"127.0.0.3:{port}"], "the change of addresses")
            peer.send(ok(b"two"))
        closed.append(True)

    with at("127.0.0.2", port, slow) as old, at("127.0.0.3", port, named("three")):
        hosts.set("127.0.0.2 api.test")
        server = start(port)
        until(lambda: addresses(server) == [f"127.0.0.2:{port}"], "the address")
        for _ in range(4):
            server.fetch("/")  # connections that stay open
        with server.connect() as connection:
            connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: any(request.target == "/slow" for request in old.requests), "the slow request")
            hosts.set("127.0.0.3 api.test")
            assert connection.response().body == b"two", "a request under way ends where it began"
        until(lambda: len(closed) == old.connections, "every connection to the old address to close")
        assert answers(server, 4) == {"three": 4}


def test_a_name_without_an_answer_is_an_error_until_it_has_one(start, hosts: Hosts) -> None:
    port = closed_port()
    with at("127.0.0.2", port, named("two")):
        server = start(port)
        assert server.fetch("/").status == 502
        hosts.set("127.0.0.2 api.test")
        until(lambda: server.fetch("/").status == 200, "the name to resolve")


def test_a_new_address_is_checked(start, hosts: Hosts) -> None:
    port = closed_port()
    with at("127.0.0.2", port, named("two")), at("127.0.0.3", port, hanging):
        hosts.set("127.0.0.2 api.test")
        server = start(port, health_check={"path": "/", "interval": "50ms", "timeout": "100ms"})
        until(lambda: addresses(server) == [f"127.0.0.2:{port}"], "the address")
        hosts.set("127.0.0.2 api.test", "127.0.0.3 api.test")
        line = server.wait_log("endpoint unhealthy")
        assert line["endpoint"] == f"127.0.0.3:{port}"
        assert answers(server, 6) == {"two": 6}
