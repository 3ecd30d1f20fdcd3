# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old files below directories, removed without ever following a link."""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.process.files import matches
from ansible_collections.day2.ops.plugins.module_utils.process.opened import InUse, unused
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Owners
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import Outcome
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    counted,
    format_bytes,
    format_duration,
)

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


# Records of who did what, which laws and standards keep for years (PCI DSS 10.5.1: 12 months): by the names that
# auditd, pgAudit, PAM, sudo, login accounting and applications give them. Their age is no reason to remove them.
_AUDIT_PLACE = re.compile(r"(^|[^a-z])audit|audit([^a-z]|$)|^sudo-io$", re.IGNORECASE)
_AUDIT_NAME = re.compile(
    r"^(auth|authpriv|secure|security|sudo|sudoers|wtmp|btmp|utmp|lastlog|faillog|tallylog|aide|ossec|osquery|fail2ban)"
    r"([.-]|$)|^(login|logins|access[-_]?trail)\.log",
    re.IGNORECASE,
)


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
    """Paths, the bytes that they held on disk, and the files that stay: those that a process has open, audit files,
    those that the caller excluded, those that a log policy keeps and those that could not be removed, each with why."""

    paths: list[str] = field(default_factory=list)
    freed: int = 0
    kept_open: list[str] = field(default_factory=list)
    audit: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def is_audit(path: str) -> bool:
    """Whether the file has a name that audit files have, or lies below a directory of them."""
    return any(_AUDIT_PLACE.search(part) for part in path.split("/")) or bool(
        _AUDIT_NAME.search(os.path.basename(path))
    )


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


def refuse_all(wanted: Wanted) -> None:
    """CleanupError for one of the directories: all are looked at before the first file goes."""
    for directory in wanted.directories:
        refuse(directory)
        refuse_stores(directory)


def clean(wanted: Wanted, now: float, only_look: bool, policies: Sequence[Policy]) -> Removed:
    """Remove them, but those that a process has open and those that a log policy of this host is for."""
    refuse_all(wanted)
    removed = Removed()
    for path, _name, status, folder in candidates(wanted, now, policies, removed):
        take(path, status, folder, removed, only_look)
    return removed


def candidates(
    wanted: Wanted, now: float, policies: Sequence[Policy], removed: Removed
) -> Iterator[tuple[str, str, os.stat_result, int]]:
    """Old files that may go, as `_old` has them; why the others stay is noted in `removed`."""
    owners = Owners(policies)
    for directory in wanted.directories:
        for path, name, status, folder in _old(directory, wanted, now):
            owner = owners.of(path, status)
            if owner is not None:
                removed.kept.append(f"kept by log policy '{owner.name}': {path}")
            elif is_audit(path):
                removed.audit.append(path)
            elif wanted.exclude and matches(name, wanted.exclude):
                removed.excluded.append(path)
            else:
                yield path, name, status, folder


def take(path: str, status: os.stat_result, folder: int, removed: Removed, only_look: bool) -> None:
    """Remove a file from the open directory that holds it; what becomes of it is noted in `removed`."""
    name = os.path.basename(path)
    try:
        with _alone(name, folder, status):
            if not only_look:
                os.unlink(name, dir_fd=folder)
    except InUse:
        removed.kept_open.append(path)
        return
    except FileNotFoundError:
        return
    except (OSError, NeedsRoot) as exc:
        # What went before it has to be told all the same.
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        removed.refused.append(f"{path}: {why}")
        return
    removed.paths.append(path)
    # Another name of the same file keeps its bytes.
    removed.freed += status.st_blocks * _BLOCK if status.st_nlink == 1 else 0


def _old(directory: str, wanted: Wanted, now: float) -> Iterator[tuple[str, str, os.stat_result, int]]:
    """Path, name, status, and the open directory that holds it: whoever swaps a directory for a link meanwhile gains
    nothing."""
    device = os.stat(directory).st_dev
    for place, folders, names, opened in os.fwalk(directory, follow_symlinks=False):
        if os.fstat(opened).st_dev != device:
            folders.clear()
            continue
        for name in sorted(names):
            if not matches(name, wanted.patterns):
                continue
            try:
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) and now - status.st_mtime > wanted.age:
                yield os.path.join(place, name), name, status, opened


@contextmanager
def _alone(name: str, folder: int, seen: os.stat_result) -> Iterator[None]:
    """Nobody has the file open, nor opens it, as long as this lasts; else InUse.

    FileNotFoundError where it is another file by now.
    """
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        now = os.fstat(opened)
        if (now.st_dev, now.st_ino, now.st_mtime) != (seen.st_dev, seen.st_ino, seen.st_mtime):
            raise FileNotFoundError(name)
        with unused(opened):
            yield
    finally:
        os.close(opened)


def outcome(removed: Removed, wanted: Wanted, planning: bool) -> dict[str, Any]:
    """The outcome of the step."""
    word = "would remove" if planning else "removed"
    message = f"{word} {counted(len(removed.paths), 'file')} older than {format_duration(wanted.age)}"
    message += f", {format_bytes(removed.freed)}"
    told, kept = remarks(removed)
    status = Status.WARNING if removed.refused else Status.SKIPPED if planning else Status.OK
    lines = [*kept, *removed.paths]
    return {"status": status.value, "message": message + told, "evidence": lines, "value": removed.freed, "unit": "B"}


def remarks(removed: Removed) -> tuple[str, list[str]]:
    """What stays: in numbers for the message, and by name."""
    said = f"; open files stay ({len(removed.kept_open)})" if removed.kept_open else ""
    said += f"; files of log policies stay ({len(removed.kept)})" if removed.kept else ""
    said += f"; audit files stay ({len(removed.audit)})" if removed.audit else ""
    said += f"; excluded files stay ({len(removed.excluded)})" if removed.excluded else ""
    said += f"; {len(removed.refused)} could not be removed" if removed.refused else ""
    lines = [f"not removed: {failure}" for failure in removed.refused[:20]]
    lines += [f"open, so it stays: {path}" for path in removed.kept_open[:5]]
    lines += removed.kept[:5]
    lines += [f"audit file, so it stays: {path}" for path in removed.audit[:5]]
    lines += [f"excluded, so it stays: {path}" for path in removed.excluded[:5]]
    return said, lines


def with_tended(said: dict[str, Any], done: Outcome, planning: bool) -> dict[str, Any]:
    """The outcome of the step, and with it what became of the logs that have a policy."""
    packed, wrong = len(done.waiting) if planning else len(done.packed), [*done.faults, *done.over]
    if not (packed or done.removed or done.copied or wrong):
        return said
    would, size = "would be " if planning else "", sum(going.piece.size for going in done.removed)
    message = f"{said['message']}; of logs with a policy, {counted(packed, 'piece')} {would}packed and"
    message += f" {counted(len(done.removed), 'piece')} {would}removed ({format_bytes(size)})"
    message += f", {counted(len(done.copied), 'file')} brought to repositories" if done.copied else ""
    message += f"; {wrong[0]}" if wrong else ""
    lines = [f"not kept: {fault}" for fault in wrong[:20]]
    lines += [*said["evidence"], *(f"{going.piece.path}: {going.why}" for going in done.removed)]
    status = Status.WARNING.value if wrong else said["status"]
    return {**said, "status": status, "message": message, "evidence": lines, "value": said["value"] + size}
