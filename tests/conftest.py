"""Fixtures of the end-to-end tests. How they fit together: README.md."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import paths, tls, wat
from support.nginx import Nginx
from support.postgres import Postgres
from support.server import Server
from support.upstreams import closed_port

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def heddle() -> Path:
    """The server binary under test."""
    binary = paths.heddle_binary()
    assert binary.is_file(), f"{binary} is missing: run `make build`, or set HEDDLE_BIN"
    return binary


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of servers: ours, with a compile cache that the whole run shares and nothing of the user's."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HEDDLE_")}
    cache = tmp_path_factory.mktemp("cache")
    cache.chmod(0o700)
    return {**env, "XDG_CACHE_HOME": str(cache)}


class Starter:
    """Starts servers and stops them at the end, checking that they end well."""

    def __init__(self, binary: Path, environment: dict[str, str], folder: Path) -> None:
        self._binary = binary
        self._environment = environment
        self._folder = folder
        self._servers: list[Server] = []

    def __call__(self, config: dict[str, Any] | str | Path, *arguments: str, expect_errors: bool = False,
                 env: dict[str, str] | None = None, wait: bool = True) -> Server:
        """`config`: a dictionary, a text of YAML, or an existing file."""
        file = config if isinstance(config, Path) else self.write(config)
        command = [str(self._binary), "serve", "-c", str(file), *arguments]
        server = Server(command, {**self._environment, **(env or {})}, self._folder)
        server.expect_errors = expect_errors
        self._servers.append(server)
        return server.wait_ready() if wait else server

    def write(self, config: dict[str, Any] | str) -> Path:
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        file = self._folder / f"heddle-{len(self._servers)}.yaml"
        file.write_text(text)
        return file

    def run(self, *arguments: str, env: dict[str, str] | None = None,
            timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A verb that ends by itself."""
        return subprocess.run([str(self._binary), *arguments], env={**self._environment, **(env or {})},
                              cwd=self._folder, capture_output=True, text=True, timeout=timeout, check=False)

    def finish(self) -> None:
        problems = []
        for server in self._servers:
            try:
                server.stop()
            except AssertionError as problem:
                problems.append(str(problem))
        assert not problems, "\n".join(problems)

    def abort(self) -> None:
        for server in self._servers:
            server.kill()


def starter(heddle: Path, environment: dict[str, str], folder: Path) -> Iterator[Starter]:
    start = Starter(heddle, environment, folder)
    try:
        yield start
        start.finish()
    finally:
        start.abort()


@pytest.fixture
def serve(heddle: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Starter]:
    """serve(config, *arguments) -> Server, for one test."""
    yield from starter(heddle, environment, tmp_path)


@pytest.fixture(scope="module")
def serve_module(heddle: Path, environment: dict[str, str],
                 tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """The same for a server that all tests of a file share."""
    yield from starter(heddle, environment, tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="session")
def message_postgres() -> Iterator[Postgres]:
    """PostgreSQL for message services, which tests share: their accounts have names of their own. It keeps running."""
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def message_storage(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings `storage` of a message service: the same tests on every database. In SQLite the file is in data_dir."""
    if request.param == "sqlite":
        return {}
    return {"url": request.getfixturevalue("message_postgres").url, "timeout": "20s"}


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    server = Nginx(tmp_path_factory.mktemp("nginx"), closed_port())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tls.Authority:
    """A certificate authority of a file's own."""
    return tls.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def site(authority: tls.Authority) -> tls.Certificate:
    """What servers of a file show."""
    return authority.issue("site", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="session")
def compile_wat(tmp_path_factory: pytest.TempPathFactory) -> wat.Compiler:
    """Compiles WAT, given as text or as a file of tests/, once a run."""
    return wat.Compiler(tmp_path_factory.mktemp("wasm"))


@pytest.fixture(scope="session")
def probe(compile_wat: wat.Compiler) -> Path:
    """The plugin that does what its configuration says: plugins/probe.c."""
    return compile_wat.c(Path("plugins/probe.c"))


@pytest.fixture(scope="session")
def examples() -> Path:
    """build/examples with every example plugin in it: NAME.wasm, of native hooks NAME.so too."""
    script = paths.ROOT / "scripts" / "build-examples"
    names = subprocess.run([str(script), "--list"], capture_output=True, text=True, check=True).stdout.split()
    if not all(any(paths.BUILT_EXAMPLES.glob(f"{name}.*")) for name in names):
        subprocess.run([str(script)], check=True)
    return paths.BUILT_EXAMPLES
