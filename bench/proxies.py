"""The upstream and the proxies with their configurations: the same work, one worker each.

A proxy is made for an entry (http, https, h2c, h2) and a list of filters. All send the forwarding headers that Heddle sends,
stream bodies both ways, keep connections on both sides, and write no access log.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from processes import LOAD_CORE, PROXY_CORE, Process, free_port, program

NGINX_HEAD = """
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;
  client_max_body_size 0; proxy_max_temp_file_size 0; proxy_request_buffering off;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
"""

NGINX_UPSTREAM = NGINX_HEAD + """
  open_file_cache max=10 inactive=1h;
  upstream itself {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} reuseport; default_type text/plain;
    location = /20 {{ return 200 "12345678901234567890"; }}
    # Answers when it has read the whole body; `return` would answer before, and clients and proxies differ in what they make of that.
    location = /upload {{
      client_body_buffer_size 2m; proxy_request_buffering on; proxy_pass_request_body off; proxy_method GET;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Content-Length "";
      proxy_pass http://itself/20;
    }}
    location / {{ root {folder}/files; }}
  }}
}}
"""

NGINX_FORWARDING = """
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-ID $request_id;"""

NGINX_PROXY = NGINX_HEAD + """
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 100000000; }}
  ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_session_cache shared:tls:1m;
  server {{
    listen 127.0.0.1:{port} {listen};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";{forwarding}
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  tune.pool-low-fd-ratio 50
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend main
  bind 127.0.0.1:{port}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-ID %[uuid()]
  default_backend origin
backend origin
  server one 127.0.0.1:{origin}
"""

ENVOY_FORWARDED = [{"header": {"key": "x-forwarded-host", "value": "%REQ(:AUTHORITY)%"}}]
TYPES = "type.googleapis.com/envoy.extensions"


def upstream(folder: Path) -> Process:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    for name, size in (("10k", 10 << 10), ("100k", 100 << 10), ("1m", 1 << 20)):
        (files / name).write_bytes(b"x" * size)
        (folder / f"body-{name}").write_bytes(b"x" * size)
    return _nginx("upstream", NGINX_UPSTREAM, folder, LOAD_CORE)


def certificate(folder: Path) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
                    "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)


def _nginx(name: str, template: str, folder: Path, core: str, entry: str = "http", **values: object) -> Process:
    port = free_port()
    config = folder / f"{name}.conf"
    config.write_text(template.format(folder=folder, name=name, port=port, **values))
    command = [program("nginx", "nginx-light"), "-p", str(folder), "-c", str(config), "-e", str(folder / f"{name}.err")]
    return Process(name, command, core, port, folder, entry)


def nginx(name: str, folder: Path, origin: int, entry: str = "http", forwarding: bool = True) -> Process:
    listen = {"http": "", "https": "ssl", "h2c": "http2", "h2": "ssl http2"}[entry]
    return _nginx(name, NGINX_PROXY, folder, PROXY_CORE, entry, origin=origin, listen=listen,
                  forwarding=NGINX_FORWARDING if forwarding else "")


def haproxy(name: str, folder: Path, origin: int) -> Process:
    port = free_port()
    config = folder / f"{name}.cfg"
    config.write_text(HAPROXY.format(port=port, origin=origin))
    return Process(name, [program("haproxy", "haproxy"), "-db", "-f", str(config)], PROXY_CORE, port, folder)


def envoy(name: str, binary: Path, folder: Path, origin: int, filters: list[Path], entry: str = "http") -> Process:
    port = free_port()
    network = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}
    manager = {
        "@type": network, "stat_prefix": "bench", "use_remote_address": True,
        "http_filters": [*(_envoy_filter(index, wasm) for index, wasm in enumerate(filters)), router],
        "route_config": {"request_headers_to_add": ENVOY_FORWARDED, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]}}
    chain: dict = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if entry in ("https", "h2"):
        chain["transport_socket"] = _envoy_tls(folder)
    config = {"static_resources": {
        "listeners": [{"address": _socket_address(port), "filter_chains": [chain]}],
        "clusters": [{"name": "origin", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": _socket_address(origin)}}]}]}}]}}
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config))
    command = [str(binary), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warn"]
    return Process(name, command, PROXY_CORE, port, folder, entry)


def _envoy_tls(folder: Path) -> dict:
    pair = {"certificate_chain": {"filename": str(folder / "cert.pem")}, "private_key": {"filename": str(folder / "key.pem")}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [pair]}}}


def _socket_address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy_filter(index: int, wasm: Path) -> dict:
    return {"name": f"envoy.filters.http.wasm.{index}", "typed_config": {
        "@type": f"{TYPES}.filters.http.wasm.v3.Wasm",
        "config": {"name": f"bench-{index}", "root_id": "", "vm_config": {
            "vm_id": str(index), "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(wasm)}}}}}}


def heddle(name: str, binary: Path, folder: Path, origin: int, filters: list[Path], entry: str = "http") -> Process:
    port, admin = free_port(), free_port()
    listener: dict = {"name": "public", "address": f"127.0.0.1:{port}"}
    if entry in ("https", "h2"):
        listener |= {"protocol": "https", "tls": {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}}
    config = {
        "listeners": [listener], "admin": {"address": f"127.0.0.1:{admin}"}, "workers": 1,
        "upstreams": [{"name": "origin", "endpoints": [f"127.0.0.1:{origin}"]}],
        "routes": [{"id": "all", "path": "/*", "upstream": "origin"}],
        "engine": {"cache_dir": str(folder / "cache")}, "logging": {"access_log": False},
        "plugins": [{"name": f"plugin-{index}", "path": str(wasm)} for index, wasm in enumerate(filters)]}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return Process(name, [str(binary), "serve", "-c", str(file)], PROXY_CORE, port, folder, entry, admin)
