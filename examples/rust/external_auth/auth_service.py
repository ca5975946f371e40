#!/usr/bin/env python3
"""The service that external_auth asks: POST /validate with {"token": ...} on 127.0.0.1:9100.

Answers "valid" for the token in TOKEN (default let-me-in) and "invalid" for any other.
"""

import hmac
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = ("127.0.0.1", 9100)
TOKEN = os.environ.get("TOKEN", "let-me-in")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/validate":
            self.answer(404, b"not found")
        else:
            self.answer(200, b"valid" if self.is_valid(body) else b"invalid")

    @staticmethod
    def is_valid(body):
        try:
            token = json.loads(body)["token"]
            return hmac.compare_digest(token.encode(), TOKEN.encode())
        except (ValueError, KeyError, TypeError, AttributeError):
            return False

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print("auth_service: listening on %s:%d" % ADDRESS, flush=True)
    try:
        ThreadingHTTPServer(ADDRESS, Handler).serve_forever()
    except KeyboardInterrupt:
        pass
