"""Requests sent again, and the limits that protect an upstream: what a client sees while endpoints fail, hang, are killed
and come back."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
import time
from contextlib import ExitStack

import pytest

from support import wire
from support.balanced import answers, endpoints, hanging, metric, named, proxy, shown
from support.configs import Config
from support.load import Load
from support.nginx import nginx_binary
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until

RETRY: Config = {"max_retries": 2, "backoff_base": "5ms"}
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


def resetting(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


def first(count: int, response: bytes, then: bytes = ok()):
    """A script that gives `response` to that many requests, over all connections, and `then` to others."""
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(response if len(peer.upstream.requests) <= count else then)
    return script


# ---- retries

@pytest.mark.parametrize("script", [resetting, answering(UNAVAILABLE)], ids=["reset", "status"])
def test_a_failed_try_goes_to_another_endpoint(serve, script) -> None:
    with Upstream(script) as bad, Upstream(named("good")) as good:
        server = proxy(serve, bad, good, retry=RETRY)
        assert answers(server, 10) == {"good": 10}
        assert len(bad.requests) == 5
        assert metric(server, "heddle_upstream_retries_total") == 5
        assert shown(server)["retries"] == 5


def test_the_last_answer_counts_when_every_try_fails(serve) -> None:
    with Upstream(answering(UNAVAILABLE)) as origin:
        server = proxy(serve, origin, retry=RETRY)
        response = server.fetch("/")
        assert (response.status, response.body) == (503, b"busy")
        assert len(origin.requests) == 3
        assert server.wait_access(status=503)["flags"] == "URX"


def test_a_reset_after_the_last_try_is_502(serve) -> None:
    with Upstream(resetting) as origin:
        server = proxy(serve, origin, retry=RETRY)
        assert server.fetch("/").status == 502
        assert len(origin.requests) == 3
        assert server.wait_access(status=502)["flags"] == "UC,URX"


def test_a_status_that_is_not_listed_is_passed_on(serve) -> None:
    with Upstream(answering(UNAVAILABLE)) as origin:
        server = proxy(serve, origin, retry={**RETRY, "retryable_codes": [502]})
        assert server.fetch("/").status == 503
        assert len(origin.requests) == 1


@pytest.mark.parametrize(("options", "tries"), [({}, 1), ({"non_idempotent": True}, 2)], ids=["safe", "daring"])
def test_a_post_is_only_sent_again_where_that_is_allowed(serve, options: Config, tries: int) -> None:
    with Upstream(first(1, UNAVAILABLE)) as origin:
        server = proxy(serve, origin, retry={**RETRY, **options})
        status = server.fetch("/", method="POST", body=b"order").status
        assert status == (503 if tries == 1 else 200)
        assert [request.body for request in origin.requests] == [b"order"] * tries


def test_a_body_is_sent_again_whole(serve) -> None:
    """Also one that arrives in pieces, with trailers, while the first try has failed already."""
    def first_fails(peer: Peer) -> None:
        peer.read_head()
        peer.reset()

    body = bytes(range(256)) * 100
    with Upstream(first_fails) as bad, Upstream(named("good")) as good:
        server = proxy(serve, bad, good, retry=RETRY)
        for _ in range(2):
            with server.connect() as connection:
                connection.send(wire.head("PUT", "/", [("Transfer-Encoding", "chunked")]))
                for start in range(0, len(body), 6400):
                    piece = body[start:start + 6400]
                    connection.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    time.sleep(0.005)
                connection.send(b"0\r\nX-Sum: 42\r\n\r\n")
                assert connection.response("PUT").body == b"good"
        assert [request.body for request in good.requests] == [body] * 2
        assert good.requests[0].trailers == [("x-sum", "42")]


def test_a_body_longer_than_what_is_kept_is_not_sent_again(serve) -> None:
    with Upstream(answering(UNAVAILABLE)) as origin:
        server = proxy(serve, origin, retry={**RETRY, "max_body": "8KiB"})
        assert server.fetch("/", method="PUT", body=b"x" * 20_000).status == 503
        assert len(origin.requests) == 1
        assert server.fetch("/", method="PUT", body=b"x" * 2_000).status == 503
        assert len(origin.requests) == 4


def test_an_answer_that_has_begun_is_not_asked_for_again(serve) -> None:
    def breaks_off(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with Upstream(breaks_off) as origin:
        server = proxy(serve, origin, retry=RETRY)
        with server.connect() as connection, pytest.raises(wire.Broken):
            connection.request("GET", "/")
            connection.request("GET", "/")
        assert len(origin.requests) == 1


def test_a_try_that_takes_too_long_is_given_up(serve) -> None:
    with Upstream(hanging) as slow, Upstream(named("good")) as good:
        server = proxy(serve, slow, good, retry={**RETRY, "per_try_timeout": "100ms"})
        assert answers(server, 4) == {"good": 4}
    with Upstream(hanging) as slow:
        server = proxy(serve, slow, retry={"per_try_timeout": "100ms"})
        assert server.fetch("/").status == 504
        assert server.wait_access(status=504)["flags"] == "UT"


def test_grpc_statuses_are_tried_again(serve) -> None:
    unavailable = (b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n")
    with Upstream(first(1, unavailable, ok(b"message"))) as origin:
        server = proxy(serve, origin, retry={**RETRY, "retryable_grpc_codes": [14]})
        response = server.fetch("/a.B/C", method="POST", headers=[("Content-Type", "application/grpc")], body=b"m")
        assert response.body == b"message"
        assert len(origin.requests) == 2


def test_retries_keep_to_their_budget(serve) -> None:
    """When everything fails, retries must not multiply the load."""
    with Upstream(answering(UNAVAILABLE)) as origin:
        server = proxy(serve, origin, retry={"max_retries": 5, "backoff_base": "300ms", "budget_min": 1, "budget_percent": 0})
        threads = [threading.Thread(target=lambda: server.fetch("/")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert metric(server, "heddle_upstream_retries_refused_total") >= 6
        assert len(origin.requests) <= 8 + 10


# ---- limits

def test_requests_beyond_the_limit_wait_and_beyond_the_line_get_503(serve) -> None:
    release = threading.Event()

    def slow(peer: Peer) -> None:
        while peer.read_request():
            release.wait(wire.TIMEOUT)
            peer.send(ok(b"done"))

    with Upstream(slow) as origin:
        server = proxy(serve, origin, workers=2, circuit_breaker={"max_requests": 2, "max_pending_requests": 3})
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(server.fetch("/").status)) for _ in range(5)]
        try:
            for thread in threads:
                thread.start()
            until(lambda: shown(server)["pending_requests"] == 3, "three to wait")
            until(lambda: len(origin.requests) == 2, "the upstream to read the others")
            response = server.fetch("/")
            assert response.status == 503
            assert response.json()["error"]["code"] == "upstream_overloaded"
            assert server.wait_access(status=503)["flags"] == "UO"
            assert metric(server, "heddle_upstream_refused_total", reason="max_requests") == 1
            # One who gives up makes room.
            with server.connect() as impatient:
                impatient.send(wire.head("GET", "/"))
        finally:
            release.set()
            for thread in threads:
                thread.join()
        assert statuses == [200] * 5
        until(lambda: shown(server)["pending_requests"] == 0, "the line to be empty")
        assert answers(server, 3) == {"done": 3}


def test_an_open_circuit_refuses_and_closes_again(serve) -> None:
    healthy = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(ok() if healthy.is_set() else UNAVAILABLE)

    breaker = {"failure_threshold": 3, "success_threshold": 2, "timeout": "300ms"}
    with Upstream(script) as origin:
        server = proxy(serve, origin, workers=2, circuit_breaker=breaker)
        assert answers(server, 3) == {"503": 3}
        server.wait_log("circuit open")
        assert shown(server)["circuit_state"] == "open"
        count = len(origin.requests)
        response = server.fetch("/")
        assert response.status == 503
        assert response.json()["error"]["code"] == "upstream_overloaded"
        assert len(origin.requests) == count
        assert metric(server, "heddle_upstream_circuit_open") == 1
        healthy.set()
        until(lambda: server.fetch("/").status == 200, "a trial")
        until(lambda: shown(server)["circuit_state"] == "closed" or server.fetch("/").status == 0, "it to close")
        assert answers(server, 20) == {"ok": 20}


def test_trials_of_an_earlier_time_leave_the_circuit_alone(serve) -> None:
    """Those that were let through before it opened again, and are given up after that, make no room and take none."""
    gone: list[Peer] = []

    def script(peer: Peer) -> None:
        while request := peer.read_request():
            if request.target == "/hang":
                peer.wait_closed()
                gone.append(peer)
                return
            peer.send(UNAVAILABLE if request.target == "/bad" else ok())

    with Upstream(script) as origin, ExitStack() as stack:
        server = proxy(serve, origin, circuit_breaker={"failure_threshold": 1, "success_threshold": 2, "timeout": "200ms"})

        def admitted(target: str) -> wire.Connection:
            """With a request that the circuit lets through, sooner or later."""
            before = len(origin.requests)
            while True:
                connection = stack.enter_context(server.connect())
                connection.send(wire.head("GET", target))
                until(lambda: len(origin.requests) > before or bool(select.select([connection.socket], [], [], 0)[0]), "an answer")
                if len(origin.requests) > before:
                    return connection

        assert admitted("/bad").response().body == b"busy"
        first = admitted("/hang")
        assert admitted("/bad").response().body == b"busy"
        second = admitted("/hang")
        for number, each in enumerate((second, first), 1):
            each.reset()
            until(lambda: len(gone) == number, "the upstream to see its end")
        until(lambda: server.fetch("/").status == 200, "a trial", timeout=10)
        until(lambda: shown(server)["circuit_state"] == "closed" or server.fetch("/").status == 0, "it to close", timeout=10)
        assert answers(server, 3) == {"ok": 3}


def test_too_many_connections_are_503(serve) -> None:
    with Upstream(hanging) as origin:
        server = proxy(serve, origin, limits={"max_connections": 1}, timeout="5s")
        with server.connect() as first:
            first.send(wire.head("GET", "/"))
            until(lambda: len(origin.requests) == 1, "the first request")
            assert server.fetch("/").status == 503
            assert server.wait_access(status=503)["flags"] == "UO"


# ---- under load

class NginxProcess:
    """An nginx that can be killed and started again on its port."""

    def __init__(self, folder, name: str) -> None:
        self.port = closed_port()
        self._folder = folder / name
        self._folder.mkdir()
        (self._folder / "nginx.conf").write_text(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log off; keepalive_requests 100000; server {{ listen 127.0.0.1:{self.port};\n"
            f"location / {{ return 200 '{name}'; }} }} }}\n")

    def start(self) -> None:
        self._process = subprocess.Popen([nginx_binary(), "-p", str(self._folder), "-c", "nginx.conf", "-e", "error.log"],
                                         stderr=subprocess.DEVNULL)
        until(self._listens, "nginx to listen")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False


def test_killed_endpoints_fail_no_request(serve, tmp_path) -> None:
    """Endpoints are killed and started again in turn while clients ask without pause."""
    servers = [NginxProcess(tmp_path, name) for name in ("one", "two", "three")]
    for each in servers:
        each.start()
    try:
        server = proxy(serve, *(f"127.0.0.1:{each.port}" for each in servers), workers=2,
                       retry={"max_retries": 3, "backoff_base": "10ms", "budget_percent": 100},
                       ejection={"time": "100ms", "max_time": "200ms"},
                       health_check={"path": "/", "interval": "50ms", "timeout": "500ms"})
        with Load(server.address, threads=6) as load:
            for each in servers * 2:
                before = load.requests
                until(lambda: load.requests > before + 100, "requests with all endpoints")
                each.kill()
                killed_at = load.requests
                until(lambda: load.requests > killed_at + 200, "requests without one")
                each.start()
                until(lambda: all(e["healthy"] for e in endpoints(server)), "all to be healthy")
        assert load.failures == []
        assert set(load.statuses) == {200}
        assert metric(server, "heddle_upstream_requests_active") == 0
        assert [e["active_connections"] for e in endpoints(server)] == [0, 0, 0]
    finally:
        for each in servers:
            each.kill()
