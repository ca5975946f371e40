"""Who may talk to the admin API: loopback names only, no requests of foreign pages, passwords with a lock-out."""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import signal
from contextlib import ExitStack

import pytest

from support import wire
from support.configs import gateway
from support.server import Server


@pytest.fixture(scope="module")
def server(serve_module) -> Server:
    return serve_module(gateway())


def port(server: Server) -> int:
    return server.admin_address[1]


@pytest.mark.parametrize("host", ["evil.test", "evil.test:{port}", "127.0.0.1.evil.test", "localhost.evil.test", "[::2]",
                                  "10.0.0.1:{port}"])
def test_a_rebound_name_is_refused(server: Server, host: str) -> None:
    response = server.admin("/plugins", host=host.format(port=port(server)))
    assert response.status == 403
    assert response.json()["error"]["code"]


@pytest.mark.parametrize("host", ["localhost", "localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "127.0.0.1"])
def test_loopback_names_are_accepted(server: Server, host: str) -> None:
    assert server.admin("/plugins", host=host.format(port=port(server))).status == 200


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.test"}, {"Origin": "null"},
                                     {"Origin": "http://localhost.evil.test"}, {"Sec-Fetch-Site": "cross-site"}],
                         ids=str)
def test_a_foreign_page_may_change_nothing(server: Server, headers: dict[str, str]) -> None:
    assert server.admin("/config/reload", "POST", headers).status == 403


def test_the_own_origin_is_accepted(server: Server) -> None:
    headers = {"Origin": f"http://127.0.0.1:{port(server)}", "Sec-Fetch-Site": "same-origin"}
    assert server.admin("/plugins", headers=headers).status == 200


def test_more_hosts_can_be_allowed(serve) -> None:
    server = serve(gateway(admin={"address": "127.0.0.1:0", "allowed_hosts": ["gateway.internal"]}))
    assert server.admin("/plugins", host="gateway.internal").status == 200
    assert server.admin("/plugins", host="other.internal").status == 403


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def guarded(serve) -> Server:
    auth = {"enabled": True, "users": {"ann": bcrypt("correct horse")}, "realm": "tests"}
    return serve(gateway(admin={"address": "127.0.0.1:0", "auth": auth}))


def bcrypt(password: str, cost: int = 4) -> str:
    """A hash by the system's crypt(3), which knows bcrypt."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    hashed = library.crypt(password.encode(), b"$2b$%02d$abcdefghijklmnopqrstuu" % cost)
    assert hashed and hashed.startswith(b"$2b$"), "libcrypt without bcrypt"
    return hashed.decode()


def test_a_password_is_asked_for(guarded: Server) -> None:
    response = guarded.admin("/plugins")
    assert response.status == 401
    assert response.header("www-authenticate").startswith("Basic")
    assert "tests" in response.header("www-authenticate")
    assert guarded.admin("/plugins", headers=basic("ann", "correct horse")).status == 200
    assert guarded.admin("/plugins", headers=basic("ann", "wrong")).status == 401
    assert guarded.admin("/plugins", headers=basic("bob", "correct horse")).status == 401
    assert guarded.admin("/metrics").status == 401


def test_probes_need_no_password(guarded: Server) -> None:
    assert guarded.admin("/health").status == 200
    assert guarded.admin("/ready").status == 200


def test_guessing_locks_the_door(guarded: Server) -> None:
    statuses = [guarded.admin("/plugins", headers=basic("ann", f"guess {number}")).status for number in range(8)]
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    response = guarded.admin("/plugins", headers=basic("ann", "correct horse"))
    assert response.status == 429
    assert int(response.header("retry-after")) > 0


def test_passwords_that_are_being_judged_do_not_disturb_the_end(serve) -> None:
    """What a login needs is gone when its hash is made."""
    auth = {"enabled": True, "users": {"ann": bcrypt("correct horse", cost=14)}}
    server = serve(gateway(admin={"address": "127.0.0.1:0", "auth": auth}),
                   env={"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165"})
    with ExitStack() as logins:
        for number in range(3):
            login = logins.enter_context(wire.Connection(server.admin_address))
            login.send(wire.head("GET", "/plugins", basic("ann", f"wrong {number}"), host="localhost"))
        assert server.admin("/health").status == 200  # by then the logins are being judged
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Bearer abc", "Basic " + "A" * 5000, "basic Og=="])
def test_odd_credentials_are_refused(guarded: Server, value: str) -> None:
    assert guarded.admin("/plugins", headers={"Authorization": value}).status == 401


def test_a_large_body_is_refused(server: Server) -> None:
    assert server.admin("/config/validate", "POST", {"Content-Length": "100000000"}).status == 413
