"""h2spec, the conformance test of HTTP/2 and HPACK, passes without exception."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support import paths, tls
from support.configs import gateway
from support.server import Server


@pytest.fixture(scope="module")
def h2spec() -> Path:
    subprocess.run([paths.ROOT / "scripts" / "build-h2spec"], check=True, timeout=600)
    return paths.ROOT / "build" / "tools" / "h2spec"


@pytest.fixture(scope="module")
def server(serve_module, tmp_path_factory: pytest.TempPathFactory) -> Server:
    site = tls.Authority(tmp_path_factory.mktemp("authority")).issue("site", "DNS:localhost", "IP:127.0.0.1")
    # HTTP/2 alone: over a listener that also speaks HTTP/1 a wrong preface gets an answer of HTTP/1.
    return serve_module(gateway(listeners=[
        {"name": "plain", "address": "127.0.0.1:0", "protocol": "h2c"},
        {"name": "secure", "address": "127.0.0.1:0", "protocol": "https", "tls": site.setting()}]))


@pytest.mark.parametrize("listener, how", [("plain", []), ("secure", ["-t", "-k"])], ids=["plain", "tls"])
def test_every_case_passes(server: Server, h2spec: Path, listener: str, how: list[str]) -> None:
    host, port = server.listeners[listener]
    result = subprocess.run([h2spec, "-h", host, "-p", str(port), "-o", "5", *how], capture_output=True, text=True,
                            timeout=300, check=False)
    summary = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", result.stdout)
    assert summary, result.stdout + result.stderr
    total, passed, skipped, failed = map(int, summary.groups())
    assert (passed, skipped, failed) == (total, 0, 0), result.stdout[result.stdout.find("Failures"):]
    assert total >= 145
