"""What is measured: groups of tables, of cases, each one proxy under one load. A table's cases are compared with each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import proxies
import route_proxies
from measure import Load
from processes import Process

BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"), ("Accept-Encoding", "gzip, deflate, br"),
    ("Cache-Control", "no-cache"), ("Cookie", "session=" + "a" * 64 + "; theme=dark; consent=" + "b" * 120),
    ("Referer", "http://127.0.0.1/some/page?with=a&query=string"), ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin"),
)
FILTERS = (("empty", "empty filter"), ("one_header", "filter adding one header, C"),
           ("minimal", "filter adding one header, Rust SDK"), ("reads50", "filter with 50 header reads, C"))
FIXED_RATE = 8000
ROUTES = "route handler, 200 bytes of JSON, Rust"
ROUTE_RATE = 2000


@dataclass(frozen=True)
class Case:
    group: str
    title: str  # of its table
    label: str
    key: str  # within the table
    process: Process
    load: Load


@dataclass(frozen=True)
class Pair:
    """Two proxies under the same load at the same time on the same core, to see what is less than the speed of a shared machine
    varies by from second to second."""

    group: str
    label: str
    key: str
    base: Process
    process: Process
    load: Load


class Bench:
    """Makes processes, each once however many cases use it."""

    def __init__(self, folder: Path, heddle: Path, envoy: Path | None, origin: int, filters: dict[str, Path],
                 with_wasmtime: bool = True) -> None:
        self._folder, self._heddle, self._envoy, self._origin, self._filters = folder, heddle, envoy, origin, filters
        self._with_wasmtime = with_wasmtime
        self._guests: tuple[Path, ...] = ()
        self._made: dict[str, Process] = {}
        self._group = ""
        self.cases: list[Case] = []
        self.pairs: list[Pair] = []

    def guests(self) -> tuple[Path, Path]:
        """Those of routes: plugin and component. Built when they are asked for."""
        if not self._guests:
            self._guests = route_proxies.build_guest()
        return self._guests

    def heddle_route(self, instances: str, suspended: bool = False) -> Process:
        def make(name: str) -> Process:
            made = route_proxies.heddle(name, self._heddle, self._folder, self._origin, self.guests()[0], instances)
            return route_proxies.crowded(made) if suspended else made

        return self._once(f"heddle-route-{instances}" + ("-suspended" if suspended else ""), make)

    def wasmtime(self, reuse: bool) -> Process | None:
        if not self._with_wasmtime:
            return None
        return self._once(f"wasmtime-{'reuse' if reuse else 'fresh'}", lambda n: route_proxies.wasmtime(
            n, route_proxies.wasmtime_binary(), self._folder, self.guests()[1], reuse))

    @property
    def processes(self) -> list[Process]:
        return list(self._made.values())

    def _once(self, name: str, make: Callable[[str], Process]) -> Process:
        if name not in self._made:
            self._made[name] = make(name)
        return self._made[name]

    def heddle(self, *filters: str, entry: str = "http") -> Process:
        paths = [self._filters[each] for each in filters]
        name = "-".join(["heddle", entry, *filters])
        return self._once(name, lambda n: proxies.heddle(n, self._heddle, self._folder, self._origin, paths, entry))

    def envoy(self, *filters: str, entry: str = "http") -> Process | None:
        if self._envoy is None:
            return None
        paths = [self._filters[each] for each in filters]
        name = "-".join(["envoy", entry, *filters])
        return self._once(name, lambda n: proxies.envoy(n, self._envoy, self._folder, self._origin, paths, entry))

    def nginx(self, entry: str = "http", forwarding: bool = True) -> Process:
        name = f"nginx-{entry}" + ("" if forwarding else "-bare")
        return self._once(name, lambda n: proxies.nginx(n, self._folder, self._origin, entry, forwarding))

    def haproxy(self) -> Process:
        return self._once("haproxy", lambda n: proxies.haproxy(n, self._folder, self._origin))

    def begin(self, group: str) -> None:
        """What is added from now on belongs to it."""
        self._group = group

    def add(self, title: str, load: Load, *cases: tuple[str, str, Process | None]) -> None:
        """Cases as (key, label, process); those without a process (no Envoy) are left out."""
        self.cases += [Case(self._group, title, label, key, process, load) for key, label, process in cases if process is not None]


    def pair(self, load: Load, key: str, label: str, base: Process, process: Process) -> None:
        self.pairs.append(Pair(self._group, label, key, base, process, load))


def plain(bench: Bench) -> None:
    with_filters(bench, "20")


def pairs(bench: Bench) -> None:
    """The gateway next to nginx, and to itself with one filter; a route plugin next to `wasmtime serve`."""
    bench.pair(Load(), "nginx", "nginx, Heddle", bench.nginx(), bench.heddle())
    bench.pair(Load(headers=BROWSER), "nginx-browser", "the same with a browser's head", bench.nginx(), bench.heddle())
    for key, label in FILTERS:
        bench.pair(Load(), key, f"Heddle, Heddle + {label}", bench.heddle(), bench.heddle(key))
    bench.pair(Load(), "reads", "Heddle + empty filter, Heddle + filter with 50 header reads, C", bench.heddle("empty"), bench.heddle("reads50"))
    if bench.wasmtime(reuse=False):
        bench.pair(Load(route_proxies.ITEM), "fresh", "wasmtime serve, Heddle: a handler with a fresh instance", bench.wasmtime(reuse=False),
                   bench.heddle_route("fresh"))


def sizes(bench: Bench) -> None:
    for size in ("10k", "100k"):
        with_filters(bench, size)


def with_filters(bench: Bench, size: str) -> None:
    bench.add(f"reply of {size}", Load(f"/{size}"), ("nginx", "nginx", bench.nginx()),
              ("nginx-bare", "nginx without forwarding headers", bench.nginx(forwarding=False)),
              ("haproxy", "HAProxy", bench.haproxy()), ("envoy", "Envoy", bench.envoy()), ("heddle", "Heddle", bench.heddle()))
    for key, label in FILTERS:
        bench.add(f"reply of {size}", Load(f"/{size}"), (f"heddle-{key}", f"Heddle + {label}", bench.heddle(key)))
    for key, label in FILTERS:
        bench.add(f"reply of {size}", Load(f"/{size}"), (f"envoy-{key}", f"Envoy + {label}", bench.envoy(key)))


def heads(bench: Bench) -> None:
    bench.add("a browser's head (12 headers, 1 KB)", Load(headers=BROWSER), ("nginx", "nginx", bench.nginx()),
              ("haproxy", "HAProxy", bench.haproxy()), ("heddle", "Heddle", bench.heddle()), ("envoy", "Envoy", bench.envoy()))


def entries(bench: Bench) -> None:
    """TLS and HTTP/2 downstream."""
    for entry, title, load in (
            ("https", "HTTP/1.1 over TLS 1.3, kept alive", Load()),
            ("h2c", "HTTP/2 by prior knowledge, 8 connections with 8 streams", Load(connections=8, streams=8)),
            ("h2", "HTTP/2 over TLS 1.3, 8 connections with 8 streams", Load(connections=8, streams=8))):
        bench.add(title, load, ("nginx", "nginx", bench.nginx(entry)), ("heddle", "Heddle", bench.heddle(entry=entry)),
                  ("heddle-minimal", "Heddle + filter adding one header, Rust SDK", bench.heddle("minimal", entry=entry)),
                  ("envoy", "Envoy", bench.envoy(entry=entry)),
                  ("envoy-minimal", "Envoy + the same", bench.envoy("minimal", entry=entry)))


def bodies(bench: Bench) -> None:
    folder = bench.nginx().folder
    loads = [(f"reply of {size.upper()}B through filters", Load(f"/{size}", connections=8)) for size in ("100k", "1m")]
    loads += [(f"POST of {size.upper()}B through filters", Load("/upload", connections=8, body=folder / f"body-{size}"))
              for size in ("100k", "1m")]
    for title, load in loads:
        bench.add(title, load, ("nginx", "nginx", bench.nginx()), ("haproxy", "HAProxy", bench.haproxy()),
                  ("heddle", "Heddle", bench.heddle()), ("envoy", "Envoy", bench.envoy()),
                  ("heddle-empty", "Heddle + filter that does not look at bodies", bench.heddle("empty")),
                  ("envoy-empty", "Envoy + the same", bench.envoy("empty")),
                  ("heddle-body", "Heddle + filter that reads bodies", bench.heddle("reads_body")),
                  ("envoy-body", "Envoy + the same", bench.envoy("reads_body")))


def chains(bench: Bench) -> None:
    for count in (1, 5, 10):
        chain = ["minimal"] * count
        bench.add("filters in the chain, each adds one header, Rust SDK", Load(),
                  (f"heddle-{count}", f"Heddle + {count}", bench.heddle(*chain)),
                  (f"envoy-{count}", f"Envoy + {count}", bench.envoy(*chain)))


def latencies(bench: Bench) -> None:
    bench.add(f"latency at {FIXED_RATE:,} requests a second", Load(rate=FIXED_RATE), ("nginx", "nginx", bench.nginx()),
              ("heddle", "Heddle", bench.heddle()), ("envoy", "Envoy", bench.envoy()),
              ("heddle-minimal", "Heddle + filter adding one header, Rust SDK", bench.heddle("minimal")),
              ("envoy-minimal", "Envoy + the same", bench.envoy("minimal")))


def routes(bench: Bench) -> None:
    """Handlers that answer by themselves; the gateway that forwards to an upstream stands beside them."""
    bench.add(ROUTES, Load(), ("gateway", "Heddle forwarding 20 bytes, no plugin", bench.heddle_route("fresh")))
    bench.add(ROUTES, Load(route_proxies.ITEM), ("fresh", "Heddle, a fresh instance each", bench.heddle_route("fresh")),
              ("reuse", "Heddle, instances reused", bench.heddle_route("reuse")),
              ("wasmtime-fresh", "wasmtime serve, a fresh instance each", bench.wasmtime(reuse=False)),
              ("wasmtime-reuse", "wasmtime serve, instances reused", bench.wasmtime(reuse=True)))
    title = f"latency at {ROUTE_RATE:,} requests a second beside suspended guests"
    for path, what in (("/20", "forwarding 20 bytes"), (route_proxies.ITEM, "a fresh instance each")):
        load = Load(path, rate=ROUTE_RATE)
        bench.add(title, load, (f"0{path}", f"{what}, none suspended", bench.heddle_route("fresh")),
                  (f"many{path}", f"{what}, {route_proxies.SUSPENDED:,} suspended", bench.heddle_route("fresh", suspended=True)))


GROUPS = {"plain": plain, "pairs": pairs, "sizes": sizes, "heads": heads, "entries": entries, "bodies": bodies, "chains": chains, "latencies": latencies,
          "routes": routes}
