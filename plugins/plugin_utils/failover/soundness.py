# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a plan's fields, each right alone, make a failover that can be decided, proven and kept. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan


def contradictions(plan: Plan, raw: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Problems, and notes on what is lawful but weak. Of a field that is missing, somebody else has told."""
    problems: list[str] = []
    notes: list[str] = []
    for name, judge in (
        ("members", _members),
        ("vantage_points", _vantage_points),
        ("journal_hosts", _journal_hosts),
        ("fence", _fence),
        ("traffic", _traffic),
        ("targets", _targets),
        ("manager", _manager),
    ):
        if raw.get(name) is not None and not (name == "fence" and plan.is_managed):
            judge(plan, problems, notes)
    return problems, notes


def _members(plan: Plan, problems: list[str], _notes: list[str]) -> None:
    hosts = Counter(member.host for member in plan.members)
    for host, times in hosts.items():
        if times > 1:
            problems.append(f"plan, field 'members': '{host}' is there {times} times")
    if len(hosts) < 2:
        problems.append("plan, field 'members': a failover needs a primary and at least one standby")
    machines: dict[str, str] = {}
    for host in hosts:
        other = machines.setdefault(plan.machine(host), host)
        if other != host:
            problems.append(f"plan, field 'members': '{other}' and '{host}' are one machine, {plan.machine(host)}")
    addresses: dict[tuple[str, int], str] = {}
    for member in plan.members:
        other = addresses.setdefault((member.address, member.port), member.host)
        if other != member.host:
            problems.append(
                f"plan, field 'members': '{other}' and '{member.host}' have one address, {member.address}:{member.port}"
            )
    if len(hosts) > 1 and sum(not member.nofailover for member in plan.members) < 2:
        problems.append("plan, field 'members': all but one are 'nofailover', so that nobody can take over")


def _vantage_points(plan: Plan, problems: list[str], _notes: list[str]) -> None:
    for member in plan.members:
        points = plan.points_for(member.host)
        if member.nofailover or len(points) >= 2:
            continue
        left = f"only {points[0]} is" if points else "none is"
        problems.append(
            f"plan, field 'vantage_points': when {member.host} is the primary, {left} left to judge it (its own host"
            " does not count, and two names of one machine count once); at least two have to agree: add a host that is"
            " no member, or 'controller'"
        )


def _journal_hosts(plan: Plan, problems: list[str], notes: list[str]) -> None:
    count = len(plan.journal_hosts)
    if count < 3:
        problems.append(
            f"plan, field 'journal_hosts': there {'is' if count == 1 else 'are'} {count}; at least three are needed, so"
            " that a majority is left when one is lost"
        )
        return
    majority = count // 2 + 1
    for machine, held in Counter(plan.machine(host) for host in plan.journal_hosts).items():
        if count - held < majority:
            names = ", ".join(host for host in plan.journal_hosts if plan.machine(host) == machine)
            problems.append(
                f"plan, field 'journal_hosts': {names} are one machine; when it is lost, {count - held} of {count}"
                f" answer, and a majority is {majority}: add hosts elsewhere"
            )
    if count % 2 == 0:
        notes.append(f"{count} journal hosts survive no more losses than {count - 1}: an odd number is better")


def _fence(plan: Plan, problems: list[str], notes: list[str]) -> None:
    kinds = [layer.kind for layer in plan.fence]
    weak = [layer.title for layer in plan.traffic if not layer.cuts]
    if not kinds:
        problems.append(
            "plan, field 'fence': is empty, so that nothing can prove that the old primary is off: name service, proxy"
            " or command"
        )
        return
    if "proxy" in kinds and not plan.cuts_everywhere:
        why = (
            f"applications may pass by {', '.join(weak)}, which only says where new connections go"
            if weak
            else "there is no traffic layer"
        )
        if set(kinds) == {"proxy"}:
            problems.append(f"plan, field 'fence': proxy alone can prove nothing here: {why}; add service or command")
        else:
            notes.append(f"fence proxy can prove nothing here: {why}")
    if set(kinds) == {"service"} or (set(kinds) == {"service", "proxy"} and not plan.cuts_everywhere):
        notes.append(
            "the old primary can be fenced only where it answers Ansible: when its host is out of reach, a failover is"
            " refused unless somebody approves it; add a command (power, cloud) with its check"
        )
    for layer in plan.fence:
        if layer.kind == "command" and layer.host in {member.host for member in plan.members}:
            notes.append(f"fence command runs on {layer.host}, a member: it is lost when that is the old primary")


def _traffic(plan: Plan, _problems: list[str], notes: list[str]) -> None:
    if not plan.traffic:
        notes.append("there is no traffic layer: applications have to find the new primary by themselves")


def _targets(plan: Plan, problems: list[str], notes: list[str]) -> None:
    targets = plan.targets
    if targets.rpo == 0 and not plan.synchronous_standby_names.strip() and not plan.is_managed:
        problems.append(
            "plan, field 'targets.rpo': 0 cannot be kept by asynchronous replication: set synchronous_standby_names"
            " (and say so in the plan), or state the loss that is borne, such as 1m"
        )
    if 0 < targets.rto <= plan.liveness.over:
        problems.append(
            f"plan, field 'targets.rto': {format_duration(targets.rto)} are over before the primary is found dead,"
            f" which takes {format_duration(plan.liveness.over)} (liveness.over)"
        )
    if plan.liveness.tries < 2:
        problems.append("plan, field 'liveness.tries': one failed probe decides nothing; at least 2, 3 are recommended")


def _manager(plan: Plan, problems: list[str], _notes: list[str]) -> None:
    if plan.manager is None or not plan.is_managed:
        return
    name = plan.manager.kind.capitalize()
    if plan.fence:
        problems.append(
            f"plan, field 'fence': {name} keeps the old primary off by its own lock, and what it manages is not fenced"
            " beside it: leave 'fence' out"
        )
    if plan.synchronous_standby_names.strip():
        problems.append(
            f"plan, field 'synchronous_standby_names': {name} sets it itself (synchronous_mode): leave it out"
        )
