"""`heddle call`: a JSON-RPC plugin without a server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support import rpc
from support.configs import plugin


@pytest.fixture(scope="module")
def driver(compile_wat) -> Path:
    return compile_wat.program(Path("conformance/json_rpc/driver.c"))


def test_a_result_goes_to_standard_output(serve, examples: Path) -> None:
    done = serve.run("call", str(examples / "rpc_pdk.wasm"), "prime_sieve", "1000")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"count": 168, "limit": 1000})


def test_log_and_progress_go_to_standard_error(serve, driver: Path) -> None:
    script = rpc.script("err at work", 'out {"jsonrpc":"2.0","method":"progress","params":[50]}',
                        'out {"jsonrpc":"2.0","id":0,"result":"done"}')
    done = serve.run("call", str(driver), "run", json.dumps(script))
    assert (done.returncode, done.stdout) == (0, '"done"\n')
    assert sorted(done.stderr.splitlines()) == ["at work", "progress: [50]"]


def test_an_error(serve, examples: Path) -> None:
    done = serve.run("call", str(examples / "rpc_c.wasm"), "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr.splitlines()[-1])["code"] == -32601


def test_time_out(serve, driver: Path) -> None:
    done = serve.run("call", str(driver), "run", json.dumps(rpc.script("sleep 60000")), "--timeout-ms", "200")
    assert done.returncode == 1
    assert json.loads(done.stderr)["data"]["cause"] == "timeout"


@pytest.mark.parametrize(("redirected", "code"), [("2>&-", 0), ("2>/dev/full", 0), (">&-", 1), (">/dev/full", 1)])
def test_streams_that_cannot_be_written(heddle: Path, driver: Path, redirected: str, code: int) -> None:
    script = rpc.script("err at work", 'out {"jsonrpc":"2.0","id":0,"result":"done"}')
    done = subprocess.run(["sh", "-c", f'exec "$@" {redirected}', "sh", heddle, "call", driver, "run",
                           json.dumps(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stdout == ("" if code else '"done"\n')
    assert ("standard output" in done.stderr) == bool(code)


@pytest.mark.parametrize(("levels", "code"), [(64, 0), (65, 2)])
def test_params_may_be_as_deep_as_a_plugin_may_read(serve, examples: Path, levels: int, code: int) -> None:
    done = serve.run("call", str(examples / "rpc_c.wasm"), "hello", "[" * levels + "]" * levels)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(("arguments", "code"), [
    (("rpc_c.wasm", "hello", "{"), 2),
    (("missing.wasm", "hello"), 69),
    (("rpc_c.wasm", "hello", "--config", "missing.yaml"), 78),
    (("rpc_c.wasm",), 2),
], ids=["params", "no file", "no configuration", "no method"])
def test_exit_codes(serve, examples: Path, arguments: tuple[str, ...], code: int) -> None:
    done = serve.run("call", str(examples / arguments[0]), *arguments[1:])
    assert done.returncode == code and done.stderr


def test_permissions_and_services_of_a_configuration(serve, examples: Path, tmp_path: Path) -> None:
    config = serve.write({"plugins": [plugin("counter", examples / "rpc_go.wasm", kind="json_rpc")],
                          "data_dir": str(tmp_path / "data")})
    counts = [serve.run("call", "-c", str(config), "counter", "count") for _ in range(2)]
    assert [(count.returncode, count.stdout) for count in counts] == [(0, "1\n"), (0, "2\n")]
    unknown = serve.run("call", "-c", str(config), "other", "count")
    assert unknown.returncode == 69 and "no plugin other" in unknown.stderr
