"""A real gRPC server (grpcio) with the service test.Echo, whose messages are plain bytes; and one that does what a script says."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events

from support.upstreams import Peer

Context = grpc.ServicerContext


class GrpcServer:
    """Say answers a message, Fail denies, Status answers the status that the message names, Slow waits until it is
    cancelled, Hold until `release`, Large answers 2 MiB, Metadata what it was asked with. Chat answers each message of a
    stream, Bytes has binary metadata; Break ends one after its first message, without reading on; Pour sends messages
    without end; Silent says nothing."""

    def __init__(self, port: int = 0) -> None:
        self.cancelled = threading.Event()
        self.asked = threading.Event()  # a call of Slow, Hold or Silent has begun
        self.release = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(16))
        unary = grpc.unary_unary_rpc_method_handler
        stream = grpc.stream_stream_rpc_method_handler
        handlers = {
            "Say": unary(self._say), "Fail": unary(self._fail), "Status": unary(self._status), "Slow": unary(self._slow),
            "Hold": unary(self._hold), "Large": unary(self._large), "Metadata": unary(self._metadata),
            "Chat": stream(self._chat), "Bytes": stream(self._bytes), "Break": stream(self._break),
            "Pour": stream(self._pour), "Silent": stream(self._silent),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
        self.address = ("127.0.0.1", self._server.add_insecure_port(f"127.0.0.1:{port}"))
        self._server.start()

    def stop(self) -> None:
        self.release.set()
        self._server.stop(None).wait(10)

    @staticmethod
    def _say(message: bytes, _context: Context) -> bytes:
        return b"echo " + message

    @staticmethod
    def _fail(_message: bytes, context: Context) -> bytes:
        context.set_trailing_metadata((("x-trailing", "no"),))
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "100% denied")

    @staticmethod
    def _status(message: bytes, context: Context) -> bytes:
        code = next(code for code in grpc.StatusCode if code.value[0] == int(message))
        context.abort(code, code.value[1])

    def _hold(self, message: bytes, _context: Context) -> bytes:
        self.asked.set()
        self.release.wait(20)
        return b"held " + message

    def _slow(self, _message: bytes, context: Context) -> bytes:
        self._until_cancelled(context)
        return b"late"

    @staticmethod
    def _large(_message: bytes, _context: Context) -> bytes:
        return b"x" * (2 << 20)

    @staticmethod
    def _metadata(_message: bytes, context: Context) -> bytes:
        metadata = dict(context.invocation_metadata())
        left = context.time_remaining()
        timed = left is not None and left < 3600
        return f"{metadata.get('x-asked')} {metadata.get('x-asked-bin').hex()} {metadata.get('x-more')} {timed}".encode()

    @staticmethod
    def _chat(messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.send_initial_metadata((("x-initial", "hello"),))
        for message in messages:
            yield b"echo " + message
        context.set_trailing_metadata((("x-trailing", "bye"),))

    @staticmethod
    def _bytes(messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.send_initial_metadata((("x-initial-bin", b"\0\xff"),))
        yield from messages
        context.set_trailing_metadata((("x-trailing-bin", b"\xfe\0\1"),))

    @staticmethod
    def _break(messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield b"echo " + next(messages)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")

    def _pour(self, _messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        while True:
            yield b"p" * 10_000

    def _silent(self, _messages: Iterator[bytes], context: Context) -> Iterator[bytes]:
        self._until_cancelled(context)
        yield from ()

    def _until_cancelled(self, context: Context) -> None:
        self.asked.set()
        gone = threading.Event()
        context.add_callback(self._both(gone.set))
        gone.wait(20)

    def _both(self, also: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            self.cancelled.set()
            also()
        return call


def message(data: bytes, flag: int = 0, length: int | None = None) -> bytes:
    """A message as it stands in a body; `length` when it should be a lie."""
    return struct.pack(">BI", flag, len(data) if length is None else length) + data


class Answer:
    """One stream of an HTTP/2 connection, to be answered by hand, right or wrong."""

    def __init__(self, peer: Peer, connection: h2.connection.H2Connection, stream: int) -> None:
        self.peer = peer
        self.connection = connection
        self.stream = stream

    def head(self, status: int = 200, end: bool = False, **headers: str) -> "Answer":
        fields = [(":status", str(status)), ("content-type", "application/grpc")]
        return self._headers(fields + [(name.replace("_", "-"), value) for name, value in headers.items()], end)

    def data(self, data: bytes, end: bool = False) -> "Answer":
        self.connection.send_data(self.stream, data, end_stream=end)
        return self.flush()

    def trailers(self, **headers: str) -> "Answer":
        return self._headers([(name.replace("_", "-"), value) for name, value in headers.items()], True)

    def reset(self, code: int) -> "Answer":
        self.connection.reset_stream(self.stream, code)
        return self.flush()

    def disconnect(self) -> None:
        """The connection ends, and with it the script."""
        raise ConnectionAbortedError

    def _headers(self, fields: list[tuple[str, str]], end: bool) -> "Answer":
        self.connection.send_headers(self.stream, fields, end_stream=end)
        return self.flush()

    def flush(self) -> "Answer":
        self.peer.send(self.connection.data_to_send())
        return self


def answering_with(script: Callable[[Answer], object]) -> Callable[[Peer], None]:
    """A script for `Upstream`: every request gets `script` as soon as its head is there."""
    def serve(peer: Peer) -> None:
        settings = h2.config.H2Configuration(client_side=False, validate_outbound_headers=False)
        connection = h2.connection.H2Connection(settings)
        connection.initiate_connection()
        peer.send(connection.data_to_send())
        while data := peer.socket.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    script(Answer(peer, connection, event.stream_id))
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            peer.send(connection.data_to_send())
    return serve
