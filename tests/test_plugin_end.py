"""How exchanges and plugins end: the order of on_log, on_done and on_delete, what can be read there, roots that are not done,
traps on the way out."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support import wat
from support.configs import gateway, plugin
from support.server import Server


def traced(server: Server) -> list[str]:
    return [text.removeprefix("probe ") for text in server.messages() if text.startswith("probe ")]


def test_an_exchange_ends_with_log_done_delete(serve, probe: Path) -> None:
    config = ("log trace\ndone trace\ndelete trace\nlog property request.path\nlog property response.code\n"
              "log property request.headers.x-asked\nlog property response.headers.content-type\nlog add 0 x-late 1")
    server = serve(gateway(workers=1, plugins=[plugin("it", probe, config=config, property_encoding="strings")]))
    assert server.fetch("/here", headers={"X-Asked": "yes"}).status == 200
    server.wait_log("probe delete 2")
    assert traced(server) == ["log 2", "done 2", "delete 2"]
    shown = [text for text in server.messages() if text.startswith("property ")]
    assert shown[:3] == ["property request.path=/here", "property response.code=200", "property request.headers.x-asked=yes"]
    assert shown[3].startswith("property response.headers.content-type=application/json")


def test_what_done_returns_for_a_stream_does_not_matter(serve, probe: Path) -> None:
    server = serve(gateway(workers=1, plugins=[plugin("it", probe, config="done return 0\ndone trace\ndelete trace")]))
    for stream in (2, 3):
        assert server.fetch("/").status == 200
        server.wait_log(f"probe delete {stream}")
    assert traced(server) == ["done 2", "delete 2", "done 3", "delete 3"]


def test_a_replaced_root_is_told(serve, probe: Path) -> None:
    server = serve(gateway(workers=1, plugins=[plugin("it", probe, config="done trace\ndelete trace")]))
    assert server.admin("/plugins/it/reload", "POST").status == 200
    server.wait_log("probe delete 1")
    assert traced(server) == ["done 1", "delete 1"]


@pytest.mark.parametrize("config", ["done return 0", "done trap", "delete trap", "done spin", "done exit 1"])
def test_the_server_ends_whatever_a_root_does(serve, probe: Path, config: str) -> None:
    server = serve(gateway(plugins=[plugin("it", probe, config=config, timeout="50ms")]), expect_errors=True)
    server.signal(signal.SIGTERM)
    assert server.wait_exit() == 0


@pytest.mark.parametrize("config", ["done trap", "delete trap"])
def test_a_trap_on_the_way_out_harms_no_newer_version(serve, probe: Path, config: str) -> None:
    server = serve(gateway(workers=1, plugins=[plugin("it", probe, config=config)]), expect_errors=True)
    for _ in range(3):
        assert server.admin("/plugins/it/reload", "POST").status == 200
        assert server.admin("/health").status == 200
    assert server.plugin("it")["version"] == 4


def test_a_root_that_is_not_done_goes_after_proxy_done(serve, compile_wat) -> None:
    """on_done asks for a tick and says no; the tick says proxy_done."""
    texts: dict[str, int] = {}
    module = compile_wat(wat.plugin({
        "done": "(drop (call $proxy_set_tick_period_milliseconds (i32.const 10))) (return (i32.const 0))",
        "tick": "(drop (call $proxy_done))",
        "delete": wat.log_call("deleted", texts),
    }, ("proxy_log", "proxy_done", "proxy_set_tick_period_milliseconds"), texts))
    server = serve(gateway(workers=1, plugins=[plugin("it", module)]))
    assert server.admin("/plugins/it/reload", "POST").status == 200
    server.wait_log("deleted")
