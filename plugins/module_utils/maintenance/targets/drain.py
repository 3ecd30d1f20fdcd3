# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that nginx is answering when users begin to see the page: they end before the application is stopped.

nginx holds a connection to the application for each request that it passes on, a websocket too. Those that are open at
the beginning are waited for; what comes later (health endpoints, listed addresses) is not. With `keepalive` in an
upstream, idle connections look like requests until nginx closes them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Collection

from ansible_collections.day2.ops.plugins.module_utils.network import sockets

_POLL = 0.1
# Seconds in which a request that nginx had begun before has its connection.
_GRACE = 0.2
Connections = frozenset[str]


@dataclass(frozen=True)
class Drained:
    """How many connections there were and are left, and how long that took in seconds."""

    begun: int
    left: int
    seconds: float


def drain(
    limit: float,
    look: Callable[[], Connections],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Drained:
    """Wait until what there was at the beginning is gone (connections are closed), at most `limit` seconds."""
    start = clock()
    first = open_ones = look()
    while True:
        waited = clock() - start
        if waited <= _GRACE:
            first |= open_ones
        left = first & open_ones
        if waited >= limit or (not left and waited > _GRACE):
            return Drained(len(first), len(left), waited)
        pause(_POLL)
        open_ones = look()


def connections(units: Collection[str], paths: Collection[str]) -> Connections:
    """Connections of nginx's to what the units listen on, or to anything where they listen on nothing here.

    `paths` are those of sockets in the file system to which nginx passes requests.
    """
    nginx, theirs, users = set[str](), set[str](), set[str]()
    for process in sockets.processes():
        name = sockets.content(f"/proc/{process}/comm").strip()
        if name == "nginx":
            inodes = sockets.inodes(process)
            nginx |= inodes
            # In a container root may not look at the descriptors of another user: then its sockets are that user's.
            users |= set() if inodes else sockets.users(process)
            continue
        groups = sockets.content(f"/proc/{process}/cgroup").split("\n")
        if any(f"/{unit}" in line for unit in units for line in groups):
            theirs |= sockets.inodes(process)
    rows = [row for family in ("tcp", "tcp6") for row in sockets.rows(f"/proc/net/{family}")]
    own_ports = {sockets.port(row[1]) for row in rows if row[3] == sockets.LISTENING and row[9] in nginx}
    ports = {sockets.port(row[1]) for row in rows if row[3] == sockets.LISTENING and row[9] in theirs}
    found = {
        f"{row[1]} {row[2]}"
        for row in rows
        if row[3] in (sockets.CONNECTED, sockets.CONNECTING) and (row[9] in nginx or row[7] in users)
        and sockets.port(row[1]) not in own_ports and (not ports or sockets.port(row[2]) in ports)
    }  # fmt: skip
    files = {
        f"{row[7]} {row[6]}"
        for row in sockets.rows("/proc/net/unix")
        if len(row) > 7 and row[5] == sockets.UNIX_CONNECTED and row[7] in paths
    }
    return frozenset(found | files)
