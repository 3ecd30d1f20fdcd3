# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snowflake Analytics' processes: the API with its dashboard, the worker and the scheduler, by their first argument."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED = time.monotonic()
PAGES = {8000: "/health", 8501: "/"}


class Handler(BaseHTTPRequestHandler):
    """Health on the API's port, a page on the dashboard's."""

    server: ThreadingHTTPServer
    server_version = "analytics"

    def do_GET(self) -> None:
        api = self.server.server_port == 8000
        known = self.path in ("/health", "/api/v1/metrics") if api else True
        uptime = round(time.monotonic() - STARTED)
        body = {"status": "healthy", "uptime_seconds": uptime} if api else {"page": "dashboard"}
        data = json.dumps(body if known else {"error": "no such path"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """nginx logs the requests."""


def serve() -> None:
    servers = [ThreadingHTTPServer(("127.0.0.1", port), Handler) for port in PAGES]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "api":
        serve()
    else:
        # A worker that waits for work.
        signal.pause()
