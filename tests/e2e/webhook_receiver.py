"""A receiver of webhooks as a program of its own: `python webhook_receiver.py PORT LOG BROKEN`.

It appends a line of JSON to LOG for each request that it answers with 200, on disk before the answer. While the file
BROKEN is there, it answers one request in three with 500 and forgets it. Requests are answered one after the other.
"""

from __future__ import annotations

import json
import os
import random
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    timeout = 5
    log: Path
    broken: Path

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # killed while it sent: it will not read an answer, and sends again
            self.close_connection = True
            return
        if self.broken.exists() and random.random() < 0.34:
            self.send_error(500)
            return
        line = {"uuid": self.headers["rtk-uuid"], "signature": self.headers["rtk-signature"], "body": body.decode()}
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def main() -> None:
    port, Handler.log, Handler.broken = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    server = HTTPServer(("127.0.0.1", port), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
