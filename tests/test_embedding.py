"""Heddle as a library: installed below a temporary prefix, found by CMake and pkg-config, used from C++, C and Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.configs import gateway
from support.paths import BUILT_EXAMPLES, EXAMPLES, ROOT, heddle_binary, is_sanitized
from support.server import Server

EMBED = EXAMPLES / "embed"
HELLO = '{"message":"Hello from MyPlugin!"}'


def sanitizer() -> list[str]:
    """What programs over an instrumented library need: its runtime."""
    if not is_sanitized(heddle_binary()):
        return []
    return ["-fsanitize=thread"] if b"__tsan_init" in heddle_binary().read_bytes() else ["-fsanitize=address,undefined"]


def run(*command: object, env: dict[str, str] | None = None, cwd: Path | None = None,
        code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cmake --install` makes of the build under test."""
    build = heddle_binary().parent
    assert (build / "libheddle.so").exists(), f"{build} has no library: ninja -C {build} heddle_shared"
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def library(prefix: Path) -> Path:
    return next(prefix.rglob("libheddle.so")).absolute()


@pytest.fixture(scope="module")
def hosts(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, built by their own CMake project against the installed package."""
    build = tmp_path_factory.mktemp("embed")
    run("cmake", "-S", EMBED / "cpp", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_C_COMPILER=clang-19", "-DCMAKE_CXX_COMPILER=clang++-19",
        f"-DCMAKE_CXX_FLAGS={' '.join(['-Wall -Wextra -Werror', *sanitizer()])}", f"-DCMAKE_C_FLAGS={' '.join(sanitizer())}",
        # A program in C does not bring what the library's C++ needs of the sanitizer.
        *(["-DCMAKE_EXE_LINKER_FLAGS=-fsanitize-link-c++-runtime -Wl,--no-as-needed -lstdc++"] if sanitizer() else []))
    run("ninja", "-C", build)
    return build


@pytest.fixture(scope="module")
def plugins() -> Path:
    """The folder with rpc_basic and rpc_pdk, built with the real crate wasmi-plugin-pdk 0.1.0."""
    run(ROOT / "scripts" / "build-rpc-examples", "rpc_basic", "rpc_pdk")
    return BUILT_EXAMPLES


@pytest.fixture(scope="module")
def plugin(plugins: Path) -> Path:
    return plugins / "rpc_pdk.wasm"


def test_basic_host_and_basic_plugin(hosts: Path, plugins: Path) -> None:
    plugin = plugins / "rpc_basic.wasm"
    assert run(hosts / "basic_host", plugin).stdout.strip() == HELLO
    assert run(hosts / "basic_host", plugin, "ask_host").stdout.strip() == '"echo"'
    failed = run(hosts / "basic_host", plugin, "nothing", code=1)
    assert "not found" in failed.stdout.lower()
    missing = run(hosts / "basic_host", "/nowhere.wasm", code=1)
    assert "/nowhere.wasm" in missing.stderr


def test_async_host(hosts: Path, plugin: Path) -> None:
    assert run(hosts / "async_host", plugin).stdout.splitlines() == ['greeting: "Hello from MyPlugin!"', "later: 42"]


def test_server_host(hosts: Path, probe: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """The whole server in another program, with a function of that program for its plugins."""
    config = tmp_path / "heddle.yaml"
    config.write_text(json.dumps(gateway(workers=1, plugins=[
        {"name": "probe", "path": str(probe), "config": "request_headers foreign greet Ada",
         "permissions": {"foreign_functions": ["greet"]}}])))
    server = Server([str(hosts / "server_host"), str(config)], environment, tmp_path).wait_ready()
    try:
        assert server.fetch("/").status == 200
        server.wait_log("probe foreign greet 0 10", plugin="probe")  # status, and the size of "hello, Ada"
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("configuration reloaded")
        assert server.fetch("/").status == 200
        text = config.read_text()
        config.write_text("routes: nonsense")
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("configuration not reloaded; the one in force stays")
        config.write_text(text)
        assert server.fetch("/").status == 200
        server.expect_errors = True
    finally:
        server.stop()
    refused = run(hosts / "server_host", "/nowhere.yaml", code=1)
    assert "/nowhere.yaml" in refused.stderr


def test_a_foreign_function_reloads_and_stops_its_server(
        prefix: Path, library: Path, probe: Path, environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "heddle.yaml"
    config.write_text(json.dumps(gateway(workers=1, plugins=[
        {"name": "probe", "path": str(probe), "config": "request_headers foreign greet Ada",
         "permissions": {"foreign_functions": ["greet"]}}])))
    program = tmp_path / "inside_host"
    run("clang++-19", "-std=c++23", "-Wall", "-Wextra", "-Werror", ROOT / "tests/support/inside_host.cc", "-o", program,
        "-I", prefix / "include", library, *sanitizer(), f"-Wl,-rpath,{library.parent}")
    server = Server([str(program), str(config)], environment, tmp_path).wait_ready()
    try:
        assert server.fetch("/").status == 200
        assert server.wait_exit() == 0
        assert "on another thread" in server.log.text()
    finally:
        server.kill()


def test_c_host(hosts: Path, plugin: Path) -> None:
    assert run(hosts / "c_host", plugin).stdout.strip() == HELLO
    asked = json.dumps({"method": "echo", "params": {"a": [1, 2]}})
    assert json.loads(run(hosts / "c_host", plugin, "ask", asked).stdout) == {"a": [1, 2]}
    bad = run(hosts / "c_host", plugin, "ask", "{", code=1)
    assert "not JSON" in bad.stderr


def test_python_host(library: Path, plugin: Path) -> None:
    if sanitizer():
        return  # Python itself is not instrumented
    script = EMBED / "python" / "host.py"
    env = {"HEDDLE_LIBRARY": str(library)}
    assert json.loads(run(sys.executable, script, plugin, env=env).stdout) == json.loads(HELLO)
    asked = json.dumps({"method": "echo", "params": "ä"})
    assert json.loads(run(sys.executable, script, plugin, "ask", asked, env=env).stdout) == "ä"
    failed = run(sys.executable, script, plugin, "nothing", env=env, code=1)
    assert "plugin_error" in failed.stderr


@pytest.mark.parametrize("compiler", ["clang++-19", "g++"])
def test_pkg_config(prefix: Path, library: Path, plugin: Path, compiler: str, tmp_path: Path) -> None:
    if sanitizer() and compiler == "g++":
        return  # its sanitizers have another runtime
    folder = next(prefix.rglob("heddle.pc")).parent
    env = {"PKG_CONFIG_PATH": str(folder)}
    flags = run("pkg-config", "--cflags", "--libs", "heddle", env=env).stdout.split()
    program = tmp_path / "host"
    run(compiler, "-std=c++23", "-Wall", "-Wextra", "-Werror", EMBED / "cpp" / "basic_host.cc", "-o", program, *flags, *sanitizer(),
        f"-Wl,-rpath,{library.parent}")
    assert run(program, plugin).stdout.strip() == HELLO


def test_c_header_is_c(prefix: Path, tmp_path: Path) -> None:
    run("gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-c", EMBED / "c" / "host.c", "-I", prefix / "include",
        "-o", tmp_path / "host.o")


def test_versions_agree(prefix: Path, library: Path) -> None:
    version = run(prefix / "bin" / "heddle", "--version").stdout.split()[-1]
    header = (prefix / "include" / "heddle" / "version.h").read_text()
    assert f'"{version}"' in header
    assert library.resolve().name == f"libheddle.so.{version}"
    found = run("pkg-config", "--modversion", next(prefix.rglob("heddle.pc"))).stdout.strip()
    assert found == version


def test_the_library_shows_only_its_own_names(library: Path) -> None:
    symbols = run("nm", "-D", "--defined-only", "-C", library).stdout.splitlines()
    names = [line.split(" ", 2)[2] for line in symbols]
    strangers = [name for name in names if not name.startswith("heddle_") and "heddle::v1::" not in name]
    assert names
    assert strangers == []


def test_headers_leak_nothing(prefix: Path) -> None:
    for header in (prefix / "include").rglob("*.h"):
        for word in ("boost", "wasmtime", "spdlog", "fmt/", "openssl"):
            assert f"#include <{word}" not in header.read_text(), f"{header} includes {word}"
