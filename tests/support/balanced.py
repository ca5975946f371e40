"""One upstream `api` of several endpoints, and what tests ask about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from support import prometheus, wire
from support.configs import Config, gateway, route
from support.server import Server
from support.upstreams import Peer, Upstream, answering, ok


def named(name: str) -> Callable[[Peer], None]:
    """A script that answers every request with its name."""
    return answering(ok(name.encode()))


def hanging(peer: Peer) -> None:
    peer.read_request()
    peer.wait_closed()


def proxy(serve, *endpoints: object, workers: int = 1, timeout: str = "10s", **options: object) -> Server:
    addresses = [f"{e.address[0]}:{e.address[1]}" if isinstance(e, Upstream) else e for e in endpoints]
    return serve(gateway(routes=[{"id": "all", **route(to="api", timeout=timeout)}], workers=workers,
                         upstreams=[{"name": "api", "endpoints": addresses, **options}]))


def endpoints(server: Server) -> list[Config]:
    return next(u for u in server.admin("/upstreams").json() if u["name"] == "api")["endpoints"]


def shown(server: Server) -> Config:
    return next(u for u in server.admin("/upstreams").json() if u["name"] == "api")


def metric(server: Server, name: str, **labels: str) -> float:
    return prometheus.parse(server.admin("/metrics").text)[name].value(upstream="api", **labels)


def answers(server: Server, count: int, **request: object) -> Counter[str]:
    out: Counter[str] = Counter()
    with wire.Connection(server.address) as connection:
        for _ in range(count):
            response = connection.request("GET", "/", **request)
            out[response.body.decode() if response.status == 200 else str(response.status)] += 1
    return out
