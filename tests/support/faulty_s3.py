# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An S3 that misbehaves: moto's server behind a proxy that answers, hangs, cuts and lies as it is told."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{words}</Message></Error>"
FOREVER = 1 << 30


@dataclass(frozen=True)
class Request:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Deed = Callable[["_Handler", bytes], None]


@dataclass
class Fault:
    """What is done instead of an honest answer to the first `times` requests that it is meant for."""

    meant: Callable[[Request], bool]
    deed: Deed
    times: int = 1
    done: int = 0


@dataclass
class FaultyS3:
    """The proxy. Everything that was asked is in `requests`."""

    endpoint: str
    upstream: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    # Seconds by which the service's clock is ahead.
    ahead: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def fault(self, method: str, part: str, deed: Deed, times: int = 1) -> Fault:
        """For requests of a method (or of any: `*`) whose path and query have this part in them."""

        def meant(request: Request) -> bool:
            return method in ("*", request.method) and part in request.path

        self.faults.append(Fault(meant, deed, times))
        return self.faults[-1]

    def every_first(self, deed: Deed) -> Fault:
        """For the first of each kind of request, whatever it asks."""
        seen: set[str] = set()

        def meant(request: Request) -> bool:
            new = str(request) not in seen
            seen.add(str(request))
            return new

        self.faults.append(Fault(meant, deed, FOREVER))
        return self.faults[-1]

    def heal(self) -> None:
        self.faults.clear()
        self.requests.clear()

    def take(self, request: Request) -> Deed | None:
        with self.guard:
            self.requests.append(request)
            for each in self.faults:
                if each.done < each.times and each.meant(request):
                    each.done += 1
                    return each.deed
        return None


def answer(status: int, code: str) -> Deed:
    """An error, as the service words it."""
    body = _ERROR.format(code=code, words=f"this is {code}").encode()
    return lambda handler, _body: handler.reply(status, {"Content-Type": "application/xml"}, body)


def hang(handler: _Handler, _body: bytes) -> None:
    """Not a word, as long as the proxy lives."""
    handler.server.faulty.ended.wait()
    handler.close_connection = True


def cut(handler: _Handler, _body: bytes) -> None:
    """The request arrives, nothing comes of it, and the connection ends."""
    handler.close_connection = True


def lose_answer(handler: _Handler, body: bytes) -> None:
    """All is done as it should; only nobody hears of it."""
    handler.forward(body)
    handler.close_connection = True


def cut_answer(handler: _Handler, body: bytes) -> None:
    """Half of the answer, then the connection ends."""
    status, headers, content = handler.forward(body)
    handler.reply(status, headers, content, send=len(content) // 2)
    handler.close_connection = True


def alter_answer(handler: _Handler, body: bytes) -> None:
    status, headers, content = handler.forward(body)
    handler.reply(status, headers, flip(content))


def alter_request(handler: _Handler, body: bytes) -> None:
    handler.reply(*handler.forward(flip(body)))


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    faulty: FaultyS3


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        deed = self.server.faulty.take(Request(self.command, self.path))
        if deed is not None:
            return deed(self, body)
        return self.reply(*self.forward(body))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.server.faulty.upstream).netloc, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            said = connection.getresponse()
            return said.status, dict(said.getheaders()), said.read()
        finally:
            connection.close()

    def reply(self, status: int, headers: dict[str, str], content: bytes, send: int | None = None) -> None:
        self.send_response_only(status)
        headers = {name.title(): value for name, value in headers.items()}
        headers["Date"] = formatdate(time.time() + self.server.faulty.ahead, usegmt=True)
        length = headers.get("Content-Length") if self.command == "HEAD" else str(len(content))
        for name, value in {**headers, "Content-Length": length or "0"}.items():
            if name not in ("Connection", "Transfer-Encoding"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if send is None else content[:send])

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@contextmanager
def faulty_s3(upstream: str) -> Iterator[FaultyS3]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.faulty = FaultyS3(f"http://127.0.0.1:{server.server_port}", upstream)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server.faulty
    finally:
        server.faulty.ended.set()
        server.shutdown()
        server.server_close()
