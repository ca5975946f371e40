"""Going over to another configuration while serving: by file watch, SIGHUP and the admin API; all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from support import prometheus, wat, wire
from support.configs import gateway, plugin, route
from support.load import Load
from support.server import Server
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until
from test_activation import marking, replace


class Config:
    """The configuration file of one server; `watched` says whether changing it is enough."""

    def __init__(self, folder: Path, watched: bool = False) -> None:
        self.file = folder / "gateway.yaml"
        self.watched = watched

    def put(self, settings: dict[str, Any] | str) -> Path:
        """Replaces the file by a rename, as careful tools do."""
        fresh = self.file.with_suffix(".tmp")
        text = settings if isinstance(settings, str) else json.dumps({**settings, "watch_config": self.watched}, indent=1)
        fresh.write_text(text)
        return fresh.rename(self.file)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


@pytest.fixture
def watched(tmp_path: Path) -> Config:
    return Config(tmp_path, watched=True)


def reload(server: Server) -> dict[str, Any]:
    response = server.admin("/config/reload", "POST")
    assert response.status == 200, response
    return response.json()


def refused(server: Server) -> dict[str, Any]:
    response = server.admin("/config/reload", "POST")
    assert response.status == 422, response
    return response.json()


def test_a_renamed_file_takes_effect(serve, watched: Config) -> None:
    server = serve(watched.put(gateway(routes=[route("/old")])))
    watched.put(gateway(routes=[route("/new")]))
    until(lambda: server.fetch("/new").status == 200, "the new route")
    assert server.fetch("/old").status == 404


def test_a_file_written_in_place_takes_effect(serve, watched: Config) -> None:
    server = serve(watched.put(gateway(routes=[route("/old")])))
    watched.file.write_text(json.dumps(gateway(routes=[route("/new")])))
    until(lambda: server.fetch("/new").status == 200, "the new route")


def test_a_link_that_is_switched_takes_effect(serve, tmp_path: Path) -> None:
    """As Kubernetes mounts configuration: a file that is a link through a folder that is a link."""
    for name, path in (("one", "/old"), ("two", "/new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text(json.dumps(gateway(routes=[route(path)])))
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "gateway.yaml").symlink_to("data/gateway.yaml")
    server = serve(tmp_path / "gateway.yaml")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "data")
    until(lambda: server.fetch("/new").status == 200, "the new route")


def test_a_folder_link_that_is_switched_takes_effect(serve, tmp_path: Path) -> None:
    """As releases are switched: the file is reached through a link to a folder."""
    for name, path in (("one", "/one"), ("two", "/two")):
        (tmp_path / name / "conf").mkdir(parents=True)
        (tmp_path / name / "conf" / "gateway.yaml").write_text(json.dumps(gateway(routes=[route(path)])))
    (tmp_path / "current").symlink_to("one")
    server = serve(Path("current/conf/gateway.yaml"))
    for name, path in (("two", "/two"), ("one", "/one")):
        (tmp_path / "next").symlink_to(name)
        (tmp_path / "next").rename(tmp_path / "current")
        until(lambda path=path: server.fetch(path).status == 200, "the routes behind the link")
        later = gateway(routes=[route(path + "/later")])
        (tmp_path / name / "conf" / "gateway.yaml").write_text(json.dumps(later))
        until(lambda path=path: server.fetch(path + "/later").status == 200, "an edit there")


def test_a_link_to_the_same_text_is_followed(serve, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text(json.dumps(gateway(routes=[route("/old")])))
    (tmp_path / "current").symlink_to("one")
    server = serve(Path("current/gateway.yaml"))
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "current")
    server.signal(signal.SIGHUP)
    until(lambda: configuration(server)["reloads"] == 1, "the reload")
    (tmp_path / "two" / "gateway.yaml").write_text(json.dumps(gateway(routes=[route("/new")])))
    until(lambda: server.fetch("/new").status == 200, "the new route")


@pytest.mark.parametrize("text", ["", "\n", "%%%%", "&&&&", "# nothing\n"], ids=repr)
def test_an_empty_file_is_refused(serve, watched: Config, text: str) -> None:
    server = serve(watched.put(gateway(routes=[route("/old")])), expect_errors=True)
    watched.file.write_text(text)
    server.wait_log("the file is empty")
    refused(server)
    assert server.fetch("/old").status == 200
    watched.put(gateway(routes=[route("/new")]))
    until(lambda: server.fetch("/new").status == 200, "the new route")


def test_an_empty_file_of_a_folder_is_refused(serve, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "10-base.yaml").write_text(json.dumps(gateway()))
    (folder / "20-more.yaml").write_text(json.dumps({"routes": [{"path": "/more", "upstream": "echo"}]}))
    server = serve(folder, expect_errors=True)
    (folder / "20-more.yaml").write_text("")
    server.wait_log("20-more.yaml: error: the file is empty")
    (folder / "20-more.yaml").write_text("# nothing, on purpose\n")
    server.wait_log("configuration reloaded")


def test_what_changes_while_the_server_starts_takes_effect(serve, watched: Config, tmp_path: Path, examples: Path,
                                                           probe: Path) -> None:
    folder = tmp_path / "pl"
    folder.mkdir()
    settings = {"plugin_directories": [{"path": str(folder)}], "engine": {"cache_dir": ""},
                "plugins": [plugin("slow", examples / "go_jwt_validator.wasm", enabled=True, config={"secret": "x"})]}
    server = serve(watched.put(gateway(routes=[route("/old", plugins=["slow"])], **settings)), wait=False)
    server.log.wait(lambda line: line.get("message") == "admin listening", 60)
    watched.put(gateway(routes=[route("/new")], **settings))
    shutil.copy(probe, folder / "late.wasm")
    server.wait_ready()
    until(lambda: server.fetch("/new").status != 404, "the new route")
    until(lambda: server.admin("/plugins/late").status == 200, "the plugin of the folder")


def test_a_file_added_to_a_folder_takes_effect(serve, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "10-base.yaml").write_text(json.dumps(gateway(routes=[route("/old")])))
    server = serve(folder)
    (folder / "20-more.yaml").write_text(json.dumps({"routes": [{"path": "/new", "upstream": "echo"}]}))
    until(lambda: server.fetch("/new").status == 200, "the new route")
    assert server.fetch("/old").status == 200
    (folder / "20-more.yaml").unlink()
    until(lambda: server.fetch("/new").status == 404, "the route to be gone")


def test_neighbours_and_touching_are_no_change(serve, watched: Config) -> None:
    server = serve(watched.put(gateway()))
    os.utime(watched.file)
    (watched.file.parent / "notes.txt").write_text("x")
    watched.put(gateway(routes=[route("/"), route("/new")]))
    until(lambda: server.fetch("/new").status == 200, "the new route")
    until(lambda: configuration(server)["reloads"] >= 1, "the reload to be counted")
    assert configuration(server)["reloads"] == 1


def test_a_broken_file_changes_nothing_and_its_repair_does(serve, watched: Config) -> None:
    server = serve(watched.put(gateway(routes=[route("/old")])), expect_errors=True)
    mark = server.mark()
    watched.put("routes: [{path: /x, upstream: nowhere}]\nrutes: []\n")
    server.wait_log("not reloaded", after=mark)
    server.wait_log("gateway.yaml:1:31: error: routes[0].upstream: there is no upstream \"nowhere\"", after=mark)
    server.wait_log("gateway.yaml:2:1: error: unknown key \"rutes\"", after=mark)
    assert server.fetch("/old").status == 200
    watched.put(gateway(routes=[route("/new")]))
    until(lambda: server.fetch("/new").status == 200, "the new route")


def test_an_unwatched_file_waits(serve, config: Config) -> None:
    server = serve(config.put(gateway(routes=[route("/old")])))
    config.put(gateway(routes=[route("/new")]))
    assert server.fetch("/new").status == 404
    server.signal(signal.SIGHUP)
    until(lambda: server.fetch("/new").status == 200, "the new route")


def test_a_plugin_that_cannot_be_loaded_changes_nothing(serve, config: Config, tmp_path: Path,
                                                       compile_wat: wat.Compiler) -> None:
    good, bad = tmp_path / "good.wasm", tmp_path / "bad.wasm"
    shutil.copy(compile_wat(marking("one")), good)
    bad.write_text("junk")
    server = serve(config.put(gateway(routes=[route("/old")], plugins=[plugin("good", good)])), expect_errors=True)
    replace(good, compile_wat(marking("two")))
    config.put(gateway(routes=[route("/new")], plugins=[plugin("good", good), plugin("bad", bad)]))
    answer = refused(server)
    assert [error["path"] for error in answer["errors"]] == ["plugins[1]"], answer
    assert "bad.wasm: not a Wasm module" in answer["errors"][0]["message"]
    assert answer["errors"][0]["line"] > 0
    response = server.fetch("/old")
    assert response.json()["headers"]["x-dropped"] == "one", "the good plugin was not exchanged either"
    assert server.admin("/plugins/bad").status == 404
    shutil.copy(compile_wat(marking("three")), bad)
    reload(server)
    assert server.fetch("/new").json()["headers"]["x-dropped"] == "two, three"


def test_a_plugin_that_failed_before_does_not_stand_in_the_way(serve, config: Config, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wasm"
    bad.write_text("junk")
    broken = plugin("bad", bad)
    server = serve(config.put(gateway(routes=[{**route("/old"), "plugins": ["bad"]}], plugins=[broken])),
                   expect_errors=True)
    config.put(gateway(routes=[route("/new"), {**route("/old"), "plugins": ["bad"]}], plugins=[broken]))
    reload(server)
    assert server.fetch("/new").status == 200
    assert server.fetch("/old").status == 503


def test_the_log_level_follows(serve, config: Config) -> None:
    server = serve(config.put(gateway(logging={"level": "info"})))
    config.put(gateway(logging={"level": "debug"}))
    reload(server)
    server.wait_log("configuration reloaded")
    mark = server.mark()
    config.put(gateway(logging={"level": "error"}))
    reload(server)
    config.put(gateway(logging={"level": "info"}))
    reload(server)
    server.wait_log("configuration reloaded", after=mark)
    assert server.messages().count("configuration reloaded") == 2, "not while only errors are logged"


def test_a_log_file_that_was_moved_away_is_opened_anew(serve, config: Config, tmp_path: Path) -> None:
    log = tmp_path / "heddle.log"
    server = serve(config.put(gateway(logging={"file": str(log)})), wait=False)
    until(lambda: log.exists() and '"ready"' in log.read_text(), "the server to be ready", timeout=60)
    log.rename(tmp_path / "heddle.log.1")
    server.signal(signal.SIGHUP)
    until(lambda: log.exists() and "configuration reloaded" in log.read_text(), "the new file")


def test_the_access_log_follows(serve, config: Config) -> None:
    server = serve(config.put(gateway(logging={"access_log": False})))
    server.fetch("/unseen")
    config.put(gateway(logging={"access_log": True}))
    reload(server)
    server.fetch("/seen")
    server.wait_access(path="/seen")
    config.put(gateway(logging={"access_log": False}))
    reload(server)
    server.fetch("/unseen")
    assert [line["path"] for line in server.access_lines() if "path" in line] == ["/seen"]


def test_overrides_of_the_command_line_stay_and_are_shown(serve, config: Config) -> None:
    settings = gateway(listeners=[{"name": "public", "address": "127.0.0.1:1"}], logging={"level": "warn"})
    server = serve(config.put(settings), "--listen", "127.0.0.1:0", "--log-level", "info")
    assert server.admin("/config?format=json").json()["listeners"][0]["address"] == "127.0.0.1:0"
    mark = server.mark()
    assert reload(server)["notes"] == []
    server.wait_log("configuration reloaded", after=mark)
    assert server.admin("/config?format=json").json()["logging"]["level"] == "info"
    assert server.fetch("/").status == 200


def test_what_needs_a_restart_is_told_until_it_is_back(serve, config: Config) -> None:
    server = serve(config.put(gateway(workers=2)))
    config.put(gateway(workers=1, data_dir="elsewhere"))
    for _ in range(2):
        notes = reload(server)["notes"]
        assert any(note.startswith("workers changed") for note in notes), notes
        assert any(note.startswith("data_dir changed") for note in notes), notes
    config.put(gateway(workers=2))
    assert reload(server)["notes"] == []


def test_every_setting_that_needs_a_restart_is_told(serve, config: Config) -> None:
    password = "$2b$04$2Tq0.bUaEfBQAJ8pcmGyiO3fzjIm/cLcCw4vCqGbsqS6J3V/Xnp4y"
    server = serve(config.put(gateway(auth={"users": {"ann": password, "bob": password}})))
    config.put(gateway(auth={"users": {"ann": password}}, sql={"max_rows": 7}, state={"max_key": 7},
                       outbound_http={"timeout": "7s"}, events={"max_payload": 7}, messaging={"max_payload": 7},
                       storage={"url": "sqlite:other.db"}, redis={"url": "redis://127.0.0.1:7"},
                       engine={"instances": 7}, logging={"format": "text"}))
    notes = reload(server)["notes"]
    told = {note.split(" changed: that takes effect after a restart")[0] for note in notes}
    assert told == {"auth.users", "sql.max_rows", "state.max_key", "outbound_http.timeout", "events.max_payload",
                    "messaging.max_payload", "storage.url", "redis.url", "engine.instances", "logging.format"}
    for setting in told:
        server.wait_log(f"{setting} changed", level="warn")


def test_users_of_the_admin_api_follow(serve, config: Config) -> None:
    password = "$2b$04$2Tq0.bUaEfBQAJ8pcmGyiO3fzjIm/cLcCw4vCqGbsqS6J3V/Xnp4y"
    server = serve(config.put(gateway()))
    config.put(gateway(admin={"address": "127.0.0.1:0", "auth": {"enabled": True, "users": {"ann": password}}}))
    reload(server)
    until(lambda: server.admin("/plugins").status == 401, "the password to be asked for")
    assert server.admin("/ready").status == 200


def configuration(server: Server) -> dict[str, Any]:
    return server.admin("/info").json()["configuration"]


def test_the_last_reload_is_told(serve, config: Config) -> None:
    server = serve(config.put(gateway()), expect_errors=True)
    assert configuration(server)["last_reload"] is None
    reload(server)
    told = configuration(server)
    assert told["last_reload"]["success"] and told["last_reload"]["time"] == told["loaded_at"]
    config.put("rutes: []\n")
    refused(server)
    told = configuration(server)
    assert (told["reloads"], told["failures"], told["last_reload"]["success"]) == (1, 1, False)
    assert "rutes" in told["last_reload"]["error"]
    assert told["last_reload"]["time"] > told["loaded_at"]
    ready = server.admin("/ready")
    assert ready.status == 200 and ready.json()["configuration"]["last_reload"]["success"] is False
    text = server.metrics()
    assert 'heddle_config_reloads_total{result="applied"} 1' in text
    assert 'heddle_config_reloads_total{result="refused"} 1' in text
    assert "heddle_config_last_reload_successful 0" in text


def test_reloads_under_load_lose_nothing(serve, config: Config) -> None:
    variants = [gateway(routes=[route("/"), route(f"/{name}")], logging={"access_log": False}) for name in "ab"]
    server = serve(config.put(variants[0]))
    with Load(server.address) as load:
        for number in range(100):
            config.put(variants[number % 2])
            reload(server)
    assert load.failures == []

def test_routes_and_the_plugins_that_they_configure_change_together(serve, config: Config, probe: Path) -> None:
    """No request meets the former routes with the new plugins, which were not made with what those configure."""
    def variant(number: int) -> dict[str, Any]:
        configured = {"name": "probe", "config": f"request_headers add 0 x-step {number}"}
        return gateway(routes=[route("/*", plugins=[configured])], plugins=[plugin("probe", probe)], logging={"access_log": False})

    server = serve(config.put(variant(0)))
    with Load(server.address) as load:
        for number in range(1, 40):
            config.put(variant(number))
            reload(server)
            assert server.fetch("/").json()["headers"]["x-step"] == str(number)
    assert load.failures == []

def test_metrics_of_what_is_gone_go_too(serve, config: Config) -> None:
    """Else names that are new with every deployment would fill the memory."""
    gone = gateway(routes=[{"id": "going", **route("/going", to="leaving")}, route("/")],
                   upstreams=[{"name": "leaving", "endpoints": [f"127.0.0.1:{closed_port()}"]}])
    server = serve(config.put(gone))
    assert server.fetch("/going").status == 502
    assert 'route="going"' in server.metrics() and 'upstream="leaving"' in server.metrics()
    config.put(gateway(routes=[route("/")]))
    reload(server)
    text = server.metrics()
    assert '"going"' not in text and '"leaving"' not in text
    config.put(gone)
    reload(server)
    assert server.fetch("/going").status == 502
    until(lambda: 'heddle_requests_total{route="going",status="5xx"} 1\n' in server.metrics(), "the request to be counted")


def test_metrics_of_an_endpoint_that_moves_to_another_upstream(serve, config: Config) -> None:
    with Upstream(answering(ok())) as stays, Upstream(answering(ok())) as moves:
        own, moved = (f"127.0.0.1:{origin.address[1]}" for origin in (stays, moves))

        def shared(first: list[str], second: list[str]) -> dict[str, Any]:
            return gateway(routes=[route("/a", to="a"), route("/b", to="b")],
                           upstreams=[{"name": "a", "endpoints": first}, {"name": "b", "endpoints": second}])

        def healthy() -> set[tuple[str, str]]:
            family = prometheus.parse(server.metrics())["heddle_upstream_endpoint_healthy"]
            return {(labels["upstream"], labels["endpoint"]) for _, labels, _ in family.samples}

        server = serve(config.put(shared([own, moved], [own])))
        assert healthy() == {("a", own), ("a", moved), ("b", own)}
        config.put(shared([own], [own, moved]))
        reload(server)
        assert healthy() == {("a", own), ("b", own), ("b", moved)}
        config.put(shared([own], [moved]))
        reload(server)
        assert healthy() == {("a", own), ("b", moved)}


def test_connections_to_an_endpoint_that_comes_back_are_counted(serve, config: Config) -> None:
    with Upstream(answering(ok())) as origin:
        address = f"127.0.0.1:{origin.address[1]}"
        there = gateway(routes=[route("/there", to="api"), route("/")], workers=1,
                        upstreams=[{"name": "api", "endpoints": [address]}])
        counted = f'heddle_upstream_connections_total{{endpoint="{address}"}} 1\n'
        server = serve(config.put(there))
        assert server.fetch("/there").status == 200
        assert counted in server.metrics()
        config.put(gateway(routes=[route("/")], workers=1))
        reload(server)
        assert address not in server.metrics()
        config.put(there)
        reload(server)
        assert server.fetch("/there").status == 200
        assert counted in server.metrics()


def test_metrics_of_plugins_stay_when_something_of_their_labels_goes(serve, config: Config, compile_wat: wat.Compiler) -> None:
    """The labels are the plugin's words, whatever of ours has the same name."""
    metric = "hits;route=going;upstream=going"
    texts: dict[str, int] = {}
    define = (f"(drop (call $proxy_define_metric (i32.const 0) (i32.const {wat.place(metric, texts)}) "
              f"(i32.const {len(metric)}) (i32.const {wat.SCRATCH})))")
    count = f"(drop (call $proxy_increment_metric (i32.load (i32.const {wat.SCRATCH})) (i64.const 1)))"
    counting = compile_wat(wat.plugin({"configure": define, "request_headers": count},
                                      ("proxy_define_metric", "proxy_increment_metric"), texts))

    def with_routes(*more: dict[str, Any]) -> dict[str, Any]:
        return gateway(routes=[*more, route("/")], upstreams=[{"name": "going", "builtin": "echo"}] if more else [],
                       plugins=[plugin("counting", counting)])

    server = serve(config.put(with_routes({"id": "going", **route("/going", to="going")})))
    assert server.fetch("/").status == 200
    line = 'heddle_plugin_custom_hits{plugin="counting",route="going",upstream="going"} %d\n'
    assert line % 1 in server.metrics()
    config.put(with_routes())
    reload(server)
    assert server.fetch("/").status == 200
    assert line % 2 in server.metrics()


# ---- listeners


def listeners(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return gateway(listeners=[{"address": "127.0.0.1:0", **item} for item in items], **more)


def address_of(server: Server, name: str, after: int) -> wire.Address:
    line = server.wait_log("listening", after=after, listener=name)
    host, port = line["address"].rsplit(":", 1)
    return host, int(port)


def test_a_listener_is_added_and_removed(serve, config: Config) -> None:
    server = serve(config.put(listeners({"name": "first"})))
    first = server.address
    mark = server.mark()
    config.put(listeners({"name": "first"}, {"name": "second"}))
    assert reload(server)["notes"] == []
    second = address_of(server, "second", mark)
    assert wire.fetch(second, "GET", "/").status == 200
    assert wire.fetch(first, "GET", "/").status == 200
    config.put(listeners({"name": "second"}))
    with wire.Connection(first) as idle:
        idle.send(wire.head("GET", "/"))
        assert idle.response().status == 200
        reload(server)
        assert idle.is_closed(), "an idle connection of a listener that goes"
    until(lambda: wire.refuses(first), "the first listener to be closed")
    assert wire.fetch(second, "GET", "/").status == 200


def test_a_removed_listener_lets_its_requests_end(serve, config: Config) -> None:
    release = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        release.wait(20)
        peer.send(ok(b"late but whole"))

    with Upstream(script) as origin:
        more = {"routes": [route(to="raw")], "upstreams": [{"name": "raw", "endpoints": ["%s:%d" % origin.address]}]}
        server = serve(config.put(listeners({"name": "first"}, {"name": "second"}, **more)))
        first = server.listeners["first"]
        with wire.Connection(first) as connection:
            connection.send(wire.head("GET", "/"))
            until(lambda: bool(origin.requests), "the request to be under way")
            config.put(listeners({"name": "second"}, **more))
            reload(server)
            until(lambda: wire.refuses(first), "the listener to be closed")
            release.set()
            assert connection.response().body == b"late but whole"
            assert connection.is_closed()


def test_what_hangs_on_a_removed_listener_ends_with_drain_timeout(serve, config: Config) -> None:
    with Upstream(lambda peer: peer.read_request() and threading.Event().wait(20)) as origin:
        more = {"routes": [route(to="raw")], "upstreams": [{"name": "raw", "endpoints": ["%s:%d" % origin.address]}],
                "drain_timeout": "200ms"}
        server = serve(config.put(listeners({"name": "first"}, {"name": "second"}, **more)))
        with wire.Connection(server.listeners["first"]) as connection:
            connection.send(wire.head("GET", "/"))
            until(lambda: bool(origin.requests), "the request to be under way")
            config.put(listeners({"name": "second"}, **more))
            reload(server)
            assert connection.is_closed()
        until(lambda: server.admin("/info").json()["exchanges"] == 0, "the exchange to be gone")


def test_an_address_changes_hands(serve, config: Config) -> None:
    """From 127.0.0.1:PORT to :PORT and to another name, without a moment in which connections are refused."""
    port = closed_port()
    server = serve(config.put(listeners({"name": "one", "address": f"127.0.0.1:{port}"})))
    with Load(server.address) as load:
        for item in ({"name": "one", "address": f":{port}"}, {"name": "two", "address": f":{port}"},
                     {"name": "two", "address": f"127.0.0.1:{port}"}) * 3:
            config.put(listeners(item))
            reload(server)
    assert [failure for failure in load.failures if "refused" in str(failure)] == []
    assert server.fetch("/").status == 200


def test_limits_of_a_listener_follow(serve, config: Config) -> None:
    server = serve(config.put(listeners({"name": "public", "limits": {"max_headers": 100, "max_body_bytes": 0}})))
    with server.connect() as kept:
        kept.send(wire.head("GET", "/"))
        assert kept.response().status == 200
        config.put(listeners({"name": "public", "limits": {"max_headers": 3, "max_body_bytes": 4}}))
        assert reload(server)["notes"] == []
        many = [(f"x-{number}", "1") for number in range(10)]
        assert server.fetch("/", headers=many).status == 431
        assert server.fetch("/", "POST", body=b"too long").status == 413
        kept.send(wire.head("GET", "/", headers=many))
        assert kept.response().status == 431, "also on connections that were there"
    config.put(listeners({"name": "public", "limits": {"idle_timeout": "50ms"}}))
    reload(server)
    with server.connect() as idle:
        assert idle.is_closed()


def test_a_port_in_use_changes_nothing(serve, config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = serve(config.put(listeners({"name": "first"}, routes=[route("/old")])), expect_errors=True)
        config.put(listeners({"name": "first"}, {"name": "taken", "address": "127.0.0.1:%d" % taken.getsockname()[1]},
                             {"name": "third"}, routes=[route("/new")]))
        errors = refused(server)["errors"]
        assert [error["path"] for error in errors] == ["listeners[1]"]
        assert "in use" in errors[0]["message"] and errors[0]["line"] > 0
        assert server.fetch("/old").status == 200
        assert not any(line.get("listener") == "third" for line in server.log.lines())


def test_a_listener_does_not_get_the_admin_apis_address(serve, config: Config) -> None:
    server = serve(config.put(listeners({"name": "first"})), expect_errors=True)
    host, port = server.admin_address
    config.put(listeners({"name": "first"}, {"name": "second", "address": f"{host}:{port}"}))
    assert "is also that of the admin API" in refused(server)["error"]["message"]


def test_a_listener_goes_over_to_tcp_and_back(serve, config: Config) -> None:
    with Upstream(answering(ok(b"raw"))) as origin:
        upstreams = [{"name": "raw", "endpoints": ["%s:%d" % origin.address]}]
        port = closed_port()
        http = {"name": "public", "address": f"127.0.0.1:{port}"}
        server = serve(config.put(listeners(http, upstreams=upstreams)))
        for _ in range(3):
            config.put(listeners({**http, "protocol": "tcp", "upstream": "raw"}, upstreams=upstreams, routes=[]))
            reload(server)
            until(lambda: server.fetch("/").body == b"raw", "bytes to be passed on")
            config.put(listeners(http, upstreams=upstreams))
            reload(server)
            until(lambda: server.fetch("/").body != b"raw", "HTTP to be spoken")
