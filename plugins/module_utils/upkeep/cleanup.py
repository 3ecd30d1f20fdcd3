# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old files below directories, removed without ever following a link."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.process.files import matches
from ansible_collections.day2.ops.plugins.module_utils.upkeep.processes import as_user, open_files

_BLOCK = 512
# Nearer to the root a pattern hits what nobody meant.
_LEAST_DEPTH = 2
# Where packages and databases keep what only they know the names of.
_NO_PLACE = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/var/lib")
# What a store is known by: its segments may have names that are those of old logs (PostgreSQL's 16384.1).
_STORES = {
    "PG_VERSION": "PostgreSQL",
    "ibdata*": "MySQL",
    "*.ibd": "MySQL",
    "*.rdb": "Redis",
    "appendonly*": "Redis",
    "WiredTiger*": "MongoDB",
    "archive.info": "pgBackRest",
    "backup.info": "pgBackRest",
}


class CleanupError(Day2Error):
    """A directory that is not cleaned up; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """Regular files older than `age` seconds whose name has one of the patterns."""

    directories: Sequence[str]
    patterns: tuple[str, ...]
    age: float
    exclude: tuple[str, ...] = ()


@dataclass
class Removed:
    """Paths, the bytes that they held on disk, files that stay because a process has them open, and those that could
    not be removed, each with why."""

    paths: list[str] = field(default_factory=list)
    freed: int = 0
    kept_open: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def refuse(directory: str) -> None:
    """CleanupError for what is no place for a clean-up."""
    if not directory.startswith("/") or os.path.normpath(directory) != directory.rstrip("/"):
        raise CleanupError(f"{directory!r} is not an absolute path without '..'")
    if len([part for part in directory.split("/") if part]) < _LEAST_DEPTH:
        raise CleanupError(f"{directory} is too near to the root of the file system: name directories below it")
    wrong = next((place for place in _NO_PLACE if f"{directory.rstrip('/')}/".startswith(f"{place}/")), None)
    if wrong is not None:
        raise CleanupError(f"{directory} lies below {wrong}, where nothing is removed by its age and its name")
    if not os.path.isdir(directory):
        raise CleanupError(f"{directory} is no directory on this host")
    if os.path.realpath(directory) != directory.rstrip("/"):
        raise CleanupError(f"{directory} leads through a symbolic link: name {os.path.realpath(directory)} itself")


def refuse_stores(directory: str) -> None:
    """CleanupError for a directory within a store of data, and for one that has a store below it."""
    above = directory.rstrip("/")
    while above != "/":
        _refuse_store(directory, above, os.listdir(above))
        above = os.path.dirname(above)
    for place, folders, names in os.walk(directory):
        _refuse_store(directory, place, [*folders, *names])


def _refuse_store(directory: str, place: str, names: Sequence[str]) -> None:
    found = ((name, kind) for pattern, kind in _STORES.items() for name in names if fnmatchcase(name, pattern))
    for name, kind in found:
        raise CleanupError(
            f"{directory} is not cleaned up: {os.path.join(place, name)} says that data of {kind} are kept there"
        )


def clean(wanted: Wanted, now: float, only_look: bool) -> Removed:
    """Remove them, but those that a process has open. All directories are looked at before the first file goes."""
    for directory in wanted.directories:
        refuse(directory)
        refuse_stores(directory)
    removed = Removed()
    for directory in wanted.directories:
        for path, name, status, folder in _old(directory, wanted, now):
            try:
                with _alone(name, folder, status):
                    if not only_look:
                        os.unlink(name, dir_fd=folder)
            except _InUse:
                removed.kept_open.append(path)
                continue
            except FileNotFoundError:
                continue
            except (OSError, NeedsRoot) as exc:
                # What went before it has to be told all the same.
                why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
                removed.refused.append(f"{path}: {why}")
                continue
            removed.paths.append(path)
            # Another name of the same file keeps its bytes.
            removed.freed += status.st_blocks * _BLOCK if status.st_nlink == 1 else 0
    return removed


def _old(directory: str, wanted: Wanted, now: float) -> Iterator[tuple[str, str, os.stat_result, int]]:
    """Path, name, status, and the open directory that holds it: whoever swaps a directory for a link meanwhile gains
    nothing."""
    device = os.stat(directory).st_dev
    for place, folders, names, opened in os.fwalk(directory, follow_symlinks=False):
        if os.fstat(opened).st_dev != device:
            folders.clear()
            continue
        for name in sorted(names):
            if not matches(name, wanted.patterns) or (wanted.exclude and matches(name, wanted.exclude)):
                continue
            try:
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) and now - status.st_mtime > wanted.age:
                yield os.path.join(place, name), name, status, opened


class _InUse(Exception):
    """A process has the file open."""


@contextmanager
def _alone(name: str, folder: int, seen: os.stat_result) -> Iterator[None]:
    """Nobody has the file open, nor opens it, as long as this lasts: a lease of the kernel's says so.

    fcntl(2), F_SETLEASE: granted to the file's owner where no other descriptor of it is open anywhere, in containers
    too. _InUse where one is; FileNotFoundError where it is another file by now.
    """
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        now = os.fstat(opened)
        if (now.st_dev, now.st_ino, now.st_mtime) != (seen.st_dev, seen.st_ino, seen.st_mtime):
            raise FileNotFoundError(name)
        try:
            with as_user(now.st_uid) if os.geteuid() == 0 else nullcontext():
                fcntl.fcntl(opened, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            raise _InUse from None
        except OSError:
            # This file system has no leases: /proc knows, for this host's own processes.
            if (now.st_dev, now.st_ino) in open_files(but=os.getpid()):
                raise _InUse from None
        yield
    finally:
        os.close(opened)


def outcome(removed: Removed, wanted: Wanted, planning: bool) -> dict[str, Any]:
    """What the step tells."""
    word = "would remove" if planning else "removed"
    message = (
        f"{word} {len(removed.paths)} files older than {format_duration(wanted.age)}, {format_bytes(removed.freed)}"
    )
    message += f"; {len(removed.kept_open)} stay, because a process has them open" if removed.kept_open else ""
    message += f"; {len(removed.refused)} could not be removed" if removed.refused else ""
    status = Status.WARNING if removed.refused else Status.SKIPPED if planning else Status.OK
    lines = [f"not removed: {each}" for each in removed.refused[:20]]
    lines += [f"open, so it stays: {path}" for path in removed.kept_open[:5]] + removed.paths
    return {"status": status.value, "message": message, "evidence": lines, "value": removed.freed, "unit": "B"}
