"""How a TCP listener chooses among its upstream's endpoints: by the same balancing, health, ejection and limits as HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from support import wire
from support.configs import Config
from support.prometheus import parse
from support.server import Server
from support.tcp import TcpServer, echo
from support.upstreams import closed_port
from support.waiting import until
from test_tcp import connect, tcp_gateway, wait_tcp

REFUSED = "a TCP connection cannot be passed on"


def proxy(serve, *to: TcpServer | wire.Address, **options: Any) -> Server:
    config = tcp_gateway([each.address if isinstance(each, TcpServer) else each for each in to], workers=1)
    config["upstreams"][1].update(options)
    return serve(config)


def behind(server: Server) -> Config:
    return next(each for each in server.admin("/upstreams").json() if each["name"] == "behind")


def states(server: Server) -> list[str]:
    return [endpoint["state"] for endpoint in behind(server)["endpoints"]]


def metric(server: Server, name: str, **labels: str) -> float:
    return parse(server.metrics())[name].value(upstream="behind", **labels)


def talk(server: Server) -> bytes:
    with connect(server) as client:
        return client.exchange(b"hello")


class Named(TcpServer):
    """Says its name to everybody, then echoes."""

    def __init__(self, name: bytes) -> None:
        def greet(peer: Any) -> None:
            peer.sendall(name)
            echo(peer)
        super().__init__(greet)


def test_few_connections_go_where_few_are(serve) -> None:
    with Named(b"a") as first, Named(b"b") as second, ExitStack() as stack:
        server = proxy(serve, first, second, load_balancer="least_conn")
        clients = [stack.enter_context(connect(server)) for _ in range(6)]
        names = [client.read(1) for client in clients]
        assert sorted(names) == [b"a"] * 3 + [b"b"] * 3
        assert [endpoint["active_connections"] for endpoint in behind(server)["endpoints"]] == [3, 3]
        assert behind(server)["active_requests"] == 6
        for client, name in zip(clients, names):
            if name == b"a":
                assert client.end().read_all() == b""
        until(lambda: behind(server)["endpoints"][0]["active_connections"] == 0, "the ended connections not to count")
        assert [stack.enter_context(connect(server)).read(1) for _ in range(3)] == [b"a"] * 3
    until(lambda: behind(server)["active_requests"] == 0, "nothing to be left")


def test_weights_count(serve) -> None:
    with TcpServer(echo) as heavy, TcpServer(echo) as light:
        endpoints = [{"address": "%s:%d" % heavy.address, "weight": 3}, "%s:%d" % light.address]
        server = proxy(serve, heavy, light, load_balancer="weighted", endpoints=endpoints)
        for _ in range(8):
            assert talk(server) == b"hello"
        assert (heavy.accepted, light.accepted) == (6, 2)


def test_a_client_stays_with_its_endpoint(serve) -> None:
    with ExitStack() as stack:
        backends = [stack.enter_context(TcpServer(echo)) for _ in range(4)]
        server = proxy(serve, *backends, load_balancer="consistent_hash", consistent_hash={"hash_key": "source"})
        for _ in range(12):
            assert talk(server) == b"hello"
        assert sorted(backend.accepted for backend in backends) == [0, 0, 0, 12]


def test_an_endpoint_that_refuses_is_left_alone_for_a_time(serve) -> None:
    with TcpServer(echo) as good:
        server = proxy(serve, good, ("127.0.0.1", closed_port()), ejection={"time": "500ms", "consecutive_connect_failures": 2})
        for _ in range(6):
            assert talk(server) == b"hello"
        server.wait_log("endpoint ejected", upstream="behind")
        assert metric(server, "heddle_upstream_failovers_total") == 2
        server.wait_log("endpoint readmitted", upstream="behind")


def test_active_checks_decide(serve) -> None:
    port = closed_port()
    check = {"protocol": "tcp", "interval": "50ms"}
    with TcpServer(echo) as good:
        server = proxy(serve, good, ("127.0.0.1", port), health_check=check, panic_threshold=0)
        until(lambda: states(server) == ["healthy", "unhealthy"], "the check to fail")
        for _ in range(4):
            assert talk(server) == b"hello"
        assert metric(server, "heddle_upstream_failovers_total") == 0
        good.stop()
        until(lambda: states(server) == ["unhealthy", "unhealthy"], "both checks to fail")
        mark = server.mark()
        assert talk(server) == b""
        server.wait_log(REFUSED, after=mark, reason="no endpoint is usable")
        wait_tcp(server, after=mark, details="no_healthy_upstream", flags="UH")


def test_the_circuit_opens_and_closes(serve) -> None:
    port = closed_port()
    breaker = {"failure_threshold": 2, "success_threshold": 1, "timeout": "300ms"}
    server = proxy(serve, ("127.0.0.1", port), circuit_breaker=breaker, ejection={"consecutive_connect_failures": 0})
    for _ in range(2):
        mark = server.mark()
        assert talk(server) == b""
        wait_tcp(server, after=mark)
    server.wait_log("circuit open")
    mark = server.mark()
    assert talk(server) == b""
    server.wait_log(REFUSED, after=mark, reason="the circuit breaker is open")
    wait_tcp(server, after=mark, details="upstream_overflow", flags="UO")
    assert metric(server, "heddle_upstream_refused_total", reason="circuit_open") >= 1
    with TcpServer(echo, port):
        until(lambda: talk(server) == b"hello", "a trial to succeed")
        server.wait_log("circuit closed")
        assert talk(server) == b"hello"


def test_more_connections_than_permitted_wait_or_are_refused(serve) -> None:
    with TcpServer(echo) as backend:
        breaker = {"max_requests": 1, "max_pending_requests": 1, "failure_threshold": 1}  # being refused is no failure
        server = proxy(serve, backend, circuit_breaker=breaker)
        with connect(server) as first, connect(server) as second:
            assert first.send(b"one").read(3) == b"one"
            second.send(b"two")
            until(lambda: behind(server)["pending_requests"] == 1, "the second to wait")
            assert talk(server) == b""
            assert "max_requests (1)" in server.wait_log(REFUSED)["reason"]
            assert first.end().read_all() == b""
            assert second.read(3) == b"two"
            with connect(server) as gone:
                until(lambda: behind(server)["pending_requests"] == 1, "another to wait")
                gone.reset()
            # Whoever leaves the line does so when it is closed, at the latest when its turn comes.
            assert second.end().read_all() == b""
        until(lambda: behind(server)["pending_requests"] == 0, "nobody to wait")
        assert talk(server) == b"hello"
