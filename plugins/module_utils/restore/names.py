# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and marks of databases that are being restored or were replaced. Pure.

The comment of such a database is a marker. A database is dropped only if its name matches its marker: one that somebody
has renamed is used for something else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic

# NAMEDATALEN - 1: PostgreSQL truncates longer names, to what may be another database's name.
_LONGEST = 63
_BEGINS = "day2.ops "
# The limit of connections of a database that a restore makes, until it is settled: it is given together with the name,
# while a comment comes a statement later, and no server has so many.
BEGUN = 1_904_020_260


class Role(str, Enum):
    """Role of a marked database: being restored, replaced by a restore, or set aside by a revert."""

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
        """Name of a database with this marker. If the database has another name, somebody has renamed it."""
        return beside(self.of) if self.role is Role.NEW else dated(self.of, self.role, self.at)

    def render(self) -> str:
        return _BEGINS + json.dumps({**asdict(self), "role": self.role.value}, ensure_ascii=False, sort_keys=True)


def parse_marker(comment: str | None) -> Marker | None:
    """The marker in a database's comment, or None if the comment is no marker."""
    if comment is None or not comment.startswith(_BEGINS):
        return None
    try:
        fields = json.loads(comment[len(_BEGINS) :])
        return Marker(
            role=Role(fields["role"]),
            of=str(fields["of"]),
            set_id=str(fields["set_id"]),
            at=float(fields["at"]),
            comment=fields.get("comment"),
            written=dict(fields.get("written") or {}),
            sequence=int(fields.get("sequence") or 0),
            successor=int(fields.get("successor") or 0),
            returned=int(fields.get("returned") or 0),
        )
    except (ValueError, KeyError, TypeError):
        return None


def own_comment(comment: str | None) -> str | None:
    """A database's own comment. A marker from a dump, or of a renamed database, is not copied."""
    while (marker := parse_marker(comment)) is not None:
        comment = marker.comment
    return comment


def beside(database: str) -> str:
    """The name under which a database is restored."""
    return _fitting(database, "_restoring")


def dated(database: str, role: Role, moment: float) -> str:
    """Name of a database that was replaced or undone at this time."""
    return _fitting(database, f"_{role.value}_{basic(moment)}")


def _fitting(database: str, ending: str) -> str:
    """Shorten a long name before its suffix, at a character boundary; different long names stay different."""
    if len((database + ending).encode()) <= _LONGEST:
        return database + ending
    ending = f"_{hashlib.sha256(database.encode()).hexdigest()[:6]}{ending}"
    return database.encode()[: _LONGEST - len(ending)].decode(errors="ignore") + ending
