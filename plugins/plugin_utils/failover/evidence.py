# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a primary was last seen at work, and how far it was: what bounds a loss when it is gone. Pure.

Journal hosts keep it (dr_journal, `observed`), each with its own clock read before the primary was observed: the age of
an observation is a difference of one clock. Where clocks do not agree about that, nothing is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.units.lsn import LsnError, format_lsn, parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339, rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts, Member, Replica

# Seconds by which ages of one observation differ while all clocks run: hosts are not asked at the same instant.
_APART = 30.0


@dataclass(frozen=True)
class Seen:
    """A primary at work. It had `lsn` on disk at `at` (POSIX seconds, of the clock of the run that asks) or later,
    which is `age` seconds ago at the most. `lags`: seconds by which standbys were behind it, as far as it knew."""

    primary: str
    system_identifier: str
    timeline: int
    lsn: int
    at: float
    age: float
    lags: Mapping[str, float] = field(default_factory=dict)

    @property
    def when(self) -> str:
        return rfc3339_ms(self.at)

    def of(self, old: str, view: Member) -> bool:
        """Whether it says something of a standby of that primary: only within one timeline are positions comparable."""
        same = view.system_identifier == self.system_identifier and view.timeline == self.timeline
        return same and self.primary == old and view.position is not None

    def missing(self, position: int) -> int:
        """Bytes that it had, and that end beyond a position of its timeline."""
        return max(0, self.lsn - position)


def observation(plan: Plan, facts: Facts, primary: str | None, began: float) -> dict[str, Any] | None:
    """What journal hosts keep: of the primary that runs, with its standbys. `began`: before it was observed."""
    view = facts.view(primary) if primary is not None else Member()
    if not view.is_primary or view.lsn is None or view.timeline is None or view.system_identifier is None:
        return None
    if sum(facts.view(member.host).is_primary for member in plan.members) != 1:
        return None
    standbys = {}
    for member in plan.members:
        other, replica = facts.view(member.host), replica_of(plan, facts, str(primary), member.host)
        if other.is_standby and other.position is not None:
            lag = replica.seconds if replica is not None else None
            standbys[member.host] = {"lsn": format_lsn(other.position), "seconds": lag}
    return {
        "at": rfc3339_ms(began),
        "primary": primary,
        "system_identifier": view.system_identifier,
        "timeline": view.timeline,
        "lsn": format_lsn(view.lsn),
        "standbys": standbys,
    }


def newest(answers: Mapping[str, object], began: float) -> dict[str, Any]:
    """The newest observation that hosts have and that their clocks agree about, for `read_seen`; {} if there is none.

    `answers`: of dr_journal (`state: read`), by host; `began`: before they were asked.
    """
    told: dict[str, list[tuple[float, Mapping[str, Any]]]] = {}
    for found in answers.values():
        kept = found.get("observed") if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or not isinstance(kept, Mapping):
            continue
        now, then = found.get("clock"), kept.get("clock")
        if isinstance(now, (int, float)) and isinstance(then, (int, float)):
            told.setdefault(repr(sorted({**kept, "clock": None}.items())), []).append((now - then, kept))
    best: dict[str, Any] = {}
    for group in told.values():
        kept = group[0][1]
        try:
            ages = [age for age, _kept in group] + [began - parse_rfc3339(kept.get("at"))]
        except ValueError:
            continue
        agree = min(ages) >= -_APART and max(ages) - min(ages) <= _APART
        # Before they were asked: what was observed is not older than by the highest age.
        at = began - max(0.0, *ages)
        if agree and at > best.get("at", float("-inf")):
            best = {**{name: value for name, value in kept.items() if name != "clock"}, "at": at}
    return best


def read_seen(raw: object, now: float) -> Seen | None:
    """What `newest` returned, as variables or the journal have it; None where it is none, or of the future."""
    if not isinstance(raw, Mapping):
        return None
    try:
        at, standbys = float(raw["at"]), raw.get("standbys") or {}
        lags = {
            str(host): float(found["seconds"])
            for host, found in standbys.items()
            if isinstance(found.get("seconds"), (int, float))
        }
        seen = Seen(
            str(raw["primary"]), str(raw["system_identifier"]), int(raw["timeline"]), parse_lsn(str(raw["lsn"])), at,
            now - at, lags,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, LsnError):
        return None
    return seen if seen.age >= 0 else None


def render_seen(seen: Seen) -> dict[str, Any]:
    standbys = {host: {"seconds": lag} for host, lag in seen.lags.items()}
    return {
        "at": seen.at,
        "primary": seen.primary,
        "system_identifier": seen.system_identifier,
        "timeline": seen.timeline,
        "lsn": format_lsn(seen.lsn),
        "standbys": standbys,
    }


def missed(about: Mapping[str, Any], position: int) -> int:
    """Bytes beyond a position which the old primary of a case had when it was last seen at work, by what the case was
    begun with."""
    seen = read_seen(about.get("known"), float("inf"))
    if seen is None or seen.primary != about.get("old") or seen.timeline != about.get("timeline"):
        return 0
    return seen.missing(position)


def replica_of(plan: Plan, facts: Facts, primary: str, standby: str) -> Replica | None:
    """A standby as its primary sees it: by its application's name, which is its slot's, or else by its address."""
    member = plan.member(standby)
    replicas = facts.view(primary).replication
    named = [replica for replica in replicas if replica.application == member.slot]
    placed = [replica for replica in replicas if replica.address in (member.address, plan.machine(standby))]
    return next(iter(named or placed), None)
