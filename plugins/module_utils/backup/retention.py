# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backup sets go and which stay, and why. Pure: what is known of the sets in, a decision out.

Grandfather-father-son: of each of the newest n hours, days, weeks (ISO), months or years that have sets, in UTC, the
newest set stays. Classes add up. Over them all stand the newest set, the newest verified ones (`min_verified`) and the
newest that a restore has proven: younger ones that were only read take nobody's proof away.

Where the sets of a series are not of the same databases or paths, a set goes only for others that have all it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.contents import ANYTHING, Contents
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    QuantityError,
    format_duration,
    parse_lifetime,
)

# Clocks that are this much apart are the same time.
CLOCK_TOLERANCE = 300.0
# A clock that has run for so long is believed, against a set that says that it is later.
_TRUSTED = 86400.0

_BUCKETS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda moment: (moment.year, moment.month, moment.day, moment.hour),
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: tuple(moment.isocalendar())[:2],
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: (moment.year,),
}
CLASSES = tuple(_BUCKETS)


class PolicyError(ValueError):
    """A policy that cannot be meant; the message names the field."""


@dataclass(frozen=True)
class Policy:
    """What stays. `age` is seconds. Without any rule everything stays."""

    last: int | None = None
    age: float | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    min_verified: int = 2

    @property
    def keeps_everything(self) -> bool:
        return self.last is None and self.age is None and not self.classes


@dataclass(frozen=True)
class SetFacts:
    """What a decision needs of a set: POSIX time, its number in the order in which sets were made, its verdicts."""

    id: str
    time: float
    sequence: int
    verified: bool
    damaged: bool = False
    proven: bool = False
    contents: Contents = ANYTHING


@dataclass
class Decision:
    """Reasons to stay by id, newest first; ids to go, oldest first; `held` says why nothing may go at all."""

    keep: dict[str, list[str]]
    prune: list[str]
    held: str | None = None


def parse_policy(raw: Mapping[str, Any] | None) -> Policy:
    """`{daily: 30, weekly: 12, min_verified: 2, last: 5, age: 90d}`; PolicyError names what is wrong."""
    if raw is None:
        return Policy()
    known = ("last", "age", "min_verified", *CLASSES)
    for name in raw:
        if name not in known:
            raise PolicyError(f"'{name}' is no rule of keep; there are {', '.join(known)}")
    counts = {name: _count(name, raw[name]) for name in ("last", "min_verified", *CLASSES) if raw.get(name) is not None}
    age = None
    if raw.get("age") is not None:
        try:
            age = parse_lifetime(raw["age"])
        except QuantityError as exc:
            raise PolicyError(f"age: {exc}") from exc
        if age <= 0:
            raise PolicyError(f"age is {raw['age']}; it must be longer than nothing")
    last, floor = counts.pop("last", None), counts.pop("min_verified", Policy.min_verified)
    return Policy(last, age, {name: count for name, count in counts.items() if count}, floor)


def _count(name: str, raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or not str(raw).strip().isdecimal():
        raise PolicyError(f"{name} is {raw!r}, not a number of sets")
    return int(raw)


def decide(sets: Sequence[SetFacts], policy: Policy, now: float) -> Decision:
    """What stays and what goes, at a time."""
    misdated = _misdated(sets, now)
    ordered = sorted(sets, key=lambda facts: (facts.id not in misdated, facts.time, facts.sequence), reverse=True)
    reasons: dict[str, list[str]] = {}
    scopes = list(dict.fromkeys(facts.contents for facts in ordered))
    short = []
    for scope in scopes:
        # Whatever stays for one of these has all that it has, and so stays by its own reasons too.
        rivals = [facts for facts in ordered if facts.contents.replaces(scope)]
        because = _reasons(rivals, misdated, policy, now)
        few = _too_few(rivals, policy)
        short += [few] if few else []
        among = [f"counted among those with {scope}"] if len(scopes) > 1 else []
        for facts in rivals:
            if facts.contents == scope:
                why = because[facts.id] + ([few] if few else [])
                reasons[facts.id] = why + among if why else []
    held = _clock_set_back(ordered, misdated, now)
    if held is not None:
        for why in reasons.values():
            why.append(held)
    elif scopes and len(short) == len(scopes):
        held = short[0]
    keep = {facts.id: reasons[facts.id] for facts in ordered if reasons[facts.id]}
    return Decision(keep, [facts.id for facts in reversed(ordered) if not reasons[facts.id]], held)


def _reasons(ordered: Sequence[SetFacts], misdated: set[str], policy: Policy, now: float) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {facts.id: [] for facts in ordered}
    _by_floor(ordered, policy, reasons)
    for facts in ordered:
        if facts.id in misdated:
            reasons[facts.id].append("dated in the future")
    _by_rules([facts for facts in ordered if facts.id not in misdated], policy, now, reasons)
    return reasons


def _misdated(sets: Sequence[SetFacts], now: float) -> set[str]:
    """Sets of the future whose own clock was wrong, not this one: sets that were made after them tell it for a day."""
    ahead = [facts for facts in sets if facts.time > now + CLOCK_TOLERANCE]
    found = set()
    for facts in ahead:
        later = [
            other.time for other in sets if other.sequence > facts.sequence and other.time <= now + CLOCK_TOLERANCE
        ]
        if later and max(later) - min(later) >= _TRUSTED:
            found.add(facts.id)
    return found


def _clock_set_back(ordered: Sequence[SetFacts], misdated: set[str], now: float) -> str | None:
    ahead = [facts for facts in ordered if facts.time > now + CLOCK_TOLERANCE and facts.id not in misdated]
    if ahead:
        late = format_duration(ahead[0].time - now)
        return f"nothing is pruned: {ahead[0].id} was made {late} from now, so the clock was set back"
    return None


def _too_few(ordered: Sequence[SetFacts], policy: Policy) -> str | None:
    verified = sum(facts.verified and not facts.damaged for facts in ordered)
    if verified < policy.min_verified:
        # Without the number that there is: a plan counts the set that would be made.
        return f"nothing is pruned before there are {policy.min_verified} verified sets (min_verified)"
    return None


def _by_floor(ordered: Sequence[SetFacts], policy: Policy, reasons: dict[str, list[str]]) -> None:
    """The newest, the newest verified ones and the newest proven one: by time, and in the order of their making."""
    made = sorted(ordered, key=lambda facts: (facts.sequence, facts.time), reverse=True)
    for order in (ordered, made):
        good = [facts for facts in order if not facts.damaged]
        # A damaged set is the newest only where there is no other.
        for facts in (good or list(order))[:1]:
            _add(reasons, facts.id, "the newest")
        for facts in [facts for facts in good if facts.verified][: policy.min_verified]:
            _add(reasons, facts.id, f"one of the newest {policy.min_verified} verified")
        for facts in [facts for facts in good if facts.proven][:1]:
            _add(reasons, facts.id, "the newest proven set")


def _by_rules(ordered: Sequence[SetFacts], policy: Policy, now: float, reasons: dict[str, list[str]]) -> None:
    if policy.keeps_everything:
        for facts in ordered:
            _add(reasons, facts.id, "no rule of keep")
        return
    # A set that is known to be damaged takes nobody's place.
    good = [facts for facts in ordered if not facts.damaged]
    for facts in good[: policy.last or 0]:
        _add(reasons, facts.id, f"one of the last {policy.last}")
    if policy.age is not None:
        for facts in good:
            if now - facts.time <= policy.age:
                _add(reasons, facts.id, f"younger than {format_duration(policy.age)}")
    for name, count in policy.classes.items():
        seen: list[tuple[int, ...]] = []
        for facts in good:
            bucket = _BUCKETS[name](datetime.fromtimestamp(facts.time, timezone.utc))
            if bucket in seen:
                continue
            if len(seen) == count:
                break
            seen.append(bucket)
            _add(reasons, facts.id, f"{name} {len(seen)} of {count}")


def _add(reasons: dict[str, list[str]], name: str, reason: str) -> None:
    if reason not in reasons[name]:
        reasons[name].append(reason)
