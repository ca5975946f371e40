"""Who asks: routes with `auth`, tokens of every algorithm with keys from files and from a URL, passwords, and guesses at them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from support import wat, wire
from support.configs import gateway
from support.route_guests import call, entry, manifest
from support.server import Server
from support.waiting import until

SECRET = "a secret of at least thirty-two bytes"
PASSWORD_HASH = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"  # "U*U", of crypt_blowfish's test vectors


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    return {"RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
            "HS256": SECRET}


@pytest.fixture
def guest(compile_wat: wat.Compiler) -> Path:
    return compile_wat.c(Path("plugins/route_guest.c"))


@pytest.fixture
def start(serve, guest: Path, tmp_path: Path):
    def started(**auth: Any) -> Server:
        about = manifest("guest", auth=("echo",))
        return serve(gateway(plugins=[entry(tmp_path, guest, "guest", about)], auth=auth))

    return started


def token(keys: dict[str, Any], algorithm: str, kid: str | None = None, **claims: Any) -> str:
    content = {"sub": "ada", "role": "admin", "is_admin": True, "exp": int(time.time()) + 600, **claims}
    return jwt.encode(content, keys[algorithm], algorithm, headers={"kid": kid} if kid else None)


def ask(server: Server, authorization: str | None = None) -> wire.Response:
    return call(server, "guest", "echo", headers={"Authorization": authorization} if authorization else {})


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_tokens_with_keys_of_files(start, keys: dict[str, Any], tmp_path: Path) -> None:
    files = []
    for algorithm in ("RS256", "ES256", "EdDSA"):
        files.append(str(tmp_path / f"{algorithm}.pem"))
        Path(files[-1]).write_bytes(public_pem(keys[algorithm]))
    (tmp_path / "secret").write_text(SECRET + "\n")
    server = start(jwt={"key_files": files, "secret_file": str(tmp_path / "secret"), "issuer": "me",
                        "algorithms": ["HS256", "RS256", "ES256", "EdDSA"]})
    for algorithm in keys:
        answer = ask(server, "Bearer " + token(keys, algorithm, iss="me"))
        assert answer.status == 200, (algorithm, answer)
        seen = answer.json()
        assert (seen["user"]["sub"], seen["user"]["role"], seen["user_id"], seen["is_admin"]) == ("ada", "admin", "ada", True)
    refused = {"another issuer": token(keys, "ES256", iss="you"), "expired": token(keys, "ES256", iss="me", exp=1),
               "no token": "x", "unsigned": jwt.encode({"sub": "ada", "exp": 9999999999, "iss": "me"}, None, "none"),
               "the public key as a secret": signed_with_public_key(keys)}
    for what, text in refused.items():
        answer = ask(server, f"Bearer {text}")
        assert (answer.status, answer.json()["error"]["code"]) == (401, "unauthorized"), what
        assert 'error="invalid_token"' in answer.header("www-authenticate")
    server.wait_log("POST /guest/echo: ")
    assert ask(server).header("www-authenticate") == 'Bearer realm="heddle"'
    assert call(server, "guest", "count_calls").json() == 1  # a route without `auth`


def signed_with_public_key(keys: dict[str, Any]) -> str:
    """The old trick: what verifies RS256, taken as the secret of HS256."""
    def part(value: object) -> bytes:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({"sub": "ada", "exp": 9999999999, "iss": "me"})
    mac = hmac.new(public_pem(keys["RS256"]), signed, hashlib.sha256).digest()
    return (signed + b"." + part(mac)).decode()


@pytest.fixture
def issuer(keys: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """{"url", "keys"}: a server of what `keys` holds (JWKs), which tests change."""
    state: dict[str, Any] = {"keys": [], "fetches": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state["fetches"] += 1
            body = json.dumps({"keys": state["keys"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state["url"] = f"http://127.0.0.1:{server.server_port}/jwks.json"
    yield state
    server.shutdown()
    server.server_close()
    thread.join(timeout=20)


def test_tokens_with_keys_of_a_url(start, keys: dict[str, Any], issuer: dict[str, Any]) -> None:
    algorithms = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm, "EdDSA": jwt.algorithms.OKPAlgorithm}
    for name, algorithm in algorithms.items():
        issuer["keys"].append({**json.loads(algorithm.to_jwk(keys[name].public_key())), "kid": name, "alg": name, "use": "sig"})
    server = start(jwt={"jwks_url": issuer["url"]})
    for name in algorithms:
        assert ask(server, "Bearer " + token(keys, name, kid=name)).status == 200, name
    for _ in range(20):  # a key that nobody has is not fetched each time
        assert ask(server, "Bearer " + token(keys, "ES256", kid="unknown")).status == 401
    assert 1 <= issuer["fetches"] <= 4


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_passwords_and_guesses(start) -> None:
    server = start(users={"ada": PASSWORD_HASH}, realm="notes", login_failures=3)
    right = ask(server, basic("ada", "U*U"))
    assert (right.status, right.json()["user"]) == (200, {"sub": "ada", "name": "ada"})
    for number in range(3):
        guess = ask(server, basic("ada", f"guess {number}"))
        assert (guess.status, guess.header("www-authenticate")) == (401, 'Basic realm="notes", charset="UTF-8"')
    locked = ask(server, basic("ada", "U*U"))
    assert (locked.status, locked.json()["error"]["code"]) == (429, "too_many_failures")
    assert 0 < int(locked.header("retry-after")) <= 15 * 60
    server.wait_log("is locked out at 127.0.0.1")


def test_many_requests_at_once_are_no_guesses(start) -> None:
    server = start(users={"ada": PASSWORD_HASH}, login_failures=2)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(server, basic("ada", "U*U")).status)) for _ in range(12)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) == len(threads), "all answers")
    assert set(statuses) == {200}


def test_a_route_that_asks_for_a_user_where_nobody_can_be_known(start) -> None:
    answer = ask(start())
    assert (answer.status, answer.json()["error"]["code"]) == (503, "auth_unavailable")
