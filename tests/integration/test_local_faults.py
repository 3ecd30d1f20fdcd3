# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong at night: each fault has a clear answer, and costs no other check its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

Results = dict[str, dict[str, Any]]


def answers(*checks: dict[str, Any], **call: Any) -> Results:
    """The checks of this machine against servers of this test."""
    outcome = run_checklist([{"title": check["id"], **check} for check in checks], **call)
    return {result["id"]: result for result in outcome["results"]}


class Handler(BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012 - http.server makes the instances

    def do_GET(self) -> None:
        Handler.requests.append(self.path)
        if self.path == "/login" and self.headers.get("Authorization") != "Basic Ym9iOnMzY3JldA==":
            return self.answer(401, b"who are you")
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/json")
            return self.end_headers()
        status, body = {
            "/500": (500, b"oops password=hunter22"),
            "/html": (200, b"<html>maintenance</html>"),
            "/503json": (503, b'{"status": "down"}'),
        }.get(self.path, (200, b'{"status": "healthy", "n": 5, "list": [1]}'))
        return self.answer(status, body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def test_a_hung_server_costs_its_own_time_and_the_others_stand(deaf: int) -> None:
    begun = time.monotonic()
    results = answers(
        {"id": "http", "probe": "http", "url": f"http://127.0.0.1:{deaf}/", "timeout": 1},
        {"id": "postgres", "probe": "postgres", "host": "127.0.0.1", "port": deaf, "user": "x", "timeout": 1},
        *({"id": f"metric{n}", "probe": "postgres", "host": "127.0.0.1", "port": deaf, "user": "x",
           "metric": "database_size", "timeout": 1} for n in range(20)),
        {"id": "disk", "probe": "disk", "path": "/"},
        deadline=30,
    )  # fmt: skip
    assert results["http"]["status"] == results["postgres"]["status"] == results["metric7"]["status"] == "unknown"
    assert "no answer within 1 s" in results["http"]["message"]
    assert results["disk"]["status"] == "ok"
    # Twenty-one checks of one hung login cost about one time-out, not twenty-one.
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    ("check", "status", "words"),
    [
        ({"url": "/500"}, "critical", "HTTP 500"),
        ({"url": "/500", "query": "n"}, "critical", "HTTP 500"),
        (
            {"url": "/503json", "query": "status", "status_code": [200, 503], "critical": "!= healthy"},
            "critical",
            "down",
        ),
        ({"url": "/html", "query": "n"}, "unknown", "not valid JSON"),
        ({"url": "/json", "query": "missing.path"}, "unknown", "no value at 'missing.path'"),
        ({"url": "/json", "query": "list"}, "unknown", "a list"),
        ({"url": "/json", "query": "n", "warning": "> 4"}, "warning", "above 4"),
        ({"url": "/moved", "query": "n"}, "ok", "n is 5"),
        ({"url": "/moved", "follow_redirects": False, "metric": "status", "critical": "!= 302"}, "ok", "302"),
        ({"url": "/login"}, "critical", "HTTP 401"),
        ({"url": "/login", "user": "bob", "password": "s3cret"}, "ok", "HTTP 200"),
    ],
)
def test_http(web: str, check: dict[str, Any], status: str, words: str) -> None:
    (result,) = answers({"id": "x", "probe": "http", **check, "url": web + check["url"]}).values()
    assert (result["status"], words in result["message"]) == (status, True), result
    assert "s3cret" not in str(result) and "hunter22" not in str(result)


def test_one_url_is_asked_once_for_all_its_checks(web: str) -> None:
    Handler.requests.clear()
    queries = ["status", "n", "list[0]"]
    answers(*({"id": query, "probe": "http", "url": f"{web}/shared", "query": query} for query in queries))
    assert Handler.requests == ["/shared"]


def test_a_server_that_is_down() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    results = answers(
        {"id": "http", "probe": "http", "url": f"http://127.0.0.1:{port}/"},
        {"id": "json", "probe": "http", "url": f"http://127.0.0.1:{port}/", "query": "a"},
        {"id": "tcp", "probe": "tcp", "host": "127.0.0.1", "port": port},
    )
    assert [results[name]["status"] for name in ("http", "json", "tcp")] == ["critical", "unknown", "critical"]
    assert all("refused" in result["message"] for result in results.values())


def test_a_log_with_anything_in_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"ERROR \x00 nul\nERROR \xff\xfe\xe9\nfine\n\n" + b"x" * 30_000_000 + b"ERROR" + b"x" * 70_000_000)
    results = answers(
        {"id": "errors", "probe": "log", "path": str(log), "pattern": "ERROR", "timeout": 60},
        {"id": "lines", "probe": "log", "path": str(log), "timeout": 60},
    )
    assert (results["errors"]["value"], results["lines"]["value"]) == (3, 5)
    assert "\\x00" in results["errors"]["evidence"][0] and "\\xff" in results["errors"]["evidence"][1]
    json.dumps(results)


def test_a_pathological_expression_is_killed_and_the_others_answered(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a" * 5000 + "!\nERROR\n")
    results = answers(
        {"id": "bad", "probe": "log", "path": str(log), "pattern": "(a+)+$", "timeout": 1.5},
        {"id": "good", "probe": "log", "path": str(log), "pattern": "ERROR", "timeout": 1.5},
    )
    assert (results["bad"]["status"], results["good"]["value"]) == ("unknown", 1)


@pytest.mark.parametrize("way", ["renamed", "cut"])
def test_a_log_that_is_rotated_while_it_is_read(tmp_path: Path, way: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"ERROR one line of many\n" * 4_000_000)
    stop = threading.Event()

    def rotate() -> None:
        while not stop.wait(0.02):
            if way == "renamed":
                os.replace(log, tmp_path / "log.1")
                log.write_text("ERROR new\n")
            else:
                with contextlib.suppress(OSError):
                    os.truncate(log, 0)
            return

    thread = threading.Thread(target=rotate)
    thread.start()
    (result,) = answers({"id": "x", "probe": "log", "path": str(log), "pattern": "ERROR", "timeout": 30}).values()
    stop.set()
    thread.join()
    assert result["status"] == "ok" and 0 <= result["value"] <= 4_000_000
    if way == "cut" and 0 < result["value"] < 4_000_000:
        assert "cut while it was read" in result["message"]


def test_missing_and_strange_files() -> None:
    results = answers(
        {"id": "log", "probe": "log", "path": "/nowhere/at/all"},
        {"id": "file", "probe": "file", "path": "/nowhere/at/all"},
        {"id": "disk", "probe": "disk", "path": "/nowhere/at/all"},
        {"id": "device", "probe": "log", "path": "/dev/zero"},
        {"id": "folder", "probe": "log", "path": "/etc"},
        {"id": "undated", "probe": "log", "path": "/etc/passwd", "since": "1h"},
    )
    assert {result["status"] for result in results.values()} == {"unknown"}
    assert "does not exist" in results["log"]["message"]


def test_a_program_that_floods_or_lingers() -> None:
    results = answers(
        {"id": "flood", "probe": "command", "argv": ["sh", "-c", "yes | head -c 50000000"]},
        {"id": "linger", "probe": "command", "argv": ["sh", "-c", "sleep 60 & sleep 60"], "timeout": 1},
    )
    assert (results["flood"]["status"], results["linger"]["status"]) == ("ok", "unknown")
    assert len(results["flood"]["evidence"]) == 20
