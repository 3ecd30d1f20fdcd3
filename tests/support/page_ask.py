# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In a lab host: the application behind a site (`serve`), and its users (`ask JSON`). Standard library only.

A request for /slow or /socket leaves /run/t-begun, and ends when /run/t-go is there.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
import time

PORT, TLS_PORT, APP, SOCKET = 7080, 7443, 7090, "/run/t-app/socket"
LIMIT = 60.0


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            part = self.rfile.read(min(left, 1 << 16))
            # Who asks may end first.
            left = left - len(part) if part else 0
        if self.path == "/socket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "upgrade")
            self.end_headers()
            self.wfile.flush()
            self._hold()
            self.wfile.write(b"ended")
            self.close_connection = True
            return
        if self.path == "/slow":
            self._hold()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def _hold(self) -> None:
        with open("/run/t-begun", "w"):
            end = time.monotonic() + LIMIT
        while not os.path.exists("/run/t-go") and time.monotonic() < end:
            time.sleep(0.05)

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, format: str, *args: object) -> None:
        return


class OnSocket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve() -> None:
    os.makedirs(os.path.dirname(SOCKET), exist_ok=True)
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    server = OnSocket(SOCKET, Application)
    os.chmod(SOCKET, 0o666)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    http.server.ThreadingHTTPServer(("127.0.0.1", APP), Application).serve_forever()


def send(stream: socket.socket, body: bytes, chunked: bool) -> None:
    try:
        if chunked:
            for start in range(0, len(body), 1 << 16):
                part = body[start : start + (1 << 16)]
                stream.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            stream.sendall(b"0\r\n\r\n")
        else:
            stream.sendall(body)
    except OSError:
        # It has its answer already.
        return


def ask(
    path: str,
    method: str = "GET",
    tls: bool = True,
    size: int = 0,
    chunked: bool = False,
    expect: bool = False,
    version: str = "1.1",
    lines: tuple[str, ...] = (),
) -> dict[str, object]:
    """`lines` are headers besides; a Host among them is sent instead of the site's."""
    raw = socket.create_connection(("127.0.0.1", TLS_PORT if tls else PORT), timeout=2 * LIMIT)
    stream = ssl._create_unverified_context().wrap_socket(raw) if tls else raw
    with stream:
        head = [f"{method} {path} HTTP/{version}"]
        if not any(line.startswith("Host:") for line in lines):
            head.append("Host: t-page.example.com")
        head += ["Connection: Upgrade", "Upgrade: websocket"] if path == "/socket" else ["Connection: close"]
        if chunked:
            head.append("Transfer-Encoding: chunked")
        elif method in ("POST", "PUT"):
            head.append(f"Content-Length: {size}")
        if expect:
            head.append("Expect: 100-continue")
        stream.sendall("\r\n".join([*head, *lines, "", ""]).encode())
        send(stream, b"x" * size, chunked)
        answer = http.client.HTTPResponse(stream, method=method)
        answer.begin()
        body = stream.recv(5) if answer.status == 101 else answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return {"status": answer.status, "headers": headers, "body": body.decode("utf-8", "replace")}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    print(json.dumps([ask(**question) for question in json.loads(sys.argv[2])]))
