# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failover came to: whom it replaced, what it lost, how long it took, what is left to do. Pure."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from ansible_collections.day2.ops.plugins.plugin_utils.failover import pausing
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import Case
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import missed
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import lose, read_loss, span_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import lsn_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import measure
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Finished, Outage
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts


def outage_of(case: Case) -> Outage | None:
    """None where nobody knows when it began: the new primary was taken as it was found."""
    promoted, led = case.done("promote"), case.done("traffic")
    if promoted is None or not promoted.about.get("last_commit"):
        return None
    since = str(promoted.about["last_commit"])
    until = str(led.about.get("served_at") or led.at) if led else promoted.at
    seconds = parse_rfc3339(until) - parse_rfc3339(since)
    # Clocks of two hosts.
    return Outage(since, until, round(seconds, 3)) if seconds >= 0 else None


def summarise(plan: Plan, case: Case, facts: Facts) -> Finished:
    """A failover that was finished, for the report: its loss, how long its steps took, what is left to do."""
    promoted = case.done("promote")
    if promoted is None:
        return Finished("unfinished", f"{case.old} was not replaced yet")
    fork = lsn_of(promoted.about.get("fork_lsn"))
    # What was known when the standby was promoted still bounds it.
    before = read_loss(promoted.about.get("loss"))
    loss = lose(facts.view(case.old), fork, span_of(before), missed(case.about, fork)) if fork is not None else None
    follow = case.done("follow")
    left = [str(text) for text in (follow.about.get("left", ()) if follow else ())]
    if not plan.is_managed:
        fence = case.done("fence")
        proven = fence is not None and fence.about.get("layer") != "none"
        state = (
            "it is fenced; it must not be started before"
            if proven
            else "nobody has proven that it is off: see that it does not start before"
        )
        left.append(f"{case.old} has to become a standby again, by playbook dr_rejoin ({state})")
    else:
        left.append(f"see that {case.old} comes back as a standby (Patroni sees to it when it starts)")
    left += pausing.left(plan, case)
    if plan.backup is None:
        left.append("take a full backup: a new timeline has begun")
    names = plan.synchronous_standby_names or promoted.about.get("previous_synchronous_standby_names")
    if names:
        left.append(f"set synchronous_standby_names back to {names} when standbys follow")
    left += [
        f"{member.host} runs as a primary too, which this failover has not promoted: stop it"
        for member in plan.members
        if member.host != promoted.host and facts.view(member.host).is_primary and facts.after(promoted.n)
    ]
    left += [
        f"{member.host} did not answer: look whether it follows, and that nobody has promoted it"
        for member in plan.members
        if member.host not in (promoted.host, case.old) and not facts.view(member.host).reachable
    ]
    approved = tuple(f"{code}: {a.get('by')}, {a.get('reason')}" for code, a in case.overridden().items())
    return Finished(
        "failed_over",
        f"{promoted.host} has replaced {case.old}, and serves {plan.system}",
        promoted.host,
        loss,
        measure(case.entries),
        outage_of(case),
        tuple(left),
        approved,
    )
