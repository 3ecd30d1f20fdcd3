# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has a file open: the kernel's leases say so, and /proc where a file system has none."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from contextlib import contextmanager, nullcontext, suppress
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot

# Processes end while they are looked at.
GONE = (FileNotFoundError, ProcessLookupError)


class InUse(Exception):
    """A process has the file open."""


@contextmanager
def as_user(uid: int, gid: int | None = None) -> Iterator[None]:
    """Files as somebody sees them, for root that lacks the right to look at others (in a container)."""
    before = os.geteuid(), os.getegid()
    try:
        if gid is not None:
            os.setegid(gid)
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


def pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def open_files(but: int, writing: bool = False) -> set[tuple[int, int]]:
    """Device and inode of every regular file that another process has open (`writing`: to write to it).

    NeedsRoot where that is not to be seen.
    """
    return {identity for pid in pids() if pid != but for identity in _opened_by(pid, writing)}


def writers(status: os.stat_result) -> list[str]:
    """Programs, with their process ids, that have a file open for writing, as far as it is to be seen."""
    found = []
    for pid in pids():
        with suppress(NeedsRoot, OSError):
            if pid != os.getpid() and (status.st_dev, status.st_ino) in _opened_by(pid, writing=True):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
                    found.append(f"{stream.read().strip()} (process {pid})")
    return found


def _opened_by(pid: int, writing: bool) -> set[tuple[int, int]]:
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(*GONE):
                status = os.stat(f"/proc/{pid}/fd/{name}")
                if stat.S_ISREG(status.st_mode) and not (writing and _is_read_only(pid, name)):
                    found.add((status.st_dev, status.st_ino))
    except GONE:
        return found
    except PermissionError:
        raise NeedsRoot(f"open files of process {pid} cannot be looked at: root can") from None
    return found


def _is_read_only(pid: int, name: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as stream:
        flags = next((line.split()[1] for line in stream if line.startswith("flags:")), "0")
    return int(flags, 8) & os.O_ACCMODE == os.O_RDONLY


@contextmanager
def unused(descriptor: int, writing: bool = False) -> Iterator[None]:
    """Nobody else has the file open (`writing`: to write to it), nor opens it so, as long as this lasts; else InUse.

    `descriptor` is open for reading. fcntl(2), F_SETLEASE: a write lease is granted to the file's owner where no other
    descriptor of it is open anywhere, in containers too, a read lease where none is open for writing. Where a file
    system has no leases, /proc knows, for this host's own processes and for the moment.
    """
    status = os.fstat(descriptor)
    with suppress(ValueError):
        # Whoever opens it meanwhile waits, and the kernel tells us by a signal that would end this process. (In
        # another thread than the main one it has been told so, or not.)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        _set_lease(descriptor, status.st_uid, fcntl.F_RDLCK if writing else fcntl.F_WRLCK)
        leased = True
    except BlockingIOError:
        raise InUse from None
    except OSError:
        leased = False
        if (status.st_dev, status.st_ino) in open_files(os.getpid(), writing):
            raise InUse from None
    try:
        yield
    finally:
        if leased:
            _set_lease(descriptor, status.st_uid, fcntl.F_UNLCK)


def _set_lease(descriptor: int, owner: int, kind: int) -> None:
    """As the file's owner: root in a container may lack the right to do so, also to let go."""
    with as_user(owner) if os.geteuid() == 0 else nullcontext():
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, kind)
