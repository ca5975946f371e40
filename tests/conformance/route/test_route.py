"""Every row of the tables of route plugins, through real requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from conformance.route.exchange import Bench, upstream_script
from conformance.route.table import Row, tables
from support.route_driver import Driver
from support.upstreams import Upstream

TABLES = tables()
ROWS = [row for rows in TABLES.values() for row in rows]


class Benches(dict[str, Bench]):
    """A server for each table, started when its first row is asked for."""

    def __init__(self, start, driver: Driver) -> None:
        super().__init__()
        self._start, self._driver = start, driver
        self.stack = ExitStack()
        self._upstream = self.stack.enter_context(Upstream(upstream_script))

    def __missing__(self, table: str) -> Bench:
        self[table] = Bench(self._start, self._driver, self._upstream, table, TABLES[table])
        return self[table]


@pytest.fixture(scope="module")
def benches(serve_module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    made = Benches(serve_module, Driver(tmp_path_factory.mktemp("route_driver")))
    with made.stack:
        yield made


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row(benches: Benches, row: Row) -> None:
    problem = benches[row.table].problem(row)
    assert not problem, f"{row.name}\n  {row.requests}\n  {problem}"
