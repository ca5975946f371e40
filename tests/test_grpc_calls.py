"""gRPC calls of plugins to a real gRPC server: what the plugin is told, in which order, and how calls end."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from support import wat
from support.configs import gateway, plugin, upstream
from support.grpc_server import Answer, GrpcServer, answering_with, message
from support.prometheus import parse
from support.server import Server
from support.upstreams import Peer, Upstream, answering, closed_port, ok
from support.waiting import until


@pytest.fixture(scope="module")
def grpc_server() -> Iterator[GrpcServer]:
    server = GrpcServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def caller(compile_wat: wat.Compiler) -> Path:
    """plugins/grpc.c"""
    return compile_wat.c(Path("plugins/grpc.c"))


@pytest.fixture(scope="module")
def server(serve_module, caller: Path, grpc_server: GrpcServer) -> Server:
    host, port = grpc_server.address
    return serve_module(gateway(
        workers=1, upstreams=[upstream("echo-service", grpc_server.address), upstream("dead", ("127.0.0.1", closed_port()))],
        plugins=[plugin("caller", caller, permissions={"http": [f"{host}:{port}"]})]))


def do(server: Server, script: str) -> list[str]:
    """What the plugin was told, a line each."""
    response = server.fetch("/", headers=[("x-do", script)])
    assert response.status == 200
    return response.text.split("\n")


def hexadecimal(*parts: bytes) -> str:
    return "hex:" + b"".join(parts).hex()


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def test_a_call_is_answered(server: Server) -> None:
    for _ in range(3):
        assert do(server, "call echo-service Say 1000 hello") == ["receive echo hello"]
    assert do(server, "call echo-service Say 0") == ["receive echo "], "an empty message, and no time-out"


def test_a_call_is_denied(server: Server) -> None:
    assert do(server, "call echo-service Fail 1000 hello") == ["close 7 100% denied"]
    assert do(server, "call echo-service Nothing 1000 hello")[0].startswith("close 12 ")


@pytest.mark.parametrize("code", range(1, 17))
def test_every_status_arrives_with_its_message(server: Server, code: int) -> None:
    name = next(each.value[1] for each in grpc.StatusCode if each.value[0] == code)
    assert do(server, f"call echo-service Status 1000 {code}") == [f"close {code} {name}"]


def test_metadata_and_timeout_are_sent(server: Server) -> None:
    assert do(server, "call echo-service Metadata 1000") == ["receive yes 000102ff None True"]


def test_binary_metadata_comes_as_it_travels(server: Server) -> None:
    """In base64 (the service sends it without padding), which it is for the plugin to read, as in Envoy."""
    assert do(server, "stream echo-service Bytes;end x") == [
        "initial ", "initial bytes AP8", "receive x", "trailing ", "trailing bytes /gAB", "close 0 "]


def test_a_call_takes_too_long(server: Server, grpc_server: GrpcServer) -> None:
    grpc_server.cancelled.clear()
    assert do(server, "call echo-service Slow 100")[0].startswith("close 4 ")
    assert grpc_server.cancelled.wait(10), "the service learns of it"


def test_a_cancelled_call_is_never_heard_of(server: Server, grpc_server: GrpcServer) -> None:
    """Neither by the plugin nor, as nothing was sent yet, by the service."""
    grpc_server.asked.clear()
    assert do(server, "call echo-service Slow 10000;cancel")[0].startswith("cancelled ")
    assert do(server, "call echo-service Say 1000 next") == ["receive echo next"]


def test_an_answer_above_the_buffer_limit(server: Server) -> None:
    assert do(server, "call echo-service Large 5000") == ["close 8 a message is larger than 1048576 bytes"]


def test_a_dead_upstream(server: Server) -> None:
    assert do(server, "call dead Say 1000 hello")[0].startswith("close 14 ")
    server.wait_log("a gRPC call of the plugin failed with status 14", plugin="caller", upstream="dead")
    assert do(server, "stream dead Chat;send x")[-1].startswith("close 14 ")


def test_unknown_upstreams(server: Server) -> None:
    assert do(server, "call nobody Say 1000 hello") == ["refused 4"]
    assert do(server, "stream nobody Chat") == ["refused 4"]
    assert do(server, f"call {hexadecimal(field(1, field(1, b'nobody')))} Say 1000 hello") == ["refused 10"]


def test_names_as_bytes_of_a_grpc_service(server: Server, grpc_server: GrpcServer) -> None:
    by_name = hexadecimal(field(1, field(1, b"echo-service")), field(5, field(1, b"x-more") + field(2, b"too")))
    assert do(server, f"call {by_name} Metadata 1000") == ["receive yes 000102ff too True"]
    host, port = grpc_server.address
    by_address = hexadecimal(field(2, field(1, f"dns:///{host}:{port}".encode())))
    assert do(server, f"call {by_address} Say 1000 hello") == ["receive echo hello"]
    assert do(server, f"call {host}:{port} Say 1000 hello") == ["receive echo hello"]
    assert do(server, f"call {hexadecimal(field(2, field(1, b'127.0.0.1:1')))} Say 1000 hello") == ["refused 10"]


def test_a_stream(server: Server) -> None:
    assert do(server, "stream echo-service Chat;send one;send two;end three") == [
        "initial hello", "receive echo one", "receive echo two", "receive echo three", "trailing bye", "close 0 "]


def test_a_stream_that_is_closed_on_our_side(server: Server) -> None:
    assert do(server, "stream echo-service Chat;send one;close") == [
        "initial hello", "receive echo one", "trailing bye", "close 0 "]


def test_a_stream_that_the_service_ends(server: Server) -> None:
    told = do(server, "stream echo-service Break;send one;send two")
    assert told == ["initial", "receive echo one", "trailing", "close 8 enough"] or told == [
        "initial ", "receive echo one", "trailing ", "close 8 enough"]


def test_a_stream_is_cancelled(server: Server, grpc_server: GrpcServer) -> None:
    grpc_server.asked.clear()
    assert do(server, "stream echo-service Silent;send one;cancel")[0].startswith("cancelled ")
    assert do(server, "call echo-service Say 1000 next") == ["receive echo next"]
    assert not grpc_server.asked.is_set(), "cancelled before anything was sent"


def test_a_stream_is_cancelled_by_what_it_brings(server: Server, grpc_server: GrpcServer) -> None:
    """In the callback of a message, while more of them are on their way."""
    grpc_server.cancelled.clear()
    assert do(server, "most 3;stream echo-service Pour;wait") == ["initial ", *["receive bytes 10000"] * 3, "cancelled 0"]
    assert grpc_server.cancelled.wait(10)
    assert do(server, "call echo-service Say 1000 next") == ["receive echo next"]


def test_much_goes_both_ways(server: Server) -> None:
    """More messages than fit into the windows of HTTP/2 at once."""
    sent = "x" * 90
    script = ";".join(["stream echo-service Chat", *[f"send {sent}"] * 60, "close"])
    assert do(server, script) == ["initial hello", *[f"receive echo {sent}"] * 60, "trailing bye", "close 0 "]


def test_a_token_means_nothing_once_its_call_has_ended(server: Server) -> None:
    assert do(server, "stream echo-service Silent;cancel;send x")[-1] == "refused 1"
    assert do(server, "stream echo-service Silent;cancel;cancel")[1] == "refused 1"
    assert do(server, "call echo-service Slow 10000;cancel;close")[-1] == "refused 1"


def test_calls_count_in_the_metrics_of_the_upstream(server: Server) -> None:
    families = parse(server.admin("/metrics").text)
    responses = families["heddle_upstream_responses_total"]
    assert (responses.value(upstream="echo-service", status="2xx") or 0) > 5
    assert (responses.value(upstream="dead", status="none") or 0) > 1
    assert families["heddle_upstream_requests_active"].value(upstream="echo-service") == 0


def test_a_call_when_the_plugin_starts(serve, caller: Path, grpc_server: GrpcServer) -> None:
    server = serve(gateway(workers=1, upstreams=[upstream("echo-service", grpc_server.address)],
                           plugins=[plugin("caller", caller, config="call echo-service Say 1000 start")]))
    server.wait_log("receive echo start", plugin="caller")


def test_an_upstream_that_speaks_no_http2(serve, caller: Path) -> None:
    with Upstream(answering(ok(b"<html>"))) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("old", origin.address)], plugins=[plugin("caller", caller)]))
        told = do(server, "call old Say 2000 hello")
        assert told[0].startswith("close 1"), told


def test_an_upstream_that_says_nothing(serve, caller: Path) -> None:
    def silent(peer: Peer) -> None:
        peer.wait_closed()

    with Upstream(silent) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("mute", origin.address)], plugins=[plugin("caller", caller)]))
        assert do(server, "call mute Say 200 hello")[0].startswith("close 4 ")


# ---- Answers that are wrong ----


def say(answer: Answer) -> Answer:
    return answer.head().data(message(b"echo"))


@pytest.mark.parametrize("script, told", [
    (lambda a: say(a).trailers(grpc_status="0"), ["receive echo"]),
    (lambda a: say(a).data(b"", end=True), ["close 2 the answer ended without a gRPC status"]),
    (lambda a: say(a).trailers(x_other="1"), ["close 2 the answer ended without a gRPC status"]),
    (lambda a: say(a).trailers(grpc_status="7", grpc_message="100%25 %zz%"), ["close 7 100% %zz%"]),
    (lambda a: say(a).trailers(grpc_status="seven"), ["close 2 "]),
    (lambda a: say(a).trailers(grpc_status="99999999999"), ["close 2 "]),
    (lambda a: a.head(end=True, grpc_status="0"), ["close 13 the answer has no message"]),
    (lambda a: a.head(end=True, grpc_status="5", grpc_message="gone"), ["close 5 gone"]),
    (lambda a: a.head(end=True), ["close 2 the answer has no gRPC status"]),
    (lambda a: a.head(404, end=True, grpc_status="5"), ["close 5 "]),
    (lambda a: a.head(503).data(b"busy", end=True), ["close 14 the upstream answered with HTTP status 503"]),
    (lambda a: a.head(418).data(b"teapot"), ["close 2 the upstream answered with HTTP status 418"]),
    (lambda a: a.head().data(message(b"zip", flag=1)), ["close 13 a message is compressed, which was not offered"]),
    (lambda a: a.head().data(message(b"", length=0xffffffff)), ["close 8 a message is larger than 1048576 bytes"]),
    (lambda a: a.head().data(message(b"cut", length=9)).trailers(grpc_status="0"),
     ["close 13 the answer ended in the middle of a message"]),
    (lambda a: a.head().data(b"\0\0").trailers(grpc_status="0"), ["close 13 the answer ended in the middle of a message"]),
])
def test_what_a_call_makes_of_an_answer(serve, caller: Path, script: Callable[[Answer], object], told: list[str]) -> None:
    with Upstream(answering_with(script)) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("odd", origin.address)], plugins=[plugin("caller", caller)]))
        for _ in range(2):
            assert do(server, "call odd Say 5000 hello") == told


@pytest.mark.parametrize("script, code", [
    (lambda a: a.reset(2), "close 14"), (lambda a: say(a).reset(8), "close 13"), (lambda a: a.reset(7), "close 14"),
    (lambda a: a.disconnect(), "close 14"), (lambda a: say(a).disconnect(), "close 13"),
])
def test_what_a_call_makes_of_an_end(serve, caller: Path, script: Callable[[Answer], object], code: str) -> None:
    with Upstream(answering_with(script)) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("odd", origin.address)], plugins=[plugin("caller", caller)]))
        for kind in ("call odd Say 5000 hello", "stream odd Chat;send x"):
            told = do(server, kind)
            assert told[-1].startswith(code), told
            assert sum(line.startswith("close") for line in told) == 1
        server.wait_log("a gRPC call of the plugin failed", plugin="caller", upstream="odd")


def test_a_stream_that_is_nothing_but_a_status(serve, caller: Path) -> None:
    with Upstream(answering_with(lambda a: a.head(end=True, grpc_status="9", grpc_message="not now", x_trailing="t"))) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("odd", origin.address)], plugins=[plugin("caller", caller)]))
        assert do(server, "stream odd Chat;send x") == ["initial", "trailing t", "close 9 not now"]


def test_messages_in_pieces(serve, caller: Path) -> None:
    """A message may come in many frames, and a frame may hold many messages."""
    def answer(a: Answer) -> None:
        a.head()
        for byte in message(b"one") + message(b"") + message(b"two"):
            a.data(bytes([byte]))
        a.data(message(b"three") + message(b"four")).trailers(grpc_status="0")

    with Upstream(answering_with(answer)) as origin:
        server = serve(gateway(workers=1, upstreams=[upstream("odd", origin.address)], plugins=[plugin("caller", caller)]))
        assert do(server, "stream odd Chat") == ["initial ", "receive one", "receive ", "receive two", "receive three",
                                                 "receive four", "trailing ", "close 0 "]


# ---- Calls that outlast something ----


def test_the_upstream_goes_and_comes_back(serve, caller: Path) -> None:
    first = GrpcServer()
    server = serve(gateway(workers=1, upstreams=[upstream("echo-service", first.address)], plugins=[plugin("caller", caller)]))
    told: list[str] = []
    waiting = threading.Thread(target=lambda: told.extend(do(server, "stream echo-service Silent;send x")), daemon=True)
    waiting.start()
    assert first.asked.wait(10)
    first.stop()
    waiting.join(20)
    assert sum(line.startswith("close") for line in told) == 1 and not told[-1].startswith("close 0"), told
    assert do(server, "call echo-service Say 1000 x")[0].startswith("close 14 ")
    second = GrpcServer(first.address[1])
    try:
        assert do(server, "call echo-service Say 1000 back") == ["receive echo back"]
    finally:
        second.stop()


def test_a_reload_of_the_plugin_leaves_open_calls_alone(serve, caller: Path, grpc_server: GrpcServer) -> None:
    grpc_server.asked.clear()
    grpc_server.release.clear()
    server = serve(gateway(workers=1, upstreams=[upstream("echo-service", grpc_server.address)],
                           plugins=[plugin("caller", caller)]))
    told: list[str] = []
    waiting = threading.Thread(target=lambda: told.extend(do(server, "call echo-service Hold 20000 me")), daemon=True)
    waiting.start()
    assert grpc_server.asked.wait(10)
    assert server.admin("/plugins/caller/reload", "POST").status == 200
    assert do(server, "call echo-service Say 1000 new") == ["receive echo new"]
    grpc_server.release.set()
    waiting.join(20)
    assert told == ["receive held me"], "the old version heard its answer"
    until(lambda: "heddle_snapshots_live 1\n" in server.metrics(), "the old version to go")


def test_a_version_that_goes_takes_its_streams_along(serve, caller: Path, grpc_server: GrpcServer) -> None:
    grpc_server.asked.clear()
    grpc_server.cancelled.clear()
    server = serve(gateway(workers=1, upstreams=[upstream("echo-service", grpc_server.address)],
                           plugins=[plugin("caller", caller, config="stream echo-service Silent;send x")]))
    assert grpc_server.asked.wait(10)
    assert server.admin("/plugins/caller/disable", "POST").status == 200
    assert grpc_server.cancelled.wait(10), "the service learns that nobody listens any more"


def test_a_client_that_goes_away_does_not_end_a_call(serve, caller: Path, grpc_server: GrpcServer) -> None:
    """Answers come to the root context, as of HTTP calls."""
    grpc_server.asked.clear()
    grpc_server.release.clear()
    server = serve(gateway(workers=1, upstreams=[upstream("echo-service", grpc_server.address)],
                           plugins=[plugin("caller", caller)]))
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: h\r\nx-do: call echo-service Hold 20000 me\r\n\r\n")
        assert grpc_server.asked.wait(10)
    grpc_server.release.set()
    server.wait_log("receive held me", plugin="caller")


# ---- Names that are bytes ----


def test_hostile_names_are_refused(server: Server) -> None:
    """Whatever is given as a GrpcService: the call is refused or fails, and the gateway goes on."""
    chance = random.Random(7)
    whole = field(1, field(1, b"echo-service") + field(2, b"authority")) + field(3, b"\x08\x01") + \
        field(5, field(1, b"x-more") + field(2, b"y"))
    names = [whole[:cut] for cut in range(1, len(whole))]
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        names.append(bytes(changed))
    names += [field(1, b"\xff" * 90), b"\x0a\xff\xff\xff\xff\x0f", b"\x0a" * 100, field(3, field(1, b"\xff" * 11)),
              field(1, field(1, b"a\nb")), field(1, field(1, b"\0")), field(2, field(1, b"dns:///")),
              field(5, field(1, b":path") + field(2, b"/x")) + field(1, field(1, b"echo-service"))]
    with server.connect() as connection:
        for name in names:
            response = connection.request("GET", "/", {"x-do": f"call {hexadecimal(name)} Say 2000 hello"})
            assert response.status == 200, name
            assert response.text == "receive echo hello" or response.text.startswith(("refused 4", "refused 10", "close ")), name
    assert do(server, "call echo-service Say 1000 fine") == ["receive echo fine"]
