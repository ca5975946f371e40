#!/usr/bin/env python3
"""The gRPC service that grpc_auth_random asks: grpcbin.GRPCBin/RandomError on 127.0.0.1:9101 (pip install grpcio).

Answers with a status from 0 to 16, each as likely as the others.
"""

import random
from concurrent import futures

import grpc

ADDRESS = "127.0.0.1:9101"
ERRORS = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def random_error(_message, context):
    number = random.randint(0, len(ERRORS))
    if number > 0:
        context.abort(ERRORS[number - 1], "by chance")
    return b""


def make_server(address, answer=random_error):
    """Returns the server and its port."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handlers = {"RandomError": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpcbin.GRPCBin", handlers),))
    return server, server.add_insecure_port(address)


if __name__ == "__main__":
    service, port = make_server(ADDRESS)
    service.start()
    print(f"grpcbin: listening on port {port}", flush=True)
    try:
        service.wait_for_termination()
    except KeyboardInterrupt:
        pass
