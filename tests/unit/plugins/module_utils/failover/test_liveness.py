# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as a server that answers, and how often it is asked."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.liveness import (
    LivenessError,
    Patience,
    Target,
    Verdict,
    conclude,
    judge,
    look,
    target,
    try_once,
    watch,
)

ANSWERS, SILENT, REFUSED = Verdict.ANSWERS, Verdict.SILENT, Verdict.REFUSED
UNREACHABLE, UNRESOLVED, MIXED = Verdict.UNREACHABLE, Verdict.UNRESOLVED, Verdict.MIXED

REPLIES = [
    (b"S", ANSWERS, "takes TLS"),
    (b"N", ANSWERS, "takes no TLS"),
    (b"E\0\0\0\x2fSFATAL\0C53300\0Msorry, too many clients already\0\0", ANSWERS, "too many clients"),
    (b"E\0\0\0\x2fSFATAL", ANSWERS, "an error"),
    (b"Ecould not fork new process for connection: Cannot allocate memory\n\0", ANSWERS, "could not fork"),
    (b"", REFUSED, "closed without an answer"),
    # Others on the port, some of which begin with a letter of PostgreSQL's.
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", SILENT, "SSH-2.0-OpenSSH"),
    (b"NOTICE hello\r\n", SILENT, "not PostgreSQL"),
    (b"ERROR\r\n", SILENT, "'ERROR'"),
    (b"ERROR message:Unknown STOMP action\n", SILENT, "STOMP"),
    (b"E", SILENT, "not PostgreSQL"),
    (b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n", SILENT, "HTTP/1.1 400"),
    (b"220 mail.example.org ESMTP Postfix\r\n", SILENT, "ESMTP"),
    (b"J\0\0\0\n8.0.36\0\x0b\0\0\0", SILENT, "8.0.36"),
    (b"-ERR unknown command\r\n", SILENT, "-ERR"),
    (b"\x15\x03\x01\0\x02\x02\x0a", SILENT, "not PostgreSQL"),
]


@pytest.mark.parametrize(("reply", "verdict", "said"), REPLIES)
def test_a_reply_of_postgresqls_protocol_is_an_answer_and_no_other_is(
    reply: bytes, verdict: Verdict, said: str
) -> None:
    found, detail = judge(reply)
    assert found is verdict and said in detail and detail.isprintable()


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([SILENT, SILENT, SILENT], SILENT),
        ([REFUSED], REFUSED),
        ([UNREACHABLE, REFUSED, UNREACHABLE], MIXED),
        ([SILENT, UNREACHABLE, ANSWERS], ANSWERS),
        ([UNRESOLVED, UNRESOLVED], UNRESOLVED),
    ],
)
def test_one_answer_is_life(verdicts: list[Verdict], whole: Verdict) -> None:
    assert conclude(verdicts) is whole


class Clock:
    """Time that only passes where somebody waits, or an attempt takes it."""

    def __init__(self, each: float) -> None:
        self.now, self.each, self.begun = 100.0, each, list[float]()

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def attempts(self, *verdicts: Verdict) -> Callable[[Target, float], tuple[Verdict, str]]:
        left = list(verdicts)

        def attempt(_target: Target, _timeout: float) -> tuple[Verdict, str]:
            self.begun.append(self.now - 100.0)
            self.now += self.each
            return left.pop(0), "as told"

        return attempt


@pytest.mark.parametrize(
    ("patience", "each", "begun"),
    [
        (Patience(3, 15.0, 5.0), 0.0, [0.0, 7.5, 15.0]),
        (Patience(3, 15.0, 5.0), 5.0, [0.0, 7.5, 15.0]),
        (Patience(4, 6.0, 5.0), 5.0, [0.0, 5.0, 10.0, 15.0]),
        (Patience(1, 15.0, 5.0), 5.0, [0.0]),
        (Patience(2, 0.0, 5.0), 1.0, [0.0, 1.0]),
    ],
)
def test_attempts_are_spread_over_the_time(patience: Patience, each: float, begun: list[float]) -> None:
    clock = Clock(each)
    attempt = clock.attempts(*[REFUSED] * patience.tries)
    seen = watch(Target("db1", 5432), patience, attempt, lambda: clock.now, clock.pause)
    assert clock.begun == begun and len(seen.attempts) == patience.tries and seen.verdict is REFUSED


def test_the_first_answer_ends_it() -> None:
    clock = Clock(1.0)
    attempt = clock.attempts(UNREACHABLE, ANSWERS)
    seen = watch(Target("db1", 5432), Patience(), attempt, lambda: clock.now, clock.pause)
    assert [one.verdict for one in seen.attempts] == [UNREACHABLE, ANSWERS] and seen.verdict is ANSWERS
    assert seen.as_dict()["verdict"] == "answers" and seen.as_dict()["address"] == "db1"


@pytest.mark.parametrize(
    ("address", "port", "right"),
    [
        ("db1", 5432, True), ("10.0.0.1", 1, True), ("fd00::1", 65535, True), ("fe80::1%eth0", 5432, True),
        ("bücher.example", 5432, True), ("/var/run/postgresql", 5432, False), ("", 5432, False), ("db1", 0, False),
        ("db1", 65536, False), ("db1:5432", 5432, False), ("a..b", 5432, False),
    ],
)  # fmt: skip
def test_an_address_is_a_hosts(address: str, port: int, right: bool) -> None:
    if right:
        assert target(address, port) == Target(address, port)
    else:
        with pytest.raises(LivenessError, match=r"'address'|'port'"):
            target(address, port)


@pytest.mark.parametrize("given", [(0, 1.0, 1.0), (3, -1.0, 1.0), (3, 1.0, 0.0)])
def test_a_patience_that_cannot_be_is_refused(given: tuple[int, float, float]) -> None:
    with pytest.raises(LivenessError):
        Patience(*given)


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which each connection is served so."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            try:
                while True:
                    connection, _peer = server.accept()
                    with connection:
                        serve(connection)
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_what_a_port_does_is_told_apart() -> None:
    def answer(connection: socket.socket) -> None:
        assert connection.recv(8) == bytes.fromhex("0000000804d2162f")
        connection.sendall(b"N")

    def greet(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.recv(100)

    with socket.create_server(("127.0.0.1", 0)) as unserved:
        closed = socket.create_server(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
        closed.close()
        with listener(answer) as postgres, listener(greet) as ssh, listener(lambda _: None) as proxy:
            ports = {unserved.getsockname()[1]: SILENT, nobody: REFUSED, postgres: ANSWERS, ssh: SILENT, proxy: REFUSED}
            seen = look([Target("127.0.0.1", port) for port in ports], Patience(1, 0.0, 0.5))
    assert {one.target.port: one.verdict for one in seen} == ports


def test_a_name_is_resolved_and_the_best_of_its_addresses_counts() -> None:
    with listener(lambda connection: connection.sendall(b"N")) as port:
        assert try_once(Target("localhost", port), 5.0)[0] is ANSWERS
    verdict, detail = try_once(Target("day2-ops.invalid", 5432), 5.0)
    assert verdict is UNRESOLVED and "day2-ops.invalid" in detail


def test_a_resolver_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging = tmp_path / "getent"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    verdict, detail = try_once(Target("db1.example.org", 5432), 0.2)
    assert verdict is UNRESOLVED and "was not resolved within" in detail


def test_no_target_is_no_work() -> None:
    assert look([], Patience()) == []
