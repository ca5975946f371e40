"""The page of the message service, in a real Chromium: two people in two pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from support.browser import CONTROL, Browser, Page
from support.configs import plugin
from support.hooks import message_hook
from support.messages import PASSWORD, Person, b64, configuration, register
from support.server import Server
from support.waiting import until

HOSTILE = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><b>bold</b>"""


@pytest.fixture(scope="module")
def server(serve_module, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("data")
    return serve_module({**configuration(folder), "plugins": [plugin("words", message_hook(folder / "words.wasm", "words"))]})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture()
def page(server: Server, browser: Browser) -> Iterator[Page]:
    page = opened(server, browser)
    yield page
    assert page.exceptions() == []


def opened(server: Server, browser: Browser) -> Page:
    host, port = server.address
    return browser.page(f"http://{host}:{port}/v1/")


def sign_up(page: Page, name: str) -> str:
    """With the keyboard alone; the identity key."""
    page.press("Tab")
    assert page.focused() == "username"
    page.type(name)
    page.press("Tab")
    page.type(PASSWORD)
    page.press("Tab")
    page.press("Tab")
    assert page.focused() == "register"
    page.press("Space")
    page.wait("document.getElementById('state').textContent.startsWith('Connected')")
    assert page.focused() == "peer"
    return page.text("#key")


def open_channel(page: Page, key: str) -> None:
    page.focus("#peer")
    page.type(key)
    page.press("Enter")
    page.wait("document.activeElement.id === 'text'")


def write(page: Page, text: str) -> None:
    assert page.focused() == "text"
    page.type(text)
    page.press("Enter", CONTROL)


def shown(page: Page, kind: str, count: int) -> list[str]:
    """The texts of the messages of this kind, newest first, when there are so many."""
    page.wait(f"document.querySelectorAll('li.{kind}').length === {count}")
    return page.texts(f"li.{kind} .text")


def test_two_people(server: Server, browser: Browser, page: Page) -> None:
    other = opened(server, browser)
    sign_up(page, "anna")
    key = sign_up(other, "bert")
    open_channel(page, key)
    write(page, "# Hello\n\n*markdown* stays text")
    assert shown(page, "sent", 1) == ["# Hello\n\n*markdown* stays text"]
    assert shown(other, "received", 1) == ["# Hello\n\n*markdown* stays text"], "pushed, nothing was pressed"
    other.focus("li.received button")
    other.press("Enter")
    write(other, "and back")
    assert shown(page, "received", 1) == ["and back"]
    assert other.exceptions() == []


def test_a_rejection_shows_its_reason(server: Server, page: Page) -> None:
    bert = register(server, "bert")
    sign_up(page, "carla")
    open_channel(page, b64(bert.key))
    write(page, "block-words")
    assert shown(page, "rejected", 1) == ["block-words"]
    assert "Rejected by the plugin words: blocked by plugin" in page.text("li.rejected .about")
    assert page.evaluate("document.getElementById('text').value") == "block-words", "what was rejected can be mended"
    assert bert.fetch() == []


def test_what_is_shown_is_acknowledged_and_the_rest_waits(server: Server, page: Page) -> None:
    bert = register(server, "bert")
    key = sign_up(page, "dora")
    dora = Person(server, "dora", base64.b64decode(key))
    assert dora.log_in().status == 200
    bert.send(dora, "first")
    shown(page, "received", 1)
    until(lambda: dora.fetch() == [], "the page to acknowledge")
    page.focus("#acknowledge")
    page.press("Space")
    bert.send(dora, "second")
    assert shown(page, "received", 2) == ["second", "first"]
    assert [message["text"] for message in dora.fetch()] == ["second"]


def test_a_message_is_never_markup(server: Server, page: Page) -> None:
    bert = register(server, "bert")
    key = sign_up(page, "emil")
    bert.send(Person(server, "emil", base64.b64decode(key)), HOSTILE)
    assert shown(page, "received", 1) == [HOSTILE]
    assert page.evaluate("document.querySelectorAll('li :not(p, button)').length") == 0
    open_channel(page, b64(bert.key))
    write(page, HOSTILE)
    assert shown(page, "sent", 1) == [HOSTILE]
    assert page.evaluate("document.title") == "Heddle messages"


@pytest.mark.parametrize(("attempt", "directive"), [
    ("document.body.insertAdjacentHTML('beforeend', '<b>')", "require-trusted-types-for"),
    ("document.createElement('script').text = 'document.title = 1'", "require-trusted-types-for"),
    ("eval('1')", "require-trusted-types-for"),
    ("document.body.setAttribute('onclick', '0')", "require-trusted-types-for"),
    ("fetch('http://heddle.invalid/').catch(() => 0)", "connect-src"),
    ("new Image().src = 'http://heddle.invalid/x.png'", "img-src"),
    ("document.body.append(Object.assign(document.createElement('iframe'), {src: 'http://heddle.invalid/'}))", "frame-src"),
    ("document.body.setAttribute('style', 'color: red')", "style-src-attr"),
])
def test_the_policy_stops_what_a_hole_would_let_in(page: Page, attempt: str, directive: str) -> None:
    broken = page.evaluate("new Promise((done) => { document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));"
                           f"try {{ {attempt} }} catch {{}} }})")
    assert broken == directive


def test_wrong_input_is_said(server: Server, page: Page) -> None:
    person = register(server, "fred")
    page.focus("#username")
    page.type(person.name)
    page.focus("#password")
    page.type("wrong password")
    page.press("Enter")
    page.wait("document.getElementById('problem').textContent.includes('password is wrong')")
    page.evaluate("document.getElementById('password').value = ''")
    page.focus("#password")
    page.type(PASSWORD)
    page.press("Enter")
    page.wait("!document.getElementById('inside').hidden")
    assert page.text("#problem") == "" and page.text("#key") == "not known to this browser"
    open_channel_fails(page, "abc", "peer_key")


def open_channel_fails(page: Page, key: str, why: str) -> None:
    page.focus("#peer")
    page.type(key)
    page.press("Enter")
    page.wait(f"document.getElementById('problem').textContent.includes('{why}')")


def test_logging_out_ends_the_token_and_empties_the_page(server: Server, page: Page) -> None:
    sign_up(page, "gerd")
    token = page.evaluate("login.token")
    page.focus("#log-out")
    page.press("Enter")
    page.wait("document.getElementById('inside').hidden")
    assert page.focused() == "username"
    with pytest.raises(InvalidStatus):
        stream(server, ["heddle.messages", f"bearer.{token}"])


def test_the_page_connects_again(serve, browser: Browser, tmp_path: Path) -> None:
    server = serve(configuration(tmp_path / "data"))
    page = opened(server, browser)
    key = sign_up(page, "hanna")
    address = "{}:{}".format(*server.address)
    server.stop()
    page.wait("document.getElementById('state').textContent.startsWith('Not connected')")
    again = serve(configuration(tmp_path / "data"), "--listen", address)
    page.wait("document.getElementById('state').textContent.startsWith('Connected')")
    register(again, "ida").send(Person(again, "hanna", base64.b64decode(key)), "after the restart")
    assert shown(page, "received", 1) == ["after the restart"]


def test_everything_has_a_name(page: Page) -> None:
    outside = page.controls()
    sign_up(page, "karl")
    inside = page.controls()
    named = [name for role, name in [*outside, *inside] if role not in ("alert", "status")]
    assert len(named) >= 10 and all(named)
    assert ("alert", "") in inside and "status" in dict(inside)


def stream(server: Server, protocols: list[str], **headers: str):
    host, port = server.address
    return connect(f"ws://{host}:{port}/v1/stream", subprotocols=protocols, additional_headers=headers, compression=None)


def test_the_token_as_a_protocol(server: Server) -> None:
    bert = register(server, "bert")
    with stream(server, [f"bearer.{bert.token}", "heddle.messages"]) as socket:
        assert socket.subprotocol == "heddle.messages", "the token is not said back"
    with stream(server, ["heddle.messages"], Authorization=f"Bearer {bert.token}") as socket:
        assert socket.subprotocol == "heddle.messages"
    for protocols in (["heddle.messages"], ["heddle.messages", "bearer."], ["heddle.messages", "bearer.forged"], [f"bearer.{bert.token}"]):
        with pytest.raises(InvalidStatus) as refused:
            stream(server, protocols)
        assert refused.value.response.status_code == 401


def test_how_the_page_is_served(server: Server) -> None:
    answer = server.fetch("/v1/")
    assert (answer.status, answer.header("content-type")) == (200, "text/html; charset=utf-8")
    assert answer.header("x-content-type-options") == "nosniff" and answer.header("cache-control") == "no-store"
    policy = answer.header("content-security-policy") or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert "http://" not in answer.text and "https://" not in answer.text, "no other host is named"
    assert server.fetch("/v1/", "POST").status == 405
