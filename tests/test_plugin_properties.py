"""Every attribute that plugins can read, through a real exchange; metrics whose names hold labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import prometheus, wire
from support.configs import gateway, plugin, route, upstream
from support.upstreams import Upstream, answering

ADDRESS = r"127\.0\.0\.1:\d+"
# What a plugin reads when the exchange is over, as text; "1" is NOT_FOUND, "3" a message as a whole.
ROWS = {
    "request.path": r"/there\?q=1", "request.url_path": "/there", "request.query": "q=1", "request.host": "heddle\\.test",
    "request.scheme": "http", "request.method": "POST", "request.referer": "http://from/", "request.useragent": "tester",
    "request.id": "the-id", "request.protocol": r"HTTP/1\.1", "request.headers.x-twice": "one,two",
    "request.headers.x-none": "1", "request.time": r"\d{19}", "request.duration": r"\d{4,}", "request.size": "4",
    "request.total_size": r"\d{2,}", "request.nothing": "1", "request": "3",
    "response.code": "201", "response.code_details": "via_upstream", "response.flags": "", "response.grpc_status": "7",
    "response.headers.x-answer": "yes", "response.trailers.x-sum": "6", "response.size": "6",
    "response.total_size": r"\d{2,}",
    "source.address": ADDRESS, "source.port": r"\d+", "destination.address": ADDRESS, "destination.port": r"\d+",
    "connection.id": r"\d+", "connection_id": r"\d+", "connection.mtls": "false", "connection.tls_version": "1",
    "upstream.address": ADDRESS, "upstream.port": r"\d+", "upstream.local_address": ADDRESS,
    "upstream.local_port": r"\d+", "upstream.transport_failure_reason": "1|",
    "xds.cluster_name": "raw", "cluster_name": "raw", "xds.route_name": "the-route", "route_name": "the-route",
    "xds.listener_direction": "1", "listener_direction": "1", "xds.node.id": "heddle", "node.cluster": "heddle",
    "xds.node": "3", "node": "3", "xds": "3",
    "plugin_name": "reader", "plugin_root_id": "the-root", "plugin_vm_id": "the-vm",
    "custom.key": "set by another", "filter_state.wasm": "1", "nothing.at.all": "1",
}
# 200 would be 2, as gRPC maps what is no answer of gRPC.
ANSWER = (b"HTTP/1.1 201 Created\r\nX-Answer: yes\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, grpc-status\r\n\r\n" +
          wire.chunked([b"answer"], [("x-sum", "6"), ("grpc-status", "7")]))
ASK = [("Referer", "http://from/"), ("User-Agent", "tester"), ("X-Request-ID", "the-id"), ("X-Twice", "one"),
       ("X-Twice", "two")]


def test_every_row_at_the_end_of_an_exchange(serve, probe: Path) -> None:
    reads = "\n".join(f"log property {name}" for name in ROWS)
    with Upstream(answering(ANSWER)) as origin:
        server = serve(gateway(workers=1, routes=[{"id": "the-route", **route(to="raw")}],
                               upstreams=[upstream("raw", origin.address)], plugins=[
            plugin("writer", probe, priority=2, config="request_headers export custom.key set by another"),
            plugin("reader", probe, priority=1, root_id="the-root", vm_id="the-vm", property_encoding="strings",
                   config=f"{reads}\ndelete log that is all")]))
        assert server.fetch("/there?q=1", "POST", headers=ASK, body=b"body").status == 201
        server.wait_log("that is all")
    shown = dict(re.split("= ?", text.removeprefix("property "), maxsplit=1) for text in server.messages() if text.startswith("property "))
    wrong = {name: shown.get(name) for name, value in ROWS.items() if not re.fullmatch(value, shown.get(name, "absent"))}
    assert wrong == {}


@pytest.mark.parametrize("phase", ["request_headers", "response_headers"])
def test_what_is_not_known_yet_is_not_found(serve, probe: Path, phase: str) -> None:
    known = {"request.path": True, "source.address": True, "response.code": phase == "response_headers",
             "request.duration": False}
    config = "\n".join(f"{phase} property {name}" for name in known)
    server = serve(gateway(plugins=[plugin("reader", probe, property_encoding="strings", config=config)]))
    server.fetch("/")
    for name, there in known.items():
        line = server.wait_log(f"property {name}=")
        assert (line["message"].endswith("= 1")) != there, line["message"]


@pytest.mark.parametrize(("given", "name", "labels"), [
    ("plain", "plain", {}),
    ("requests;code=200;method=GET", "requests", {"code": "200", "method": "GET"}),
    ("counts_value=foo_reporter=wasmgosdk", "counts", {"value": "foo", "reporter": "wasmgosdk"}),
    ("reporter=.=source;.;_istio_requests_total", "istio_requests_total", {"reporter": "source"}),
    ('quoted_v=a"b\\c', "quoted", {"v": 'a\\"b\\\\c'}),
])
def test_labels_in_the_names_of_metrics(serve, probe: Path, given: str, name: str, labels: dict[str, str]) -> None:
    server = serve(gateway(plugins=[plugin("counter", probe, config=f"request_headers count {given}")]))
    server.fetch("/")
    family = prometheus.parse(server.metrics())[f"heddle_plugin_custom_{name}"]
    assert family.value(plugin="counter", **labels) == 1
