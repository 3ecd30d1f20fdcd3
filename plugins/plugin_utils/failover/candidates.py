# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which standby takes over. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Collection, Mapping

from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import MemberEntry, Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts, Member

# WAL of a promotion: the rest of a segment, the history file, a checkpoint.
_LEAST_DISK = 64 * 1024 * 1024


@dataclass(frozen=True)
class Reason:
    """Why not. `approvable`: one of the approvers may decide otherwise, with a reason that stays in the journal."""

    code: str
    text: str
    approvable: bool = False


@dataclass(frozen=True)
class Choice:
    """The standby that takes over, if any; `excluded`: why each other one does not."""

    candidate: str | None
    reasons: tuple[Reason, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def member_at(plan: Plan, host: str | None, port: int | None = None) -> str | None:
    """The member that others reach at an address."""
    for member in plan.members:
        if host in (member.host, member.address, plan.machine(member.host)) and port in (None, member.port):
            return member.host
    return None


def choose(plan: Plan, facts: Facts, old: str, without: Collection[str] = ()) -> Choice:
    """The most advanced standby that can take over from `old`. Equal ones: the first in the plan.

    Standbys of which nobody knows how far they are, or that are ahead and cannot take over, are reasons to refuse.
    """
    excluded: dict[str, str] = {}
    reasons: list[Reason] = []
    able: list[MemberEntry] = []
    for member in plan.members:
        if member.host == old or member.host in without:
            continue
        view = facts.view(member.host)
        if _is_former(facts, view):
            excluded[member.host] = f"it was a primary until timeline {view.timeline}, and has to be rebuilt"
            continue
        unjudged = _unjudged(view)
        if unjudged is not None:
            excluded[member.host] = unjudged
            if not member.nofailover:
                text = f"{member.host} cannot be judged, and may be ahead of the others: {unjudged}"
                reasons.append(Reason("unjudged", text, approvable=True))
            continue
        unable = _unable(plan, facts, member, view, old)
        if unable is None:
            able.append(member)
        else:
            excluded[member.host] = unable
    if not able:
        why = "; ".join(f"{host}: {text}" for host, text in excluded.items()) or "there is no other member"
        return Choice(None, (*reasons, Reason("no_candidate", f"no standby can take over: {why}")), excluded)
    chosen = max(able, key=lambda member: _rank(facts.view(member.host)))
    ahead, notes = _ahead(plan, facts, chosen, excluded)
    for member in able:
        if member is not chosen:
            excluded[member.host] = f"{chosen.host} has received more, or is named before it"
    return Choice(chosen.host, (*reasons, *ahead), excluded, tuple(notes))


def _is_former(facts: Facts, view: Member) -> bool:
    """Whether it is a stopped primary that another one has succeeded: it is behind, whatever it has."""
    if not view.reachable or view.state != "stopped" or view.role != "primary" or view.timeline is None:
        return False
    return any(other.reachable and (other.timeline or 0) > view.timeline for other in facts.views.values())


def _rank(view: Member) -> tuple[int, int]:
    return (view.timeline or 0, view.position or 0)


def _unjudged(view: Member) -> str | None:
    """What is not known of a standby, so that nobody can say how far it is."""
    if not view.reachable:
        said = f" ({view.error})" if view.error else ""
        return f"it does not answer Ansible{said}; restore it, or take it from the plan"
    if view.state != "running":
        return f"its server is {view.state or 'in an unknown state'}; start it"
    if view.role is None:
        return "it does not say whether it is a standby"
    missing = [
        name
        for name, value in (
            ("system identifier", view.system_identifier),
            ("timeline", view.timeline),
            ("received LSN", view.position),
        )
        if value is None
    ]
    return f"its {', '.join(missing)} is unknown{f' ({view.error})' if view.error else ''}" if missing else None


def _unable(plan: Plan, facts: Facts, member: MemberEntry, view: Member, old: str) -> str | None:
    """Why a standby whose position is known does not take over."""
    if view.role == "primary":
        return f"it is a primary on timeline {view.timeline}"
    if member.nofailover:
        return "the plan says nofailover"
    if view.replay_paused is not False:
        what = "is paused" if view.replay_paused else "may be paused (nobody knows)"
        return f"its replay {what}, and it would never become a primary: SELECT pg_wal_replay_resume()"
    if view.apply_delay is None or view.apply_delay > 0:
        what = "an unknown time" if view.apply_delay is None else format_duration(view.apply_delay)
        return f"it applies WAL with a delay of {what} (recovery_min_apply_delay): it keeps what others overwrote"
    if view.replayable is not True:
        return "what it has received cannot be replayed" + (f" ({view.error})" if view.error else "")
    if view.disk_free is not None and view.disk_free < _LEAST_DISK:
        return f"its disk has {format_bytes(view.disk_free)} left, and a promotion writes WAL: make room"
    upstream = member_at(plan, view.upstream.host, view.upstream.port) if view.upstream is not None else None
    if upstream not in (None, old, member.host):
        other = facts.view(str(upstream))
        if other.is_standby and _rank(other) > _rank(view):
            return f"it follows {upstream}, which is ahead of it"
    return None


def _ahead(
    plan: Plan, facts: Facts, chosen: MemberEntry, excluded: Mapping[str, str]
) -> tuple[list[Reason], list[str]]:
    """Standbys with more WAL than the one that takes over: what only they have is lost, and they cannot follow."""
    reasons, notes = [], []
    best = facts.view(chosen.host)
    for member in plan.members:
        view = facts.view(member.host)
        if member.host not in excluded or not view.is_standby or view.position is None or best.position is None:
            continue
        if _rank(view) <= _rank(best):
            continue
        lead = view.position - best.position
        more = f"{format_bytes(lead)} ahead of" if lead > 0 else f"on timeline {view.timeline}, later than that of"
        if member.nofailover:
            notes.append(f"{member.host} (nofailover) is {more} {chosen.host}: it has to be rebuilt after the failover")
        else:
            text = (
                f"{member.host} is {more} {chosen.host} (LSN {format_lsn(view.position)}), and does not take over:"
                f" {excluded[member.host]}"
            )
            reasons.append(Reason("ahead", text, approvable=True))
    return reasons, notes
