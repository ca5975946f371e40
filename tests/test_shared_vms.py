"""Several root contexts in one VM: plugins of one vm_id, and routes that configure a plugin; what a plugin may import and
export."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import prometheus, wat
from support.configs import gateway, plugin, route
from support.paths import ROOT

ROOTS = 256  # eight bytes for each root context: address and size of its configuration
PARENT = 248  # the root of the newest stream
COUNT = 240  # requests that the VM saw, as a byte of text


def rooted(trap_on: str = "x-trap") -> str:
    """Adds `x-config` (its root's configuration) and `x-count` (a digit, of the VM) to each request."""
    texts: dict[str, int] = {}
    config, count, trap = (wat.place(text, texts) for text in ("x-config", "x-count", trap_on))
    slot = f"(i32.add (i32.const {ROOTS}) (i32.mul (i32.load (i32.const {PARENT})) (i32.const 8)))"
    own = f"(i32.add (i32.const {ROOTS}) (i32.mul (local.get $p0) (i32.const 8)))"
    return wat.plugin({
        "context_create": f"(i32.store (i32.const {PARENT}) (local.get $p1))",
        "configure": f"(drop (call $proxy_get_buffer_bytes (i32.const 7) (i32.const 0) (i32.const 99) {own} "
                     f"(i32.add (i32.const 4) {own})))",
        "request_headers": f"""
            (if (i32.eqz (call $proxy_get_header_map_value (i32.const 0) (i32.const {trap}) (i32.const {len(trap_on)})
                          (i32.const {wat.SCRATCH}) (i32.const {wat.SCRATCH + 4}))) (then unreachable))
            (i32.store8 (i32.const {COUNT})
              (i32.add (i32.const 49) (i32.and (i32.load8_u (i32.const {COUNT})) (i32.const 15))))
            (drop (call $proxy_add_header_map_value (i32.const 0) (i32.const {config}) (i32.const 8)
                   (i32.load {slot}) (i32.load (i32.add (i32.const 4) {slot}))))
            (drop (call $proxy_add_header_map_value (i32.const 0) (i32.const {count}) (i32.const 7)
                   (i32.const {COUNT}) (i32.const 1)))""",
    }, ("proxy_get_buffer_bytes", "proxy_get_header_map_value", "proxy_add_header_map_value"), texts)


def seen(server, path: str) -> tuple[str | None, str | None]:
    headers = server.fetch(path).json()["headers"]
    return headers.get("x-config"), headers.get("x-count")


def two(module: Path, **entry: object) -> dict[str, object]:
    return gateway(workers=1, routes=[route("/one", plugins=["one"]), route("/two", plugins=["two"])],
                   plugins=[plugin("one", module, vm_id="shared", config="of one", **entry),
                            plugin("two", module, vm_id="shared", config="of two", **entry)])


def test_plugins_of_one_vm_id_share_a_vm(serve, compile_wat) -> None:
    server = serve(two(compile_wat(rooted())))
    assert seen(server, "/one") == ("of one", "1")
    assert seen(server, "/two") == ("of two", "2")
    assert seen(server, "/one") == ("of one", "3")
    assert {each["vm_id"] for each in server.admin("/plugins").json()} == {"shared"}
    metrics = prometheus.parse(server.metrics())
    assert metrics["heddle_plugin_exchanges_total"].value(plugin="one") == 2
    assert metrics["heddle_plugin_exchanges_total"].value(plugin="two") == 1
    assert metrics["heddle_plugin_instances"].value(plugin="two") == 1


def test_a_reload_of_one_goes_on_in_the_vm_of_the_other(serve, compile_wat) -> None:
    server = serve(two(compile_wat(rooted())))
    assert seen(server, "/two") == ("of two", "1")
    assert server.admin("/plugins/one/reload", method="POST").status == 200
    assert seen(server, "/one") == ("of one", "2")
    assert seen(server, "/two") == ("of two", "3")


def test_a_trap_ends_the_vm_for_both(serve, compile_wat) -> None:
    server = serve(two(compile_wat(rooted())), expect_errors=True)
    assert seen(server, "/two") == ("of two", "1")
    assert server.fetch("/one", headers={"X-Trap": "1"}).status == 500
    assert "shares with plugin one" in str(server.wait_log(plugin="two", level="error"))
    assert seen(server, "/two") == ("of two", "1"), "a fresh one"
    assert seen(server, "/one") == ("of one", "2")


def test_without_vm_id_each_plugin_has_its_own(serve, compile_wat) -> None:
    config = two(compile_wat(rooted()))
    for entry in config["plugins"]:
        del entry["vm_id"]
    server = serve(config)
    assert seen(server, "/one") == ("of one", "1")
    assert seen(server, "/two") == ("of two", "1")


def test_a_route_configures_a_plugin_in_its_vm(serve, compile_wat) -> None:
    routes = [route("/a", plugins=[{"name": "it", "config": "of a"}]),
              route("/b", plugins=[{"name": "it", "config": {"of": "b"}}]), route("/c", plugins=["it"])]
    server = serve(gateway(workers=1, routes=routes, plugins=[plugin("it", compile_wat(rooted()), config="own")]))
    assert seen(server, "/a") == ("of a", "1")
    assert seen(server, "/b") == ('{"of":"b"}', "2")
    assert seen(server, "/c") == ("own", "3")
    metrics = prometheus.parse(server.metrics())
    assert metrics["heddle_plugin_instances"].value(plugin="it") == 1
    assert server.admin("/plugins/it/reload", method="POST").status == 200
    assert seen(server, "/b") == ('{"of":"b"}', "1")


def test_a_configuration_that_the_plugin_refuses_keeps_the_routes_closed(serve, compile_wat) -> None:
    module = compile_wat(wat.plugin({"configure": "(return (i32.lt_u (local.get $p1) (i32.const 5)))"}))
    server = serve(gateway(routes=[route("/a", plugins=[{"name": "it", "config": "too long"}])],
                           plugins=[plugin("it", module, config="own")]), expect_errors=True)
    response = server.fetch("/a")
    assert response.status == 503
    assert "too long" in response.json()["error"]["message"]


CAPABLE = ["proxy_on_context_create", "proxy_on_configure", "proxy_on_request_headers", "proxy_get_buffer_bytes",
           "proxy_get_header_map_value"]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_host_call_that_is_not_allowed_fails(serve, compile_wat, allowed: bool) -> None:
    names = [*CAPABLE, "proxy_add_header_map_value"] if allowed else CAPABLE
    server = serve(gateway(workers=1, plugins=[
        plugin("it", compile_wat(rooted()), config="own", permissions={"capabilities": names})]))
    assert seen(server, "/") == (("own", "1") if allowed else (None, None))
    if not allowed:
        assert "proxy_add_header_map_value" in str(server.wait_log(plugin="it", level="warn"))


def test_a_callback_that_is_not_allowed_is_not_called(serve, compile_wat) -> None:
    names = [name for name in CAPABLE if name != "proxy_on_request_headers"]
    server = serve(gateway(workers=1, plugins=[
        plugin("it", compile_wat(rooted()), config="own",
               permissions={"capabilities": [*names, "proxy_add_header_map_value"]})]))
    assert seen(server, "/") == (None, None)


def test_the_configuration_knows_every_capability() -> None:
    contract = ROOT / "src" / "contracts" / "proxy_wasm"
    offered = set()
    for file in contract.glob("host_*.cc"):
        offered |= set(re.findall(r'host_call(?:_while_allocating)?<&\w+>\(\s*"(\w+)"\)', file.read_text()))
    callbacks = (contract / "callbacks.cc").read_text().split("kExportNames")[1].split("};")[0]
    offered |= set(re.findall(r'"(proxy_on_\w+)"', callbacks))
    wasi = (ROOT / "src" / "sandbox" / "wasi.cc").read_text()
    offered |= set(re.findall(r'\bmodule,\s*"(\w+)"\)', wasi))
    methods = (ROOT / "src" / "contracts" / "json_rpc" / "server_methods.cc").read_text()
    offered |= set(re.findall(r'\badd\("([\w.]+)"', methods))
    listed = set(re.findall(r'"([\w.]+)"[,}]', (ROOT / "src" / "config" / "capabilities.cc").read_text()))
    assert listed == offered
