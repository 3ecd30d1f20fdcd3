# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover of members that Patroni manages: it alone decides who leads; what is left here is to ask it, and to lead
applications to whom it has chosen. Pure.

Its lock, kept by a store of its own, is what keeps an old leader off: a member without it does not stay a primary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes
from ansible_collections.day2.ops.plugins.plugin_utils.failover import orders as order
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import approve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import (
    DEGRADED,
    FAILOVER,
    HEALTHY,
    REFUSE,
    Assessment,
    assess,
    few,
    find_primary,
    forbidden,
    serving,
    verdicts,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Choice, Reason, choose, member_at
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import Case, known_primary
from ansible_collections.day2.ops.plugins.plugin_utils.failover.clusters import SYNCHRONOUS, Cluster, ManagedMember
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import Seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import Prediction, predict
from ansible_collections.day2.ops.plugins.plugin_utils.failover.risk import beyond, loss_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.situation import TRIES, Situation
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Refused, Step
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts

# Requests to fail over to one candidate, after which another one is taken.
_FAILURES = 2


def managed(
    plan: Plan,
    facts: Facts,
    history: Sequence[Mapping[str, float]] = (),
    last_known: Seen | None = None,
    known: str | None = None,
    settled: Mapping[str, str] | None = None,
) -> Assessment:
    """What assess.assess answers, for members of Patroni. `known`: whom the journal promoted last."""
    rto = predict(plan, history)
    cluster, never = joint(plan, facts)
    never = [*forbidden(plan, facts), *never]
    if never or cluster is None:
        return Assessment(REFUSE, tuple(never), rto, notes=plan.notes)
    leader = cluster.led_by
    if leader is not None and leader.state == "running":
        return _led(plan, facts, rto, cluster, leader, known, settled or {})
    return _unled(plan, facts, rto, cluster, known, last_known)


def decide(
    plan: Plan,
    facts: Facts,
    now: float = 0.0,
    history: Sequence[Mapping[str, float]] = (),
    last_known: Seen | None = None,
    known: str | None = None,
    settled: Mapping[str, str] | None = None,
) -> Assessment:
    """What a system needs, by its manager where the plan has one."""
    if not plan.is_managed:
        return assess(plan, facts, now, history, last_known, known, settled)
    return managed(plan, facts, history, last_known, known, settled)


def joint(plan: Plan, facts: Facts) -> tuple[Cluster | None, list[Reason]]:
    """The cluster as all that answer have it, or why there is none to rely on. Who does not answer says nothing."""
    told = {member.host: facts.clusters.get(member.host, Cluster()) for member in plan.members}
    answers = {host: cluster for host, cluster in told.items() if cluster.answered}
    if not answers:
        why = "; ".join(f"{host}: {cluster.error or 'it was not asked'}" for host, cluster in told.items())
        return None, [Reason("manager", f"no member's Patroni says what its cluster is ({why})")]
    reasons = []
    for what, name in (("cluster", "scope"), ("system identifier", "system_identifier"), ("leader", "leader")):
        said: dict[object, list[str]] = {}
        for host, cluster in answers.items():
            value = getattr(cluster, name)
            if value is not None or name == "leader":
                said.setdefault(value, []).append(host)
        if len(said) > 1:
            parts = ", ".join(f"{' and '.join(hosts)}: {value or 'none'}" for value, hosts in said.items())
            hint = "look again when they agree" if name == "leader" else "correct day2_dr_plan"
            reasons.append(Reason("manager", f"Patroni's members do not have the same {what} ({parts}): {hint}"))
    cluster = next(iter(answers.values()))
    leader = cluster.led_by
    if leader is not None and leader.role == "standby_leader":
        reasons.append(
            Reason("manager", f"Patroni's cluster {cluster.scope} is a standby cluster: its primary is elsewhere")
        )
    if leader is not None and host_of(plan, leader) is None:
        where = f"{leader.host}:{leader.port}" if leader.host else "no address"
        text = (
            f"Patroni's leader {leader.name} ({where}) is no member of the plan: correct members, their address or port"
        )
        reasons.append(Reason("manager", text))
    return (None if reasons else cluster), reasons


def host_of(plan: Plan, member: ManagedMember) -> str | None:
    """The plan's member that one of Patroni's is: by its address, or by its name."""
    if member.host is not None:
        found = member_at(plan, member.host, member.port)
        if found is not None:
            return found
    return member.name if any(entry.host == member.name for entry in plan.members) else None


def named(plan: Plan, cluster: Cluster) -> dict[str, ManagedMember]:
    """Patroni's members by their hosts."""
    return {str(host_of(plan, member)): member for member in cluster.members if host_of(plan, member) is not None}


def _led(
    plan: Plan, facts: Facts, rto: Prediction, cluster: Cluster, leader: ManagedMember, known: str | None,
    settled: Mapping[str, str],
) -> Assessment:  # fmt: skip
    """Patroni has a leader."""
    host = str(host_of(plan, leader))
    found = verdicts(plan, facts, host)
    others = [m.host for m in plan.members if m.host != host and facts.view(m.host).is_primary]
    if others:
        text = (
            f"{' and '.join(others)} runs as a primary, and Patroni's leader is {host}: stop the server that is not"
            " Patroni's, and see what started it"
        )
        return Assessment(REFUSE, (Reason("two_primaries", text),), rto, host, notes=plan.notes)
    if found.agree_dead:
        text = (
            f"{host} does not answer {', '.join(found.dead)}, and Patroni sees it lead: where it is gone, its lock ends"
            f" within {cluster.ttl} s and Patroni fails over: run this again; where it runs, mend the network, or use"
            " patronictl switchover"
        )
        return Assessment(REFUSE, (Reason("unreached", text),), rto, host, notes=plan.notes)
    away = [led for led in facts.led if led.to not in (None, host)]
    old = next((str(led.to) for led in away), known if known not in (None, host) else None)
    if old is not None:
        where = "; ".join(f"{led.layer} leads to {led.to}" for led in away) or f"{old} was the primary"
        text = f"Patroni has made {host} the leader, on timeline {leader.timeline}, and {where}: it is adopted"
        loss = loss_of(plan, facts, old, host)
        return Assessment(
            FAILOVER, (Reason("adopted", text),), rto, old, host, True, loss, notes=plan.notes
        )  # fmt: skip
    return _well(plan, facts, rto, cluster, host, settled)


def _well(
    plan: Plan, facts: Facts, rto: Prediction, cluster: Cluster, host: str, settled: Mapping[str, str]
) -> Assessment:
    """The leader serves, and applications are led to it."""
    base = serving(_tagged(plan, cluster), facts, rto, host, settled)
    reasons = [reason for reason in base.reasons if reason.code != "no_candidate"]
    excluded = _excluded(plan, cluster, host)
    choice = _choice(plan, facts, cluster, host)
    if choice.candidate is None:
        reasons += choice.reasons
    if cluster.paused:
        reasons.append(Reason("paused", "Patroni is paused: it would not fail over by itself (patronictl resume)"))
    reasons += [Reason("weak", f"{name}: {why}") for name, why in excluded.items() if "nofailover" not in why]
    reasons += [
        Reason("traffic", f"{led.layer} leads to {led.words}, and not to {host}: lead it there (dr_traffic)")
        for led in facts.led
        if led.to is None
    ]
    reasons += [
        Reason("weak", f"Patroni's member {member.name} is no member of the plan")
        for member in cluster.members
        if host_of(plan, member) is None
    ]
    return replace(
        base,
        decision=DEGRADED if reasons else HEALTHY,
        reasons=tuple(dict.fromkeys(reasons)),
        candidate=choice.candidate,
        excluded={**base.excluded, **choice.excluded},
    )


def _unled(
    plan: Plan, facts: Facts, rto: Prediction, cluster: Cluster, known: str | None, last_known: Seen | None
) -> Assessment:
    """Nobody leads by Patroni's word, or who does has no server that runs."""
    running = [member.host for member in plan.members if facts.view(member.host).is_primary]
    if running:
        text = (
            f"{' and '.join(running)} runs as a primary, and Patroni has no leader: nobody else is promoted beside it;"
            " start its Patroni (paused, it takes the lock again), or stop the server"
        )
        return Assessment(REFUSE, (Reason("two_primaries", text),), rto, running[0], notes=plan.notes)
    leader = cluster.led_by
    old, why = (host_of(plan, leader), "") if leader is not None else find_primary(plan, facts, known)
    if old is None:
        return Assessment(REFUSE, (Reason("no_primary", why),), rto, notes=plan.notes)
    found = verdicts(plan, facts, old)
    if found.alive:
        text = f"{old} answers {', '.join(found.alive)}, and Patroni has no leader: its Patroni is off, or cut off"
        return Assessment(DEGRADED, (Reason("alive", text),), rto, old, notes=plan.notes)
    choice = _choice(plan, facts, cluster, old)
    loss = loss_of(plan, facts, old, choice.candidate, last_known) if choice.candidate else None
    reasons = [] if found.agree_dead else [few(old, found)]
    reasons += [*choice.reasons, *beyond(plan, facts, old, choice.candidate, loss, last_known)]
    decision = REFUSE if reasons else FAILOVER
    if not reasons:
        paused = ", which is paused" if cluster.paused else ""
        text = f"{old} does not answer {', '.join(found.dead)}, and nobody leads by Patroni's word{paused}"
        reasons = [Reason("dead", text)]
    return Assessment(
        decision, tuple(reasons), rto, old, choice.candidate, loss=loss, excluded=choice.excluded,
        notes=(*plan.notes, *choice.notes),
    )  # fmt: skip


def _tagged(plan: Plan, cluster: Cluster) -> Plan:
    """With what Patroni's tags say of members: one that has nofailover is not promoted, wherever that stands."""
    tagged = {host for host, member in named(plan, cluster).items() if member.tags.get("nofailover") is True}
    members = tuple(replace(m, nofailover=m.nofailover or m.host in tagged) for m in plan.members)
    return replace(plan, members=members)


def _excluded(plan: Plan, cluster: Cluster, old: str) -> dict[str, str]:
    """Whom Patroni would not promote, and why."""
    found = named(plan, cluster)
    synchronous = [host for host, member in found.items() if member.role in SYNCHRONOUS]
    excluded = {}
    for entry in plan.members:
        member = found.get(entry.host)
        if entry.host == old:
            continue
        if member is None:
            excluded[entry.host] = f"it is no member of Patroni's cluster {cluster.scope or ''}".rstrip()
        elif member.tags.get("nofailover") is True:
            excluded[entry.host] = "Patroni has it tagged nofailover"
        elif not member.runs:
            excluded[entry.host] = f"its server is {member.state or 'in an unknown state'}, says Patroni"
        elif cluster.synchronous and entry.host not in synchronous:
            who = " and ".join(synchronous) or "nobody"
            excluded[entry.host] = f"it is no synchronous standby ({who} is), and synchronous_mode is on"
    return excluded


def _choice(plan: Plan, facts: Facts, cluster: Cluster, old: str, without: Sequence[str] = ()) -> Choice:
    """The most advanced standby that Patroni would promote."""
    excluded = {**_excluded(plan, cluster, old), **dict.fromkeys(without, "Patroni was asked, and did not promote it")}
    # A tag is as the plan's own: such a one may be ahead, which is told.
    barred = {host for host, why in excluded.items() if "nofailover" not in why}
    choice = choose(_tagged(plan, cluster), facts, old, barred)
    reasons, host = list(choice.reasons), choice.candidate
    excluded = {**choice.excluded, **excluded}
    if host is None:
        why = "; ".join(f"{name}: {text}" for name, text in excluded.items()) or "there is no other member"
        reasons = [reason for reason in reasons if reason.code != "no_candidate"]
        return Choice(None, (*reasons, Reason("no_candidate", f"no member can take over: {why}")), excluded)
    lag = named(plan, cluster)[host].lag
    most = cluster.maximum_lag
    if most is not None and (lag is None or lag > most):
        behind = f"{format_bytes(lag)} behind" if lag is not None else "behind by what Patroni does not know"
        text = f"{host} is {behind}, beyond maximum_lag_on_failover ({format_bytes(most)}): Patroni would not choose it"
        reasons.append(Reason("lag", text, approvable=True))
    return replace(choice, reasons=tuple(reasons), excluded=excluded)


def begin(about: Mapping[str, Any], old: str, adopted: bool, overrides: tuple[Mapping[str, Any], ...]) -> Orders:
    """The beginning of a case: that the old one does not hold Patroni's lock was observed."""
    # One that is back as a standby is on its successor's timeline.
    timeline = None if adopted else about.get("timeline")
    title = f"{old} does not lead by Patroni's word"
    return Orders("fence", old, {**about, "timeline": timeline, "layer": "manager"}, (), title, None, overrides)


def promote(at: Situation, case: Case) -> Step | None:
    """Until there is a new leader: take the one that Patroni has, or have it choose one. None: the old one leads again,
    and there is nothing to do."""
    cluster, never = joint(at.plan, at.facts)
    if never or cluster is None:
        return Refused(tuple(never), "Run this again when that is mended")
    found = managed(at.plan, at.facts, at.history, at.last_known, known_primary(at.entries))
    leader = cluster.led_by
    if leader is not None and leader.state == "running":
        host = str(host_of(at.plan, leader))
        if found.decision == REFUSE:
            return Refused(found.reasons, assessment=found)
        return None if host == case.old else _ask(at, case, cluster, host, True, ())
    return _elect(at, case, cluster, found)


def _elect(at: Situation, case: Case, cluster: Cluster, found: Assessment) -> Step:
    intents = case.intents("promote", at.request.epoch)
    if len(intents) >= TRIES * len(at.plan.members):
        text = f"Patroni was asked {len(intents)} times, and nobody leads"
        return Refused((Reason("unanswered", text),), "See what its members log, and run this again")
    if found.primary != case.old or found.decision == DEGRADED:
        return Refused(found.reasons or (Reason("changed", f"{case.old} is not who has to be replaced"),))
    failed = [e.host for e in case.failures("promote", at.request.epoch)]
    given_up = [str(host) for host in dict.fromkeys(failed) if failed.count(host) >= _FAILURES]
    reasons, host = found.reasons if found.decision == REFUSE else (), found.candidate
    if given_up:
        choice = _choice(at.plan, at.facts, cluster, case.old, given_up)
        reasons, host = (*(r for r in reasons if r.code == "one_point"), *choice.reasons), choice.candidate
    if host is None or not all(reason.approvable for reason in reasons):
        return Refused(tuple(reasons), assessment=found)
    approved = approve(at.plan, at.request, reasons, case.overridden(), case.name)
    if isinstance(approved, Refused):
        return replace(approved, assessment=found)
    return _ask(at, case, cluster, host, False, approved)


def _ask(
    at: Situation, case: Case, cluster: Cluster, host: str, adopted: bool, overrides: tuple[Mapping[str, Any], ...]
) -> Step:
    """Patroni on the host itself. Of one that leads already, it is only proven that it takes writes."""
    before = case.about.get("timeline")
    name = named(at.plan, cluster)[host].name
    about = {"case": case.name, "old": case.old, "timeline": before, "adopted": adopted, "manager": name}
    if len(case.intents("promote", at.request.epoch)) >= TRIES * len(at.plan.members):
        text = f"{host} leads by Patroni's word, and was asked {TRIES} times without an answer"
        return Refused((Reason("unanswered", text),), f"Restore {host}, and run this again")
    orders = (order.managed(at.plan, at.request, at.facts, host, name, before),)
    title = f"Take {host} as the primary, which Patroni has promoted" if adopted else f"Have Patroni promote {host}"
    return Orders("promote", host, about, orders, title, at.seconds("promote"), overrides)
