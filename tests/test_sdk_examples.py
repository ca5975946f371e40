"""The SDKs' own examples, rebuilt (examples/README.md), each seen doing what its description says."""

from __future__ import annotations

import importlib.util
import threading
import zlib
from pathlib import Path
from types import ModuleType

import grpc
import pytest

from support import wire
from support.echo import seen
from support.paths import BUILT_EXAMPLES, EXAMPLES
from support.prometheus import parse
from support.server import Server
from support.tcp import Client, TcpServer, echo
from support.upstreams import Peer, Upstream, answering, ok
from support.waiting import until

FIXED_ADDRESS = "127.0.0.1:9100"  # of the service that some configurations name


# For tests of requests: the same is seen by both versions of HTTP.
both_versions = pytest.mark.parametrize("example", ["http1", "http2"], indirect=True)


@pytest.fixture
def example(serve, examples: Path, request: pytest.FixtureRequest):
    """example("rust/sdk/http_body") serves that folder's heddle.yaml on free ports, with one worker so that counts add up."""
    def start(folder: str, *arguments: str, service: Upstream | None = None, replaced: dict[str, str] | None = None,
              **more: object) -> Server:
        text = (EXAMPLES / folder / "heddle.yaml").read_text()
        text = text.replace("../../../../build/examples", str(BUILT_EXAMPLES))
        address = f"127.0.0.1:{service.address[1]}" if service else FIXED_ADDRESS
        for old, new in {FIXED_ADDRESS: address, **(replaced or {})}.items():
            text = text.replace(old, new)
        server = serve("workers: 1\n" + text, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *arguments, **more)
        server.fetch_by_http2 = getattr(request, "param", "http1") == "http2"
        return server

    return start


def configurations() -> list[str]:
    return sorted(str(file.parent.relative_to(EXAMPLES)) for file in EXAMPLES.glob("*/sdk/*/heddle.yaml"))


def test_every_example_is_tested() -> None:
    source = Path(__file__).read_text()
    assert [folder for folder in configurations() if f'example("{folder}"' not in source] == []
    assert len(configurations()) >= 15


@pytest.mark.parametrize("folder", configurations())
def test_the_configuration_is_valid_where_it_stands(serve, examples: Path, folder: str) -> None:
    result = serve.run("validate", "-c", str(EXAMPLES / folder / "heddle.yaml"))
    assert (result.returncode, result.stderr) == (0, "")


def grpcbin() -> ModuleType:
    """The service of grpc_auth_random."""
    file = EXAMPLES / "rust" / "sdk" / "grpc_auth_random" / "grpcbin.py"
    specification = importlib.util.spec_from_file_location("grpcbin", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@both_versions
def test_rust_grpc_auth_random(example) -> None:
    statuses = [grpc.StatusCode.UNKNOWN, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED]  # 2, 5, 1

    def answer(_message: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(statuses.pop(0), "in turn") if statuses else None
        return b""

    service, port = grpcbin().make_server("127.0.0.1:0", answer)
    service.start()
    server = example("rust/sdk/grpc_auth_random", replaced={"127.0.0.1:9101": f"127.0.0.1:{port}"})
    for expected in (200, 403, 403, 200):
        answered = server.fetch("/headers")
        assert (answered.status, answered.header("powered-by")) == (expected, "proxy-wasm")
        if expected == 403:
            assert answered.body == b"Access forbidden.\n"
    server.wait_log("Access granted.", plugin="grpc_auth_random")
    server.wait_log("Access forbidden.", plugin="grpc_auth_random")
    service.stop(None).wait(10)
    assert server.fetch("/headers").status == 200, "14, UNAVAILABLE, is even"


def test_the_service_of_grpc_auth_random_gives_every_status() -> None:
    module = grpcbin()
    service, port = module.make_server("127.0.0.1:0")
    service.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary("/grpcbin.GRPCBin/RandomError")
        seen_codes = set()
        for _ in range(60):
            try:
                ask(b"", timeout=10)
                seen_codes.add(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                seen_codes.add(error.code())
    service.stop(None).wait(10)
    assert len(seen_codes) > 5 and seen_codes <= {grpc.StatusCode.OK, *module.ERRORS}


@both_versions
def test_rust_http_auth_random(example) -> None:
    with Upstream(answering(ok(b"\x02"), ok(b"\x03"))) as service:
        server = example("rust/sdk/http_auth_random", service=service)
        granted = server.fetch("/headers")
        assert seen(granted).target == "/headers"
        assert granted.header("powered-by") == "proxy-wasm"
        refused = server.fetch("/headers")
        assert (refused.status, refused.body) == (403, b"Access forbidden.\n")
        assert refused.header("powered-by") == "proxy-wasm"
        server.wait_log("Access granted.")
        server.wait_log("Access forbidden.")
        asked = service.requests[0]
        assert (asked.line, asked.header("host")) == ("GET /bytes/1 HTTP/1.1", "httpbin.org")


@both_versions
def test_rust_http_body(example) -> None:
    server = example("rust/sdk/http_body")
    plain = server.fetch("/", "POST", body=b"nothing to hide")
    assert seen(plain).body == "nothing to hide"
    redacted = server.fetch("/", "POST", body=b"this is secret")
    length = len(server.fetch("/", "POST", body=b"this is public").body)
    assert redacted.text == f"Original message body ({length} bytes) redacted.\n"


@both_versions
def test_rust_http_headers(example) -> None:
    server = example("rust/sdk/http_headers")
    answer = server.fetch("/hello")
    assert (answer.status, answer.body) == (200, b"Hello, World!\n")
    assert (answer.header("hello"), answer.header("powered-by")) == ("World", "proxy-wasm")
    assert seen(server.fetch("/other", headers={"X-Colour": "blue"})).target == "/other"
    for line in ("#2 -> :path: /hello", "#2 <- powered-by: proxy-wasm", "#2 completed.", "#3 -> :method: GET",
                 "#3 -> x-colour: blue", "#3 <- :status: 200", "#3 completed."):
        server.wait_log(line)


def web_service(peer: Peer) -> None:
    while request := peer.read_request():
        status = "503 Service Unavailable" if request.target == "/fail" else "200 OK"
        peer.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


@both_versions
def test_go_dispatch_call_on_tick(example) -> None:
    with Upstream(web_service) as service:
        server = example("go/sdk/dispatch_call_on_tick", service=service)
        server.wait_log("called 4 for contextID=1")
        server.wait_log("response header for the dispatched call: :status: 200")
        server.wait_log("response header for the dispatched call: :status: 503")
        assert {request.target for request in service.requests} == {"/ok", "/fail"}
        assert server.fetch("/").status == 200


def test_go_foreign_call_on_tick(example) -> None:
    server = example("go/sdk/foreign_call_on_tick")
    line = server.wait_log("foreign function (compress) called: 1, result: ")
    compressed = bytes.fromhex(line["message"].rpartition(" ")[2])
    assert zlib.decompress(compressed) == b"hello world!"
    server.wait_log("foreign function (compress) called: 2, result: ")


@both_versions
def test_go_http_body_chunk(example) -> None:
    server = example("go/sdk/http_body_chunk")
    assert seen(server.fetch("/", "POST", body=b"This is a generic payload.")).body == "This is a generic payload."
    server.wait_log("pattern not found")
    refused = server.fetch("/", "POST", body=b"This is a payload with the pattern word.")
    assert (refused.status, refused.body, refused.header("powered-by")) == (403, b"pattern found", "proxy-wasm-go-sdk")
    server.wait_log("pattern found in chunk: 1")


def test_go_http_body_chunk_by_chunk(example) -> None:
    server = example("go/sdk/http_body_chunk", "--log-level", "trace")
    with server.connect() as connection:
        connection.send(wire.head("POST", "/", {"Transfer-Encoding": "chunked"}))
        for part in (b"chunk1...", b"chunk2...", b"chunk3..."):
            connection.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        connection.send(b"10\r\nthe pattern here\r\n")
        assert connection.response().status == 403
    server.wait_log("pattern found in chunk: ")


@both_versions
def test_go_http_routing(example) -> None:
    server = example("go/sdk/http_routing")
    answer = server.fetch("/", host="shop.example")
    assert answer.json()["authority"] == "shop.example-canary"
    server.wait_access(route="canary", upstream="canary")


@both_versions
def test_go_http_routing_to_the_stable_side(example) -> None:
    server = example("go/sdk/http_routing", replaced={'config: "2"': 'config: "1"'})
    assert server.fetch("/", host="shop.example").json()["authority"] == "shop.example"
    server.wait_access(route="stable", upstream="stable")


@both_versions
def test_go_http_routing_with_dice(example) -> None:
    server = example("go/sdk/http_routing", replaced={'config: "2"': 'config: ""'})
    hosts = {server.fetch("/", host="shop.example").json()["authority"] for _ in range(60)}
    assert hosts == {"shop.example", "shop.example-canary"}


@pytest.mark.parametrize(("body", "reason"), [
    (b'{"id": 1, "token": "x"}', None),
    (b'{"id": 1}', 'invalid payload: the key "token" is missing'),
    (b"invalid_payload", "invalid payload: not a JSON object"),
    (b"[1]", "invalid payload: not a JSON object"),
])
@both_versions
def test_go_json_validation(serve_json_validation: Server, body: bytes, reason: str | None) -> None:
    answer = serve_json_validation.fetch("/", "POST", {"Content-Type": "application/json"}, body)
    if reason is None:
        assert seen(answer).body.encode() == body
    else:
        assert (answer.status, answer.text) == (403, reason)


@both_versions
def test_go_json_validation_of_another_type(serve_json_validation: Server) -> None:
    answer = serve_json_validation.fetch("/", "POST", {"Content-Type": "text/html"}, b"{}")
    assert (answer.status, answer.text) == (403, "content-type must be application/json")


@pytest.fixture
def serve_json_validation(example) -> Server:
    return example("go/sdk/json_validation")


@both_versions
def test_go_metrics(example) -> None:
    server = example("go/sdk/metrics")
    for value in ("foo", "foo", "bar", "foo", None):
        assert server.fetch("/", headers={"my-custom-header": value} if value else {}).status == 200
    lines = [line for line in server.metrics().splitlines() if "custom_header_value_counts" in line and line[0] != "#"]
    assert len(lines) == 2 and all("wasmgosdk" in line for line in lines), lines
    assert next(line for line in lines if "foo" in line).endswith(" 3")
    assert next(line for line in lines if "bar" in line).endswith(" 1")


@both_versions
def test_go_multiple_dispatches(example) -> None:
    with Upstream(web_service) as service:
        server = example("go/sdk/multiple_dispatches", service=service)
        answer = server.fetch("/hello")
        assert seen(answer).target == "/hello"
        assert answer.header("total-dispatched") == "10"
        assert sorted(request.target for request in service.requests) == [f"/{i}" for i in range(10)]
        for line in ("pending dispatched requests: 9", "pending dispatched requests: 1",
                     "response resumed after processed 10 dispatched request"):
            server.wait_log(line)


@both_versions
def test_go_postpone_requests(example) -> None:
    server = example("go/sdk/postpone_requests")
    answers: list[wire.Response] = []
    clients = [threading.Thread(target=lambda: answers.append(server.fetch("/late"))) for _ in range(2)]
    for client in clients:
        client.start()
    until(lambda: sum("postpone request" in line for line in server.messages()) == 2, "both requests to wait")
    for client in clients:
        client.join()
    assert [answer.status for answer in answers] == [200, 200]
    until(lambda: sum(line.startswith("resume") for line in server.messages()) == 2, "both to be told")
    order = [line for line in server.messages() if "contextID=" in line]
    assert [line.split()[0] for line in order if line.endswith("contextID=2")] == ["postpone", "resume"]
    assert [line.split()[0] for line in order if line.endswith("contextID=3")] == ["postpone", "resume"]


@both_versions
def test_go_postpone_requests_of_a_client_that_left(example) -> None:
    server = example("go/sdk/postpone_requests")
    with server.connect() as connection:
        connection.send(wire.head("GET", "/gone"))
        server.wait_log("postpone request with contextID=2")
    assert server.fetch("/stays").status == 200
    server.wait_log("resume request with contextID=3")


@both_versions
def test_go_properties(example) -> None:
    server = example("go/sdk/properties")
    assert server.fetch("/one").status == 401
    assert seen(server.fetch("/one", headers={"Cookie": "value"})).target == "/one"
    assert server.fetch("/two", headers={"Cookie": "value"}).status == 401
    assert seen(server.fetch("/two", headers={"Authorization": "token"})).target == "/two"
    assert seen(server.fetch("/three")).target == "/three"
    for line in ('auth header is "cookie"', 'auth header is "authorization"', "no auth header for route", "6 finished"):
        server.wait_log(line)


@both_versions
def test_go_shared_data(example) -> None:
    server = example("go/sdk/shared_data", replaced={"workers: 1": "workers: 2"})
    for _ in range(10):
        assert server.fetch("/").status == 200
    server.wait_log("shared value: 10")
    assert not any("shared value: 11" in line for line in server.messages())


@both_versions
def test_go_shared_queue(example) -> None:
    server = example("go/sdk/shared_queue_sender")
    assert server.fetch("/", headers={"X-Colour": "blue"}).status == 200
    server.wait_log('queue "http_request_headers" registered as queueID=')
    server.wait_log("headers into http_request_headers(queueID=")
    server.wait_log("headers into http_response_headers(queueID=")
    received = server.wait_log('{"key":"x-colour","value":"blue"}')["message"]
    assert received.startswith("(contextID=1) dequeued data from http_request_headers(queueID=")
    server.wait_log('from http_response_headers(queueID=')
    server.wait_log('{"key":":status","value":"200"}')


@both_versions
def test_go_vm_plugin_configuration(example) -> None:
    server = example("go/sdk/vm_plugin_configuration")
    server.wait_log("vm config: hello from the VM")
    server.wait_log('plugin config: {"name":"plugin configuration"}')
    assert server.fetch("/").status == 200


def test_go_network(example) -> None:
    with TcpServer(echo) as backend:
        server = example("go/sdk/network", replaced={"127.0.0.1:9000": "{}:{}".format(*backend.address)})
        with Client(server.listeners["passage"]) as client:
            own = "{}:{}".format(*client.socket.getsockname())
            assert client.send(b"hello").read(5) == b"hello"
            assert client.end().read_all() == b""
        peer = "upstream {}:{}".format(*backend.address)
        server.wait_log("connection complete", plugin="go_network")
        expected = [f"new connection from {own}", '5 bytes from downstream: "hello"', f'5 bytes from {peer}: "hello"',
                    '0 bytes from downstream, the last of it: ""', f'0 bytes from {peer}, the last of it: ""',
                    "upstream connection closed by its end of data", "downstream connection closed by the gateway",
                    "connection complete"]
        assert [line for line in server.messages() if line in expected] == expected
        counters = parse(server.metrics())["heddle_plugin_custom_proxy_wasm_go_connection_counter"]
        assert counters.value(plugin="go_network") == 1
