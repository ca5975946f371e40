"""What route plugins reach, when it is hostile or gone: addresses that are not public, a full disk, PostgreSQL."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hostile_routes import Neighbour, config, results, run
from support.paths import heddle_binary, is_sanitized
from support.postgres import Postgres
from support.route_driver import Driver
from support.server import Server
from support.upstreams import Peer, Upstream
from support.waiting import until

HOSTS = """127.0.0.1 localhost home.test
169.254.169.254 metadata.test
10.0.0.1 inside.test
::1 home6.test
"""


@pytest.fixture
def start(serve, heddle: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[object]:
    """Starts a server in a mount namespace of its own, after these commands."""
    servers: list[Server] = []

    def begin(settings: dict[str, object], *commands: str) -> Server:
        script = " && ".join([*commands, f"exec {heddle.resolve()} serve -c {serve.write(settings)}"])
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
        servers.append(Server([*unshare, "sh", "-c", script], environment, tmp_path))
        servers[-1].expect_errors = True
        return servers[-1].wait_ready()

    try:
        yield begin
        for server in servers:
            server.stop()
    finally:
        for server in servers:
            server.kill()


def redirecting(peer: Peer) -> None:
    """Redirects to the address in the query."""
    while request := peer.read_request():
        location = request.target.partition("?")[2]
        peer.send(f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())


def fetched(server: Server, url: str) -> dict[str, object]:
    return json.loads(results(server, f"http_request 'GET' '{url}' '' ''")[0])


def test_addresses_that_are_not_public(start, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    with Upstream(redirecting) as redirector, Upstream(redirecting) as forbidden:
        port, secret = redirector.address[1], forbidden.address[1]
        permissions = {"http": ["*", f"127.0.0.1:{port}"]}
        server = start(config(Driver(tmp_path), {"permissions": permissions}, data_dir=str(tmp_path / "data")),
                       f"mount --bind {hosts} /etc/hosts")
        hostile = [f"http://127.0.0.1:{secret}/", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://0.0.0.0/",
                   f"http://[::1]:{secret}/", f"http://[::ffff:127.0.0.1]:{secret}/", f"http://[::ffff:7f00:1]:{secret}/",
                   "http://[fe80::1]/", "http://[fd00::1]/", "http://[64:ff9b::7f00:1]/", f"http://localhost:{secret}/",
                   f"http://home.test:{secret}/", "http://metadata.test/", "http://inside.test/", f"http://home6.test:{secret}/",
                   f"http://2130706433:{secret}/", f"http://0x7f000001:{secret}/", f"http://0177.0.0.1:{secret}/",
                   f"http://127.1:{secret}/", f"http://LOCALHOST.:{secret}/"]
        mark = server.mark()
        with Neighbour(server):
            for url in hostile:
                for target in (url, f"http://127.0.0.1:{port}/?{url}"):
                    got = fetched(server, target)
                    assert got["status"] == 0 and got["error"] and not got["body"], (target, got)
        assert forbidden.connections == 0
        assert redirector.connections > 0
        server.wait_log("leads to a private or reserved address", after=mark, plugin="hostile", level="warn")
        server.wait_log("metadata.test leads to a private or reserved address", after=mark, plugin="hostile")


def test_redirects_without_end(start, tmp_path: Path) -> None:
    with Upstream(redirecting) as redirector:
        port = redirector.address[1]
        server = start(config(Driver(tmp_path), {"permissions": {"http": [f"127.0.0.1:{port}"]}}, data_dir=str(tmp_path / "data")))
        with Neighbour(server):
            got = fetched(server, f"http://127.0.0.1:{port}/?/?/?/?/?/?/?/?/")
            assert got["status"] == 0 or got["status"] == 302, got
            got = fetched(server, f"http://127.0.0.1:{port}/?http://127.0.0.1:{port}/")
            assert got["status"] in (0, 302), got


def fill(file: Path) -> None:
    """Takes all that is left of a file system."""
    with file.open("wb", buffering=0) as out:
        size = 1 << 16
        while size >= 512:
            try:
                out.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                size //= 2


def test_a_full_disk(start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    server = start(config(Driver(tmp_path), data_dir=str(data)), f"mount -t tmpfs -o size=4m none {data}")
    inside = Path(f"/proc/{server.pid}/root{data}")
    assert results(server, "db_execute 'create table t (a)' ''", "db_execute 'insert into t values (1)' ''",
                   "state_set 'before' 'v'") == ["0", "1", "1"]
    fill(inside / "filler")
    mark = server.mark()
    with Neighbour(server):
        got = results(server, "db_execute 'insert into t values (zeroblob(500000))' ''", "state_set 'k' x*500000",
                      "db_query 'select count(*) as n from t' ''", "state_get 'before'")
    assert got[:2] == ["-1", "0"]
    assert json.loads(got[2]) == {"rows": [{"n": 1}], "error": None}
    assert got[3] == "v"
    server.wait_log("the disk is full", after=mark, plugin="hostile", level="warn")
    server.wait_log("state_set: ", after=mark, plugin="hostile", level="warn")
    (inside / "filler").unlink()
    assert results(server, "db_execute 'insert into t values (2)' ''", "state_set 'k' 'v2'", "state_get 'k'",
                   "db_query 'select count(*) as n from t' ''") == ["1", "1", "v2", '{"rows":[{"n":2}],"error":null}']


def test_a_database_at_its_own_limit(start, tmp_path: Path) -> None:
    server = start(config(Driver(tmp_path), data_dir=str(tmp_path / "data"), sql={"max_size": "256KiB"}))
    with Neighbour(server):
        got = results(server, "db_execute 'create table t (a)' ''", "db_execute 'insert into t values (zeroblob(100000))' ''",
                      "db_execute 'insert into t values (zeroblob(300000))' ''", "db_query 'select count(*) as n from t' ''",
                      "db_execute 'delete from t' ''", "db_execute 'insert into t values (zeroblob(100000))' ''")
    assert got == ["0", "1", "-1", '{"rows":[{"n":1}],"error":null}', "1", "1"]
    server.wait_log("sql.max_size", plugin="hostile", level="warn")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def on_postgres(start, postgres: Postgres, tmp_path: Path) -> Server:
    return start(config(Driver(tmp_path), data_dir=str(tmp_path / "data"), sql={"url": postgres.url, "timeout": "5s"}))


def test_no_other_plugins_schema(on_postgres: Server, postgres: Postgres) -> None:
    server = on_postgres
    assert results(server, "db_execute 'create table if not exists secrets (word int)' ''", "db_execute 'insert into secrets values (42)' ''",
                   path="/neighbour") == ["0", "1"]
    schema = postgres.sql("select schemaname from pg_tables where tablename = 'secrets'")
    assert schema
    attempts = [f"select * from {schema}.secrets", "select * from secrets", "select * from pg_authid", "select pg_read_file(\\x27/etc/passwd\\x27)",
                "copy (select 1) to program \\x27true\\x27", "copy (select 1) to \\x27/tmp/stolen\\x27", "set role admin", "set session authorization admin",
                f"set search_path = {schema}; select * from secrets", f"drop table {schema}.secrets", "create role evil superuser",
                "alter role current_user superuser", f"grant all on schema {schema} to current_user", "create extension dblink",
                "select lo_import(\\x27/etc/passwd\\x27)", f"create schema authorization {schema}"]
    mark = server.mark()
    with Neighbour(server):
        got = results(server, *(f"db_query '{attempt}' ''" for attempt in attempts))
    for attempt, answer in zip(attempts, got):
        reply = json.loads(answer)
        assert reply["rows"] == [] and reply["error"], (attempt, answer)
    server.wait_log("permission denied", after=mark, plugin="hostile", level="warn")
    assert json.loads(results(server, "db_query 'select word from secrets' ''", path="/neighbour")[0])["rows"] == [{"word": 42}]
    # Nothing stays for the next statement on the same connection.
    assert json.loads(results(server, "db_query 'select current_user = session_user as same' ''")[0])["rows"] == [{"same": True}]


def test_an_injection_through_a_parameter_of_postgresql(on_postgres: Server) -> None:
    text = "x'; drop table users; --"
    quoted = json.dumps([text]).replace("'", "\\x27")
    got = results(on_postgres, "db_execute 'create table if not exists users (name text)' ''", "db_execute 'delete from users' ''",
                  f"db_execute 'insert into users values (?)' '{quoted}'", f"db_query 'select name from users where name = $1' '{quoted}'",
                  "db_query 'selec 1' ''")
    assert json.loads(got[3])["rows"] == [{"name": text}]
    assert "syntax error" in json.loads(got[4])["error"]


def test_ten_million_rows_of_postgresql(on_postgres: Server) -> None:
    results(on_postgres, "db_query 'select 1' ''")
    before = on_postgres.resident()
    with Neighbour(on_postgres):
        for _ in range(2):
            answer, = results(on_postgres, "db_query 'select i from generate_series(1, 10000000) as i' ''")
            assert "more than 10000 rows (sql.max_rows)" in json.loads(answer)["error"]
    if not is_sanitized(heddle_binary()):
        assert on_postgres.resident() < before + (64 << 20)
    assert json.loads(results(on_postgres, "db_query 'select 1 as a' ''")[0])["rows"] == [{"a": 1}]


def kept(server: Server) -> dict[str, object]:
    return json.loads(results(server, "db_query 'select a from kept' ''")[0])


def test_postgresql_goes_and_comes_back(on_postgres: Server, postgres: Postgres) -> None:
    server = on_postgres
    results(server, "db_execute 'create table if not exists kept (a int)' ''", "db_execute 'delete from kept' ''",
            "db_execute 'insert into kept values (1)' ''")
    mark = server.mark()
    with Neighbour(server):
        postgres.stop()
        try:
            for _ in range(5):
                answer, changed = results(server, "db_query 'select a from kept' ''", "db_execute 'insert into kept values (2)' ''")
                assert json.loads(answer)["rows"] == [] and json.loads(answer)["error"], answer
                assert changed == "-1"
            server.wait_log("the database cannot be reached", after=mark, plugin="hostile", level="warn")
        finally:
            postgres.start()
        until(lambda: kept(server)["error"] is None, "the database that came back")
    assert kept(server)["rows"] == [{"a": 1}]
    assert run(server, "db_execute 'insert into kept values (3)' ''").text == "1\n"
