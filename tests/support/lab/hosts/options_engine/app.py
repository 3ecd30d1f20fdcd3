# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options engine's HTTP interface: /health and /metrics as the operations manual knows them."""

from __future__ import annotations

import json
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ADDRESS = ("127.0.0.1", 8080)
# Read at each request: whoever wants the application to look slow edits this file.
METRICS = Path("/var/lib/options_engine/metrics.json")
PARTS = {"database": ("127.0.0.1", 5432), "cache": ("127.0.0.1", 6379)}
STARTED = time.monotonic()


def answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def health() -> tuple[int, dict[str, object]]:
    parts = {name: "up" if answers(address) else "down" for name, address in PARTS.items()}
    healthy = all(state == "up" for state in parts.values())
    body: dict[str, object] = {
        "status": "healthy" if healthy else "unhealthy",
        "version": "2.4.1",
        "uptime_seconds": round(time.monotonic() - STARTED),
        "components": parts,
    }
    return (200 if healthy else 503), body


def metrics() -> tuple[int, dict[str, object]]:
    return 200, json.loads(METRICS.read_text())


ROUTES = {"/health": health, "/metrics": metrics}


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON; the journal gets a line a request."""

    server_version = "options-engine"

    def do_GET(self) -> None:
        route = ROUTES.get(self.path.partition("?")[0])
        status, body = route() if route else (404, {"error": f"no such path: {self.path}"})
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(ADDRESS, Handler).serve_forever()
