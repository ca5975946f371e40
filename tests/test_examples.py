"""Every example with its own heddle.yaml, answering as its README says."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from support import rpc, wire
from support.echo import seen
from support.paths import BUILT_EXAMPLES, EXAMPLES
from support.prometheus import parse
from support.server import Server
from support.waiting import until

TOKEN = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9."
         "oz6iRYnoPsA9QTkNx7_DdLCZMR_9BpPeOTuNOnZuCxg")  # of jwt_validator's README


@pytest.fixture
def example(serve, examples: Path, tmp_path: Path):
    """example("rust/minimal") serves that folder's heddle.yaml, on free ports and with replacements for other fixed ones."""
    def start(folder: str, *arguments: str, replaced: dict[str, str] | None = None, **more: object) -> Server:
        text = (EXAMPLES / folder / "heddle.yaml").read_text()
        text = text.replace("../../../build/examples", str(BUILT_EXAMPLES))
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        return serve(text, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *arguments, **more)

    return start


def all_yaml_files() -> list[str]:
    return sorted(str(file.parent.relative_to(EXAMPLES)) for file in EXAMPLES.glob("*/*/heddle.yaml"))


def test_every_example_is_tested() -> None:
    source = Path(__file__).read_text()
    missing = [folder for folder in all_yaml_files() if f'example("{folder}"' not in source]
    assert missing == []


@pytest.mark.parametrize("folder", all_yaml_files())
def test_the_configuration_is_valid_where_it_stands(serve, examples: Path, folder: str) -> None:
    result = serve.run("validate", "-c", str(EXAMPLES / folder / "heddle.yaml"))
    assert (result.returncode, result.stderr) == (0, "")


def test_rust_minimal(example) -> None:
    server = example("rust/minimal")
    assert seen(server.fetch("/hello")).header("x-plugin") == "minimal"
    assert seen(server.fetch("/hello", headers={"X-Plugin": "mine"})).header("x-plugin") == "mine, minimal"


def test_rust_rate_limiter(example) -> None:
    server = example("rust/rate_limiter", replaced={"requests_per_second: 1": "requests_per_second: 2"})
    responses = [server.fetch("/") for _ in range(5)]
    statuses = [response.status for response in responses]
    assert statuses[:3] == [200] * 3 and 429 in statuses
    refused = next(response for response in responses if response.status == 429)
    assert refused.header("retry-after") == "1"
    assert refused.header("content-type") == "application/json"
    assert refused.body == b'{"error": "Rate limit exceeded"}'
    assert server.fetch("/", headers={"X-Forwarded-For": "192.0.2.7"}).status == 200
    until(lambda: server.fetch("/").status == 200, "a request to be given back", timeout=10)


def service_of(example: str, name: str) -> object:
    """The module NAME.py of an example in Rust."""
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / "rust" / example / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@contextmanager
def served(handler: type) -> Iterator[str]:
    """An example's own service, on a free port."""
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=20)


@pytest.fixture
def auth_address() -> Iterator[str]:
    with served(service_of("external_auth", "auth_service").Handler) as address:
        yield address


def test_rust_external_auth(example, auth_address: str) -> None:
    server = example("rust/external_auth", replaced={"127.0.0.1:9100": auth_address})
    with server.connect() as connection:
        for _ in range(5):
            allowed = connection.request("GET", "/hello", {"Authorization": "Bearer let-me-in"})
            assert seen(allowed).target == "/hello"
            for headers in ({"Authorization": "Bearer guess"}, {}):
                refused = connection.request("GET", "/hello", headers)
                assert (refused.status, refused.body.strip()) == (403, b"Forbidden")


def test_rust_external_auth_without_its_service(example) -> None:
    server = example("rust/external_auth", replaced={"127.0.0.1:9100": "127.0.0.1:1"}, expect_errors=True)
    refused = server.fetch("/hello", headers={"Authorization": "Bearer let-me-in"})
    assert (refused.status, refused.body.strip()) == (403, b"Forbidden")
    server.wait_log("a plugin's call to an upstream failed", upstream="auth_service")


def test_rust_grpc_auth(example) -> None:
    service, port = service_of("grpc_auth", "auth_service").make_server("127.0.0.1:0")
    service.start()
    server = example("rust/grpc_auth", replaced={"127.0.0.1:9101": f"127.0.0.1:{port}"})
    with server.connect() as connection:
        for _ in range(5):
            allowed = connection.request("GET", "/hello", {"Authorization": "Bearer let-me-in", "X-User": "mallory"})
            assert seen(allowed).header("x-user") == "alice"
            for headers, reason in (({"Authorization": "Bearer guess"}, b"the token is not known"), ({}, b"a token is needed")):
                refused = connection.request("GET", "/hello", headers)
                assert (refused.status, refused.body) == (403, reason)
        service.stop(None).wait(10)
        assert connection.request("GET", "/hello", {"Authorization": "Bearer let-me-in"}).status == 503


def test_rust_json_rewriter(example) -> None:
    server = example("rust/json_rewriter")
    json_type = {"Content-Type": "application/json"}
    rewritten = seen(server.fetch("/", "POST", json_type, b'{"name":"loom"}'))
    assert rewritten.body == '{"name":"loom","plugin":"json_rewriter"}'
    assert rewritten.header("content-length") in (None, str(len(rewritten.body)))
    refused = server.fetch("/", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"not json")
    assert refused.status == 400
    assert refused.json() == {"error": "the body is not a JSON object: expected ident at line 1 column 2"}
    assert seen(server.fetch("/")).body == ""
    parts = [b'{"a":', b'"' + b"x" * 100_000 + b'"', b"}"]
    with server.connect() as connection:
        connection.send(wire.head("POST", "/", {"Transfer-Encoding": "chunked", **json_type}) + wire.chunked(parts))
        assert seen(connection.response()).body.endswith('","plugin":"json_rewriter"}')
    assert server.fetch("/", "POST", json_type, b" " * (2 << 20)).status == 413


def test_rust_metrics_logger(example) -> None:
    server = example("rust/metrics_logger", "--log-level", "debug")
    response = server.fetch("/hello?name=loom")
    assert response.header("x-custom-key") == "/hello?name=loom"
    server.wait_log("defined Metrics { requests: 0, active: 1, latency: 2 }")
    server.wait_log("request for /hello?name=loom")
    server.wait_log("/hello?name=loom took ")
    families = {name: family for name, family in parse(server.metrics()).items() if "my_plugin_" in name}
    values = {name: family.value() for name, family in families.items() if family.kind != "histogram"}
    assert next(value for name, value in values.items() if "requests_total" in name) == 1
    assert next(value for name, value in values.items() if "active_requests" in name) == 0
    latency = next(family for name, family in families.items() if "latency" in name)
    assert sum(value for name, _, value in latency.samples if name.endswith("_count")) == 1


def test_go_headers(example) -> None:
    server = example("go/headers")
    assert seen(server.fetch("/hello")).header("x-plugin") == "go-example"


def test_go_jwt_validator(example) -> None:
    server = example("go/jwt_validator")
    missing = server.fetch("/hello")
    assert (missing.status, missing.header("www-authenticate")) == (401, "Bearer")
    assert missing.json() == {"error": "Missing or invalid Authorization header"}
    assert seen(authorized(server, TOKEN)).header("x-user-id") == "alice"
    assert authorized(server, TOKEN, {"X-User-ID": "mallory"}).json()["headers"]["x-user-id"] == "alice"
    assert authorized(server, TOKEN + "x").json() == {"error": "Invalid token signature"}
    assert authorized(server, "test").json() == {"error": "Invalid token format"}


def authorized(server: Server, token: str, headers: dict[str, str] | None = None) -> wire.Response:
    return server.fetch("/hello", headers={"Authorization": f"Bearer {token}", **(headers or {})})


def test_go_jwt_validator_with_another_secret(example) -> None:
    server = example("go/jwt_validator", env={"JWT_SECRET": "something else"})
    assert authorized(server, TOKEN).status == 401


def test_cpp_header_filter(example) -> None:
    server = example("cpp/header_filter")
    response = server.fetch("/hello")
    assert response.header("x-filter") == "cpp"
    assert seen(response).header("x-from") == "heddle"


def test_cpp_header_filter_refuses_another_configuration(example) -> None:
    server = example("cpp/header_filter", replaced={"request X-From: heddle": "nonsense"}, expect_errors=True)
    assert server.fetch("/").status == 503
    assert server.plugin("cpp_header_filter")["state"] == "failed"
    server.wait_log("nonsense")


def test_assemblyscript_response_header(example) -> None:
    server = example("assemblyscript/response_header", expect_errors=True)
    for _ in range(3):
        assert server.fetch("/hello").header("x-woven-by") == "AssemblyScript"


@pytest.mark.parametrize("name", ["minimal", "go_headers", "cpp_header_filter", "as_response_header"])
def test_the_module_of_every_sdk_can_be_reloaded(serve, examples: Path, name: str) -> None:
    config = f"""\
plugins:
  - name: reloaded
    path: {examples / name}.wasm
    config: "response X-A: b"
"""
    server = serve(config, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", expect_errors=True)
    for _ in range(3):
        assert server.fetch("/").status == 200
        assert server.admin("/plugins/reloaded/reload", "POST").status == 200
    assert server.fetch("/").status == 200


JSON = {"Content-Type": "application/json"}


def test_rust_my_plugin(example) -> None:
    server = example("rust/my_plugin")
    items = [{"id": 1, "name": "Item 1", "description": "First item"}, {"id": 2, "name": "Item 2", "description": "Second item"}]
    for path in ("/api/items", "/api/plugins/my-plugin/api/items"):
        assert server.fetch(path).json() == {"success": True, "data": items, "error": None}
    created = server.fetch("/api/items", "POST", JSON, b'{"name":"Loom","description":"weaves"}')
    assert (created.status, created.header("content-type")) == (200, "application/json")
    assert created.json() == {"success": True, "data": {"id": 1, "name": "Loom", "description": "weaves"}, "error": None}
    refused = server.fetch("/api/items", "POST", JSON, b"{}").json()
    assert refused["success"] is False and refused["error"].startswith("Invalid request: missing field `name`")


def test_rust_notes(example) -> None:
    server = example("rust/notes")
    empty = server.fetch("/notes")
    assert (empty.status, empty.json()) == (200, {"title": "Notes", "notes": []})
    made = server.fetch("/notes", "POST", JSON, json.dumps({"text": "x'); DROP TABLE notes; --"}).encode())
    assert made.status == 201 and made.header("location") == "/notes/" + made.json()["id"]
    assert server.fetch("/notes/title", "PUT", JSON, b'{"title":"To do"}').json() == {"title": "To do"}
    assert server.fetch("/notes").json() == {"title": "To do", "notes": [made.json()]}
    assert server.fetch(made.header("location")).json()["text"] == "x'); DROP TABLE notes; --"
    assert server.fetch("/notes", "POST", JSON, json.dumps({"text": "x" * 501}).encode()).status == 422
    assert server.fetch("/notes?limit=0").json() == {"error": {"message": "limit is a number from 1 to 100"}}
    assert server.fetch(made.header("location"), "DELETE").status == 204
    assert server.fetch(made.header("location"), "DELETE").status == 404


def test_rust_weather(example) -> None:
    with served(service_of("weather", "weather_service").Handler) as address:
        server = example("rust/weather", replaced={"127.0.0.1:9200": address})
        assert server.fetch("/weather/Oslo").json() == {"city": "Oslo", "celsius": -4.0, "fahrenheit": 24.8, "sky": "snow"}
        found = server.fetch("/weather/S%C3%A3o%20Paulo")
        assert (found.header("cache-control"), found.json()["city"]) == ("max-age=60", "São Paulo")
        assert server.fetch("/weather/Atlantis").status == 404
    server.expect_errors = True
    gone = server.fetch("/weather/Oslo")
    assert (gone.status, gone.json()) == (502, {"error": "the weather service does not answer"})


def test_go_links(example) -> None:
    server = example("go/links")
    for url in ("https://go.dev/doc/", "https://go.dev/play/"):
        made = server.fetch("/links", "POST", JSON, json.dumps({"url": url}).encode())
        assert (made.status, made.json()["url"]) == (201, url)
        followed = server.fetch(made.header("location"))
        assert (followed.status, followed.header("location")) == (302, url)
    assert server.fetch("/l/none").status == 404
    assert server.fetch("/links", "POST", JSON, b'{"url":"javascript:1"}').status == 422


def test_c_shout(example) -> None:
    server = example("c/shout")
    assert server.fetch("/shout/hello").json() == {"shouted": "HELLO!"}
    assert server.fetch("/shout/" + "a" * 300).json()["shouted"].startswith("A" * 200)
    described = server.fetch("/openapi.json").json()["paths"]["/shout/{word}"]["get"]
    assert described["responses"]["200"]["content"]["application/json"]["schema"]["properties"] == {"shouted": {"type": "string"}}


def test_json_rpc_assemblyscript(example) -> None:
    server = example("json_rpc/assemblyscript")
    assert rpc.result(server, "rpc_as", "stamp", "Good morning")["text"] == "Good morning"
    server.wait_log("called: stamp", plugin="rpc_as")
