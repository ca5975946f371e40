"""What the tables of both hook contracts have in common: what happens on the message service, and what is expected of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from conformance.table import Line, split
from support import wire
from support.messages import Person, b64, register
from support.server import Server
from support.waiting import until

HOOK = "hook"  # the plugin's name


@dataclass
class Stage:
    """Two people with a channel, on a server with the hook of a row."""

    server: Server
    sender: Person
    recipient: Person
    channel: str
    verdicts: list[str]

    @classmethod
    def on(cls, server: Server) -> "Stage":
        sender, recipient = register(server, "anna"), register(server, "bert")
        return cls(server, sender, recipient, sender.channel(recipient), [])

    def _message(self, **content: Any) -> dict[str, Any]:
        return {"recipient_key": b64(self.recipient.key), "channel_id": self.channel, **content}

    def _send(self, **content: Any) -> None:
        response = self.sender.call("POST", "/v1/messages", self._message(**content))
        self.verdicts.append(self._verdict(response.status, response))

    @staticmethod
    def _verdict(status: int, response: wire.Response) -> str:
        if status == 201:
            return "allowed"
        error = response.json()["error"]
        assert (status, error["code"], error["plugin"]) == (403, "blocked", HOOK), response.text
        return f'blocked "{error["message"]}"'

    def do(self, given: str) -> None:
        word, _, rest = given.partition(" ")
        if word == "text":
            self._send(text=rest)
        elif word == "bytes":  # a message of that length
            self._send(payload=b64(b"x" * int(rest)))
        elif word == "payload":
            self._send(payload=rest)
        elif word == "sealed":
            self._send(text=rest, sealed=True)
        elif word == "files":
            names, _, text = rest.partition(" ")
            self._send(text=text, involved_files=names.split(","))
        elif word == "batch":
            messages = [self._message(text=text.strip()) for text in rest.split(",")]
            results = self.sender.call("POST", "/v1/messages/batch", {"messages": messages}).json()["results"]
            self.verdicts += [f'blocked "{each["error"]["message"]}"' if "error" in each else "allowed" for each in results]
        elif word == "login":
            self.sender.log_in(rest) if rest else self.sender.log_in()
        elif word == "channel":
            self.sender.channel(self.recipient)
        elif word == "fetch":
            self.recipient.fetch(rest.replace("CHANNEL", self.channel))
        elif given == "-":  # nothing
            pass
        elif word in ("disable", "enable", "reload"):
            assert self.server.admin(f"/plugins/{HOOK}/{word}", "POST").status == 200
        else:
            assert given == "stop", f"no such thing: {given}"
            self.server.stop()


def check(server: Server, line: Line) -> str:
    """Does what the row gives; what is not as it expects, or nothing."""
    expected = split(line.cells[3])
    if expected[0].startswith("refused "):
        shown = server.plugin(HOOK)
        words = expected[0].removeprefix("refused ").strip('"')
        return "" if shown["state"] == "failed" and words in shown["last_error"] else str(shown)
    stage = Stage.on(server)
    for given in split(line.cells[2]):
        stage.do(given)
    verdicts = [item for item in expected if item.startswith(("allowed", "blocked"))]
    if verdicts != stage.verdicts:
        return f"verdicts: {stage.verdicts}"
    for item in expected:
        word, _, rest = item.partition(" ")
        if word == "says":
            level, _, text = rest.partition(" ")
            server.wait_log(text.strip('"'), level=level, plugin=HOOK) if level != "line" else server.wait_log(text.strip('"'))
        elif word == "silent":
            if any(rest.strip('"') in text for text in server.messages()):
                return f"it said {rest}"
        elif word == "saw":
            seen = json.loads(server.wait_log("markdown_text", plugin=HOOK)["message"])
            if any(seen.get(key) != value for key, value in json.loads(rest).items()):
                return f"it saw {seen}"
        elif word == "error":
            until(lambda: rest.strip('"') in (server.plugin(HOOK)["last_error"] or ""), f"{rest}, not {server.plugin(HOOK)['last_error']}")
        elif item == "no error":
            if server.plugin(HOOK)["stats"]["errors"]:
                return server.plugin(HOOK)["last_error"]
        elif word == "limit":
            wanted = ('heddle_plugin_limit_hits_total', f'plugin="{HOOK}"', f'limit="{rest}"')
            until(lambda: any(all(part in metric for part in wanted) for metric in server.metrics().splitlines()), f"the limit {rest}")
    return ""
