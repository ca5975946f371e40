"""What is asked of Envoy and of Heddle, with which plugin, and where they may differ. A case is a configuration of the test plugin
`probe` (or an example's module) and requests. `differs` names the views in which the two must differ, each with the row of
docs/compatibility.md that says why: a difference that is gone fails the test as well."""

from __future__ import annotations

from dataclasses import dataclass, field

LIFE = """\
log trace
done trace
delete trace
"""
TRACED = "* trace\n"


@dataclass(frozen=True)
class Ask:
    """One request, in one piece on a connection of its own."""

    answer: str = "plain"  # what the upstream answers: proxies.Origin.ANSWERS
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    query: str = ""

    def raw(self, case: str) -> bytes:
        lines = [f"{self.method} /{case}/{self.answer}{self.query} HTTP/1.1", "Host: differential.test"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        body = self.body
        if self.chunked or self.trailers:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n" % (len(body), body) if body else b"0\r\n"
            body += b"".join(f"{name}: {value}\r\n".encode() for name, value in self.trailers) + b"\r\n"
        elif self.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Case:
    name: str
    plugin: str
    asks: tuple[Ask, ...] = (Ask(),)
    module: str = "probe"
    on_failure: str = "closed"
    deletes: int = 1  # streams of which `probe` says that they are deleted
    patience: float = 20  # seconds until a client gives up
    heddle: dict[str, object] = field(default_factory=dict)
    envoy: dict[str, object] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)  # of the route
    differs: dict[str, str] = field(default_factory=dict)  # client, upstream, plugin -> row


GET = (Ask(),)
POST = (Ask(method="POST", body=b"0123456789"),)
FULL = (Ask(method="POST", body=b"0123456789", trailers=(("X-Tail", "1"),), answer="trailers"),)
PHASES = ("request_headers", "request_body", "request_trailers", "response_headers", "response_body", "response_trailers")


def resumed(phase: str) -> str:
    """Pauses in a phase until a call has been answered, then resumes its side."""
    stream = int(phase.startswith("response"))
    return TRACED + f"{phase} once call origin /side/plain\n{phase} pause\nhttp_call_response resume {stream}\n"


def shown(callback: str, how: str, properties: tuple[str, ...]) -> str:
    return "".join(f"{callback} {how} {name}\n" for name in properties)


REQUEST_WITH_ALL = (Ask(method="POST", body=b"0123456789", query="?a=b&c=d%20e", headers=(
    ("User-Agent", "differential/1"), ("Referer", "http://from.test/"), ("X-A", "one"), ("X-A", "two"))),)
PLUGIN_PROPERTIES = ("plugin_name", "plugin_root_id", "plugin_vm_id")
REQUEST_PROPERTIES = (
    "request.path", "request.url_path", "request.query", "request.host", "request.method", "request.scheme", "request.referer",
    "request.useragent", "request.protocol", "request.size", "request.headers.x-a", "request.headers.X-A",
    "request.headers.absent", "request.nothing", "request", "nothing.at.all", "")
SIZED_REQUEST_PROPERTIES = ("request.time", "request.id")
RESPONSE_PROPERTIES = ("response.code", "response.code_details", "response.flags", "response.grpc_status", "response.size",
                       "response.headers.transfer-encoding", "response.trailers.x-checksum", "response.trailers", "response")
CONNECTION_PROPERTIES = ("source.address", "source.port", "destination.address", "destination.port", "connection.id",
                         "connection_id", "connection.tls_version", "connection.requested_server_name", "connection", "source")
UPSTREAM_PROPERTIES = ("upstream.address", "upstream.port", "upstream.tls_version", "upstream.transport_failure_reason", "upstream")
XDS_PROPERTIES = ("xds.cluster_name", "xds.route_name", "xds.listener_direction", "xds.route_metadata", "xds.nothing",
                  "xds.route_metadata.filter_metadata.envoy", "xds")

# Asked after every case: when this line is in the log, so are those before it.
FLUSH = Case("flush", "request_headers log flushed\n", deletes=0)

CASES: list[Case] = [
    FLUSH,
    # The order of callbacks and their arguments.
    Case("trace-get", TRACED),
    Case("trace-post", TRACED, POST),
    Case("trace-empty-post", TRACED, (Ask(method="POST"),)),
    Case("trace-head", TRACED, (Ask(method="HEAD"),)),
    Case("trace-chunked", TRACED, (Ask(method="POST", body=b"abc", chunked=True, answer="chunked"),)),
    Case("trace-trailers", TRACED, FULL),
    Case("trace-no-content", TRACED, (Ask("204"),)),
    Case("trace-empty-answer", TRACED, (Ask("nothing"),)),
    Case("trace-not-found", TRACED, (Ask("404"),)),
    Case("trace-two-requests", TRACED, (Ask(), *POST)),

    # Headers.
    Case("headers-seen", LIFE + "request_headers pairs 0\nresponse_headers pairs 2\n", (Ask(
        "headers", headers=(("X-Mixed", "One"), ("x-mixed", "two"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("X-Empty", ""),
                            ("Accept", "a/b;q=0.5, c/d"))),)),
    Case("headers-get", LIFE + "".join(f"request_headers get 0 {name}\n" for name in (
        ":method", ":path", ":authority", ":scheme", "host", "Host", "X-Mixed", "x-mixed", "x-absent", ":status", "cookie"))
        + "".join(f"response_headers get 2 {name}\n" for name in (":status", "Set-Cookie", "X-MIXED-CASE", "x-absent")),
        (Ask("headers", headers=(("X-Mixed", "One"), ("x-mixed", "two"), ("Cookie", "a=1"), ("Cookie", "b=2"))),)),
    Case("headers-add", LIFE + "request_headers add 0 X-New value\nrequest_headers add 0 X-New other\nrequest_headers pairs 0\n"
         "response_headers add 2 X-New value\nresponse_headers add 2 Set-Cookie c=3\nresponse_headers pairs 2\n", (Ask("headers"),)),
    Case("headers-set", LIFE + "request_headers set 0 X-Twice one\nrequest_headers set 0 X-New new\nrequest_headers pairs 0\n"
         "response_headers set 2 set-cookie only=1\nresponse_headers set 2 X-New new\n",
         (Ask("headers", headers=(("X-Twice", "a"), ("X-Between", "b"), ("X-Twice", "c"))),)),
    Case("headers-remove", LIFE + "request_headers remove 0 X-Twice\nrequest_headers last\nrequest_headers remove 0 X-Absent\n"
         "request_headers last\nrequest_headers pairs 0\nresponse_headers remove 2 set-cookie\n",
         (Ask("headers", headers=(("X-Twice", "a"), ("X-Between", "b"), ("X-Twice", "c"))),)),
    Case("headers-empty-value", LIFE + "request_headers set 0 X-Empty \nrequest_headers get 0 X-Empty\nrequest_headers last\n"),
    Case("headers-pseudo-set", LIFE + "request_headers set 0 :method PUT\nrequest_headers set 0 :authority other.test\n"
         "request_headers set 0 :path /headers-pseudo-set/404?x=1\nrequest_headers pairs 0\nresponse_headers set 2 :status 418\n"),
    Case("headers-pseudo-add", LIFE + "request_headers add 0 :authority more\nrequest_headers get 0 :authority\n"),
    Case("headers-status-removed-value", LIFE + "response_headers set 2 :status 299\nresponse_headers get 2 :status\n"),
    Case("headers-of-another-phase", LIFE + "request_headers get 2 :status\nrequest_headers add 2 X-A b\nrequest_headers last\n"
         "response_headers add 0 X-A b\nresponse_headers last\nresponse_headers get 0 :path\n",
         differs={"plugin": "reading headers of another phase"}),
    Case("headers-unknown-map", LIFE + "request_headers get 9 a\nrequest_headers pairs 9\nrequest_headers add 9 a b\n"
         "request_headers last\n"),

    # Bodies.
    Case("body-read", LIFE + "request_body buffer 0 0 100\nrequest_body buffer 0 3 4\nrequest_body buffer 0 20 4\n"
         "response_body buffer 1 0 100\nresponse_body buffer 1 1 2\n", POST),
    Case("body-read-in-another-phase", LIFE + "request_headers buffer 0 0 10\nresponse_body buffer 0 0 10\n"
         "request_body buffer 1 0 10\nrequest_body buffer 9 0 10\n", POST),
    Case("body-replaced", LIFE + "request_headers remove 0 content-length\nrequest_body body 0 changed\nrequest_body last\n"
         "response_headers remove 2 content-length\nresponse_body body 1 other\nresponse_body last\n", POST),
    Case("body-prepended", LIFE + "request_headers remove 0 content-length\nrequest_body prepend 0 >>\n"
         "response_headers remove 2 content-length\nresponse_body prepend 1 <<\n", POST),
    Case("body-appended", LIFE + "request_headers remove 0 content-length\nrequest_body append 0 >>\n"
         "response_headers remove 2 content-length\nresponse_body append 1 <<\n", POST),
    Case("body-changed-while-buffering", LIFE + "request_headers remove 0 content-length\n"
         "request_body prepend 0 >\nrequest_body buffer 0 0 100\nrequest_body return 1\n"
         "request_body once call origin /side/plain\nhttp_call_response resume 0\n", POST),
    Case("body-emptied", LIFE + "request_headers remove 0 content-length\nrequest_body body 0 \n"
         "response_headers remove 2 content-length\nresponse_body body 1 \n", POST),
    Case("body-written-in-another-phase", LIFE + "request_headers body 0 no\nrequest_headers last\nresponse_body body 0 no\n"
         "response_body last\nrequest_body body 1 no\nrequest_body last\n", POST),

    # Trailers.
    Case("trailers-seen", LIFE + "request_trailers pairs 1\nrequest_trailers get 1 x-tail\nresponse_trailers pairs 3\n", FULL),
    Case("trailers-changed", LIFE + "request_trailers add 1 X-More 2\nrequest_trailers set 1 X-Tail 3\n"
         "response_trailers remove 3 x-checksum\nresponse_trailers add 3 X-More 2\nresponse_trailers last\n", FULL),

    # Pause and continue.
    *(Case(f"pause-{phase}", resumed(phase), POST if phase.endswith("body") else FULL) for phase in PHASES),
    Case("pause-bodies-until-trailers", TRACED + "request_body pause\nresponse_body pause\n", FULL),
    *(Case(f"pause-get-{phase}", resumed(phase), GET) for phase in ("request_headers", "response_headers", "response_body")),
    Case("pause-with-stop-iteration", TRACED + "request_headers pause\nresponse_headers pause\n", POST,
         heddle={"allow_on_headers_stop_iteration": True}, envoy={"allow_on_headers_stop_iteration": True}),
    *(Case(f"return-{value}-from-{phase}", TRACED + f"{phase} return {value}\n", POST, patience=2,
           differs={"plugin": "2 from a body callback"} if value == 2 and phase.endswith("body") else {})
      for phase in PHASES[:2] + PHASES[3:5] for value in (2, 3, 4, 77)),
    Case("continue-without-pause", TRACED + "request_headers resume 0\nrequest_headers last\nresponse_headers resume 1\n"
         "response_headers last\n", differs=dict.fromkeys(("client", "upstream"), "`continue_stream` in the callback that it is about")),
    Case("continue-unknown-stream", LIFE + "request_headers resume 9\nrequest_headers last\n"),

    # Local responses.
    *(Case(f"local-{phase}", TRACED + f"{phase} reply 418 a teapot\n{phase} last\n{phase} pause\n", FULL) for phase in PHASES),
    Case("local-without-pause", TRACED + "request_headers reply 418 a teapot\n", FULL),
    Case("local-empty", TRACED + "request_headers reply 403 \nrequest_headers pause\n"),
    Case("local-400", TRACED + "request_headers reply 400 bad\nrequest_headers pause\n"),
    Case("local-to-a-grpc-call", TRACED + "request_headers reply 403 not you: 100%\nrequest_headers pause\nresponse_headers pairs 2\n",
         (Ask(method="POST", headers=(("Content-Type", "application/grpc"),)),)),
    Case("local-changed-on-its-way", TRACED + "request_headers reply 418 a teapot\nrequest_headers pause\n"
         "response_headers set 2 :status 420\nresponse_headers add 2 X-Seen 1\nresponse_headers pairs 2\n"),
    Case("local-twice", LIFE + "request_headers reply 401 first\nrequest_headers reply 402 second\nrequest_headers last\n"
         "request_headers pause\n"),
    Case("local-after-a-call", TRACED + "request_headers call origin /side/plain\nrequest_headers pause\n"
         "http_call_response effective\nhttp_call_response reply 403 late\n"),

    # Calls.
    Case("call-unknown-upstream", LIFE + "request_headers call nowhere /side/plain\n"),
    Case("call-answer", LIFE + "request_headers call origin /side/headers\nrequest_headers pause\nhttp_call_response get 6 :status\n"
         "http_call_response get 6 set-cookie\nhttp_call_response buffer 4 0 100\nhttp_call_response resume 0\n"),

    # Properties.
    Case("properties-of-the-plugin", LIFE + shown("request_headers", "hex", PLUGIN_PROPERTIES)),
    Case("properties-of-the-request", LIFE + shown("request_headers", "hex", REQUEST_PROPERTIES)
         + shown("request_headers", "size", SIZED_REQUEST_PROPERTIES), REQUEST_WITH_ALL),
    Case("properties-of-the-request-in-the-log", LIFE + shown("log", "hex", REQUEST_PROPERTIES)
         + shown("log", "size", (*SIZED_REQUEST_PROPERTIES, "request.duration")), REQUEST_WITH_ALL),
    Case("properties-of-the-request-in-the-response", LIFE + shown("response_headers", "hex", REQUEST_PROPERTIES),
         REQUEST_WITH_ALL, differs={"plugin": "`request.*` properties in the response phase"}),
    Case("properties-of-the-response", LIFE + shown("request_headers", "hex", RESPONSE_PROPERTIES)
         + shown("response_headers", "hex", RESPONSE_PROPERTIES), (Ask("trailers"),)),
    Case("properties-of-the-response-in-the-log", LIFE + shown("log", "hex", RESPONSE_PROPERTIES), (Ask("trailers"),)),
    Case("properties-of-the-connection", LIFE + shown("request_headers", "size", CONNECTION_PROPERTIES)
         + "request_headers hex connection.mtls\nrequest_headers property connection.termination_details\n"),
    Case("properties-of-the-upstream", LIFE + shown("request_headers", "size", UPSTREAM_PROPERTIES)
         + shown("response_headers", "size", UPSTREAM_PROPERTIES)),
    Case("properties-of-xds", LIFE + shown("request_headers", "hex", XDS_PROPERTIES) + shown("log", "hex", XDS_PROPERTIES),
         metadata={"auth": "cookie"}, differs={"plugin": "`xds.route_metadata` as a whole"}),
    Case("properties-short-names", LIFE + shown("request_headers", "hex", ("route_name", "cluster_name", "listener_direction")),
         differs={"plugin": "short property names"}),
    Case("properties-set", LIFE + "request_headers export my.own value\nrequest_headers last\nrequest_headers hex my.own\n"
         "request_headers hex my\nrequest_headers export single value\nrequest_headers hex single\nresponse_headers hex my.own\n"
         "log hex my.own\nrequest_headers export request.path other\nrequest_headers last\nrequest_headers hex request.path\n",
         differs={"plugin": "a property set under a path of several segments"}),

    # The examples.
    Case("example-minimal", "", (Ask("headers"),), module="minimal", deletes=0),
    Case("example-http-headers", "", (Ask("headers"), *POST), module="http_headers", deletes=0),
    Case("example-http-body", "", (*GET, Ask("big"), Ask("secret")), module="http_body", deletes=0),
    Case("example-http-auth-random", "", (*GET, *POST), module="http_auth_random", deletes=0),
    Case("example-go-headers", "", GET, module="go_headers", deletes=0),
    Case("example-http-body-chunk", "", (*POST, Ask(method="POST", body=b"a pattern")), module="go_http_body_chunk", deletes=0),
    Case("example-http-routing", "2", (*GET, *POST), module="go_http_routing", deletes=0),
    Case("example-json-validation", '{"requiredKeys": ["id"]}', tuple(
        Ask(method="POST", body=body, headers=(("Content-Type", "application/json"),))
        for body in (b'{"id": 1}', b'{"no": 1}', b"nothing", b"")) + POST, module="go_json_validation", deletes=0),
    Case("example-metrics", "", (Ask(headers=(("my-custom-header", "foo"),)),), module="go_metrics", deletes=0),
    Case("example-multiple-dispatches", "", GET, module="go_multiple_dispatches", deletes=0),
    Case("example-postpone-requests", "", (*GET, *GET), module="go_postpone_requests", deletes=0),
    Case("example-properties", "", (*GET, Ask(headers=(("Cookie", "a=1"),))), module="go_properties",
         metadata={"auth": "cookie"}, deletes=0),
    Case("example-shared-data", "", (*GET, *GET), module="go_shared_data", deletes=0),
    Case("example-json-rewriter", "", (Ask(method="POST", body=b'{"a": 1}', headers=(("Content-Type", "application/json"),)),
                                       *POST), module="json_rewriter", deletes=0),
    Case("example-cpp", "request X-A: b", (Ask("headers"),), module="cpp_header_filter", deletes=0),

    # Failures.
    *(Case(f"trap-{phase}", TRACED + f"{phase} trap\n", FULL, deletes=0, patience=5,
           differs={"client": "a plugin fails in a request"} if phase in PHASES[:4] else {}) for phase in PHASES),
    Case("trap-open", TRACED + "request_headers trap\n", (Ask(), Ask()), on_failure="open", deletes=0,
         differs=dict.fromkeys(("client", "upstream", "plugin"), "`open`")),
]
