#!/usr/bin/env python3
"""A weather service for trying the example: GET /current?city=NAME on 127.0.0.1:9200."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

WEATHER = {"Oslo": (-4.0, "snow"), "Lisbon": (18.5, "clear"), "São Paulo": (27.0, "rain")}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        known = WEATHER.get(parse_qs(url.query).get("city", [""])[0])
        if url.path != "/current" or known is None:
            return self.answer(404, {"error": "unknown"})
        self.answer(200, {"temperature": known[0], "condition": known[1]})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print("weather on http://127.0.0.1:9200")
    ThreadingHTTPServer(("127.0.0.1", 9200), Handler).serve_forever()
