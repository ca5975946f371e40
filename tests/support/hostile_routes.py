"""A hostile route plugin and its neighbour in one server: whatever the one does, the other goes on answering."""

from __future__ import annotations

import threading

from typing import Any

from support import wire
from support.configs import gateway, plugin
from support.route_driver import RUN, Driver, script
from support.server import Server

Config = dict[str, Any]
EVERYTHING: Config = {"sql": "write", "state": True, "events": True}


class Neighbour:
    """Asks another plugin of the same server again and again; every answer must be right."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers = 0
        self.wrong: list[str] = []

    def __enter__(self) -> "Neighbour":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(timeout=wire.TIMEOUT)
        assert not self.wrong, self.wrong[:3]
        assert self.answers > 0

    def _run(self) -> None:
        while True:
            try:
                response = self._server.fetch("/neighbour", "POST", {"content-type": "text/plain"}, b"served")
            except (OSError, wire.Broken) as error:
                self.wrong.append(repr(error))
                return
            if (response.status, response.body) != (200, b"1\n"):
                self.wrong.append(f"{response.status} {response.text}")
            self.answers += 1
            if self._end.wait(0.005):
                return


def config(driver: Driver, more: Config | None = None, **top: Any) -> Config:
    """`more` belongs to the hostile plugin's entry."""
    hostile = driver.package("hostile", "SDK ALLOC=allocate DEALLOC=deallocate", [
        {**RUN, "path": "/hostile"}, {"path": "/quick", "method": "POST", "handler": "run", "timeout": "200ms"},
        {"path": "/members", "method": "POST", "handler": "run", "auth": True}])
    neighbour = driver.package("neighbour", "SDK ALLOC=allocate DEALLOC=deallocate", [{**RUN, "path": "/neighbour"}])
    return gateway(plugins=[plugin("hostile", hostile, **{"permissions": EVERYTHING, "cpu_limit": "300ms", **(more or {})}),
                            plugin("neighbour", neighbour, permissions=EVERYTHING)], workers=2, **top)


def run(server: Server, *statements: str, path: str = "/hostile") -> wire.Response:
    return server.fetch(path, "POST", {"content-type": "text/plain"}, script(*statements))


def results(server: Server, *statements: str, path: str = "/hostile") -> list[str]:
    response = run(server, *statements, path=path)
    assert response.status == 200, response
    return response.text.splitlines()


def assert_error(response: wire.Response, status: int, code: str) -> str:
    """The error JSON as the documentation says; its message."""
    assert response.status == status, response
    assert response.header("content-type") == "application/json", response.headers
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"} and error["code"] == code and error["request_id"], error
    return error["message"]


