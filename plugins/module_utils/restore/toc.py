# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The entries of an archive, as `pg_restore --list` prints them, and in which order they are restored. Pure.

pg_restore restores event triggers and refreshes materialized views in one pass (pg_backup_archiver.c, RESTORE_PASS_
POST_ACL), so that a trigger may hear of a refresh, or forbid it. Here they come after everything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, Sequence

EVENT_TRIGGER = "EVENT TRIGGER"
USER_MAPPING = "USER MAPPING"
REFRESH = "MATERIALIZED VIEW DATA"
# Kinds of several words come before those of one word.
_KINDS = (REFRESH, EVENT_TRIGGER, USER_MAPPING)
_LINE = re.compile(r"(\d+); (\d+) (\d+) (.*)", re.DOTALL)
# Entries about another object: its schema, then its kind and name.
_ABOUT = re.compile(r"(?:COMMENT|SECURITY LABEL|ACL) \S+ (.*)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One entry by its number. `kind` is one of ours or empty; `words` is what follows it: schema, name and owner;
    `about`: it is a comment, a label or rights of one."""

    number: int
    kind: str
    words: str = ""
    about: bool = False

    @property
    def object_name(self) -> str:
        """Schema and name, for a message: names may contain blanks, which are not quoted in the listing."""
        schema, _space, rest = self.words.partition(" ")
        return f"{schema}.{rest.rpartition(' ')[0] or rest}"

    def is_called(self, name: str | None) -> bool:
        """Whether it may be the object of this name, which a server's error gives without its schema."""
        return f" {name} " in self.words


@dataclass(frozen=True)
class Order:
    """Entries to restore first, then to refresh, then event triggers; and those that are left out."""

    main: Sequence[Entry]
    refreshes: Sequence[Entry]
    triggers: Sequence[Entry]
    left_out: Sequence[Entry] = ()


def parse_listing(text: str) -> list[Entry]:
    """Entries in the archive's order; comments of the listing are none."""
    return [_entry(match) for match in map(_LINE.fullmatch, text.split("\n")) if match]


def _entry(match: re.Match[str]) -> Entry:
    table, words = match[2], match[4]
    about = _ABOUT.fullmatch(words)
    rest = about[1] if about else words
    for kind in _KINDS:
        # A refresh has no object of its own; a view of a schema called DATA has one.
        if rest.startswith(f"{kind} ") and (kind != REFRESH or table == "0"):
            return Entry(int(match[1]), kind, rest[len(kind) + 1 :], about is not None)
    return Entry(int(match[1]), "")


def order(entries: Iterable[Entry], leave_out: Sequence[str] = ()) -> Order:
    """`leave_out` has kinds of entries that are not restored, with their descriptions."""
    kept, left = list[Entry](), list[Entry]()
    for entry in entries:
        (left if entry.kind and entry.kind in leave_out else kept).append(entry)
    return Order(
        main=[entry for entry in kept if entry.kind not in (REFRESH, EVENT_TRIGGER)],
        refreshes=[entry for entry in kept if entry.kind == REFRESH],
        triggers=[entry for entry in kept if entry.kind == EVENT_TRIGGER],
        left_out=left,
    )
