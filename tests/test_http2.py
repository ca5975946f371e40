"""HTTP/2 with clients and upstreams: chosen by ALPN or prior knowledge, translated from and to HTTP/1.1, back-pressure, drain."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import http2, tls, wire
from support.configs import gateway, plugin, route, upstream
from support.echo import seen
from support.http2_upstream import Call, Http2Upstream, echo
from support.prometheus import parse
from support.server import Server
from support.slow_upstream import Crowd
from support.upstreams import Peer, Upstream, answering, ok
from support.waiting import until

MIB = 1 << 20


@pytest.fixture(scope="module")
def origin() -> Iterator[Http2Upstream]:
    with Http2Upstream(echo) as running:
        yield running


@pytest.fixture(scope="module")
def server(serve_module, origin: Http2Upstream, site: tls.Certificate) -> Server:
    """Both protocols on a plain and a TLS listener; /two/* goes to an upstream of HTTP/2, everything else to the echo."""
    listeners = [{"name": "public", "address": "127.0.0.1:0"},
                 {"name": "secure", "address": "127.0.0.1:0", "protocol": "https", "tls": site.setting()}]
    return serve_module(gateway(listeners=listeners, workers=2, routes=[route("/two/*", "two"), route()],
                                upstreams=[upstream("two", origin.address, protocol="http2")]))


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- Clients of the world ----


def test_curl(server: Server, authority: tls.Authority, tmp_path: Path) -> None:
    plain, secure = server.listeners["public"], server.listeners["secure"]
    body = tmp_path / "body"
    body.write_bytes(b"0123456789" * 50_000)
    for path in ("/x", "/two/x"):
        for how in ([["--http2-prior-knowledge"], f"http://127.0.0.1:{plain[1]}"],
                    [["--http2", "--cacert", authority.cert], f"https://localhost:{secure[1]}"]):
            shown = run("curl", "-sS", *how[0], "-w", "\n%{http_version} %{http_code} %{size_download}",
                        "--data-binary", f"@{body}", how[1] + path)
            assert shown.splitlines()[-1].startswith("2 200 "), shown[-100:]
    assert run("curl", "-sS", "--http1.1", "-w", "%{http_version}", "-o", "/dev/null", f"http://127.0.0.1:{plain[1]}/") == "1.1"


def test_nghttp_and_h2load(server: Server) -> None:
    """nghttp sends a tree of priorities, which means nothing here; h2load many requests at once."""
    url = "http://{}:{}".format(*server.listeners["public"])
    shown = run("nghttp", "-v", "-n", "-m", "20", "-p", "200", url + "/two/x", url + "/y")
    assert shown.count(":status: 200") == 21 or shown.count(":status: 200") == 40, shown[-2000:]
    shown = run("h2load", "-n", "2000", "-c", "4", "-m", "50", url + "/")
    assert "2000 succeeded, 0 failed, 0 errored" in shown


def test_alpn_and_the_scheme(server: Server, authority: tls.Authority) -> None:
    with http2.Client(server.listeners["secure"], authority.client(alpn=["h2"])) as client:
        assert client.socket.selected_alpn_protocol() == "h2"
        got = client.request("GET", "/")
        assert seen(got).header("x-forwarded-proto") == "https"
        assert got.json()["protocol"] == "HTTP/2"
        assert dict(client.request("GET", "/two/").headers)["x-scheme"] == "http", "which is the upstream's connection"


def test_http2_may_be_switched_off(serve) -> None:
    server = serve(gateway(listeners=[{"name": "public", "address": "127.0.0.1:0", "http2": {"enabled": False}}]))
    with server.connect() as connection:
        connection.send(http2.PREFACE)
        assert connection.response().status in (400, 505)
    assert server.fetch("/").status == 200


# ---- From HTTP/2 to HTTP/1.1 ----


def test_a_request_becomes_one_of_http1(serve) -> None:
    with Upstream(answering(ok(b"fine", "X-Answer: 1", "Keep-Alive: timeout=5", "Connection: X-Hop", "X-Hop: 1"))) as origin:
        server = serve(gateway(routes=[route(to="one")], upstreams=[upstream("one", origin.address)]))
        with http2.Client(server.address) as client:
            got = client.request("POST", "/a?b=c", [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("x-many", "1"),
                                                    ("x-many", "2")], b"body", authority="example.org:8443")
            assert (got.status, got.body) == (200, b"fine")
            names = [name for name, _ in got.headers]
            assert "x-answer" in names and not {"keep-alive", "connection", "x-hop", "transfer-encoding"} & set(names)
            assert got.header("date")
            client.request("GET", "/no-body")
        first, second = origin.requests
        assert first.line == "POST /a?b=c HTTP/1.1" and first.body == b"body"
        assert first.header("host") == "example.org:8443"
        assert first.header("cookie") == "a=1; b=2", "crumbs are one header again"
        assert [value for name, value in first.headers if name == "x-many"] == ["1", "2"]
        assert not [name for name, _ in first.headers if name.startswith(":") or name == "te"]
        assert second.header("content-length") is None and second.header("transfer-encoding") is None


def test_host_and_authority(server: Server) -> None:
    with http2.Client(server.address) as client:
        assert client.request("GET", "/", [("host", "only.host")], authority=None).json()["authority"] == "only.host"
        assert client.request("GET", "/", [("host", "SAME.host")], authority="same.host").status == 200
        with pytest.raises(http2.Reset):
            client.request("GET", "/", [("host", "other.host")], authority="same.host")
        with pytest.raises(http2.Reset):
            client.request("GET", "/", authority="user@same.host")


def test_trailers_both_ways(serve) -> None:
    def script(peer: Peer) -> None:
        while request := peer.read_request():
            assert dict(request.trailers) == {"x-sum": "42"}
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n"
                      + wire.chunked([request.body], {"X-End": "yes"}))

    with Upstream(script) as one, Http2Upstream(echo) as two:
        server = serve(gateway(routes=[route("/two/*", "two"), route(to="one")],
                               upstreams=[upstream("one", one.address), upstream("two", two.address, protocol="http2")]))
        with http2.Client(server.address) as client:
            for path, wanted in (("/", [("x-end", "yes")]), ("/two/", [("x-sum", "42")])):
                stream = client.begin("POST", path)
                client.send(stream, b"summed")
                client.send_trailers(stream, [("x-sum", "42")])
                got = client.response(stream)
                assert (got.body, got.trailers) == (b"summed", wanted)
        with server.connect() as connection:
            connection.send(wire.head("POST", "/two/", {"Transfer-Encoding": "chunked", "TE": "trailers"})
                            + wire.chunked([b"summed"], {"X-Sum": "42"}))
            got = connection.response()
            assert (got.body, got.trailers) == (b"summed", [("x-sum", "42")])


def test_trailers_that_belong_into_a_head_are_dropped(serve) -> None:
    """As they are in HTTP/1.1 (RFC 9110, section 6.5.1), with others beside them and alone."""
    names = ["cookie", "set-cookie", "authorization", "proxy-authorization", "content-type", "content-encoding", "content-range",
             "cache-control", "expect", "if-match", "if-none-match", "max-forwards", "range", "trailer"]
    forbidden = [(name, "1") for name in names]

    def script(call: Call) -> None:
        call.head(200, ("x-trailers", json.dumps(call.trailers if call.body() else None)))
        call.send(b"answer")
        call.end(*forbidden, *([("x-sum", "42")] if call[":path"] == "/two/" else []))

    with Upstream(answering(ok())) as one, Http2Upstream(script) as two:
        server = serve(gateway(routes=[route("/two/*", "two"), route(to="one")],
                               upstreams=[upstream("one", one.address), upstream("two", two.address, protocol="http2")]))
        with http2.Client(server.address) as client:
            for path, more in (("/", []), ("/", [("x-sum", "42")]), ("/two/alone", []), ("/two/", [("x-sum", "42")])):
                stream = client.begin("POST", path)
                client.send(stream, b"body")
                client.send_trailers(stream, [*forbidden, *more])
                got = client.response(stream)
                if path == "/":
                    assert (one.requests[-1].body, one.requests[-1].trailers) == (b"body", more)
                else:
                    assert json.loads(got.header("x-trailers") or "") == [list(pair) for pair in more]
                    assert (got.body, got.trailers) == (b"answer", more)
        for path, more in (("/two/alone", []), ("/two/", [("x-sum", "42")])):
            got = server.fetch(path, headers={"TE": "trailers"})
            assert (got.body, got.trailers) == (b"answer", more)


def test_informational_answers(serve) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"

    def hint(call: Call) -> None:
        call.head(103, ("link", "</a.css>"))
        call.head(200)
        call.send(call.body(), end=True)

    with Upstream(answering(early + ok(b"done"))) as one, Http2Upstream(hint) as two:
        server = serve(gateway(routes=[route("/two/*", "two"), route(to="one")],
                               upstreams=[upstream("one", one.address), upstream("two", two.address, protocol="http2")]))
        with http2.Client(server.address) as client:
            for path in ("/", "/two/"):
                stream = client.begin("POST", path, [("expect", "100-continue")])
                while not any(each.status == 100 for each in stream.response.informational):
                    client.check(stream)
                    client.receive()
                client.send(stream, b"done", end=True)
                got = client.response(stream)
                assert (got.status, got.body) == (200, b"done")
                assert [(each.status, each.header("link")) for each in got.informational] == [(100, None), (103, "</a.css>")]
        got = server.fetch("/two/", "POST", body=b"1")
        assert [each.status for each in got.informational] == [103]


def test_head_and_answers_without_a_body(serve) -> None:
    def script(call: Call) -> None:
        if call[":path"] == "/204":
            call.head(204, end=True)
        elif call[":path"] == "/304":
            call.head(304, ("content-length", "10"), end=True)
        else:
            call.head(200, ("content-length", "10"), end=call[":method"] == "HEAD")
            if call[":method"] != "HEAD":
                call.send(b"0123456789", end=True)

    with Http2Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
        with http2.Client(server.address) as client, server.connect() as connection:
            for request in (client.request, connection.request):
                for method, path, status, length in (("HEAD", "/", 200, "10"), ("GET", "/204", 204, None),
                                                     ("GET", "/304", 304, "10"), ("GET", "/", 200, "10")):
                    got = request(method, path)
                    assert (got.status, got.header("content-length")) == (status, length)
                    assert got.body == (b"0123456789" if (method, path) == ("GET", "/") else b"")


@pytest.mark.parametrize("length, body", [("10", b"short"), ("3", b"longer")])
def test_an_answer_of_another_length_never_looks_whole(serve, length: str, body: bytes) -> None:
    def script(call: Call) -> None:
        call.head(200, ("content-length", length))
        call.send(body, end=True)

    with Http2Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
        with http2.Client(server.address) as client:
            try:
                assert client.request("GET", "/").status == 502
            except http2.Reset:
                pass
            client.ping()
        with server.connect() as connection:
            try:
                assert connection.request("GET", "/").status == 502
            except wire.Broken:
                pass


@pytest.mark.parametrize("length, body", [("10", b"short"), ("3", b"longer")])
def test_a_request_of_another_length_is_reset(server: Server, length: str, body: bytes) -> None:
    for path in ("/", "/two/"):
        with http2.Client(server.address) as client:
            stream = client.begin("POST", path, [("content-length", length)])
            client.send(stream, body, end=True)
            with pytest.raises(http2.Reset) as reset:
                client.response(stream)
            assert reset.value.code == http2.PROTOCOL_ERROR
            client.ping()


# ---- From HTTP/1.1 to HTTP/2 ----


def test_a_request_becomes_one_of_http2(serve, origin: Http2Upstream) -> None:
    server = serve(gateway(routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
    got = server.fetch("/a?b=c", "POST", {"Connection": "x-hop", "X-Hop": "1", "X-Upper": "V", "Cookie": "a=1; b=2"}, b"body",
                       host="example.org")
    assert got.body == b"body"
    assert {name: got.header(name) for name in ("x-method", "x-path", "x-authority")} == {
        "x-method": "POST", "x-path": "/a?b=c", "x-authority": "example.org"}
    call = origin.calls[-1]
    assert call["x-upper"] == "V" and call["cookie"] == "a=1; b=2" and call["content-length"] == "4"
    assert not {"host", "connection", "x-hop", "transfer-encoding"} & {name for name, _ in call.headers}


def test_requests_share_a_connection(serve) -> None:
    together = threading.Barrier(8, timeout=20)

    def script(call: Call) -> None:
        together.wait()
        call.head(200, end=True)

    with Http2Upstream(script) as origin:
        server = serve(gateway(workers=1, routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
        threads = [threading.Thread(target=server.fetch, args=("/",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(origin.calls) == 8 and len(origin.connections) == 1


def test_alpn_chooses_what_is_spoken_with_an_upstream(serve, authority: tls.Authority, site: tls.Certificate) -> None:
    context = authority.server(site)
    context.set_alpn_protocols(["h2"])
    old = authority.server(site)
    old.set_alpn_protocols(["http/1.1"])
    with Http2Upstream(echo, context) as two, tls.TlsUpstream(old, answering(ok(b"one"))) as one:
        secure = {"tls": {"ca_file": str(authority.cert), "server_name": "localhost"}, "protocol": "auto"}
        server = serve(gateway(routes=[route("/two/*", "two"), route(to="one")], upstreams=[
            upstream("two", two.address, **secure), upstream("one", one.address, **secure)]))
        for _ in range(3):
            assert server.fetch("/").body == b"one"
            got = server.fetch("/two/", "POST", body=b"through")
            assert (got.body, got.header("x-scheme")) == (b"through", "https")


def test_alpn_keeps_to_the_most_connections(serve, authority: tls.Authority, site: tls.Certificate) -> None:
    """Requests that come before it is known what the upstream speaks: those that find no connection get 503 at once."""
    asked = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read_request():
            assert asked.wait(20)
            peer.send(ok(b"one"))

    context = authority.server(site)
    context.set_alpn_protocols(["http/1.1"])
    with tls.TlsUpstream(context, script) as one:
        context.sni_callback = lambda *_: asked.wait(20) and None  # no handshake ends before all requests are there
        server = serve(gateway(workers=1, routes=[route(to="one", timeout="5s")], upstreams=[
            upstream("one", one.address, protocol="auto", limits={"max_connections": 4},
                     tls={"ca_file": str(authority.cert), "server_name": "localhost"})]))
        with Crowd(server.address, [wire.head("GET", "/")] * 16) as crowd:
            active = "heddle_upstream_requests_active"
            until(lambda: (parse(server.metrics())[active].value(upstream="one") or 0) + len(crowd.answers) == 16,
                  "all requests to be there")
            asked.set()
            crowd.wait()
        statuses = Counter(status for status, _ in crowd.answers)
        assert crowd.failures == [] and set(statuses) <= {200, 503} and statuses[200] >= 4
        assert server.fetch("/").body == b"one"


# ---- Back-pressure ----


def test_a_slow_reader_holds_its_upstream_back(serve) -> None:
    """What the client does not take stays in the upstream, or in the kernel's buffers (up to 36 MiB for each of the four
    connections: tcp_rmem, tcp_wmem), whatever either speaks; not in Heddle's memory."""
    sent = {"/two/": 0, "/one/": 0}

    def pour_two(call: Call) -> None:
        call.head(200)
        while True:
            call.send(bytes(16_384))
            sent["/two/"] += 16_384

    def pour_one(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            peer.send(wire.chunked([bytes(16_384)])[:-5])
            sent["/one/"] += 16_384

    with Upstream(pour_one) as one, Http2Upstream(pour_two) as two:
        server = serve(gateway(workers=1, routes=[route("/two/*", "two", timeout="60s"), route(to="one", timeout="60s")], upstreams=[
            upstream("one", one.address), upstream("two", two.address, protocol="http2")]))
        resident = server.resident()
        for path in sent:
            with http2.Client(server.address, read_bodies=False) as client, server.connect() as connection:
                stream = client.begin("GET", path, end=True)
                client.head(stream)
                connection.send(wire.head("GET", path))
                seen_so_far = -1
                while sent[path] != seen_so_far:  # until nothing moves for a while
                    seen_so_far = sent[path]
                    assert seen_so_far < 192 * MIB, "windows, sockets and watermarks together"
                    client.socket.settimeout(0.5)
                    try:
                        while client.receive():
                            pass
                    except TimeoutError:
                        pass
                assert sent[path] > 0
                assert server.resident() - resident < 48 * MIB
                client.socket.settimeout(20)
                client.read_bodies = True
                client.give_back(stream)
                client.body(stream, 4 * MIB)
                until(lambda: sent[path] > seen_so_far, "the stream to go on when the client reads")


def test_a_slow_upstream_holds_its_client_back(serve) -> None:
    go_on = threading.Event()

    def late_two(call: Call) -> None:
        assert go_on.wait(20)
        call.head(200, ("x-size", str(len(call.body()))), end=True)

    def late_one(peer: Peer) -> None:
        request = peer.read_head()
        assert request and go_on.wait(20)
        peer.send(ok(b"", f"x-size: {len(peer.read(int(request.header('content-length') or 0)))}"))

    with Upstream(late_one) as one, Http2Upstream(late_two) as two:
        server = serve(gateway(workers=1, routes=[route("/two/*", "two", timeout="60s"), route(to="one", timeout="60s")], upstreams=[
            upstream("one", one.address), upstream("two", two.address, protocol="http2")]))
        resident = server.resident()
        for path in ("/", "/two/"):
            go_on.clear()
            data = bytes(128 * MIB)
            size = len(data)
            with http2.Client(server.address) as client:
                stream = client.begin("POST", path, [("content-length", str(size))])
                sent = client.send_until_stuck(stream, data, 0.5)
                assert 0 < sent < size, "more than the kernel keeps in all sockets on the way, up to 36 MiB a connection"
                assert server.resident() - resident < 32 * MIB
                go_on.set()
                client.send(stream, data[sent:], end=True)
                assert client.response(stream).header("x-size") == str(size)


def test_one_stream_that_waits_does_not_hold_up_others(server: Server) -> None:
    with http2.Client(server.address, read_bodies=False) as client:
        stuck = client.begin("POST", "/two/")
        client.send(stuck, b"x" * 60_000)
        client.body(stuck, 60_000)
        client.send_what_fits(stuck, b"y" * 200_000)
        client.h2.increment_flow_control_window(500_000)
        client.flush()
        for _ in range(20):
            other = client.begin("GET", "/", end=True)
            assert client.response(other).status == 200
            client.give_back(other)


# ---- Plugins ----


def test_plugins_see_requests_as_those_of_http1(serve, probe: Path) -> None:
    config = "\n".join(["request_headers trace", "request_headers property request.protocol", "request_body trace",
                        "request_trailers trace", "request_headers add 0 x-added yes", "response_headers add 2 x-answered yes",
                        "response_body append 1 !", "response_trailers trace", "response_headers remove 2 content-length"])
    server = serve(gateway(workers=1, plugins=[plugin("probe", probe, config=config)]))
    answers = []
    for version in ("HTTP/1.1", "HTTP/2"):
        mark = server.mark()
        if version == "HTTP/2":
            with http2.Client(server.address) as client:
                got = client.request("POST", "/p", [("content-length", "4")], b"body")
        else:
            got = server.fetch("/p", "POST", body=b"body")
        assert got.header("x-answered") == "yes" and got.body.endswith(b"!"), got
        echoed = json.loads(got.body.rstrip(b"!"))
        assert echoed["headers"]["x-added"] == "yes" and echoed["protocol"] == version
        server.wait_log(version, after=mark, plugin="probe")
        answers.append([re.sub(r"^probe (\w+) \d+", r"\1", line["message"]) for line in server.log.lines()[mark:]
                        if line.get("plugin") == "probe" and "HTTP/" not in line["message"]])
    assert answers[0] and answers[0] == answers[1]


# ---- Drain ----


def test_a_stop_lets_streams_end(serve) -> None:
    go_on = threading.Event()

    def script(call: Call) -> None:
        call.head(200)
        call.send(b"first ")
        assert go_on.wait(20)
        call.send(b"last", end=True)

    with Http2Upstream(script) as origin:
        server = serve(gateway(routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
        with http2.Client(server.address) as client, http2.Client(server.address) as idle:
            idle.ping()
            streams = [client.begin("GET", "/", end=True) for _ in range(5)]
            for stream in streams:
                client.body(stream, 6)
            server.signal(signal.SIGTERM)
            assert idle.wait_end() == http2.NO_ERROR
            go_on.set()
            assert all(client.response(stream).body == b"last" for stream in streams)
            assert client.wait_end() == http2.NO_ERROR
            assert client.last_stream == streams[-1].id


def test_an_upstream_that_goes_away_loses_nothing(serve) -> None:
    with Http2Upstream(echo) as origin:
        server = serve(gateway(workers=1, routes=[route(to="two")], upstreams=[upstream("two", origin.address, protocol="http2")]))
        with http2.Client(server.address) as client:
            for _ in range(20):
                streams = [client.begin("POST", "/") for _ in range(5)]
                for stream in streams[:3]:
                    client.send(stream, b"half")
                    client.body(stream, 4)
                origin.go_away()
                for stream in streams:
                    client.send(stream, b"rest", end=True)
                assert all(client.response(stream).body == b"rest" for stream in streams)
        assert len(origin.connections) > 5
