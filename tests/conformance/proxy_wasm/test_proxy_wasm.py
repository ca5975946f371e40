"""Every row of the tables, through real requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from conformance.proxy_wasm.exchange import Bench, Driver, upstream_script
from conformance.proxy_wasm.table import Row, tables
from support.grpc_server import GrpcServer
from support.upstreams import Upstream

TABLES = tables()
ROWS = [(row, index) for rows in TABLES.values() for index, row in enumerate(rows)]


class Benches(dict[str, Bench]):
    """A server for each table, started when its first row is asked for."""

    def __init__(self, start, driver: Driver) -> None:
        super().__init__()
        self._start, self._driver = start, driver
        self.stack = ExitStack()

    def __missing__(self, table: str) -> Bench:
        upstream = self.stack.enter_context(Upstream(upstream_script))
        grpc = GrpcServer()
        self.stack.callback(grpc.stop)
        self[table] = Bench(self._start, self._driver, upstream, grpc, TABLES[table])
        self.stack.callback(self[table].close)
        return self[table]


@pytest.fixture(scope="module")
def benches(serve_module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    made = Benches(serve_module, Driver(tmp_path_factory.mktemp("driver")))
    with made.stack:
        yield made


@pytest.mark.parametrize(("row", "index"), ROWS, ids=[row.name for row, _ in ROWS])
def test_row(benches: Benches, row: Row, index: int) -> None:
    problem = benches[row.table].problem(index)
    assert not problem, f"{row.name}\n  {row.script}\n  {problem}"
