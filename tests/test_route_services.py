"""What a guest reaches, called by a guest: SQL on SQLite and on a real PostgreSQL, key-value data, and HTTP with its checks."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import wat
from support.configs import gateway
from support.postgres import Postgres
from support.route_guests import call, entry
from support.server import Server
from support.tls import Authority
from support.upstreams import Peer, Upstream
from support.waiting import until

ALL = {"sql": "write", "state": True, "events": True}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def guest(compile_wat: wat.Compiler) -> Path:
    return compile_wat.c(Path("plugins/route_guest.c"))


@pytest.fixture
def start(serve, guest: Path, tmp_path: Path):
    """One plugin `guest`, and another `other`, with the same permissions."""
    def started(permissions: dict[str, Any] | None = None, **more: Any) -> Server:
        plugins = [entry(tmp_path, guest, name, permissions=permissions or ALL) for name in ("guest", "other")]
        return serve(gateway(plugins=plugins, data_dir=str(tmp_path / "data"), **more))

    return started


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings."""
    if request.param == "sqlite":
        return {}
    server: Postgres = request.getfixturevalue("postgres")
    server.sql("DROP SCHEMA IF EXISTS heddle_plugin_guest, heddle_plugin_other CASCADE")
    return {"sql": {"url": server.url}}


def query(server: Server, sql: str, *params: object, plugin: str = "guest") -> dict[str, Any]:
    return call(server, plugin, "query", {"sql": sql, "params": list(params)}).json()


def execute(server: Server, sql: str, *params: object, plugin: str = "guest") -> int:
    return call(server, plugin, "execute_sql", {"sql": sql, "params": list(params)}).json()


def test_sql(start, database: dict[str, Any]) -> None:
    server = start(**database)
    assert execute(server, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, data JSON)") == 0
    evil = "'); DROP TABLE items; --"
    assert execute(server, "INSERT INTO items VALUES (?, ?, ?), (?, ?, ?)", 1, evil, {"a": [1]}, 2, None, None) == 2
    answer = query(server, "SELECT id, name FROM items ORDER BY id")
    assert answer == {"rows": [{"id": 1, "name": evil}, {"id": 2, "name": None}], "error": None}
    assert query(server, "SELECT name FROM items WHERE name = $1", evil)["rows"] == [{"name": evil}]
    wrong = query(server, "SELECT nothing FROM items")
    assert wrong["rows"] == [] and "nothing" in wrong["error"]
    assert execute(server, "INSERT INTO items VALUES (1, 'again', NULL)") == -1
    server.wait_log("db_execute: ", plugin="guest")
    assert "items" in query(server, "SELECT * FROM items", plugin="other")["error"]


def test_sql_after_a_restart(start, database: dict[str, Any]) -> None:
    first = start(**database)
    assert execute(first, "CREATE TABLE kept (n INTEGER)") == 0 and execute(first, "INSERT INTO kept VALUES (?)", 7) == 1
    first.stop()
    assert query(start(**database), "SELECT n FROM kept")["rows"] == [{"n": 7}]


def test_sql_needs_the_permission(start) -> None:
    denied = query(start(permissions={"sql": "none"}), "SELECT 1")
    assert denied == {"rows": [], "error": "SQL is not permitted (permissions.sql)"}
    server = start(permissions={"sql": "read"})
    assert execute(server, "CREATE TABLE x (n INTEGER)") == -1
    assert query(server, "SELECT 1 AS one")["rows"] == [{"one": 1}]


def test_too_many_rows_are_an_error(start, database: dict[str, Any]) -> None:
    server = start(**{**database, "sql": {**database.get("sql", {}), "max_rows": 100}})
    many = query(server, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000) SELECT i FROM n")
    assert many["rows"] == [] and "max_rows" in many["error"]


def test_the_database_goes_and_comes_back(start, postgres: Postgres) -> None:
    postgres.sql("DROP SCHEMA IF EXISTS heddle_plugin_guest, heddle_plugin_other CASCADE")
    server = start(sql={"url": postgres.url})
    assert execute(server, "CREATE TABLE t (n INTEGER)") == 0
    postgres.stop()
    assert query(server, "SELECT 1 AS one")["error"]
    assert call(server, "guest", "echo", 1).status == 200
    postgres.start()
    until(lambda: query(server, "SELECT count(*) AS n FROM t")["rows"] == [{"n": 0}], "the database to be back", timeout=30)


def test_a_database_that_hangs_stops_neither_the_others_nor_the_end(start, postgres: Postgres) -> None:
    hangs = Postgres()
    try:
        server = start(sql={"url": postgres.url, "plugin_urls": {"guest": hangs.url}}, workers=1)
        assert query(server, "SELECT 1 AS one")["rows"] == [{"one": 1}]
        hangs.freeze()
        for _ in range(2):
            assert "sql.timeout" in query(server, "SELECT 1 AS one")["error"]
        assert query(server, "SELECT 1 AS one", plugin="other") == {"rows": [{"one": 1}], "error": None}
        server.stop()
    finally:
        hangs.thaw()
        hangs.remove()


def test_state(start) -> None:
    server = start()
    assert call(server, "guest", "kept").json() is None
    assert call(server, "guest", "keep", {"a": "ü"}).json() == 1
    assert call(server, "guest", "kept").json() == {"a": "ü"}
    assert call(server, "other", "kept").json() is None
    server.stop()
    server = start()
    assert call(server, "guest", "kept").json() == {"a": "ü"}
    assert call(start(permissions={"state": False}), "guest", "keep", 1).json() == 0


# ---- http_request ------------------------------------------------------------------------------

def answers(body: bytes, head: bytes = b"") -> Any:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))

    return script


def fetch(server: Server, url: str) -> dict[str, Any]:
    return call(server, "guest", "fetch", url).json()["fetched"]


def refused(answer: dict[str, Any]) -> str:
    assert (answer["status"], answer["body"]) == (0, "")
    return answer["error"]


def test_a_permitted_host(start) -> None:
    with Upstream(answers(b"\xff\x00", b"X-A: 1\r\nX-A: 2\r\n")) as upstream:
        port = upstream.address[1]
        server = start(permissions={"http": [f"127.0.0.1:{port}"]})
        answer = fetch(server, f"http://127.0.0.1:{port}/a?b=c")
        assert (answer["status"], answer["headers"]["x-a"], answer["error"]) == (200, "1, 2", None)
        assert (answer["body"], answer["body_encoding"]) == (base64.b64encode(b"\xff\x00").decode(), "base64")
        assert upstream.requests[0].target == "/a?b=c"


def test_what_is_not_permitted(start) -> None:
    with Upstream(answers(b"secret")) as inside:
        port = inside.address[1]
        server = start(permissions={"http": ["*", f"localhost.heddle.test:{port}"]})
        for url in (f"http://127.0.0.1:{port}/", f"http://[::1]:{port}/", f"http://[::ffff:127.0.0.1]:{port}/",
                    f"http://2130706433:{port}/", f"http://0x7f.1:{port}/", f"http://0:{port}/",
                    "http://169.254.169.254/latest/meta-data", f"http://localhost:{port}/", "http://10.0.0.1/"):
            assert refused(fetch(server, url)), url
        server = start(permissions={"http": ["example.com:443"]})
        assert "permissions.http" in refused(fetch(server, "http://example.com/"))
        assert "http" in refused(fetch(server, "file:///etc/passwd"))
        assert inside.connections == 0


def test_a_redirect_to_what_is_not_permitted(start) -> None:
    with Upstream(answers(b"secret")) as inside:
        def redirects(peer: Peer) -> None:
            while peer.read_request():
                peer.send(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: http://127.0.0.2:%d/\r\n\r\n" % inside.address[1])

        with Upstream(redirects) as outside:
            server = start(permissions={"http": [f"127.0.0.1:{outside.address[1]}", "*"]})
            assert refused(fetch(server, f"http://127.0.0.1:{outside.address[1]}/"))
            assert inside.connections == 0


def test_certificates_are_verified(start, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "a"), Authority(tmp_path / "b", "stranger")
    good = authority.server(authority.issue("good", "IP:127.0.0.1"))
    wrong_name = authority.server(authority.issue("wrong", "DNS:other.example"))
    unknown = stranger.server(stranger.issue("unknown", "IP:127.0.0.1"))

    def over_tls(context: ssl.SSLContext) -> Any:
        def script(peer: Peer) -> None:
            try:
                peer.socket = context.wrap_socket(peer.socket, server_side=True)
            except OSError:
                return  # the client did not like the certificate
            answers(b"hello")(peer)

        return script

    with Upstream(over_tls(good)) as first, Upstream(over_tls(wrong_name)) as second, Upstream(over_tls(unknown)) as third:
        ports = [upstream.address[1] for upstream in (first, second, third)]
        server = start(permissions={"http": ["127.0.0.1:*"]}, outbound_http={"ca_file": str(authority.cert)})
        assert fetch(server, f"https://127.0.0.1:{ports[0]}/")["body"] == "hello"
        for port in ports[1:]:
            assert "certificate" in refused(fetch(server, f"https://127.0.0.1:{port}/"))
