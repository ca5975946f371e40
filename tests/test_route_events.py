"""Events: from one route plugin to others and to those who watch the admin API on a WebSocket."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support import wat
from support.configs import gateway
from support.route_guests import call, entry, manifest, package
from support.server import Server
from support.slow_upstream import SlowUpstream
from support.waiting import until


@pytest.fixture
def guest(compile_wat: wat.Compiler) -> Path:
    return compile_wat.c(Path("plugins/route_guest.c"))


@pytest.fixture
def start(serve, guest: Path, tmp_path: Path):
    """Plugins `speaker`, which emits, and `listener`, which hears."""
    def started(speaker: dict[str, Any] | None = None, listener: dict[str, Any] | None = None, handler: str = "on_event",
                **more: Any) -> Server:
        hears = [{"name": "test.*", "handler": handler}]
        return serve(gateway(plugins=[
            entry(tmp_path, guest, "speaker", manifest("speaker", events=hears), **(speaker or {})),
            entry(tmp_path, guest, "listener", manifest("listener", events=hears), **(listener or {}))],
            data_dir=str(tmp_path / "data"), workers=2, **more))

    return started


def heard(server: Server, name: str = "listener") -> list[dict[str, Any]]:
    return call(server, name, "heard").json()


def watch(server: Server, query: str = "", **more: Any) -> ClientConnection:
    host, port = server.admin_address
    return connect(f"ws://{host}:{port}/events{query}", **more)


def test_others_hear_in_order_and_the_speaker_does_not(start) -> None:
    server = start()
    for number in range(20):
        assert call(server, "speaker", "emit", {"number": number}).json() == 1
    until(lambda: len(heard(server)) == 20, "all events")
    events = heard(server)
    assert [event["payload"] for event in events] == [{"number": number} for number in range(20)]
    assert {(event["event"], event["plugin"]) for event in events} == {("test.done", "speaker")}
    assert [event["id"] for event in events] == sorted({event["id"] for event in events})
    assert heard(server, "speaker") == []


def test_a_new_version_hears_each_event_once(start) -> None:
    server = start()
    for number in range(10):
        call(server, "speaker", "emit", number)
        if number == 4:
            until(lambda: len(heard(server)) == 5, "the events before the reload")
            assert server.admin("/plugins/listener/reload", "POST").status == 200
    until(lambda: len(heard(server)) >= 10, "all events")
    assert [event["payload"] for event in heard(server)] == list(range(10))


@pytest.fixture
def service() -> Iterator[SlowUpstream]:
    with SlowUpstream() as slow:
        yield slow


def start_with_events_waiting(start, service: SlowUpstream) -> Server:
    """The listener has the first of five events in hand, until the service answers."""
    host = "%s:%d" % service.address
    server = start(handler="on_event_slowly", listener={"config": {"service": f"http://{host}/"}, "timeout": "60s",
                                                        "permissions": {"http": [host]}})
    for number in range(5):
        assert call(server, "speaker", "emit", number).json() == 1
    until(lambda: service.arrived == 1, "the first event's call")
    return server


def test_events_that_wait_go_to_the_new_version(start, service: SlowUpstream) -> None:
    """The old one ends the event that it has in hand. None is lost, comes twice or out of order."""
    server = start_with_events_waiting(start, service)
    assert server.admin("/plugins/listener/reload", "POST").status == 200
    for number in range(5, 10):
        assert call(server, "speaker", "emit", number).json() == 1
    assert (service.arrived, heard(server)) == (1, [])
    service.release()
    until(lambda: len(heard(server)) == 10, "all events")
    assert [event["payload"] for event in heard(server)] == list(range(10))
    assert (service.arrived, service.gone) == (10, 0)


def test_a_plugin_that_is_switched_off_handles_what_it_has_heard(start, service: SlowUpstream) -> None:
    server = start_with_events_waiting(start, service)
    assert server.admin("/plugins/listener/disable", "POST").status == 200
    call(server, "speaker", "emit", "too late")
    service.release()
    until(lambda: service.arrived == 5, "the last event's call")
    assert server.admin("/plugins/listener/enable", "POST").status == 200
    until(lambda: len(heard(server)) == 5, "all events")
    assert [event["payload"] for event in heard(server)] == list(range(5))


def test_a_server_that_stops_has_handled_every_event(start, service: SlowUpstream) -> None:
    server = start_with_events_waiting(start, service)
    server.signal(signal.SIGTERM)
    server.wait_log("draining")
    service.release()
    assert server.wait_exit() == 0  # stop() would send a second signal, which hurries
    assert [event["payload"] for event in heard(start())] == list(range(5))


def test_an_event_that_takes_too_long_is_counted_at_the_end(start, service: SlowUpstream) -> None:
    server = start_with_events_waiting(lambda **more: start(drain_timeout="100ms", **more), service)
    server.stop()
    server.wait_log("5 events were not handled when the version ended", plugin="listener")


def test_a_plugin_without_the_permission(start) -> None:
    server = start(speaker={"permissions": {"events": False}})
    assert call(server, "speaker", "emit", 1).json() == 0
    server.wait_log("emit_event is not permitted (permissions.events)")
    server = start(listener={"permissions": {"events": False}})
    with watch(server) as socket:
        assert call(server, "speaker", "emit", 1).json() == 1
        assert json.loads(socket.recv(timeout=20))["payload"] == 1
    assert heard(server) == []


def test_an_event_whose_handler_fails_is_logged_and_the_next_one_comes(serve, guest: Path, tmp_path: Path) -> None:
    events = [{"name": "test.done", "handler": "trap"}, {"name": "test.done", "handler": "on_event"}]
    server = serve(gateway(plugins=[entry(tmp_path, guest, "speaker"),
                                    entry(tmp_path, guest, "listener", manifest("listener", events=events))],
                           data_dir=str(tmp_path / "data")), expect_errors=True)
    call(server, "speaker", "emit", "first")
    call(server, "speaker", "emit", "second")
    until(lambda: len(heard(server)) == 2, "both events")
    assert [event["payload"] for event in heard(server)] == ["first", "second"]
    server.wait_log("plugin failed in trap", plugin="listener")


def test_those_who_watch_see_events_and_what_happens_to_plugins(start) -> None:
    server = start()
    with watch(server) as all_of_it, watch(server, "?names=test.other,none.*") as others:
        call(server, "speaker", "emit", {"a": [1]})
        event = json.loads(all_of_it.recv(timeout=20))
        assert {**event, "id": 0, "time": ""} == {"type": "event", "id": 0, "plugin": "speaker", "event": "test.done",
                                                  "payload": {"a": [1]}, "time": ""}
        server.admin("/plugins/speaker/reload", "POST")
        for socket in (all_of_it, others):
            state = json.loads(socket.recv(timeout=20))
            assert (state["type"], state["plugin"], state["event"]) == ("state", "speaker", "reloaded")
    assert server.admin("/events").json()["count"] >= 1  # as before, without an upgrade


def test_who_may_watch(serve, guest: Path, tmp_path: Path) -> None:
    config = gateway(plugins=[entry(tmp_path, guest, "speaker")])
    config["admin"]["auth"] = {"enabled": True,
                               "users": {"ada": "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}}
    server = serve(config)
    host, port = server.admin_address
    with pytest.raises(InvalidStatus, match="401"):
        watch(server).close()
    with pytest.raises(InvalidStatus, match="403"):
        watch(server, origin="http://evil.example").close()
    with connect(f"ws://ada:U%2AU@{host}:{port}/events") as socket:
        call(server, "speaker", "emit", 1)
        assert json.loads(socket.recv(timeout=20))["event"] == "test.done"


def test_the_end_of_the_server_is_told(start) -> None:
    server = start()
    with watch(server) as socket:
        server.stop()
        with pytest.raises(Exception, match="1001"):
            while True:
                socket.recv(timeout=20)


def test_a_manifest_with_a_wrong_event(serve, guest: Path, tmp_path: Path) -> None:
    for events, said in ((([{"name": "a b", "handler": "on_event"}]), '$.events[0].name: "a b" is no event'),
                         (([{"name": "a", "handler": "none"}]), "$.events[0].handler: the module exports no function none")):
        path = package(tmp_path / "p", guest, manifest("p", events=events))
        result = serve.run("validate", "-c", str(serve.write(gateway(plugins=[{"name": "p", "path": str(path)}]))))
        assert said in result.stderr
