"""Certificates made on the spot by the openssl command, and HTTP connections over TLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import wire
from support.load import Load
from support.upstreams import Peer, Upstream


@dataclass
class Certificate:
    cert: Path
    key: Path

    def setting(self) -> dict[str, Any]:
        return {"cert_file": str(self.cert), "key_file": str(self.key)}


def openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.cert)

    def issue(self, name: str, *alternatives: str, days: int = 30, into: Path | None = None) -> Certificate:
        """`alternatives`: "DNS:localhost", "URI:spiffe://x", "IP:127.0.0.1"; files NAME.pem and NAME.key."""
        folder = into or self._folder
        cert, key, request = folder / f"{name}.pem", folder / f"{name}.key", self._folder / "request.pem"
        extension = self._folder / "extension.txt"
        extension.write_text(f"subjectAltName={','.join(alternatives)}\n" if alternatives else "")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O=Heddle/CN={name}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial",
                "-days", days, "-extfile", extension, "-out", cert)
        return Certificate(cert, key)

    def client(self, own: Certificate | None = None, alpn: list[str] | None = None) -> ssl.SSLContext:
        """A client that trusts this authority; `own` is its certificate."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if own:
            context.load_cert_chain(own.cert, own.key)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server(self, own: Certificate, ask: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.cert, own.key)
        if ask:
            context.load_verify_locations(self.cert)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Connection(wire.Connection):
    """wire.Connection over TLS."""

    def __init__(self, address: wire.Address, context: ssl.SSLContext, name: str = "localhost",
                 session: ssl.SSLSession | None = None) -> None:
        super().__init__(address)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
        except BaseException:
            self.socket.close()
            raise

    @property
    def tls(self) -> ssl.SSLSocket:
        assert isinstance(self.socket, ssl.SSLSocket)
        return self.socket

    def peer(self) -> str:
        """The common name of the server's certificate."""
        subject = dict(pair[0] for pair in self.tls.getpeercert()["subject"])
        return str(subject["commonName"])


def fetch(address: wire.Address, context: ssl.SSLContext, target: str = "/", method: str = "GET", body: bytes = b"",
          name: str = "localhost", headers: wire.Headers = ()) -> wire.Response:
    with Connection(address, context, name) as connection:
        return connection.request(method, target, headers, body)


class TlsUpstream(Upstream):
    """support.upstreams.Upstream over TLS. Handshakes that fail are no failures of the script."""

    def __init__(self, context: ssl.SSLContext, script: Callable[[Peer], None]) -> None:
        super().__init__(script)
        self._context = context
        self.resumed: list[bool] = []
        self.clients: list[str] = []  # common names of client certificates
        self.names: list[str | None] = []
        context.sni_callback = lambda sock, name, context: self.names.append(name)

    def _serve(self, sock: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        self.resumed.append(bool(secured.session_reused))
        certificate = secured.getpeercert()
        if certificate:
            self.clients.append(dict(pair[0] for pair in certificate["subject"])["commonName"])
        super()._serve(secured)


class TlsLoad(Load):
    """support.load.Load over TLS."""

    def __init__(self, address: wire.Address, context: ssl.SSLContext, **more: Any) -> None:
        super().__init__(address, **more)
        self._context = context

    def _connect(self) -> wire.Connection:
        return Connection(self._address, self._context)


def raw(address: wire.Address, data: bytes, timeout: float = 20.0) -> bytes:
    """What comes back for these bytes until the server closes."""
    with socket.create_connection(address, timeout=timeout) as sock:
        received = b""
        try:
            sock.sendall(data)
            while piece := sock.recv(65536):
                received += piece
        except ConnectionError:
            pass
        return received
