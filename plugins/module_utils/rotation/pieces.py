# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a log: the one that is written to, and its pieces, which were renamed, and may be compressed since."""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import LOGROTATE, Policy

# How logrotate names a piece: the day for people, POSIX seconds so that no hour that clocks repeat gives a name twice.
DATE_FORMAT = "-%Y%m%d-%s"
PACKED, ENCRYPTED = ".zst", ".zst.age"
_PIECE = re.compile(r"(?P<log>.+)-(?P<day>\d{8})-(?P<moment>\d{9,11})(?P<form>\.zst(?:\.age)?)?", re.DOTALL)
# What is being packed (packing.py), once or twice over.
_BESIDE = re.compile(r"\.+(?P<of>.+?)(?:\.day2-packing)+", re.DOTALL)
# Before there was a policy: `app.log.1`, `app.log.2.gz`, `app.log-20261130`.
_EARLIER = re.compile(
    r"(?P<log>.+?)(?:\.\d{1,5}|[.-]\d{4}-?\d\d-?\d\d(?:[-_.T]?\d+)*)(?P<form>\.(?:gz|bz2|xz|zst|Z))?", re.DOTALL
)


@dataclass(frozen=True)
class Piece:
    """A file that is no longer to be written to.

    `rotated` is when it was renamed (POSIX seconds): its age counts from then. `form` is empty for one that is as it
    was written.
    """

    path: str
    log: str
    rotated: float
    form: str
    size: int

    @property
    def plain(self) -> str:
        """Its path as it was renamed."""
        return self.path[: len(self.path) - len(self.form)]

    @property
    def is_packed(self) -> bool:
        return self.form in (PACKED, ENCRYPTED)


def piece_name(log: str, moment: float) -> str:
    """As logrotate would name it. What a host without a clock wrote in 1970 counts as of 1973."""
    moment = min(max(moment, 10**8), 10**11 - 1)
    return log + time.strftime("-%Y%m%d", time.localtime(moment)) + f"-{int(moment)}"


def moment_of(path: str) -> float | None:
    """When a piece was renamed, by its name; None where that does not say it."""
    match = _PIECE.fullmatch(os.path.basename(path))
    return float(match["moment"]) if match is not None else None


def is_of(name: str, pattern: str) -> bool:
    """Whether a file of this name is a piece, packed or not, of a log of the pattern."""
    match = _PIECE.fullmatch(name)
    return match is not None and _matches(match["log"], pattern)


def find(policy: Policy) -> list[Piece]:
    """All pieces of a log, the oldest first. Links are not followed."""
    found: dict[str, Piece] = {}
    for directory, pattern in places(policy.paths):
        for name, status in _files(directory):
            piece = _piece(policy, directory, name, pattern, status)
            if piece is not None:
                found[piece.path] = piece
    return sorted(found.values(), key=lambda piece: (piece.rotated, piece.path))


def logs(policy: Policy) -> list[str]:
    """The files that are written to, as far as they are there."""
    return sorted(sizes(policy))


def sizes(policy: Policy) -> dict[str, int]:
    """The files that are written to, and their bytes."""
    return {
        os.path.join(directory, name): status.st_size
        for directory, pattern in places(policy.paths)
        for name, status in _files(directory)
        if _matches(name, pattern) and not _PIECE.fullmatch(name)
    }


def _matches(name: str, pattern: str) -> bool:
    # As glob(7) has it, and logrotate: what is hidden is asked for by its dot.
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


class Owners:
    """To which policy a file belongs: as the log that is written to, a piece of it, or what is made of a piece."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._places: dict[str, list[tuple[Policy, str]]] = {}
        for policy in policies:
            for directory, pattern in places(policy.paths):
                self._places.setdefault(os.path.normpath(directory), []).append((policy, pattern))

    def of(self, path: str, status: os.stat_result) -> Policy | None:
        directory, name = os.path.split(path)
        for policy, pattern in self._places.get(directory, ()):
            inner = _BESIDE.fullmatch(name)
            names = (name, inner["of"]) if inner is not None else (name,)
            for each in names:
                if _matches(each, pattern) or _piece(policy, directory, each, pattern, status) is not None:
                    return policy
        return None


def places(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Directories and the pattern of names in each. One that is reached through a link of its pattern is none."""
    for path in paths:
        folder, pattern = os.path.split(path)
        for directory in sorted(glob.glob(folder)) if glob.has_magic(folder) else [folder]:
            if os.path.isdir(directory) and os.path.realpath(directory) == os.path.normpath(directory):
                yield directory, pattern


def _files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield entry.name, status
    except FileNotFoundError:
        return


def _piece(policy: Policy, directory: str, name: str, pattern: str, status: os.stat_result) -> Piece | None:
    path = os.path.join(directory, name)
    match = _PIECE.fullmatch(name)
    if match is not None and is_of(name, pattern):
        log = os.path.join(directory, match["log"])
        return Piece(path, log, float(match["moment"]), match["form"] or "", status.st_size)
    if policy.renamed_by != LOGROTATE:
        # It names its files as it likes: each that it has closed is a piece, and who asks knows which these are.
        return Piece(path, path, status.st_mtime, "", status.st_size) if _matches(name, pattern) else None
    match = _EARLIER.fullmatch(name)
    if match is not None and _matches(match["log"], pattern) and not _matches(name, pattern):
        log = os.path.join(directory, match["log"])
        return Piece(path, log, status.st_mtime, match["form"] or "", status.st_size)
    return None
