# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Destinations of the paths of a set, wrappers beside them, and which of those expire. Pure.

Beside each target lie wrappers: directories `.<name>.day2-…` that hold one tree and a record. A wrapper's name is
for people; the module reads its record. The exchange of a tree with its target is one system call, and the tree's inode
shows whether a killed run had done it: the record has the inode that was to be replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic

# NAME_MAX of Linux's file systems, and the length of prefixes and suffixes of a name.
_LONGEST, _AROUND = 255, 50
_SCHEMA = 1


class RestoreRefused(Day2Error):
    """The restore is refused; nothing was changed."""


@dataclass(frozen=True)
class Target:
    """One path of a set, its archive, and its destination."""

    path: str
    place: str
    stored: StoredFile

    @property
    def member(self) -> str:
        """Its name in the archive."""
        return self.path.lstrip("/")


class Role(str, Enum):
    """Role of a wrapper: it keeps what a restore replaced, or what a revert set aside."""

    OLD = "old"
    UNDONE = "undone"


class Standing(Enum):
    """State of a wrapper, from its record and its tree."""

    # A restore ended before its exchange: the tree is a copy of the archive's.
    PENDING = "pending"
    OLD = "old"
    # A revert ended before its exchange: the tree is still what the restore replaced.
    REVERTING = "reverting"
    UNDONE = "undone"


@dataclass(frozen=True)
class Record:
    """The record of a wrapper. `restore` names the run of the exchange, the same for all its paths; `sequence` orders
    records independently of the clock; `at` is POSIX seconds. `outgoing` is the inode that leaves the wrapper in the
    exchange, None if there is none.
    """

    role: Role
    set_id: str
    restore: str
    sequence: int
    at: float
    outgoing: int | None

    def render(self) -> str:
        return json.dumps({"schema": _SCHEMA, **asdict(self), "role": self.role.value}, sort_keys=True) + "\n"

    def standing(self, inode: int | None) -> Standing:
        """`inode` is that of the tree in the wrapper, None when there is none."""
        before = inode == self.outgoing
        if self.role is Role.OLD:
            return Standing.PENDING if before else Standing.OLD
        return Standing.REVERTING if before else Standing.UNDONE


def parse_record(text: bytes) -> Record | None:
    """Parse a record; None if no run of this module wrote it."""
    try:
        fields = json.loads(text)
        if fields["schema"] != _SCHEMA:
            return None
        return Record(
            role=Role(fields["role"]),
            set_id=str(fields["set_id"]),
            restore=str(fields["restore"]),
            sequence=int(fields["sequence"]),
            at=float(fields["at"]),
            outgoing=None if fields["outgoing"] is None else int(fields["outgoing"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Wrapper:
    """A wrapper that was found beside a target. Without a record a run had only begun to unpack it."""

    path: str
    record: Record | None
    inode: int | None

    @property
    def standing(self) -> Standing:
        return Standing.PENDING if self.record is None else self.record.standing(self.inode)


def targets(manifest: Manifest, wanted: Sequence[str], root: str | None) -> list[Target]:
    """The paths that are asked for (none: all of the set's), in the set's order."""
    files = {file.path: file for file in manifest.files}
    packed: dict[str, StoredFile] = {}
    for entry in manifest.about.get("paths", []):
        stored = files.get(str(entry.get("file"))) if isinstance(entry, Mapping) else None
        if stored is None or not _plain(str(entry.get("path"))):
            raise RestoreRefused(f"{manifest.id} names a path without an archive of its own: it is no set of files")
        packed[str(entry["path"])] = stored
    if not packed:
        raise RestoreRefused(f"{manifest.id} has no paths: it is a set of {manifest.kind}")
    asked = [posixpath.normpath(path) for path in wanted] or list(packed)
    missing = [path for path in asked if path not in packed]
    if missing:
        raise RestoreRefused(f"{manifest.id} has no {', '.join(missing)}; it has {', '.join(packed)}")
    chosen = [Target(path, placed(path, root), packed[path]) for path in packed if path in asked]
    _apart([goal.place for goal in chosen])
    return chosen


def _plain(path: str) -> bool:
    return path.startswith("/") and posixpath.normpath(path) == path and path.strip("/") != ""


def placed(path: str, root: str | None) -> str:
    """The destination of a path of a set."""
    return posixpath.normpath(path if root is None else posixpath.join(root, path.lstrip("/")))


def _apart(places: Sequence[str]) -> None:
    """Refuse nested paths: the second exchange would be inside the directory that the first one set aside."""
    for inner in places:
        outer = next((place for place in places if inside(inner, place) and inner != place), None)
        if outer is not None:
            raise RestoreRefused(f"{inner} lies in {outer}: name one of them in 'paths'")


def inside(path: str, folder: str) -> bool:
    """Whether a path is a directory or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def prefix(place: str) -> str:
    """Prefix of the names of a target's wrappers. They are hidden, so that patterns such as * do not match them."""
    name = posixpath.basename(place)
    raw = os.fsencode(name)
    if len(raw) > _LONGEST - _AROUND:
        digest = hashlib.sha256(raw).hexdigest()[:8]
        name = raw[: _LONGEST - _AROUND - 9].decode(errors="ignore") + "~" + digest
    return f".{name}.day2-"


_WRAPPER = re.compile(r"(new|old|undone|gone)-\d{8}T\d{6}Z(-[0-9a-z]{1,8})?(\.\d+)?")


def is_wrapper(name: str, place: str) -> bool:
    begins = prefix(place)
    return name.startswith(begins) and _WRAPPER.fullmatch(name[len(begins) :]) is not None


def needs_record(name: str, place: str) -> bool:
    """Whether a wrapper of this name must have a record. One that is being unpacked or removed has none."""
    return not name[len(prefix(place)) :].startswith(("new-", "gone-"))


def beside(place: str, word: str) -> str:
    """A path beside a target: `new-<set id>`, or lock."""
    return posixpath.join(posixpath.dirname(place), prefix(place) + word)


def kept_name(place: str, role: Role, moment: float, taken: Iterable[str]) -> str:
    """The dated path of a wrapper; two of a second get a number."""
    name, others = beside(place, f"{role.value}-{basic(moment)}"), set(taken)
    number = 2
    free = name
    while free in others:
        free, number = f"{name}.{number}", number + 1
    return free


def newest(wrappers: Iterable[Wrapper]) -> Wrapper | None:
    """The newest wrapper that keeps a tree."""
    kept = [wrapper for wrapper in wrappers if wrapper.standing is not Standing.PENDING]
    return max(kept, key=_order, default=None)


def _order(wrapper: Wrapper) -> tuple[int, float]:
    return (wrapper.record.sequence, wrapper.record.at) if wrapper.record else (0, 0.0)


def next_sequence(found: Mapping[str, Sequence[Wrapper]]) -> int:
    return 1 + max(
        (wrapper.record.sequence for group in found.values() for wrapper in group if wrapper.record), default=0
    )


def to_revert(found: Mapping[str, Sequence[Wrapper]]) -> dict[str, Wrapper]:
    """Wrappers to put back, by target: of the newest restore among these paths, and not yet reverted.

    Empty: that restore was reverted already. RestoreRefused when there never was one.
    """
    heads = {place: head for place, group in found.items() for head in [newest(group)] if head is not None}
    if not heads:
        raise RestoreRefused(f"nothing was restored to {', '.join(found)} that could be reverted")
    last = max(heads.values(), key=_order).record
    back = (Standing.OLD, Standing.REVERTING)
    return {
        place: head
        for place, head in heads.items()
        if head.record and last and head.record.restore == last.restore and head.standing in back
    }


def expired(wrappers: Iterable[Wrapper], keep: float, now: float) -> list[Wrapper]:
    """Wrappers that were kept for longer than `keep` seconds, oldest first."""
    kept = [wrapper for wrapper in wrappers if wrapper.standing is not Standing.PENDING]
    return sorted((wrapper for wrapper in kept if wrapper.record and now - wrapper.record.at > keep), key=_order)
