# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database is called while it is restored, after it was replaced, and how one knows it then. Pure.

What a database is to us stands in its comment, a marker. It is dropped only where its name says the same: whoever has
renamed one wants it for something else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import make_id

# NAMEDATALEN - 1: PostgreSQL cuts longer names, and what is cut may be another database's name.
_LONGEST = 63
_BEGINS = "day2.ops "
# The limit of connections of a database that a restore makes, until it is settled: it is given together with the name,
# while a comment comes a statement later, and no server has so many.
BEGUN = 1_904_020_260


class Role(str, Enum):
    """What a marked database is: one that is being restored, one that was replaced, one that a revert took away."""

    NEW = "new"
    OLD = "old"
    UNDONE = "undone"


@dataclass(frozen=True)
class Marker:
    """`of` is the database's own name, `at` POSIX seconds, `comment` what its comment was.

    `written` has the rows inserted, updated and deleted so far in the database that took its place, and when these
    counters were set back, as it was taken: more of them at a revert are what would be lost. `sequence` is the order
    in which databases were put aside, which no clock changes; `successor` the OID of the one that took its place;
    `returned` the OID of a successor to which a revert gave the name back: that revert is done.
    """

    role: Role
    of: str
    set_id: str
    at: float
    comment: str | None = None
    written: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0
    successor: int = 0
    returned: int = 0

    @property
    def name(self) -> str:
        """What a database with this marker is called. One that has another name was taken over by somebody."""
        return beside(self.of) if self.role is Role.NEW else dated(self.of, self.role, self.at)

    def render(self) -> str:
        return _BEGINS + json.dumps({**asdict(self), "role": self.role.value}, ensure_ascii=False, sort_keys=True)


def parse_marker(comment: str | None) -> Marker | None:
    """The marker of a database, or None when its comment is somebody's own."""
    if comment is None or not comment.startswith(_BEGINS):
        return None
    try:
        told = json.loads(comment[len(_BEGINS) :])
        return Marker(
            role=Role(told["role"]),
            of=str(told["of"]),
            set_id=str(told["set_id"]),
            at=float(told["at"]),
            comment=told.get("comment"),
            written=dict(told.get("written") or {}),
            sequence=int(told.get("sequence") or 0),
            successor=int(told.get("successor") or 0),
            returned=int(told.get("returned") or 0),
        )
    except (ValueError, KeyError, TypeError):
        return None


def own_comment(comment: str | None) -> str | None:
    """A database's own comment. A marker that came with a dump, or with a renamed database, is not passed on."""
    while (marker := parse_marker(comment)) is not None:
        comment = marker.comment
    return comment


def beside(database: str) -> str:
    """The name under which a database is restored."""
    return _fitting(database, "_restoring")


def dated(database: str, role: Role, moment: float) -> str:
    """The name of one that was replaced or undone at this time."""
    return _fitting(database, f"_{role.value}_{make_id(moment)}")


def _fitting(database: str, ending: str) -> str:
    """Cut in front of the ending where it is too long, between characters; two long names stay two."""
    if len((database + ending).encode()) <= _LONGEST:
        return database + ending
    ending = f"_{hashlib.sha256(database.encode()).hexdigest()[:6]}{ending}"
    return database.encode()[: _LONGEST - len(ending)].decode(errors="ignore") + ending
