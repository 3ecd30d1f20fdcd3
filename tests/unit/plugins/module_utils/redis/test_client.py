# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers on loopback that answer as Redis does, for a user with few rights or with a connection that breaks."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import redis, registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec

INFO = b"redis_version:7.0.15\r\nrole:master\r\nused_memory:1000\r\nmaxmemory:0\r\nconnected_slaves:1\r\n"
PONG, FULL = b"+PONG\r\n", b"$%d\r\n%s\r\n" % (len(INFO), INFO)
NO_INFO = b"-NOPERM this user has no permissions to run the 'info' command\r\n"
RENAMED = b"-ERR unknown command 'INFO', with args beginning with: 'everything'\r\n"


@contextmanager
def serving(*answers: bytes) -> Iterator[int]:
    """A server that gives its answers in turn, one a command, and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for answer in answers:
                words = int(self.rfile.readline()[1:] or b"0")
                for _word in range(words):
                    self.rfile.read(int(self.rfile.readline()[1:]) + 2)
                self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(port: int, **fields: Any) -> tuple[str, str]:
    raw = {"id": "x", "title": "x", "probe": "redis", "host": "127.0.0.1", "port": port, **fields}
    (check,) = parse_checks([raw], find_spec, registry.PROBES, 10)
    session = redis.open_source([check], None)
    try:
        result = judge(check, redis.observe(session, check), started=0, duration=0)
    finally:
        session.close()
    return result.status.value, result.message


@pytest.mark.parametrize(
    ("answers", "status", "words"),
    [
        ((PONG, FULL), "ok", "(Redis 7.0.15)"),
        ((PONG, NO_INFO), "ok", "INFO is refused to this user (NOPERM"),
        ((PONG, RENAMED), "ok", "INFO is refused to this user (ERR unknown command"),
        ((b"-NOPERM no permissions to run the 'ping' command\r\n", FULL), "ok", "(Redis 7.0.15)"),
        ((b"-NOPERM no 'ping'\r\n", NO_INFO), "ok", "INFO is refused"),
        ((b"-NOAUTH Authentication required.\r\n",), "critical", "does not serve: NOAUTH"),
        ((b"-LOADING Redis is loading the dataset in memory\r\n",), "critical", "does not serve: LOADING"),
        ((b"-MASTERDOWN Link with MASTER is down\r\n",), "critical", "does not serve: MASTERDOWN"),
        ((PONG, FULL[:40]), "critical", "the server closed the connection within an answer: "),
        ((PONG, b""), "critical", "the server closed the connection"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "critical", "does not speak Redis's protocol"),
        ((PONG, b"$99999999999\r\n"), "critical", "an answer has 99999999999 bytes"),
    ],
)
def test_what_serves(answers: tuple[bytes, ...], status: str, words: str) -> None:
    with serving(*answers) as port:
        found = ask(port)
    assert found[0] == status and words in found[1], found


@pytest.mark.parametrize(
    "fields", [{"metric": "memory"}, {"field": "role"}, {"metric": "hit_rate"}, {"metric": "replication_lag"}]
)
def test_what_a_user_may_not_ask_is_unknown(fields: dict[str, str]) -> None:
    with serving(PONG, NO_INFO) as port, pytest.raises(Undetermined, match="answers, but INFO is refused"):
        ask(port, **fields)


def test_numbers_and_words_agree() -> None:
    with serving(PONG, FULL) as port, pytest.raises(Undetermined, match=r"is a primary with 1 replica$"):
        ask(port, metric="replication_lag")
    with serving(PONG, FULL, b"+list\r\n", b":1\r\n") as port:
        assert ask(port, key="queue")[1] == "list queue has 1 element"


def test_hosts_that_cannot_be_asked() -> None:
    assert "cannot be a name in DNS" in ask(1, host="bücher..example")[1]
