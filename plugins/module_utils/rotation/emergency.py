# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files of logs go first where a disk is full, and what storage is missing then. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import CLASSES, Policy
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes

_MONTH = 30


@dataclass(frozen=True)
class Candidate:
    """A file that may go. `since` is when it was rotated, or last changed (POSIX seconds)."""

    path: str
    since: float
    why: str = "it has no log policy"


def in_order(
    loose: Iterable[Candidate], policies: Sequence[Policy], pieces: Mapping[str, Sequence[Piece]], age: float,
    now: float,
) -> Iterator[Candidate]:  # fmt: skip
    """Files without a policy, then packed pieces older than `age`, class by class; the oldest first of each.

    Never what is sealed or held, nor what is not packed: its writer may still have it.
    """
    yield from sorted(loose, key=lambda each: (each.since, each.path))
    for name, log_class in CLASSES.items():
        if log_class.sealed:
            continue
        found = [
            Candidate(piece.path, piece.rotated, f"a piece of log policy '{policy.name}' (class {name})")
            for policy in policies
            if policy.log_class == name
            for piece in pieces.get(policy.name, ())
            if piece.form and now - piece.rotated > age
            and not (policy.hold_on(piece.plain, now) or policy.hold_on(piece.path, now))
        ]  # fmt: skip
        yield from sorted(found, key=lambda each: (each.since, each.path))


def storage(missing: float, growth: float | None) -> str:
    """What to add, by what is missing now and the bytes that come each day."""
    grows = ", and how fast logs grow is not known yet"
    if growth is not None:
        grows = f"; logs grow by {format_bytes(growth)} a day, {format_bytes(growth * _MONTH)} in {_MONTH} days"
    if missing <= 0:
        return f"no storage is missing now{grows}"
    return f"{format_bytes(missing)} are missing: add at least as much storage{grows}"
