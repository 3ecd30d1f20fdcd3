# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pieces of logs go, and why. Pure: the pieces in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import CLASSES, Policy
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration


@dataclass(frozen=True)
class Going:
    """A piece that goes, and why."""

    policy: str
    piece: Piece
    why: str


@dataclass
class Decision:
    """What goes, the oldest first; what policies cannot keep (`over`, sentences); pieces that a hold keeps."""

    going: list[Going] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    held: list[Going] = field(default_factory=list)


def decide(policies: Sequence[Policy], pieces: Mapping[str, Sequence[Piece]], current: Mapping[str, int],
           now: float, by_age_alone: bool = False) -> Decision:  # fmt: skip
    """Pieces by the name of their policy; `current` are the bytes of the files that are still written to.

    First what is older than its log's age. Then, where a class is over its size, its oldest packed pieces; those of a
    sealed class go by their age alone. A piece that was not packed yet is work in progress and stays; one that is held
    stays in any case.
    """
    decision = Decision()
    by_name = {policy.name: policy for policy in policies}
    for name, policy in by_name.items():
        for piece in pieces.get(name, ()):
            age = now - piece.rotated
            if age > policy.max_age and piece.form:
                _let_go(decision, policy, piece, f"older than {format_duration(policy.max_age)}", now)
    gone = {going.piece.path for going in (*decision.going, *decision.held)}
    for log_class in CLASSES:
        members = [policy for policy in policies if policy.log_class == log_class]
        if members and not by_age_alone:
            _cap(decision, members, pieces, current, gone, now)
    decision.going.sort(key=lambda going: (going.piece.rotated, going.piece.path))
    return decision


def _cap(decision: Decision, members: Sequence[Policy], pieces: Mapping[str, Sequence[Piece]],
         current: Mapping[str, int], gone: set[str], now: float) -> None:  # fmt: skip
    # Should two of them differ, nothing goes that the larger one lets stay.
    cap = max(policy.max_size for policy in members)
    kept = [(piece, policy) for policy in members for piece in pieces.get(policy.name, ()) if piece.path not in gone]
    held = sum(going.piece.size for going in decision.held if going.policy in {policy.name for policy in members})
    total = sum(piece.size for piece, _policy in kept) + held + sum(current.get(policy.name, 0) for policy in members)
    name = members[0].log_class
    for piece, policy in sorted(kept, key=lambda pair: (pair[0].rotated, pair[0].path)):
        if total <= cap or policy.sealed:
            break
        if piece.form and _let_go(decision, policy, piece, f"class {name} is over {format_bytes(cap)}", now):
            total -= piece.size
    if total > cap:
        why = "its files go by their age alone" if members[0].sealed else "what is left is held, or written to"
        decision.over.append(f"class {name} has {format_bytes(total)}, and its limit is {format_bytes(cap)}: {why}")


def _let_go(decision: Decision, policy: Policy, piece: Piece, why: str, now: float) -> bool:
    hold = policy.hold_on(piece.plain, now) or policy.hold_on(piece.path, now)
    if hold is None:
        decision.going.append(Going(policy.name, piece, why))
        return True
    decision.held.append(Going(policy.name, piece, hold.reason))
    return False
