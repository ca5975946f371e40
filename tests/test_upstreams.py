"""Several endpoints behind one name: balancing, health, ejection, limits, retries, names; with endpoints that are killed,
that hang and that come back."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from support import wire
from support.balanced import answers, endpoints, hanging, metric, named, proxy, shown
from support.configs import Config
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until

# ---- balancing

def test_round_robin_takes_every_endpoint_in_turn(serve) -> None:
    with Upstream(named("a")) as a, Upstream(named("b")) as b, Upstream(named("c")) as c:
        server = proxy(serve, a, b, c)
        assert answers(server, 30) == {"a": 10, "b": 10, "c": 10}


def test_round_robin_is_fair_over_workers(serve) -> None:
    with Upstream(named("a")) as a, Upstream(named("b")) as b:
        server = proxy(serve, a, b, workers=4)
        total: Counter[str] = Counter()
        for _ in range(40):
            total += answers(server, 10)
        assert abs(total["a"] - total["b"]) <= 40


def test_weights_divide_the_requests(serve) -> None:
    with Upstream(named("a")) as a, Upstream(named("b")) as b:
        weighted = [{"address": f"127.0.0.1:{a.address[1]}", "weight": 3}, f"127.0.0.1:{b.address[1]}"]
        server = proxy(serve, *weighted, load_balancer="weighted")
        assert answers(server, 40) == {"a": 30, "b": 10}


@pytest.mark.parametrize("balancer", ["least_conn", "random"])
def test_a_busy_endpoint_is_left_alone_by_all_workers(serve, balancer: str) -> None:
    release = threading.Event()

    def busy(peer: Peer) -> None:
        while request := peer.read_request():
            if request.target == "/slow":
                release.wait(wire.TIMEOUT)
            peer.send(ok(b"busy"))

    with Upstream(busy) as a, Upstream(named("idle")) as b:
        server = proxy(serve, a, b, workers=3, load_balancer=balancer)
        slow: list[threading.Thread] = []
        try:
            while endpoints(server)[0]["active_connections"] == 0:
                slow.append(threading.Thread(target=lambda: server.fetch("/slow")))
                slow[-1].start()
                until(lambda: not slow[-1].is_alive() or endpoints(server)[0]["active_connections"] > 0, "an answer")
            total: Counter[str] = Counter()
            for _ in range(12):
                total += answers(server, 3)
            assert total == {"idle": 36}
        finally:
            release.set()
            for thread in slow:
                thread.join()


@pytest.mark.parametrize(("key", "header"), [("header:x-user", "X-User"), ("cookie:user", "Cookie")])
def test_consistent_hash_keeps_a_user_where_he_is(serve, key: str, header: str) -> None:
    with Upstream(named("a")) as a, Upstream(named("b")) as b, Upstream(named("c")) as c:
        server = proxy(serve, a, b, c, workers=3, load_balancer="consistent_hash", consistent_hash={"hash_key": key})

        def place(user: int) -> str:
            value = f"theme=x; user={user}" if header == "Cookie" else str(user)
            found = answers(server, 2, headers=[(header, value)])
            assert len(found) == 1
            return next(iter(found))

        first = {user: place(user) for user in range(40)}
        assert set(first.values()) == {"a", "b", "c"}
        assert {user: place(user) for user in range(40)} == first
        c.stop()
        after = {user: place(user) for user in range(40)}
        assert all(after[user] == first[user] for user in first if first[user] != "c")
        assert "c" not in after.values()


def test_consistent_hash_by_source_sends_one_client_to_one_endpoint(serve) -> None:
    with Upstream(named("a")) as a, Upstream(named("b")) as b:
        server = proxy(serve, a, b, load_balancer="consistent_hash")
        assert len(answers(server, 10) + answers(server, 10)) == 1


# ---- endpoints that cannot be reached

def test_an_endpoint_that_is_gone_costs_no_request(serve) -> None:
    """Without any setting: a connection that cannot be made is tried elsewhere, and the endpoint soon left out."""
    with Upstream(named("alive")) as alive:
        server = proxy(serve, f"127.0.0.1:{closed_port()}", alive)
        assert answers(server, 20) == {"alive": 20}
        line = server.wait_log("endpoint ejected")
        assert line["upstream"] == "api"
        state = shown(server)
        assert [e["state"] for e in state["endpoints"]] == ["ejected", "healthy"]
        assert state["health_status"] == "degraded"
        assert state["endpoints"][0]["ejections"] == 1
        assert metric(server, "heddle_upstream_failovers_total") == 3
        assert metric(server, "heddle_upstream_endpoint_healthy", endpoint=state["endpoints"][0]["address"]) == 0


def test_a_body_goes_along_to_the_next_endpoint(serve) -> None:
    with Upstream(named("alive")) as alive:
        server = proxy(serve, f"127.0.0.1:{closed_port()}", alive, ejection={"consecutive_connect_failures": 0})
        for _ in range(4):
            assert server.fetch("/", method="POST", body=b"x" * 10_000).status == 200
        assert [len(request.body) for request in alive.requests] == [10_000] * 4


def test_an_ejected_endpoint_comes_back(serve) -> None:
    port = closed_port()
    with Upstream(named("alive")) as alive:
        server = proxy(serve, f"127.0.0.1:{port}", alive, ejection={"time": "200ms", "max_time": "300ms"})
        answers(server, 8)
        server.wait_log("endpoint ejected")
        with Upstream(named("back"), port=port):
            server.wait_log("endpoint readmitted")
            until(lambda: answers(server, 2)["back"] > 0, "the endpoint to be used again")


def test_requests_that_fail_eject_too(serve) -> None:
    broken = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
    with Upstream(answering(broken)) as bad, Upstream(named("good")) as good:
        server = proxy(serve, bad, good, ejection={"consecutive_failures": 3})
        found = answers(server, 20)
        assert found == {"500": 3, "good": 17}


# ---- active checks

CHECK: Config = {"path": "/health", "interval": "50ms", "timeout": "300ms"}


def checked(name: str, healthy: threading.Event):
    def script(peer: Peer) -> None:
        while request := peer.read_request():
            if request.target == "/health":
                peer.send(ok() if healthy.is_set() else
                          b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            else:
                peer.send(ok(name.encode()))
    return script


def test_an_unhealthy_endpoint_gets_no_requests_until_it_recovers(serve) -> None:
    healthy = threading.Event()
    with Upstream(checked("sick", healthy)) as sick, Upstream(named("well")) as well:
        server = proxy(serve, sick, well, workers=2, health_check={**CHECK, "unhealthy_threshold": 2, "host": "check.me"})
        line = server.wait_log("endpoint unhealthy")
        assert line["upstream"] == "api"
        assert line["endpoint"] == f"127.0.0.1:{sick.address[1]}"
        assert line["reason"] == "status 503"
        assert answers(server, 10) == {"well": 10}
        assert [e["state"] for e in endpoints(server)] == ["unhealthy", "healthy"]
        healthy.set()
        server.wait_log("endpoint healthy")
        until(lambda: answers(server, 4)["sick"] > 0, "the endpoint to be used again")
        check = next(request for request in sick.requests if request.target == "/health")
        assert check.header("host") == "check.me"


def test_checks_come_once_for_all_workers(serve) -> None:
    with Upstream(named("a")) as origin:
        server = proxy(serve, origin, workers=8, health_check={**CHECK, "interval": "200ms"})
        until(lambda: metric(server, "heddle_upstream_health_checks_total", result="passed") >= 5, "five checks")
        assert origin.connections <= 2, "and they keep their connection"


def test_a_check_that_hangs_is_a_failed_one(serve) -> None:
    with Upstream(hanging) as slow, Upstream(named("well")) as well:
        server = proxy(serve, slow, well, health_check={**CHECK, "timeout": "100ms"})
        assert "no answer" in server.wait_log("endpoint unhealthy")["reason"]
        assert answers(server, 6) == {"well": 6}


def test_tcp_checks_only_connect(serve) -> None:
    port = closed_port()
    with Upstream(named("well")) as well:
        server = proxy(serve, f"127.0.0.1:{port}", well, health_check={"protocol": "tcp", "interval": "50ms"})
        server.wait_log("endpoint unhealthy")
        assert well.requests == []
        with Upstream(named("back"), port=port):
            server.wait_log("endpoint healthy")
            until(lambda: answers(server, 4)["back"] > 0, "the endpoint to be used again")


def test_when_nothing_is_healthy_everything_is_tried_unless_forbidden(serve) -> None:
    never = threading.Event()
    with Upstream(checked("a", never)) as a, Upstream(checked("b", never)) as b:
        trying = proxy(serve, a, b, health_check=CHECK)
        for _ in range(2):
            trying.wait_log("endpoint unhealthy")
        until(lambda: shown(trying)["health_status"] == "unhealthy", "both to be unhealthy")
        assert answers(trying, 4) == {"a": 2, "b": 2}
        assert metric(trying, "heddle_upstream_panic_requests_total") >= 4

        strict = proxy(serve, a, b, health_check=CHECK, panic_threshold=0)
        until(lambda: shown(strict)["health_status"] == "unhealthy", "both to be unhealthy")
        response = strict.fetch("/")
        assert response.status == 503
        assert response.json()["error"]["code"] == "upstream_unavailable"
        assert strict.wait_access(status=503)["flags"] == "UH"


def test_health_stays_over_a_reload(serve) -> None:
    with Upstream(checked("sick", threading.Event())) as sick, Upstream(named("well")) as well:
        server = proxy(serve, sick, well, health_check={**CHECK, "interval": "10s"})
        server.wait_log("endpoint unhealthy")
        assert server.admin("/config/reload", method="POST").status == 200
        assert [e["state"] for e in endpoints(server)] == ["unhealthy", "healthy"]
        assert answers(server, 6) == {"well": 6}
