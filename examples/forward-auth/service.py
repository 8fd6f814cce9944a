#!/usr/bin/env python3
"""A toy service that knows nothing of keys: it believes the headers that the proxy before it sets.

    service.py [PORT]

Port 0 takes any free one. The first line on stdout says where it listens.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MEMORIES = {"alan": ["likes the forest", "has three devices"]}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        entity = parse_qs(url.query).get("entity", [""])[0]
        if url.path != "/memory":
            self.answer(404, {"error": "not_found"})
        elif self.headers.get("Remote-User") != entity:
            self.answer(403, {"error": "not_yours"})
        else:
            # The headers are shown so that one sees what the proxy lets through.
            seen = {name.lower(): value for name, value in self.headers.items()}
            self.answer(200, {"entity": entity, "memories": MEMORIES.get(entity, []), "headers": seen})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
