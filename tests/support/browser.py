"""A real Chromium without a window, driven through its DevTools protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from support.waiting import until

TIMEOUT = 30
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " ")}
CONTROL = 2  # of DevTools' modifiers


class Browser:
    """One process; each page() has cookies and storage of its own."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        assert program, "chromium is missing: run scripts/setup"
        # Without its sandbox, which root and most containers do not allow: it opens our own pages only.
        self._process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
             f"--user-data-dir={folder}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        where = folder / "DevToolsActivePort"
        until(lambda: where.exists() and len(where.read_text().splitlines()) == 2, "chromium to open its DevTools", timeout=60)
        port, path = where.read_text().splitlines()
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None, ping_interval=None))
        self._last = 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}))
        while True:
            message = json.loads(self._socket.recv(timeout=TIMEOUT))
            if message.get("id") == self._last:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._events.append(message)

    def events(self, session: str, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self._events if event.get("sessionId") == session and event["method"] == method]

    def page(self, url: str) -> "Page":
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], url)

    def close(self) -> None:
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Page:
    def __init__(self, browser: Browser, session: str, url: str) -> None:
        self._browser = browser
        self._session = session
        self.call("Runtime.enable")
        self.call("Page.enable")
        # Pages in the background have no focus otherwise.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """Its value, of a promise too; as the page's own script could run it: `eval` is what the page's policy says."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, allowUnsafeEvalBlockedByCSP=False)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        until(lambda: bool(self.evaluate(expression)), expression)

    def text(self, selector: str) -> str:
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def texts(self, selector: str) -> list[str]:
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.textContent)")

    def press(self, key: str, modifiers: int = 0) -> None:
        code, text = KEYS[key]
        common = {"key": text.strip() or key if key != "Space" else " ", "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="" if modifiers else text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def focus(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")

    def focused(self) -> str:
        return self.evaluate("document.activeElement.id")

    def exceptions(self) -> list[str]:
        self.evaluate("0")  # what happened before it has been reported then
        return [event["exceptionDetails"]["text"] for event in self._browser.events(self._session, "Runtime.exceptionThrown")]

    def controls(self) -> list[tuple[str, str]]:
        """What can be used, as a screen reader hears it: role and name."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        wanted = {"textbox", "button", "checkbox", "alert", "status"}
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes
                if not node["ignored"] and node["role"]["value"] in wanted]
