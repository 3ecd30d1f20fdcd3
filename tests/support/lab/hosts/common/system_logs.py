# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every host's system wrote: logins that failed and succeeded, and the syslog."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from .history import Entry, syslog_line, write_rotated


def write(host: str, end: datetime, cuts: Sequence[datetime], days: int, names: tuple[str, str]) -> None:
    """auth.log and syslog of so many days; `names` are the units of the backup and of the service."""
    write_rotated("/var/log/auth.log", _logins(host, days, end), cuts, "root", "adm")
    write_rotated("/var/log/syslog", _system(host, days, end, *names), cuts, "root", "adm")


def _times(chance: random.Random, count: int, days: int, end: datetime) -> list[datetime]:
    ages = sorted((chance.random() * days * 86400 for _number in range(count)), reverse=True)
    return [end - timedelta(seconds=age) for age in ages]


def _logins(host: str, days: int, end: datetime) -> list[Entry]:
    chance, log = random.Random(21), []
    for moment in _times(chance, 260, days, end):
        process, port = f"sshd[{chance.randint(400, 32000)}]", chance.randint(1024, 65000)
        # Documentation addresses (RFC 5737): they are nobody's.
        guess = chance.choice(("admin", "oracle", "test", "ubuntu"))
        stranger = f"203.0.113.{chance.randint(1, 254)} port {port} ssh2"
        text = chance.choices(
            (
                f"Accepted publickey for opsadmin from 192.0.2.10 port {port} ssh2: ED25519",
                f"Failed password for root from {stranger}",
                f"Failed password for invalid user {guess} from {stranger}",
                f"Connection closed by authenticating user root {stranger.removesuffix(' ssh2')} [preauth]",
            ),
            weights=(5, 3, 4, 2),
        )[0]
        log.append(Entry(moment, "", syslog_line(moment, host, process, text).encode()))
    return log


def _system(host: str, days: int, end: datetime, backup: str, service: str) -> list[Entry]:
    chance, log = random.Random(22), []
    usual = (
        ("systemd[1]", f"Finished {backup}.service - Backup of the database."),
        ("systemd[1]", "logrotate.service: Deactivated successfully."),
        ("CRON[{0}]", "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)"),
        (f"{service}[{{0}}]", "worker {1} recycled after 10000 requests"),
        ("redis-server[{0}]", "100 changes in 300 seconds. Saving..."),
    )
    odd = (
        ("kernel", "TCP: request_sock_TCP: Possible SYN flooding on port 443, an attack?"),
        ("fail2ban[{0}]", "suspicious: 40 requests in 10 s from 198.51.100.23"),
    )
    for moment in _times(chance, 900, days, end):
        process, text = chance.choice(odd) if chance.random() < 0.006 else chance.choice(usual)
        numbers = (chance.randint(300, 32000), chance.randint(1, 8))
        line = syslog_line(moment, host, process.format(*numbers), text.format(*numbers))
        log.append(Entry(moment, "", line.encode()))
    return log
