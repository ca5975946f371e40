"""TLS towards upstreams: who is trusted, what fails and why, client certificates, sessions, and a real nginx."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import tls
from support.configs import gateway, plugin, route
from support.echo import seen
from support.nginx import Nginx
from support.server import Server
from support.upstreams import Upstream, answering, closed_port, ok
from support.waiting import until


@pytest.fixture(scope="module")
def api(authority: tls.Authority) -> tls.Certificate:
    return authority.issue("api", "DNS:api.internal", "DNS:localhost", "IP:127.0.0.1", "URI:spiffe://test/api")


def towards(endpoint: str, settings: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": "secured", "endpoints": [endpoint]}
    if settings is not None:
        entry["tls"] = settings
    if limits := more.pop("limits", None):
        entry["limits"] = limits
    return gateway(routes=[{"id": "secured", **route(to="secured", timeout="10s")}], upstreams=[entry], workers=1, **more)


def failure(server: Server) -> str:
    """What the log says of a request that met an upstream which cannot be spoken to."""
    response = server.fetch("/")
    assert response.status == 502, response
    assert server.wait_access(status=502)["flags"] == "UF"
    return server.wait_log("upstream failed")["detail"]


# ---- Who is trusted ----

@pytest.mark.parametrize("settings, asked", [({}, None), ({"server_name": "api.internal"}, "api.internal")])
def test_the_certificate_must_be_of_the_endpoint_or_the_server_name(
        serve, authority: tls.Authority, api: tls.Certificate, settings: dict[str, Any], asked: str | None) -> None:
    with tls.TlsUpstream(authority.server(api), answering(ok(b"secret"))) as upstream:
        endpoint = f"https://127.0.0.1:{upstream.address[1]}"
        server = serve(towards(endpoint, {"ca_file": str(authority.cert), **settings}))
        for _ in range(3):
            assert server.fetch("/").body == b"secret"
        assert upstream.connections == 1
        assert upstream.names == [asked]


def test_a_tls_section_is_enough(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    with tls.TlsUpstream(authority.server(api), answering(ok(b"secret"))) as upstream:
        server = serve(towards(f"localhost:{upstream.address[1]}", {"ca_file": str(authority.cert)}))
        assert server.fetch("/").body == b"secret"
        assert upstream.names == ["localhost"]


def test_an_unknown_authority_is_refused(serve, tmp_path: Path, authority: tls.Authority, api: tls.Certificate) -> None:
    other = tls.Authority(tmp_path / "other", "other")
    with tls.TlsUpstream(authority.server(api), answering(ok())) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(other.cert)}))
        detail = failure(server)
        assert "certificate verify failed: unable to get local issuer certificate" in detail
        assert f"upstream 127.0.0.1:{upstream.address[1]}: TLS:" in detail
        assert "CN=api" in detail
        assert upstream.requests == []


def test_the_systems_authorities_do_not_know_ours(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    with tls.TlsUpstream(authority.server(api), answering(ok())) as upstream:
        assert "certificate verify failed" in failure(serve(towards(f"https://127.0.0.1:{upstream.address[1]}")))


def test_a_certificate_of_another_host_is_refused(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    with tls.TlsUpstream(authority.server(api), answering(ok())) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}",
                               {"ca_file": str(authority.cert), "server_name": "billing.internal"}))
        detail = failure(server)
        assert "hostname mismatch" in detail.lower()
        assert "api.internal" in detail
        assert upstream.requests == []


def test_an_expired_certificate_is_refused(serve, authority: tls.Authority) -> None:
    old = authority.issue("old", "IP:127.0.0.1", days=-1)
    with tls.TlsUpstream(authority.server(old), answering(ok())) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(authority.cert)}))
        assert "certificate has expired" in failure(server)


def test_verify_false_trusts_anybody(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    with tls.TlsUpstream(authority.server(api), answering(ok(b"whoever"))) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"verify": False}))
        assert server.fetch("/").body == b"whoever"


# ---- Upstreams that do it wrong ----

def test_an_upstream_without_tls(serve, authority: tls.Authority) -> None:
    with Upstream(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(authority.cert)}))
        assert "does not speak TLS" in failure(server)


def test_an_upstream_that_leaves_within_the_handshake(serve) -> None:
    with Upstream(lambda peer: peer.read(50) and peer.reset()) as upstream:
        detail = failure(serve(towards(f"https://127.0.0.1:{upstream.address[1]}")))
        assert "reset" in detail.lower()


def test_an_upstream_that_never_ends_the_handshake(serve) -> None:
    with Upstream(lambda peer: peer.read(50) and peer.wait_closed()) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", limits={"connect_timeout": "200ms"}))
        assert server.fetch("/").status == 504


def test_an_upstream_of_an_old_version(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    port = closed_port()
    command = ["openssl", "s_server", "-accept", str(port), "-cert", str(api.cert), "-key", str(api.key), "-tls1_1",
               "-cipher", "ALL:@SECLEVEL=0", "-www"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as old:
        try:
            assert old.stdout
            until(lambda: b"ACCEPT" in old.stdout.readline(), "openssl to listen")
            server = serve(towards(f"https://127.0.0.1:{port}", {"ca_file": str(authority.cert)}))
            assert "version" in failure(server)
        finally:
            old.kill()


def test_a_body_that_is_cut_off_is_not_taken_for_the_whole(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    def until_close(peer: Any) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")  # ends with the connection; no close_notify comes
        peer.close()

    with tls.TlsUpstream(authority.server(api), until_close) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(authority.cert)}))
        with pytest.raises(Exception, match="closed|reset"):
            server.fetch("/")


# ---- Client certificates, sessions, reloads ----

def test_a_client_certificate_is_shown(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    own = authority.issue("gateway")
    with tls.TlsUpstream(authority.server(api, ask=True), answering(ok(b"known"))) as upstream:
        settings = {"ca_file": str(authority.cert), **own.setting()}
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", settings))
        assert server.fetch("/").body == b"known"
        assert upstream.clients == ["gateway"]
        del settings["cert_file"], settings["key_file"]
        assert serve(towards(f"https://127.0.0.1:{upstream.address[1]}", settings)).fetch("/").status == 502


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(serve, authority: tls.Authority, api: tls.Certificate, version: ssl.TLSVersion) -> None:
    context = authority.server(api)
    context.minimum_version = context.maximum_version = version
    with tls.TlsUpstream(context, answering(ok(b"x", "Connection: close"))) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(authority.cert)}))
        for _ in range(4):
            assert server.fetch("/").status == 200
        assert upstream.resumed == [False, True, True, True]


def test_a_changed_authority_is_taken(serve, tmp_path: Path, authority: tls.Authority, api: tls.Certificate) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(tls.Authority(tmp_path / "other", "other").cert.read_text())
    with tls.TlsUpstream(authority.server(api), answering(ok())) as upstream:
        server = serve(towards(f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(trusted)}))
        assert server.fetch("/").status == 502
        trusted.write_text(authority.cert.read_text())
        server.wait_log("certificates reloaded")
        assert server.fetch("/").status == 200


# ---- nginx ----

@pytest.fixture(scope="module")
def secured_nginx(tmp_path_factory: pytest.TempPathFactory, api: tls.Certificate) -> Iterator[tuple[Nginx, int]]:
    port = closed_port()
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), closed_port(),
                  f"listen 127.0.0.1:{port} ssl; ssl_certificate {api.cert}; ssl_certificate_key {api.key};")
    yield nginx, port
    nginx.stop()


def test_nginx_behind_tls_on_both_sides(
        serve, authority: tls.Authority, api: tls.Certificate, secured_nginx: tuple[Nginx, int]) -> None:
    nginx, port = secured_nginx
    config = towards(f"https://127.0.0.1:{port}", {"ca_file": str(authority.cert)},
                     listeners=[{"name": "public", "address": "127.0.0.1:0", "protocol": "https", "tls": api.setting()}])
    server = serve(config)
    context = authority.client()
    assert tls.fetch(server.address, context, "/files/big.bin").body == nginx.big
    body = nginx.big * 2
    assert tls.fetch(server.address, context, "/dav/up.bin", "PUT", body).status == 201
    assert tls.fetch(server.address, context, "/dav/up.bin").body == body
    with tls.TlsLoad(server.address, context, target="/files/small.txt", threads=3, reconnect=20) as load:
        until(lambda: load.requests > 300, "some load")
    assert load.failures == []


# ---- Properties ----

def shown(server: Server) -> dict[str, str]:
    texts = [text for text in server.messages() if text.startswith("property ")]
    return dict(text.removeprefix("property ").split("=", 1) for text in texts)


def test_properties_of_both_connections(
        serve, authority: tls.Authority, api: tls.Certificate, probe: Path) -> None:
    alice = authority.issue("alice", "DNS:alice.example", "URI:spiffe://test/alice")
    names = ["tls_version", "subject_local_certificate", "subject_peer_certificate", "dns_san_local_certificate",
             "dns_san_peer_certificate", "uri_san_local_certificate", "uri_san_peer_certificate",
             "sha256_peer_certificate_digest"]
    lines = [f"response_headers property {side}.{name}" for side in ("connection", "upstream") for name in names]
    lines.append("response_headers property connection.requested_server_name")
    with tls.TlsUpstream(authority.server(api), answering(ok())) as upstream:
        server = serve(towards(
            f"https://127.0.0.1:{upstream.address[1]}", {"ca_file": str(authority.cert)},
            plugins=[plugin("reader", probe, config="\n".join(lines))],
            listeners=[{"name": "public", "address": "127.0.0.1:0", "protocol": "https",
                        "tls": {**api.setting(), "client_ca_file": str(authority.cert)}}]))
        assert tls.fetch(server.address, authority.client(alice)).status == 200
    server.wait_log("property connection.requested_server_name=")
    values = shown(server)
    assert values["connection.requested_server_name"] == "localhost"
    assert values["connection.tls_version"] == values["upstream.tls_version"] == "TLSv1.3"
    assert values["connection.subject_local_certificate"] == values["upstream.subject_peer_certificate"] == "CN=api,O=Heddle"
    assert values["connection.subject_peer_certificate"] == "CN=alice,O=Heddle"
    assert values["connection.dns_san_local_certificate"] == values["upstream.dns_san_peer_certificate"] == "api.internal"
    assert values["connection.dns_san_peer_certificate"] == "alice.example"
    assert values["connection.uri_san_peer_certificate"] == "spiffe://test/alice"
    assert values["upstream.uri_san_peer_certificate"] == "spiffe://test/api"
    assert values["upstream.subject_local_certificate"] == ""
    digest = tls.openssl("x509", "-in", alice.cert, "-noout", "-fingerprint", "-sha256")
    assert values["connection.sha256_peer_certificate_digest"] == digest.split("=")[1].strip().replace(":", "").lower()


def test_the_scheme_reaches_the_upstream(serve, authority: tls.Authority, api: tls.Certificate) -> None:
    config = gateway(listeners=[{"name": "public", "address": "127.0.0.1:0", "protocol": "https", "tls": api.setting()}])
    response = tls.fetch(serve(config).address, authority.client())
    assert seen(response).header("x-forwarded-proto") == "https"
