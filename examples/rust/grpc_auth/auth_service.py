#!/usr/bin/env python3
"""The gRPC service that grpc_auth asks: heddle.examples.Auth/Check on 127.0.0.1:9101 (pip install grpcio).

Question and answer are a message with one string, number 1: the token, and the name of its user. Knows the token in
TOKEN (default let-me-in), as user alice; another one is PERMISSION_DENIED, none UNAUTHENTICATED.
"""

import hmac
import os
from concurrent import futures

import grpc

ADDRESS = "127.0.0.1:9101"
TOKEN = os.environ.get("TOKEN", "let-me-in")


def read(message):
    """The string of the message, for strings of up to 127 bytes."""
    return message[2 : 2 + message[1]].decode(errors="replace") if message[:1] == b"\x0a" else ""


def write(text):
    return b"\x0a" + bytes([len(text)]) + text.encode()


def check(message, context):
    token = read(message).removeprefix("Bearer ")
    if not token:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed")
    if not hmac.compare_digest(token.encode(), TOKEN.encode()):
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "the token is not known")
    return write("alice")


def make_server(address):
    """Returns the server and its port."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("heddle.examples.Auth", handlers),))
    return server, server.add_insecure_port(address)


if __name__ == "__main__":
    auth, port = make_server(ADDRESS)
    auth.start()
    print(f"auth_service: listening on port {port}", flush=True)
    try:
        auth.wait_for_termination()
    except KeyboardInterrupt:
        pass
