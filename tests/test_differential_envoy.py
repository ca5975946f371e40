"""Envoy and Heddle side by side: the same modules, the same requests, the same upstream (differential/cases.py). What a client, an
upstream and a plugin see must be equal, or differ for a reason that the case and docs/compatibility.md give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from differential.cases import CASES, Case
from differential.proxies import EnvoyProxy, HeddleProxy, Origin, envoy_binary
from support.paths import ROOT
from support.waiting import until

VIEWS = ("client", "upstream", "plugin")


@pytest.fixture(scope="module")
def modules(probe: Path, examples: Path) -> dict[str, Path]:
    return {file.stem: file for file in examples.glob("*.wasm")} | {"probe": probe}


@pytest.fixture(scope="module")
def envoy(modules: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyProxy]:
    with Origin() as origin:
        proxy = EnvoyProxy(envoy_binary(), tmp_path_factory.mktemp("envoy"), CASES, modules, origin)
        try:
            yield proxy.wait_ready()
        finally:
            proxy.stop()


@pytest.fixture(scope="module")
def heddle_proxy(modules: dict[str, Path], serve_module) -> Iterator[HeddleProxy]:
    with Origin() as origin:
        yield HeddleProxy(serve_module(HeddleProxy.config(CASES, modules, origin), expect_errors=True), origin)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same(envoy: EnvoyProxy, heddle_proxy: HeddleProxy, case: Case) -> None:
    theirs, ours = envoy.observe(case), heddle_proxy.observe(case)
    for view in VIEWS:
        if view not in case.differs:
            assert getattr(ours, view) == getattr(theirs, view), f"what the {view} sees"
        elif view == "upstream":  # what Envoy sends twice may come after the answer
            until(lambda: ours.upstream != envoy.upstream(case), "the upstream to see the listed difference")
        else:
            assert getattr(ours, view) != getattr(theirs, view), f"no longer different: what the {view} sees"


def test_every_difference_is_documented() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    rows = {row for case in CASES for row in case.differs.values()}
    assert [row for row in sorted(rows) if f"| {row}" not in page] == []
