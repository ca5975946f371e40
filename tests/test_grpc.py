"""gRPC through the gateway: a real client and a real server, plain and over TLS, with a plugin on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from support import http2, tls
from support.configs import gateway, plugin, route, upstream
from support.grpc_server import Answer, GrpcServer, answering_with, message
from support.server import Server
from support.upstreams import Upstream, closed_port
from support.waiting import until

BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def service() -> Iterator[GrpcServer]:
    server = GrpcServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(serve_module, service: GrpcServer, authority: tls.Authority, probe: Path) -> Server:
    site = authority.issue("site", "DNS:localhost")
    listeners = [{"name": "public", "address": "127.0.0.1:0"},
                 {"name": "secure", "address": "127.0.0.1:0", "protocol": "https", "tls": site.setting()}]
    config = ["request_headers add 0 x-asked from-plugin", "response_headers add 2 x-plugin head", "response_trailers add 3 x-plugin-end trailer",
              "request_headers if x-refuse reply 403 no", "response_body if x-look trace", "request_body if x-trap trap"]
    return serve_module(gateway(
        listeners=listeners, workers=2, plugins=[plugin("probe", probe, config="\n".join(config), on_failure="open")],
        routes=[route("/test.Echo/*", "service", timeout="20s"), route("/test.Dead/*", "dead")],
        upstreams=[upstream("service", service.address, protocol="http2"), upstream("dead", ("127.0.0.1", closed_port()), protocol="http2")]),
        expect_errors=True)


@pytest.fixture(scope="module", params=["plain", "tls"])
def channel(server: Server, authority: tls.Authority, request: pytest.FixtureRequest) -> Iterator[grpc.Channel]:
    if request.param == "plain":
        made = grpc.insecure_channel("127.0.0.1:{}".format(server.listeners["public"][1]), BIG)
    else:
        made = grpc.secure_channel("localhost:{}".format(server.listeners["secure"][1]),
                                   grpc.ssl_channel_credentials(authority.cert.read_bytes()), BIG)
    with made:
        yield made


def unary(channel: grpc.Channel, name: str) -> grpc.UnaryUnaryMultiCallable:
    return channel.unary_unary(f"/test.Echo/{name}")


def stream(channel: grpc.Channel, name: str) -> grpc.StreamStreamMultiCallable:
    return channel.stream_stream(f"/test.Echo/{name}")


def test_unary_calls(channel: grpc.Channel) -> None:
    for size in (0, 1, 1000, 70_000, 3 << 20):
        answer, call = unary(channel, "Say").with_call(b"x" * size, timeout=20)
        assert answer == b"echo " + b"x" * size
        assert ("x-plugin", "head") in call.initial_metadata()
        assert ("x-plugin-end", "trailer") in call.trailing_metadata(), "which a plugin added"
    assert len(unary(channel, "Large")(b"", timeout=20)) == 2 << 20


def test_many_calls_at_once(channel: grpc.Channel) -> None:
    calls = [unary(channel, "Say").future(str(number).encode(), timeout=20) for number in range(200)]
    assert [call.result() for call in calls] == [f"echo {number}".encode() for number in range(200)]


def test_every_status_with_its_message(channel: grpc.Channel) -> None:
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        with pytest.raises(grpc.RpcError) as failed:
            unary(channel, "Status")(str(code.value[0]).encode(), timeout=20)
        assert (failed.value.code(), failed.value.details()) == (code, code.value[1])


def test_an_answer_of_nothing_but_trailers(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        unary(channel, "Fail")(b"", timeout=20)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "100% denied")
    assert ("x-trailing", "no") in failed.value.trailing_metadata()


def test_metadata_and_deadline_arrive(channel: grpc.Channel) -> None:
    asked = (("x-asked-bin", b"\0\xff"), ("x-more", "yes"))
    assert unary(channel, "Metadata")(b"", timeout=20, metadata=asked) == b"from-plugin 00ff yes True"


def test_streams_both_ways(channel: grpc.Channel) -> None:
    sent = [b"m" * size for size in (0, 1, 100, 50_000, 400_000)]
    call = stream(channel, "Chat")(iter(sent), timeout=20)
    assert list(call) == [b"echo " + each for each in sent]
    assert ("x-initial", "hello") in call.initial_metadata() and ("x-trailing", "bye") in call.trailing_metadata()


def test_an_answer_comes_before_the_next_message_goes(channel: grpc.Channel) -> None:
    """Nothing on the way waits for the end of a stream."""
    go_on = threading.Semaphore(0)

    def messages() -> Iterator[bytes]:
        for number in range(20):
            yield str(number).encode()
            assert go_on.acquire(timeout=20)

    for number, answer in enumerate(stream(channel, "Chat")(messages(), timeout=20)):
        assert answer == f"echo {number}".encode()
        go_on.release()


def test_one_way_streams(channel: grpc.Channel) -> None:
    """Client streaming: many messages, one status; server streaming: one message, many answers until the client has enough."""
    with pytest.raises(grpc.RpcError) as failed:
        channel.stream_unary("/test.Echo/Break")(iter([b"one"] * 5), timeout=20)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    call = channel.unary_stream("/test.Echo/Pour")(b"go", timeout=20)
    assert sum(len(next(call)) for _ in range(300)) == 3_000_000
    call.cancel()


def test_a_stream_that_the_service_ends(channel: grpc.Channel) -> None:
    call = stream(channel, "Break")(iter([b"one", b"two", b"three"]), timeout=20)
    assert next(call) == b"echo one"
    with pytest.raises(grpc.RpcError) as failed:
        next(call)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


def test_the_service_learns_of_a_cancel(channel: grpc.Channel, service: GrpcServer) -> None:
    service.cancelled.clear()
    call = stream(channel, "Pour")(iter([b""]), timeout=20)
    next(call)
    call.cancel()
    assert service.cancelled.wait(20)


def test_the_service_learns_of_a_deadline(channel: grpc.Channel, service: GrpcServer) -> None:
    service.cancelled.clear()
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as failed:
        unary(channel, "Slow")(b"", timeout=0.3)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - begin < 10
    assert service.cancelled.wait(20)


def test_a_client_that_does_not_read_holds_the_service_back(channel: grpc.Channel, server: Server, service: GrpcServer) -> None:
    resident = server.resident()
    service.cancelled.clear()
    call = stream(channel, "Pour")(iter([b""]), timeout=60)
    next(call)
    assert not service.cancelled.wait(2)
    assert server.resident() - resident < 32 << 20
    for _ in range(200):
        next(call)
    call.cancel()
    assert service.cancelled.wait(20)


# ---- Answers of the gateway and of plugins ----


def failure(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    return failed.value.code(), failed.value.details()


def test_a_plugin_refuses_a_call(channel: grpc.Channel) -> None:
    """HTTP 403 is PERMISSION_DENIED to gRPC."""
    code, _ = failure(lambda: unary(channel, "Say")(b"", timeout=20, metadata=(("x-refuse", "1"),)))
    assert code is grpc.StatusCode.PERMISSION_DENIED


def test_the_gateways_own_answers(channel: grpc.Channel) -> None:
    code, text = failure(lambda: channel.unary_unary("/test.Other/Say")(b"", timeout=20))
    assert (code, text) == (grpc.StatusCode.UNIMPLEMENTED, "no route matches this host and path")
    code, text = failure(lambda: channel.unary_unary("/test.Dead/Say")(b"", timeout=20))
    assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "the upstream cannot be reached")


def test_a_timeout_of_the_route_is_unavailable(serve, service: GrpcServer) -> None:
    server = serve(gateway(routes=[route(to="service", timeout="300ms")],
                           upstreams=[upstream("service", service.address, protocol="http2")]))
    with grpc.insecure_channel("127.0.0.1:{}".format(server.address[1])) as channel:
        code, _ = failure(lambda: unary(channel, "Slow")(b"", timeout=20))
        assert code is grpc.StatusCode.UNAVAILABLE


def test_the_form_of_an_own_answer(server: Server) -> None:
    """HTTP 200 and nothing but a head, as gRPC wants failures; the access log tells them by the status of gRPC."""
    with http2.Client(server.address) as client:
        got = client.request("POST", "/test.Other/Say", {"content-type": "application/grpc+proto", "te": "trailers"}, message(b""))
        assert (got.status, got.body, got.header("grpc-status"), got.header("content-type")) == (200, b"", "12", "application/grpc")
        assert got.header("content-length") in (None, "0")
        assert client.request("POST", "/test.Other/Say", {"content-type": "application/grpc-web"}).status == 404


@pytest.mark.parametrize("script, code", [
    (lambda a: a.reset(http2.CANCEL), grpc.StatusCode.UNAVAILABLE),
    (lambda a: a.head().data(message(b"half", length=90)).reset(http2.INTERNAL_ERROR), None),
    (lambda a: a.head().data(message(b"half", length=90)).disconnect(), None),
    (lambda a: a.head().data(message(b"whole"), end=True), None),
], ids=["reset", "reset in a message", "cut in a message", "no status"])
def test_a_service_that_breaks_off_is_an_error(serve, script: Callable[[Answer], object], code: grpc.StatusCode | None) -> None:
    with Upstream(answering_with(script)) as origin:
        server = serve(gateway(routes=[route(to="odd")], upstreams=[upstream("odd", origin.address, protocol="http2")]))
        with grpc.insecure_channel("127.0.0.1:{}".format(server.address[1])) as channel:
            told, _ = failure(lambda: unary(channel, "Say")(b"", timeout=20))
            assert told is not grpc.StatusCode.OK and told is not grpc.StatusCode.DEADLINE_EXCEEDED
            assert code in (None, told)


def test_no_call_is_lost_by_reloads_of_plugins(server: Server, channel: grpc.Channel) -> None:
    failures: list[object] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                assert unary(channel, "Say")(b"x", timeout=20) == b"echo x"
                assert list(stream(channel, "Chat")(iter([b"a", b"b"]), timeout=20)) == [b"echo a", b"echo b"]
            except (grpc.RpcError, AssertionError) as problem:
                failures.append(problem)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert server.admin("/plugins/probe/reload", "POST").status == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    until(lambda: "heddle_exchanges_active 0" in server.metrics(), "every call to end")
