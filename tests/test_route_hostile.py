"""Route plugins and their clients that do what nobody should: each gets the documented answer (docs/route-plugin-errors.md) and a
log line, and a neighbour in the same server notices nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.hostile_routes import Neighbour, assert_error, config, results, run
from support.route_driver import Driver
from support.server import Server
from support.waiting import until


@pytest.fixture(scope="module")
def server(serve_module, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("hostile")
    return serve_module(config(Driver(folder), {"body_limit": "1MiB", "host_calls": 2000}, data_dir=str(folder / "data")),
                        expect_errors=True)


BODIES = {
    "not JSON": ("application/json", b'{"a":', 400, "bad_request"),
    "something behind it": ("application/json", b"{} {}", 400, "bad_request"),
    "too deep": ("application/json", b"[" * 100_000, 400, "bad_request"),
    "too deep, whole": ("application/json", b"[" * 1000 + b"]" * 1000, 400, "bad_request"),
    "not UTF-8": ("application/json", b'{"a":"\xff"}', 400, "bad_request"),
    "too large": ("application/json", b'"' + b"x" * (1 << 20) + b'"', 413, "body_too_large"),
    "too large, no JSON": ("text/plain", b"x" * (2 << 20), 413, "body_too_large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(server: Server, name: str) -> None:
    content_type, body, status, code = BODIES[name]
    with Neighbour(server):
        response = server.fetch("/hostile?" + name.replace(" ", "-"), "POST", {"content-type": content_type}, body)
    assert_error(response, status, code)
    server.wait_access(status=status, path="/hostile?" + name.replace(" ", "-"), details=code)
    assert results(server, "served") == ["1"]


def test_denied_memory_is_counted(server: Server) -> None:
    before = server.plugin("hostile")["stats"]["limit_hits"]
    assert results(server, "grow 65000") == ["-1"]
    assert server.plugin("hostile")["stats"]["limit_hits"] == before + 1


RESULTS = {
    "a wild pointer": ("return at 3735928559", 502, "bad_response", "outside of its memory"),
    "the last address": ("return at 4294967295", 502, "bad_response", "outside of its memory"),
    "half a value": ("""return bare '{"a":'""", 502, "bad_response", "neither a length"),
    "2 GiB": ("""return length 2147483647 '{"a":1}'""", 502, "bad_response", "neither a length"),
    "a large result": ("return big 2000000", 507, "response_too_large", "larger than"),
    "a deep result": ("return deep 100000", 502, "bad_response", "neither a length"),
    "status 99": ("""return prefixed '{"status":99,"body":1}'""", 502, "bad_response", "status 99"),
    "a header with CR LF": (r"""return prefixed '{"status":200,"headers":{"x":"a\x5cr\x5cny: b"},"body":1}'""", 502,
                            "bad_response", "line break"),
    "a trap": ("trap", 500, "plugin_error", "unreachable"),
    "memory that it does not have": ("wild", 500, "plugin_error", "out of bounds"),
    "a stack without end": ("recurse", 500, "plugin_error", "stack"),
    "a loop without end": ("spin", 504, "cpu_limit", "cpu"),
    "calls without end": ("repeat 100000 get_config 'x'", 507, "host_calls", "host_call"),
    "an argument beyond the memory": ("get_config end 1", 500, "plugin_error", "beyond its memory"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results(server: Server, name: str) -> None:
    statement, status, code, words = RESULTS[name]
    mark = server.mark()
    with Neighbour(server):
        assert_error(run(server, statement), status, code)
    line = server.wait_log(words, after=mark, plugin="hostile", level="error")
    assert line["request_id"]
    assert results(server, "served") == ["1"]


def test_a_handler_that_does_not_end_in_time(server: Server) -> None:
    mark = server.mark()
    with Neighbour(server):
        assert_error(run(server, "spin", path="/quick"), 504, "timeout")
    server.wait_log("did not answer within 200 ms (timeout)", after=mark, plugin="hostile", level="error")


def test_a_route_for_users_without_users(server: Server) -> None:
    mark = server.mark()
    with Neighbour(server):
        assert "no authentication is configured" in assert_error(run(server, "served", path="/members"), 503, "auth_unavailable")
    server.wait_log("no authentication is configured (auth)", after=mark, plugin="hostile", level="warn")


def test_who_is_no_user_is_told_nothing_more(serve, tmp_path: Path) -> None:
    # The hash of "secret".
    users = {"ada": "$2b$04$abcdefghijklmnopqrstuu5nbDoevNk4MkwVPcGuwAh/T4zqJ2Cd2"}
    server = serve(config(Driver(tmp_path), data_dir=str(tmp_path / "data"), auth={"users": users}), expect_errors=True)
    for credentials in ("", "Basic YWRhOndyb25n", "Basic !", "Basic " + "x" * 5000, "Bearer a.b.c", "Digest x"):
        headers = {"content-type": "text/plain", **({"authorization": credentials} if credentials else {})}
        mark = server.mark()
        with Neighbour(server):
            response = server.fetch("/members", "POST", headers, b"served")
        assert assert_error(response, 401, "unauthorized") == "a valid user is required"
        assert response.header("www-authenticate")
        assert server.wait_log("POST /members: ", after=mark, plugin="hostile", level="info")["request_id"]


def rows(answer: str) -> list[dict[str, object]]:
    reply = json.loads(answer)
    assert reply["error"] is None, reply
    return reply["rows"]


def test_a_mistake_in_sql_is_told_to_the_plugin_and_logged(server: Server) -> None:
    mark = server.mark()
    with Neighbour(server):
        answer, = results(server, "db_query 'select * from nowhere' ''")
    assert json.loads(answer)["rows"] == [] and "no such table: nowhere" in json.loads(answer)["error"]
    assert server.wait_log("no such table: nowhere", after=mark, plugin="hostile", level="warn")["request_id"]


INJECTIONS = ["x'; drop table users; --", "' or '1'='1", '"; delete from users; --', "x') union select name from users --",
              "%27%20or%201=1", "\\'; drop table users; --"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_an_injection_through_a_parameter_is_a_text(server: Server, text: str) -> None:
    quoted = json.dumps([text]).replace("\\", "\\x5c").replace("'", "\\x27")
    got = results(server, "db_execute 'create table if not exists users (name)' ''", "db_execute 'delete from users' ''",
                  "db_execute 'insert into users values (1)' ''", f"db_execute 'insert into users values (?)' '{quoted}'",
                  f"db_query 'select name from users where name = ?' '{quoted}'", "db_query 'select count(*) as n from users' ''")
    assert rows(got[4]) == [{"name": text}] and rows(got[5]) == [{"n": 2}]


def test_no_other_plugins_table(server: Server) -> None:
    made = results(server, "db_execute 'create table if not exists secrets (word)' ''", "db_execute 'delete from secrets' ''",
                   "db_execute 'insert into secrets values (42)' ''", path="/neighbour")
    assert made[2] == "1"
    mark = server.mark()
    attempts = ["select * from secrets", "select * from main.secrets", "select * from neighbour.secrets",
                "select * from pragma_database_list", "pragma database_list", "pragma journal_mode=delete",
                "pragma writable_schema=on", "select load_extension(\\x27x\\x27)", "select readfile(\\x27/etc/passwd\\x27)"]
    statements = [f"db_query '{attempt}' ''" for attempt in attempts]
    statements += [f"db_execute '{attempt}' ''" for attempt in (
        "attach \\x27../sql/neighbour.db\\x27 as other", "attach \\x27file:neighbour.db?mode=ro\\x27 as other",
        "vacuum into \\x27/tmp/stolen.db\\x27", "create virtual table v using csv(filename=\\x27/etc/passwd\\x27)", "detach main")]
    with Neighbour(server):
        got = results(server, *statements)
    for attempt, answer in zip(attempts, got):
        assert json.loads(answer)["rows"] == [] and json.loads(answer)["error"], (attempt, answer)
    assert got[len(attempts):] == ["-1"] * 5
    server.wait_log("ATTACH, DETACH and VACUUM reach other files", after=mark, plugin="hostile", level="warn")
    assert rows(results(server, "db_query 'select word from secrets' ''", path="/neighbour")[0]) == [{"word": 42}]


def test_ten_million_rows(server: Server) -> None:
    many = "with recursive n(i) as (select 1 union all select i+1 from n limit 10000000) select i, i as j from n"
    results(server, "db_query 'select 1' ''")
    before, mark = server.resident(), server.mark()
    with Neighbour(server):
        for _ in range(3):
            answer, = results(server, f"db_query '{many}' ''")
            assert "more than 10000 rows (sql.max_rows)" in json.loads(answer)["error"]
    assert server.resident() < before + (64 << 20)
    server.wait_log("sql.max_rows", after=mark, plugin="hostile", level="warn")


def test_a_statement_that_computes_without_end(server: Server) -> None:
    endless = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n"
    with Neighbour(server):
        answer, = results(server, f"db_query '{endless}' ''")
    assert "took longer than its time-out (sql.timeout)" in json.loads(answer)["error"]
    server.wait_log("sql.timeout", plugin="hostile", level="warn")


def test_state_and_events_keep_to_their_limits(server: Server) -> None:
    with Neighbour(server):
        assert results(server, "state_set 'k' x*1048577", "emit_event 'e' x*65537", "state_set x*513 'v'") == ["0", "0", "0"]
    for words in ("state.max_value", "events.max_payload", "state.max_key"):
        server.wait_log(words, plugin="hostile", level="warn")


def test_a_client_that_goes_takes_its_handler_along(server: Server) -> None:
    with Neighbour(server), server.connect() as connection:
        body = b"db_query 'with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n' ''"
        connection.send(b"POST /hostile HTTP/1.1\r\nHost: h\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        until(lambda: server.plugin("hostile")["stats"]["instances"] >= 1, "the handler to run")
        connection.reset()
        until(lambda: server.plugin("hostile")["stats"]["instances"] == 0, "the handler to be gone")
