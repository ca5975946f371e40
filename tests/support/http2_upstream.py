"""An upstream of HTTP/2 in Python: every request runs a script in a thread of its own, with the windows kept."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from support import wire


class Call:
    """One request, and its answer as far as the script has given it."""

    def __init__(self, connection: "_Connection", stream: int, headers: list[tuple[str, str]]) -> None:
        self.connection = connection
        self.stream = stream
        self.headers = headers
        self.trailers: list[tuple[str, str]] = []
        self.reset: int | None = None
        self._body = b""
        self._ended = False

    def __getitem__(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def read(self) -> bytes:
        """The next bytes of the body; none at its end."""
        with self.connection.changed:
            self._wait(lambda: bool(self._body) or self._ended)
            out, self._body = self._body, b""
            if out and not self.connection.gone:
                self.connection.h2.acknowledge_received_data(len(out), self.stream)
                self.connection.flush()
        return out

    def body(self) -> bytes:
        """All of the rest."""
        return b"".join(iter(self.read, b""))

    def head(self, status: int, *headers: tuple[str, str], end: bool = False) -> None:
        self._send(lambda h2: h2.send_headers(self.stream, [(":status", str(status)), *headers], end_stream=end))

    def send(self, data: bytes, end: bool = False) -> None:
        at = 0
        while at < len(data):
            with self.connection.changed:
                self._wait(lambda: self.connection.h2.local_flow_control_window(self.stream) > 0)
                h2 = self.connection.h2
                room = min(h2.local_flow_control_window(self.stream), h2.max_outbound_frame_size, len(data) - at)
                h2.send_data(self.stream, data[at:at + room])
                self.connection.flush()
            at += room
        if end:
            self._send(lambda h2: h2.end_stream(self.stream))

    def end(self, *trailers: tuple[str, str]) -> None:
        self._send(lambda h2: h2.send_headers(self.stream, list(trailers), end_stream=True))

    def abort(self, code: int) -> None:
        self._send(lambda h2: h2.reset_stream(self.stream, code))

    def wait_reset(self) -> int:
        """The code with which the gateway ends the stream."""
        with self.connection.changed:
            assert self.connection.changed.wait_for(lambda: self.reset is not None or self.connection.gone, wire.TIMEOUT)
            return -1 if self.reset is None else self.reset

    def _wait(self, condition: Callable[[], bool]) -> None:
        if not self.connection.changed.wait_for(
                lambda: condition() or self.reset is not None or self.connection.gone, wire.TIMEOUT):
            raise TimeoutError("nothing came from the gateway")
        if self.reset is not None or (self.connection.gone and not condition()):
            raise wire.Broken("the gateway ended the stream")

    def _send(self, call: Callable[[h2.connection.H2Connection], None]) -> None:
        with self.connection.changed:
            if self.reset is not None or self.connection.gone:
                raise wire.Broken("the gateway ended the stream")
            call(self.connection.h2)
            self.connection.flush()


Script = Callable[[Call], None]


class _Connection:
    def __init__(self, sock: socket.socket, upstream: "Http2Upstream") -> None:
        self.socket = sock
        self.upstream = upstream
        self.changed = threading.Condition(threading.RLock())
        self.gone = False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False, validate_inbound_headers=False))
        self.calls: dict[int, Call] = {}

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            try:
                self.socket.sendall(data)
            except OSError:
                self.gone = True

    def _receive(self) -> bytes:
        """Under TLS never while another thread sends: Python 3.11 does not lock its TLS sockets."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return self.socket.recv(65536)
        while True:
            if not self.socket.pending():
                select.select([self.socket], [], [])
            with self.changed:
                self.socket.setblocking(False)
                try:
                    return self.socket.recv(65536)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.socket.setblocking(True)

    def run(self) -> None:
        with self.changed:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                **dict(self.h2.local_settings), **self.upstream.settings})
            self.h2.initiate_connection()
            self.flush()
        try:
            while data := self._receive():
                with self.changed:
                    for event in self.h2.receive_data(data):
                        self._take(event)
                    self.flush()
                    self.changed.notify_all()
        except (OSError, h2.exceptions.ProtocolError) as problem:
            if not isinstance(problem, OSError):
                self.upstream.failures.append(problem)
        finally:
            with self.changed:
                self.gone = True
                self.changed.notify_all()
            self.socket.close()

    def _take(self, event: h2.events.Event) -> None:
        call = self.calls.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, h2.events.RequestReceived):
            call = self.calls[event.stream_id] = Call(self, event.stream_id, list(event.headers))
            threading.Thread(target=self._answer, args=(call,), daemon=True).start()
        elif call is None:
            return
        elif isinstance(event, h2.events.DataReceived):
            call._body += event.data
        elif isinstance(event, h2.events.TrailersReceived):
            call.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            call._ended = True
        elif isinstance(event, h2.events.StreamReset):
            call.reset = int(event.error_code)

    def _answer(self, call: Call) -> None:
        self.upstream.calls.append(call)
        try:
            self.upstream.script(call)
        except (wire.Broken, h2.exceptions.StreamClosedError):
            pass
        except BaseException as failure:  # a script's own mistake must fail the test, not its thread
            if not self.gone:
                self.upstream.failures.append(failure)


class Http2Upstream:
    """Accepts connections; at the end they are closed and what failed in scripts is raised."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None, settings: dict[int, int] | None = None) -> None:
        self.script = script
        self.settings = settings or {}
        self.calls: list[Call] = []
        self.failures: list[BaseException] = []
        self.connections: list[_Connection] = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: wire.Address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "Http2Upstream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(wire.TIMEOUT)
        for connection in self.connections:
            with connection.changed:
                connection.gone = True
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        assert not self.failures, self.failures

    def go_away(self) -> None:
        """GOAWAY on every connection; streams that are under way go on."""
        for connection in self.connections:
            with connection.changed:
                # By hand, since the library takes its own GOAWAY for the end of all streams.
                last = max(connection.calls, default=0)
                try:
                    connection.socket.sendall(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + bytes(4))
                except OSError:
                    pass

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._context is not None:
                try:
                    sock = self._context.wrap_socket(sock, server_side=True)
                except OSError:
                    continue
            connection = _Connection(sock, self)
            self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()


def echo(call: Call) -> None:
    """Sends every byte back as it comes, and the request's trailers as trailers."""
    call.head(200, ("x-method", call[":method"] or ""), ("x-path", call[":path"] or ""), ("x-authority", call[":authority"] or ""),
              ("x-scheme", call[":scheme"] or ""))
    while data := call.read():
        call.send(data)
    call.end(*call.trailers) if call.trailers else call.send(b"", end=True)
