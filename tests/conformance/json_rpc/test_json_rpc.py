"""Every row of the tables, through real calls of a real guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.json_rpc.table import Row, rows, same, value, values
from support import rpc
from support.configs import gateway, plugin
from support.server import Server
from support.waiting import until

ROWS = rows()
LIMITS = {
    "driver": {"timeout": "60s", "cpu_limit": "30s", "memory_limit": "32MiB"},
    # For the rows that end so.
    "cpu_limit": {"timeout": "60s", "cpu_limit": "50ms"},
    "timeout": {"timeout": "500ms", "cpu_limit": "30s"},
}


@pytest.fixture(scope="module")
def server(serve_module, compile_wat, tmp_path_factory: pytest.TempPathFactory) -> Server:
    driver = compile_wat.program(Path("conformance/json_rpc/driver.c"))
    return serve_module(gateway(plugins=[plugin(name, driver, kind="json_rpc", **limits) for name, limits in LIMITS.items()],
                                routes=[], data_dir=str(tmp_path_factory.mktemp("data"))))


def check_client(server: Server, row: Row) -> str:
    response = rpc.post(server, "driver", "" if row.given == "%empty" else row.given)
    status, _, body = row.expected[0].partition(" ")
    if response.status != int(status):
        return f"status {response.status}: {response.text}"
    if not body:
        return response.text
    return "" if same(value(body), response.json()) else response.text


def check_error(expected: str, answer: rpc.Answer) -> bool:
    if expected.startswith("{"):
        return same(value(expected), answer.get("error"))
    code, cause, *detail = expected.split(" ", 2)
    error = answer.get("error", {})
    data = error.get("data", {})
    return (error.get("code") == int(code) and data.get("cause") == cause
            and (not detail or data.get("detail") == detail[0]))


def check_guest(server: Server, row: Row) -> str:
    mark = server.mark()
    name = next((each for each in LIMITS if f"error -32005 {each}" in row.expected), "driver")
    answer = rpc.call(server, name, "run", rpc.script(*row.statements()))
    for item in row.expected:
        word, _, rest = item.partition(" ")
        if word == "says":
            server.wait_log(rest.strip('"'), after=mark, plugin="driver")
            continue
        good = {
            "result": lambda: "result" in answer and same(value(rest), answer["result"]),
            "error": lambda: check_error(rest, answer),
            "heard": lambda: same(values(rest), answer.get("result")),
            "ok": lambda: "result" in answer,
        }[word]()
        if not good:
            return str(answer)
    return ""


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row(server: Server, row: Row) -> None:
    problem = check_client(server, row) if row.table == "clients" else check_guest(server, row)
    assert not problem, f"{row.name}\n  {row.given}\n  {problem}"


def test_nothing_is_left(server: Server) -> None:
    until(lambda: server.plugin("driver")["stats"]["instances"] == 0, "every instance to end")
