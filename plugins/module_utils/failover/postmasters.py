# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server processes of a data directory, by /proc alone: whoever started them, and whatever its own files say."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Collection, Sequence

from ansible_collections.day2.ops.plugins.module_utils.process.opened import GONE, as_user, pids
from ansible_collections.day2.ops.plugins.module_utils.systemd.cgroups import below, cgroup_of, unit_of

# Of every process of a server, whatever its title says; EDB's and those of 9.x among them.
_NAMES = ("postgres", "postmaster")
# proc(5): stopped by a signal, or by a debugger
_STOPPED = ("T", "t")
_ENDED = ("Z", "X")
# Control groups of what starts again what ends in it: containers, and the units of a user's own systemd.
_CONTAINER = re.compile(r"(?:^|/)[^/]*(?:docker|libpod|containerd|crio|kubepods|lxc|machine)[^/]*(?:/|$)")
_USERS = re.compile(r"/user@\d+\.service/.*?([^/]+\.service)")
_POLL = 0.1
# Seconds that the kernel has to end what was killed: what it does not end waits for a disk.
_KILLING = 10.0


@dataclass(frozen=True)
class Server:
    """One process. `unit` is the system's service that it belongs to, `group` its control group."""

    pid: int
    parent: int
    state: str
    unit: str | None
    group: str

    @property
    def keeper(self) -> str | None:
        """What may start it again when it ends; None for a process of a session, which somebody started by hand."""
        if self.unit is not None:
            return self.unit
        users = _USERS.search(self.group)
        if users is not None:
            return f"{users[1]} of a user's own systemd"
        return f"a container ({self.group})" if _CONTAINER.search(self.group) else None

    @property
    def stopped(self) -> bool:
        return self.state in _STOPPED


@dataclass(frozen=True)
class Servers:
    """Those on a data directory, and those of any server that could not be looked at, which may be on it."""

    found: tuple[Server, ...] = ()
    unseen: tuple[int, ...] = ()

    @property
    def postmasters(self) -> tuple[Server, ...]:
        """Those that started the others."""
        ours = {server.pid for server in self.found}
        return tuple(server for server in self.found if server.parent not in ours)


def servers(data: str) -> Servers:
    """What runs on a data directory now. A server works in its data directory, also within a container of this host."""
    real, status = os.path.realpath(data), None
    with suppress(OSError):
        status = os.stat(real)
    root, found, unseen = cgroup_of(_read(1, "cgroup")), [], []
    for pid in pids():
        try:
            if not any(name in _read(pid, "comm") for name in _NAMES):
                continue
            state, parent = _read(pid, "stat").rpartition(")")[2].split()[:2]
            if state in _ENDED:
                continue
            where = _works_in(pid, real, status)
            if where is None:
                unseen.append(pid)
            elif where:
                group = below(cgroup_of(_read(pid, "cgroup")), root)
                found.append(Server(pid, int(parent), state, unit_of(group), group))
        except GONE:
            continue
    return Servers(tuple(found), tuple(unseen))


def busy(units: Collection[str]) -> frozenset[str]:
    """Those of the units that have a process."""
    root, found = cgroup_of(_read(1, "cgroup")), set()
    for pid in pids():
        with suppress(*GONE):
            unit = unit_of(below(cgroup_of(_read(pid, "cgroup")), root))
            if unit in units and _read(pid, "stat").rpartition(")")[2].split()[0] not in _ENDED:
                found.add(unit)
    return frozenset(unit for unit in found if unit is not None)


def end(data: str, limit: float) -> list[str]:
    """End every server on a data directory; returns how. Who is left is for the caller to look at again.

    A fast shutdown first, at whose end standbys have all that was committed. What a signal has stopped is killed as it
    is: to let it go on would let it write.
    """
    asked, told, until = set[int](), list[str](), time.monotonic() + limit
    while True:
        seen = servers(data)
        if not seen.found:
            return told + ([f"a fast shutdown ended process {_numbers(asked)}"] if asked else [])
        stopped = [server for server in seen.postmasters if server.stopped]
        late = time.monotonic() >= until
        if stopped or late:
            why = f"did not end within {limit:g} s" if late and not stopped else "was stopped by a signal"
            told.append(f"process {_numbers([server.pid for server in stopped or seen.postmasters])} {why}: killed")
            _kill(data)
            return told
        for server in seen.postmasters:
            if server.pid not in asked:
                asked.add(server.pid)
                with suppress(ProcessLookupError):
                    os.kill(server.pid, signal.SIGINT)
        time.sleep(_POLL)


def _kill(data: str) -> None:
    """SIGKILL for all of them, those too that appear meanwhile."""
    until = time.monotonic() + _KILLING
    while True:
        seen = servers(data)
        if not seen.found or time.monotonic() >= until:
            return
        first = seen.postmasters
        for server in (*first, *(other for other in seen.found if other not in first)):
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGKILL)
        time.sleep(_POLL)


def _numbers(found: Sequence[int] | set[int]) -> str:
    return ", ".join(str(pid) for pid in sorted(found))


def _works_in(pid: int, real: str, status: os.stat_result | None) -> bool | None:
    """None where nobody may look."""
    try:
        return _is_there(pid, real, status)
    except PermissionError:
        pass
    # Root in a container may lack the right to look at others, and the owner may look.
    owner = os.stat(f"/proc/{pid}")
    try:
        with as_user(owner.st_uid, owner.st_gid):
            return _is_there(pid, real, status)
    except PermissionError:
        return None


def _is_there(pid: int, real: str, status: os.stat_result | None) -> bool:
    path = f"/proc/{pid}/cwd"
    if os.readlink(path) == real:
        return True
    if status is None:
        return False
    # In a container it has another path there.
    found = os.stat(path)
    return (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)


def _read(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as stream:
        return stream.read()
