# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which paths of a set go where, what lies beside them, and what may go. Pure.

Beside each target lie wrappers: directories `.<name>.day2-…` that hold one tree and a record. A wrapper's name tells
people what it is; to us that stands in its record. The exchange of a tree with its target is one act of the kernel, and
which side of it a killed run was on shows in the tree's inode: the record says what was to go out.
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

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile, make_id
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

# NAME_MAX of Linux's file systems, and room for what is put around a name.
_LONGEST, _AROUND = 255, 50
_SCHEMA = 1


class RestoreRefused(Day2Error):
    """Something speaks against it; nothing was touched."""


@dataclass(frozen=True)
class Target:
    """One path of a set, its archive, and where it goes."""

    path: str
    place: str
    stored: StoredFile

    @property
    def member(self) -> str:
        """Its name in the archive."""
        return self.path.lstrip("/")


class Role(str, Enum):
    """What a wrapper keeps: what a restore replaced, or what a revert took away."""

    OLD = "old"
    UNDONE = "undone"


class Standing(Enum):
    """What a wrapper is, once its record is held against its tree."""

    # A restore ended before its exchange: the tree is a copy of the archive's.
    PENDING = "pending"
    OLD = "old"
    # A revert ended before its exchange: the tree is still what the restore replaced.
    REVERTING = "reverting"
    UNDONE = "undone"


@dataclass(frozen=True)
class Record:
    """A wrapper's own word. `restore` names the run that swapped, the same for all its paths; `sequence` orders records
    whatever the clock says; `at` is POSIX seconds. `outgoing` is the inode that leaves the wrapper in the exchange:
    None is the absence of what did not exist.
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
    """None for what no run of this module wrote."""
    try:
        told = json.loads(text)
        if told["schema"] != _SCHEMA:
            return None
        return Record(
            role=Role(told["role"]),
            set_id=str(told["set_id"]),
            restore=str(told["restore"]),
            sequence=int(told["sequence"]),
            at=float(told["at"]),
            outgoing=None if told["outgoing"] is None else int(told["outgoing"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Wrapper:
    """One that was found beside a target. Without a record it is what a run had only begun to unpack."""

    path: str
    record: Record | None
    inode: int | None

    @property
    def standing(self) -> Standing:
        return Standing.PENDING if self.record is None else self.record.standing(self.inode)


def targets(manifest: Manifest, wanted: Sequence[str], root: str | None) -> list[Target]:
    """The paths that are asked for (none: all of the set's), in the set's order."""
    files = {each.path: each for each in manifest.files}
    packed: dict[str, StoredFile] = {}
    for entry in manifest.about.get("paths", []):
        stored = files.get(str(entry.get("file"))) if isinstance(entry, Mapping) else None
        if stored is None or not _plain(str(entry.get("path"))):
            raise RestoreRefused(f"{manifest.id} names a path without an archive of its own: it is no set of files")
        packed[str(entry["path"])] = stored
    if not packed:
        raise RestoreRefused(f"{manifest.id} has no paths: it is a set of {manifest.kind}")
    asked = [posixpath.normpath(each) for each in wanted] or list(packed)
    missing = [each for each in asked if each not in packed]
    if missing:
        raise RestoreRefused(f"{manifest.id} has no {', '.join(missing)}; it has {', '.join(packed)}")
    chosen = [Target(path, placed(path, root), packed[path]) for path in packed if path in asked]
    _apart([each.place for each in chosen])
    return chosen


def _plain(path: str) -> bool:
    return path.startswith("/") and posixpath.normpath(path) == path and path.strip("/") != ""


def placed(path: str, root: str | None) -> str:
    """Where a path of a set goes."""
    return posixpath.normpath(path if root is None else posixpath.join(root, path.lstrip("/")))


def _apart(places: Sequence[str]) -> None:
    """Of two paths of which one holds the other, the second swap would be in what the first one put away."""
    for inner in places:
        outer = next((each for each in places if inside(inner, each) and inner != each), None)
        if outer is not None:
            raise RestoreRefused(f"{inner} lies in {outer}: name one of them in 'paths'")


def inside(path: str, folder: str) -> bool:
    """Whether a path is a directory or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def prefix(place: str) -> str:
    """What the names of a target's wrappers begin with. They are hidden: no pattern such as *.conf or * finds them."""
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
    """Whether only its record says that a wrapper is ours. One that is being unpacked or removed has none."""
    return not name[len(prefix(place)) :].startswith(("new-", "gone-"))


def beside(place: str, word: str) -> str:
    """A path beside a target: `new-<set id>`, or lock."""
    return posixpath.join(posixpath.dirname(place), prefix(place) + word)


def kept_name(place: str, role: Role, moment: float, taken: Iterable[str]) -> str:
    """The dated path of a wrapper; two of a second get a number."""
    name, others = beside(place, f"{role.value}-{make_id(moment)}"), set(taken)
    number = 2
    free = name
    while free in others:
        free, number = f"{name}.{number}", number + 1
    return free


def newest(wrappers: Iterable[Wrapper]) -> Wrapper | None:
    """The newest that keeps something."""
    kept = [each for each in wrappers if each.standing is not Standing.PENDING]
    return max(kept, key=_order, default=None)


def _order(each: Wrapper) -> tuple[int, float]:
    return (each.record.sequence, each.record.at) if each.record else (0, 0.0)


def next_sequence(found: Mapping[str, Sequence[Wrapper]]) -> int:
    return 1 + max((each.record.sequence for group in found.values() for each in group if each.record), default=0)


def to_revert(found: Mapping[str, Sequence[Wrapper]]) -> dict[str, Wrapper]:
    """What goes back, by target: what the newest restore among these paths replaced and no revert took up yet.

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
    """Those kept for longer than `keep` seconds, oldest first."""
    kept = [each for each in wrappers if each.standing is not Standing.PENDING]
    return sorted((each for each in kept if each.record and now - each.record.at > keep), key=_order)
