"""A real nginx as an upstream, without root: its own configuration, folder and port."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from support import wire
from support.waiting import until

CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{port};
    {more}
    default_type text/plain;
    location = /hello {{ return 200 "hello from nginx\\n"; }}
    location /files/ {{ alias {folder}/files/; }}
    location = /headers {{ return 200 "$request_method $request_uri host=$host xff=$http_x_forwarded_for id=$http_x_request_id"; }}
    location = /missing {{ return 404 "nothing here"; }}
    location = /empty {{ return 204; }}
    location = /moved {{ return 301 /hello; }}
    location /dav/ {{ root {folder}; dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"""


class Nginx:
    """`files` below /files/: small.txt (2 KiB), big.bin (4 MiB). `more`: further directives of its server."""

    def __init__(self, folder: Path, port: int, more: str = "") -> None:
        self.address: wire.Address = ("127.0.0.1", port)
        self.small = b"0123456789abcdef" * 128
        self.big = bytes(range(256)) * (4 * 1024 * 4)
        files = folder / "files"
        files.mkdir(parents=True)
        (files / "small.txt").write_bytes(self.small)
        (files / "big.bin").write_bytes(self.big)
        config = folder / "nginx.conf"
        # As root, workers would become "nobody", who may not read a test's folder.
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        config.write_text(CONFIG.format(folder=folder, port=port, user=user, more=more))
        self._process = subprocess.Popen([nginx_binary(), "-p", str(folder), "-c", str(config),
                                          "-e", str(folder / "error.log")], stderr=subprocess.PIPE)
        until(self._answers, "nginx to answer")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._process.stderr.read().decode()
        try:
            return wire.fetch(self.address, "GET", "/hello").status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)


def nginx_binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found, "nginx is missing: apt-get install nginx-light"
    return found
