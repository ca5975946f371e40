"""TLS listeners with real clients: certificates by name, versions, ALPN, client certificates, sessions, reloads, and
clients that do it wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import paths, tls, wire
from support.configs import gateway, plugin
from support.prometheus import parse
from support.server import Server
from support.upstreams import closed_port
from support.waiting import until

NAMES = ("DNS:localhost", "IP:127.0.0.1")


def https(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    listener = {"name": "public", "address": "127.0.0.1:0", "protocol": "https", "tls": settings, **more}
    return gateway(listeners=[listener], workers=2)


@pytest.fixture(scope="module")
def server(serve_module, site: tls.Certificate) -> Server:
    return serve_module(https(site.setting()))


def metric(server: Server, name: str, **labels: str) -> float:
    return parse(server.metrics())[name].value(**labels)


# ---- What works ----

def test_requests_over_both_versions(server: Server, authority: tls.Authority) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.client()
        context.minimum_version = context.maximum_version = version
        with tls.Connection(server.address, context) as connection:
            for _ in range(3):
                response = connection.request("GET", "/over/tls")
                assert response.status == 200
                seen = response.json()
                assert seen["path"] == "/over/tls"
                assert seen["headers"]["x-forwarded-proto"] == "https"
            assert connection.tls.version() == version.name.replace("_", ".")


def test_a_large_request_body(server: Server, authority: tls.Authority) -> None:
    body = bytes(range(256)) * 20_000
    response = tls.fetch(server.address, authority.client(), "/", "POST", body)
    assert response.status == 200
    assert response.json()["body_bytes"] == len(body)


def test_alpn_chooses_the_protocol(server: Server, authority: tls.Authority) -> None:
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (None, None)):
        with tls.Connection(server.address, authority.client(alpn=offered)) as connection:
            assert connection.tls.selected_alpn_protocol() == chosen
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        tls.Connection(server.address, authority.client(alpn=["spdy/3"]))


def test_http2_is_not_offered_where_it_is_off(serve, site: tls.Certificate, authority: tls.Authority) -> None:
    server = serve(https(site.setting(), http2={"enabled": False}))
    with tls.Connection(server.address, authority.client(alpn=["h2", "http/1.1"])) as connection:
        assert connection.tls.selected_alpn_protocol() == "http/1.1"
        assert connection.request("GET", "/").status == 200


def test_curl_speaks_http2(server: Server, authority: tls.Authority) -> None:
    port = server.address[1]
    done = subprocess.run(["curl", "-sS", "--http2", "--cacert", str(authority.cert), "-w", "%{http_version} %{http_code}",
                           "-o", "/dev/null", f"https://localhost:{port}/a", f"https://localhost:{port}/b", "-o", "/dev/null"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 2002 200"


def test_server_names_choose_certificates(serve, authority: tls.Authority, site: tls.Certificate) -> None:
    more = [authority.issue("shop", "DNS:shop.example", "DNS:*.shop.example").setting(),
            authority.issue("deep", "DNS:very.deep.shop.example").setting()]
    server = serve(https({**site.setting(), "certificates": more}))
    context = authority.client()
    context.check_hostname = False
    for name, shown in (("localhost", "site"), ("shop.example", "shop"), ("SHOP.example", "shop"),
                        ("a.shop.example", "shop"), ("very.deep.shop.example", "deep"), ("a.b.shop.example", "site"),
                        ("unknown.example", "site"), ("127.0.0.1", "site")):
        with tls.Connection(server.address, context, name) as connection:
            assert connection.peer() == shown, name
            assert connection.request("GET", "/").status == 200


# ---- Client certificates ----

def test_required_client_certificates(serve, tmp_path: Path, authority: tls.Authority, site: tls.Certificate) -> None:
    clients = tls.Authority(tmp_path / "clients", "clients")
    strangers = tls.Authority(tmp_path / "strangers", "strangers")
    server = serve(https({**site.setting(), "client_ca_file": str(clients.cert)}))
    own = clients.issue("alice", "URI:spiffe://test/alice")
    assert tls.fetch(server.address, authority.client(own)).status == 200
    for wrong in (None, strangers.issue("mallory")):
        with pytest.raises((ssl.SSLError, wire.Broken, ConnectionError)):
            tls.fetch(server.address, authority.client(wrong))
    line = server.wait_log("a TLS handshake failed", reason="certificate")
    assert line["remote"].startswith("127.0.0.1:")
    until(lambda: metric(server, "heddle_tls_handshake_failures_total", reason="certificate") == 2, "both to be counted")


def test_optional_client_certificates(serve, tmp_path: Path, authority: tls.Authority, site: tls.Certificate) -> None:
    clients = tls.Authority(tmp_path / "clients", "clients")
    server = serve(https({**site.setting(), "client_ca_file": str(clients.cert), "client_certificate": "optional"}))
    assert tls.fetch(server.address, authority.client()).status == 200
    assert tls.fetch(server.address, authority.client(clients.issue("alice"))).status == 200
    with pytest.raises((ssl.SSLError, wire.Broken, ConnectionError)):
        tls.fetch(server.address, authority.client(authority.issue("mallory")))


# ---- Sessions ----

def resumes(server: Server, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
    with tls.Connection(server.address, context, session=session) as connection:
        assert connection.request("GET", "/").status == 200  # a ticket of TLS 1.3 comes after the handshake
        kept = connection.tls.session
        assert kept is not None
        return bool(connection.tls.session_reused), kept


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_every_worker_and_after_a_reload(
        serve, tmp_path: Path, authority: tls.Authority, version: ssl.TLSVersion) -> None:
    own = authority.issue("renewed", *NAMES, into=tmp_path)
    server = serve(https(own.setting()))
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    reused, session = resumes(server, context, None)
    assert not reused
    for _ in range(12):  # connections fall on both workers
        reused, session = resumes(server, context, session)
        assert reused
    mark = server.mark()
    authority.issue("renewed", *NAMES, into=tmp_path)
    server.wait_log("certificates reloaded", after=mark)
    reused, session = resumes(server, context, session)
    assert reused
    assert metric(server, "heddle_tls_handshakes_total", resumed="yes") == 13


# ---- Reloads ----

def shown(server: Server, authority: tls.Authority) -> bytes:
    with tls.Connection(server.address, authority.client()) as connection:
        return connection.tls.getpeercert(binary_form=True)


def test_changed_files_are_taken_under_load_without_a_failed_request(
        serve, tmp_path: Path, authority: tls.Authority) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    own = authority.issue("renewed", *NAMES, into=tmp_path)
    server = serve(https(own.setting()))
    before = shown(server, authority)
    with tls.TlsLoad(server.address, authority.client(), threads=3, reconnect=5) as load:
        for _ in range(6):
            mark = server.mark()
            fresh = authority.issue("renewed", *NAMES, into=staged)
            os.replace(fresh.key, own.key)
            os.replace(fresh.cert, own.cert)
            server.wait_log("certificates reloaded", after=mark)
            after = shown(server, authority)
            assert after != before
            before = after
        until(lambda: load.requests > 200, "some load")
    assert load.failures == []


def test_a_kept_connection_outlives_a_reload(serve, tmp_path: Path, authority: tls.Authority) -> None:
    own = authority.issue("renewed", *NAMES, into=tmp_path)
    server = serve(https(own.setting()))
    with tls.Connection(server.address, authority.client()) as connection:
        assert connection.request("GET", "/").status == 200
        mark = server.mark()
        authority.issue("renewed", *NAMES, into=tmp_path)
        server.wait_log("certificates reloaded", after=mark)
        assert connection.request("GET", "/").status == 200


def test_bad_files_leave_the_old_certificate_in_force(serve, tmp_path: Path, authority: tls.Authority) -> None:
    own = authority.issue("renewed", *NAMES, into=tmp_path)
    server = serve(https(own.setting()), expect_errors=True)
    before = shown(server, authority)
    for content in ("", "no certificate", own.cert.read_text()[:300]):
        mark = server.mark()
        own.cert.write_text(content)
        server.wait_log("changed certificates cannot be used", after=mark)
        assert shown(server, authority) == before
    mark = server.mark()
    own.cert.unlink()
    server.wait_log("changed certificates cannot be used", after=mark)
    assert server.admin("/config/reload", "POST").status == 422
    assert shown(server, authority) == before
    authority.issue("renewed", *NAMES, into=tmp_path)
    server.wait_log("certificates reloaded", after=mark)
    assert shown(server, authority) != before


def test_certificates_behind_links_as_kubernetes_makes_them(serve, tmp_path: Path, authority: tls.Authority) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    for number in (1, 2):
        version = folder / f"..version{number}"
        version.mkdir()
        made = authority.issue("tls", *NAMES, into=version)
        shutil.move(made.cert, version / "tls.crt")
    (folder / "..data").symlink_to("..version1")
    for name in ("tls.crt", "tls.key"):
        (folder / name).symlink_to(f"..data/{name}")
    server = serve(https({"cert_file": str(folder / "tls.crt"), "key_file": str(folder / "tls.key")}))
    before = shown(server, authority)
    (folder / "..next").symlink_to("..version2")
    os.replace(folder / "..next", folder / "..data")
    server.wait_log("certificates reloaded")
    assert shown(server, authority) != before


def test_sighup_takes_other_tls_settings(serve, tmp_path: Path, authority: tls.Authority, site: tls.Certificate) -> None:
    config = https(site.setting())
    file = serve.write(config)
    server = serve(file)
    old = authority.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert tls.fetch(server.address, old).status == 200
    config["listeners"][0]["tls"]["min_version"] = "1.3"
    file.write_text(json.dumps(config))
    server.signal(signal.SIGHUP)
    server.wait_log("configuration reloaded")
    assert not any("restart" in message for message in server.messages())
    with pytest.raises(ssl.SSLError):
        tls.fetch(server.address, old)
    assert tls.fetch(server.address, authority.client()).status == 200


def test_a_refused_configuration_leaves_the_old_certificate_in_force(
        serve, tmp_path: Path, authority: tls.Authority, site: tls.Certificate, probe: Path) -> None:
    """Also when its files are gone meanwhile."""
    own = authority.issue("going", *NAMES, into=tmp_path)
    config = {**https(own.setting()), "plugins": [plugin("kept", probe)], "watch_config": False}
    file = serve.write(config)
    server = serve(file, expect_errors=True)
    before = shown(server, authority)
    own.cert.unlink()
    config["listeners"][0]["tls"] = site.setting()
    config["plugins"].append(plugin("broken", tmp_path / "absent.wasm"))
    file.write_text(json.dumps(config))
    assert server.admin("/config/reload", "POST").status == 422
    assert server.admin("/plugins/kept/disable", "POST").status == 200
    assert shown(server, authority) == before


# ---- Clients that do it wrong ----

def test_plain_http_is_told_so(server: Server) -> None:
    response = wire.fetch(server.address, "GET", "/")
    assert response.status == 400
    assert b"HTTPS" in response.body


HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(32) + b"\0"
MALFORMED = {
    "garbage": (b"\x00\xff" * 500, "not_tls"),
    "truncated hello": (HELLO, None),
    "nothing": (b"", None),
    "bad length": (b"\x16\x03\x01\xff\xff" + bytes(400), "not_tls"),
    "zero length record": (b"\x16\x03\x01\x00\x00" * 100, None),
    "alert first": (b"\x15\x03\x01\x00\x02\x02\x28", None),
    "application data first": (b"\x17\x03\x03\x00\x10" + bytes(16), None),
    "huge hello": (b"\x16\x03\x01\x40\x00\x01\x03\xff\xfc\x03\x03" + bytes(16378) + b"\x16\x03\x03\x40\x00" + bytes(16384), None),
    "nested lengths": (b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03" + bytes(32) + b"\xff" + bytes(9), None),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_handshakes(server: Server, authority: tls.Authority, name: str) -> None:
    data, reason = MALFORMED[name]
    before = metric(server, "heddle_tls_handshake_failures_total")
    with socket.create_connection(server.address, timeout=20) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # the server closed before it had everything
    until(lambda: metric(server, "heddle_tls_handshake_failures_total") == before + 1, "the failure to be counted")
    if reason:
        assert metric(server, "heddle_tls_handshake_failures_total", reason=reason) >= 1
    assert tls.fetch(server.address, authority.client()).status == 200


def test_old_versions_are_refused(server: Server, authority: tls.Authority) -> None:
    port = server.address[1]
    for version in ("-tls1", "-tls1_1"):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version,
                               "-cipher", "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True,
                              timeout=60, check=False)
        assert "protocol version" in done.stderr.lower() or "no protocols" in done.stderr.lower(), done.stderr
        assert "BEGIN CERTIFICATE" not in done.stdout
    until(lambda: metric(server, "heddle_tls_handshake_failures_total", reason="version") >= 1, "the failure's reason")


def test_renegotiation_is_refused(server: Server) -> None:
    port = server.address[1]
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-legacy_renegotiation"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        output, _ = client.communicate("R\n", timeout=60)
    assert "no renegotiation" in output.lower(), output


def test_a_slow_handshake_ends(serve, site: tls.Certificate) -> None:
    server = serve(https({**site.setting(), "handshake_timeout": "200ms"}))
    with wire.Connection(server.address) as connection:
        assert connection.is_closed()
    line = server.wait_log("a TLS handshake failed")
    assert line["reason"] == "timeout"
    assert metric(server, "heddle_tls_handshake_failures_total", reason="timeout") == 1


def test_failed_handshakes_are_logged_once_a_second(serve, site: tls.Certificate) -> None:
    server = serve(https(site.setting()))
    for _ in range(100):
        tls.raw(server.address, b"\0" * 16)
    until(lambda: metric(server, "heddle_tls_handshake_failures_total", reason="not_tls") == 100, "all to be counted")
    server.wait_log("a TLS handshake failed")
    lines = [line for line in server.log.lines() if line.get("message") == "a TLS handshake failed"]
    assert len(lines) < 50


def test_a_connection_cut_off_without_close_notify_is_no_whole_request(
        server: Server, authority: tls.Authority) -> None:
    with tls.Connection(server.address, authority.client()) as connection:
        connection.send(wire.head("POST", "/cut", {"Content-Length": "10"}) + b"half")
        connection.reset()
    assert tls.fetch(server.address, authority.client()).status == 200


# ---- validate ----

def problem_of(serve, config: dict[str, Any]) -> str:
    done = serve.run("validate", "-c", str(serve.write(config)))
    assert done.returncode == 78, done.stdout + done.stderr
    return done.stderr


def test_validate_names_what_is_wrong_with_certificates(
        serve, tmp_path: Path, authority: tls.Authority, site: tls.Certificate) -> None:
    other = authority.issue("other", *NAMES)
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    expired = authority.issue("expired", *NAMES, days=-1)
    for settings, words in (
            ({"cert_file": "missing.pem"}, ("listeners[0].tls", "missing.pem", "cannot be read", "relative to")),
            ({"cert_file": str(site.cert), "key_file": str(other.key)}, ("is not the key of the certificate in",)),
            ({"cert_file": str(junk), "key_file": str(site.key)}, ("junk.pem", "no PEM certificate")),
            ({"cert_file": str(site.cert), "key_file": str(junk)}, ("junk.pem", "no private key")),
            ({**site.setting(), "client_ca_file": str(junk)}, ("junk.pem", "no PEM certificates")),
            (expired.setting(), ("expired on", "O=Heddle", "renew it"))):
        text = problem_of(serve, https(settings))
        for word in words:
            assert word in text, text
    done = serve.run("validate", "-c", str(serve.write(https(site.setting()))))
    assert done.returncode == 0, done.stderr


def test_an_expired_certificate_is_a_warning_at_the_start(serve, authority: tls.Authority) -> None:
    server = serve(https(authority.issue("expired", *NAMES, days=-1).setting()))
    assert "expired on" in server.wait_log("expired on", level="warn")["message"]
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert tls.fetch(server.address, context).status == 200


def test_a_certificate_that_cannot_be_used_stops_the_start(serve) -> None:
    config = https({"cert_file": "missing.pem"})
    config["listeners"].append({**config["listeners"][0], "name": "other", "tls": {"cert_file": "absent.pem"}})
    done = serve.run("serve", "-c", str(serve.write(config)))
    assert done.returncode == 78
    assert all(file in done.stderr for file in ("missing.pem", "absent.pem"))


# ---- The example ----

def test_the_example(serve, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    shutil.copytree(paths.EXAMPLES / "tls", folder)
    subprocess.run([folder / "make-certificates"], check=True, capture_output=True, timeout=60)
    ports = [closed_port(), closed_port()]
    text = (folder / "heddle.yaml").read_text()
    for given, free in zip(("8443", "8444"), ports):
        text = text.replace(given, str(free))
    (folder / "heddle.yaml").write_text(text)
    server = serve(folder / "heddle.yaml", "--admin", "127.0.0.1:0")
    context = ssl.create_default_context(cafile=str(folder / "certs" / "ca.pem"))
    assert tls.fetch(server.address, context, "/hello").json()["path"] == "/hello"
    assert tls.fetch(server.address, context, "/through/hello").json()["path"] == "/hello"
    mark = server.mark()
    subprocess.run([folder / "make-certificates"], check=True, capture_output=True, timeout=60)
    server.wait_log("certificates reloaded", after=mark)
    until(lambda: tls.fetch(server.address, context, "/through/hello").status == 200, "the new certificates to fit")
