# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on loopback that sends exactly the bytes of a case, and a check by HTTP of it."""

from __future__ import annotations

import socketserver
import threading
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.probes import http, registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec


class Server(socketserver.ThreadingTCPServer):
    """Answers each path with the bytes that `pages` has for it, closes, and remembers what it was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline().decode()
        headers = {}
        while (header := self.rfile.readline().decode().strip()) != "":
            name, _colon, value = header.partition(":")
            headers[name.lower()] = value.strip()
        method, path, _version = line.split()
        self.server.asked.append((f"{method} {path}", headers))  # type: ignore[attr-defined]
        self.wfile.write(self.server.pages.get(path, page(b"", "404 Not Found")))  # type: ignore[attr-defined]


def page(content: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {size}"] if size >= 0 else []), "", ""]
    return "\r\n".join(lines).encode() + content


def redirect(location: str, status: int = 302) -> bytes:
    return page(b"elsewhere", f"{status} Found", f"Location: {location}")


def observe(url: str, **fields: Any) -> Observation:
    (check,) = parse_checks(
        [{"id": "x", "title": "x", "probe": "http", "url": url, **fields}], find_spec, registry.PROBES, 10
    )
    return http.observe(http.open_source([check], None), check)
