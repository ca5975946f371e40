"""The HTTP/1 codec against llhttp (in Node): the same bytes to both. Where llhttp refuses, Heddle must refuse; where both
accept they must have understood the same; where Heddle alone refuses, the corpus says why."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from differential.corpus import CASES, Case
from support import wire
from support.configs import gateway
from support.paths import TESTS
from support.server import Server

# Targets that the two name differently although they mean the same: the absolute form keeps its authority in Node.
ABSOLUTE = "http://h"


@pytest.fixture(scope="module")
def llhttp() -> Iterator[wire.Address]:
    node = shutil.which("node")
    assert node, "node is missing: apt-get install nodejs"
    process = subprocess.Popen([node, str(TESTS / "differential" / "node_server.js")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdin
    yield "127.0.0.1", int(process.stdout.readline())
    process.stdin.close()
    process.wait(timeout=20)


@pytest.fixture(scope="module")
def server(serve_module) -> Server:
    return serve_module(gateway(limits={"head_timeout": "2s", "body_timeout": "2s"}))


def ask(address: wire.Address, case: Case) -> dict | None:
    """What a server understood of a request; None when it refused it."""
    with wire.Connection(address) as connection:
        connection.send(case.raw)
        connection.half_close()
        try:
            response = connection.response()
        except (wire.Broken, AssertionError, ValueError):
            return None
    if response.status != 200:
        return None
    return json.loads(response.body)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_verdict(server: Server, llhttp: wire.Address, case: Case) -> None:
    theirs = ask(llhttp, case)
    ours = ask(server.address, case)
    if theirs is None:
        assert ours is None, f"llhttp refuses this, Heddle took it as {ours}"
        return
    if ours is None:
        assert case.stricter, f"Heddle alone refuses this; llhttp understood {theirs}"
        return
    assert not case.stricter, "the corpus says that Heddle refuses this"
    assert ours["method"] == theirs["method"]
    assert ours["path"] == theirs["target"].removeprefix(ABSOLUTE)
    assert ours["body"] == theirs["body"]


def test_the_corpus_is_not_small() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
