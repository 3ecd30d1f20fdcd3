# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failover does next, by its plan, its journal and what is observed. Pure.

The journal says what was done; observation says whether it still holds. The same question always has the same answer,
so that a run that was killed anywhere is gone on with by the next one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry
from ansible_collections.day2.ops.plugins.plugin_utils.failover import fencing, managed, pausing
from ansible_collections.day2.ops.plugins.plugin_utils.failover import orders as order
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import approve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import (
    FAILOVER,
    REFUSE,
    Assessment,
    forbidden,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Choice, Reason, choose
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import (
    ABORT,
    FINISH,
    Case,
    known_primary,
    last_case,
    open_case,
    settled,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import Seen, render_seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import predict, steps_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.risk import successor_reasons
from ansible_collections.day2.ops.plugins.plugin_utils.failover.situation import TRIES, Situation
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import (
    Finished,
    Look,
    Order,
    Orders,
    Refused,
    Request,
    Step,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.summary import summarise
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts

# Failed promotions of one standby, after which another one is taken.
_FAILURES = 2
# How pg_promote says that the archive did not answer: an answer for all standbys, and for somebody who decides.
_ARCHIVE = "'ignore_archive'"


def next_step(
    plan: Plan,
    request: Request,
    entries: Sequence[Entry],
    facts: Facts,
    now: float = 0.0,
    history: Sequence[Mapping[str, float]] = (),
    last_known: Seen | None = None,
) -> Step:
    """Orders, a refusal with all its reasons, that somebody has to look first, or that nothing is left to do.

    `entries` are those that a majority of journal hosts has; `facts` may be older than the last of them (`seen`).
    """
    at = Situation(plan, request, entries, facts, history, last_known, now)
    higher = max((entry.epoch for entry in entries), default=0)
    if higher > request.epoch:
        run = next(entry.run for entry in reversed(entries) if entry.epoch == higher)
        text = f"run {run} has taken over with epoch {higher}, and run {request.run} has {request.epoch}: it stops here"
        return Refused((Reason("overtaken", text),))
    case = open_case(entries)
    step = _begin(at) if case is None else _go_on(at, case)
    if isinstance(step, Orders):
        if case is not None and step.step == "promote" and step.orders and _looks_again(at, case):
            return Look(f"Look again whether {case.old} answers, before anybody is promoted")
        if not (plan.automatic or request.confirmed or request.check_mode):
            text = f"nobody has confirmed a failover of {plan.system}"
            return Refused((Reason("unconfirmed", text),), f"Add -e day2_dr_confirm={plan.system}")
        return _said(step, case)
    return step


def _looks_again(at: Situation, case: Case) -> bool:
    return not at.plan.is_managed and not at.request.check_mode and fencing.stale(at, case)


def _said(step: Orders, case: Case | None) -> Orders:
    """Every line of a failover in which a rule was broken says so."""
    about = [*(case.overridden().values() if case else ()), *step.overrides]
    who = dict.fromkeys(
        f"{', '.join(map(str, a.get('codes', ())))} approved by {a.get('by')}: {a.get('reason')}" for a in about
    )
    said = "; ".join(who)
    return replace(step, title=f"{step.title} ({said})", said=said) if who else step


def _assess(at: Situation) -> Assessment:
    primary, off = known_primary(at.entries), settled(at.entries)
    return managed.decide(at.plan, at.facts, at.now, at.history, at.last_known, primary, off)


def _begin(at: Situation) -> Step:
    """No failover is under way: whether there has to be one."""
    last = last_case(at.entries)
    if last is not None and last.entries[-1].epoch == at.request.epoch:
        if last.done(FINISH):
            return summarise(at.plan, last, at.facts)
        if last.done(ABORT):
            return Finished("aborted", f"the failover from {last.old} was ended before anybody was promoted")
    if at.entries and not at.facts.after(at.entries[-1].n):
        text = "what was observed is older than the end of the last failover"
        return Refused((Reason("stale", text),), "Observe again")
    found = _assess(at)
    if found.decision not in (FAILOVER, REFUSE):
        why = "; ".join(reason.text for reason in found.reasons)
        text = f"{found.primary} is the primary, and no failover is needed" + (f"; {why}" if why else "")
        return _finished(at, last, found.decision, text, found.primary, found)
    overrides: tuple[Mapping[str, Any], ...] = ()
    if found.decision == REFUSE:
        if not found.approvable:
            return Refused(found.reasons, assessment=found)
        # What nobody can approve is told before somebody approves the rest.
        paused = pausing.hold(at, Case(at.request.run, ()), str(found.primary))
        if isinstance(paused, Refused):
            return replace(paused, assessment=found)
        approved = approve(at.plan, at.request, found.reasons, {}, at.request.run)
        if isinstance(approved, Refused):
            return replace(approved, assessment=found)
        overrides = approved
    old = str(found.primary)
    about = {
        "case": at.request.run,
        "old": old,
        # Of an adopted one, it is the new timeline.
        "timeline": at.facts.view(old).timeline
        or (None if found.adopted else at.facts.view(str(found.candidate)).timeline),
        "adopted": found.candidate if found.adopted else None,
        "known": render_seen(at.last_known) if at.last_known else None,
    }
    if at.plan.is_managed:
        return managed.begin(about, old, found.adopted, overrides)
    paused = pausing.hold(at, Case(at.request.run, ()), old)
    return paused or fencing.fence(at, Case(at.request.run, ()), about, old, overrides)


def _go_on(at: Situation, case: Case) -> Step:
    never = forbidden(at.plan, at.facts)
    if case.old not in {member.host for member in at.plan.members}:
        never.append(
            Reason("plan", f"run {case.name} fails over from {case.old}, which is no member of the plan any more")
        )
    if never:
        return Refused(tuple(never))
    promoted = case.done("promote")
    if at.plan.is_managed:
        step = _settle(at, case, promoted) if promoted else managed.promote(at, case)
        return _end(at, case) if step is None else step
    if promoted is None and all(_unpromoted(at, entry) for entry in case.intents("promote")):
        changed = _reconsider(at, case)
        if changed is not None:
            return changed
    held = pausing.hold(at, case, case.old) or fencing.hold(at, case)
    if held is not None:
        return held
    if promoted is None:
        return _promote(at, case)
    return _settle(at, case, promoted)


def _unpromoted(at: Situation, intent: Entry) -> bool:
    """Whether a promotion that was begun was not done, and never will be: the standby streams, which none does that has
    been told to become a primary, and its host takes nothing from the run that began it any more."""
    view = at.facts.view(str(intent.host))
    streams = view.upstream is not None and view.upstream.status == "streaming" and view.replay_paused is False
    same = view.timeline is not None and view.timeline == intent.about.get("timeline")
    epoch, _run = at.facts.promised.get(str(intent.host), (0, ""))
    return (
        at.facts.after(intent.n) and view.is_standby and streams and same and epoch >= at.request.epoch > intent.epoch
    )


def _reconsider(at: Situation, case: Case) -> Step | None:
    """Nobody is promoted yet, and a failover may not be needed any more: None where it goes on."""
    fenced = case.done("fence", case.old)
    found = _assess(at)
    if fenced is not None or "fence" in case.overridden():
        # Decided. But where it serves again before anything has changed, it loses nothing.
        fresh = fenced is None or at.facts.after(fenced.n)
        serves = found.decision not in (FAILOVER, REFUSE) and found.primary == case.old
        return _end(at, case) if fresh and serves and at.facts.view(case.old).is_primary else None
    if found.decision == FAILOVER and found.primary == case.old:
        return None
    if found.decision == REFUSE:
        approved = approve(at.plan, at.request, found.reasons, case.overridden(), case.name)
        if isinstance(approved, tuple) and found.primary == case.old and found.candidate is not None:
            return (
                None if not approved else fencing.fence(at, case, {**case.about, "case": case.name}, case.old, approved)
            )
        return replace(approved, assessment=found) if isinstance(approved, Refused) else Refused(found.reasons)
    return _end(at, case)


def _end(at: Situation, case: Case) -> Orders:
    """End a failover before a promotion. Traffic that it has cut leads to the old primary again, if that serves."""
    orders: tuple[Order, ...] = ()
    layers = {entry.about.get("layer") for entry in case.intents("fence")}
    if "proxy" in layers and not case.done("promote") and at.facts.view(case.old).is_primary:
        orders = order.lead_back(at.plan, at.request, case.old)
    title = f"End the failover from {case.old}"
    if orders:
        title += ", and lead applications to it again"
    if "service" in layers and at.facts.view(case.old).unit_masked is not False:
        title += "; its unit stays masked until somebody unmasks it"
    return Orders(ABORT, None, {"case": case.name, "old": case.old}, orders, title)


def _promote(at: Situation, case: Case, overrides: tuple[Mapping[str, Any], ...] = ()) -> Step:
    old, bound = case.old, case.bound()
    running = [m.host for m in at.plan.members if m.host != old and at.facts.view(m.host).is_primary]
    if len(running) > 1:
        return Refused(
            (Reason("two_primaries", f"{' and '.join(running)} run as primaries: stop all but the right one"),)
        )
    if bound is not None and running not in ([], [bound.host]) and not _unpromoted(at, bound):
        text = (
            f"{running[0]} was promoted by somebody, while run {bound.run} has begun to promote {bound.host}: fence"
            f" {bound.host} by hand (stop and mask its server), or stop {running[0]}"
        )
        return Refused((Reason("two_primaries", text),))
    if running:
        return _adopt(at, case, running[0], overrides)
    if bound is not None:
        return _bound(at, case, bound, overrides)
    adopted = case.about.get("adopted")
    if adopted is not None:
        text = f"{adopted} was found promoted when run {case.name} began, and does not run as a primary now"
        return Refused((Reason("bound", text),), f"Restore {adopted}, or end this failover (state: aborted)")
    choice = choose(at.plan, at.facts, old, case.released())
    return _elect(at, case, choice, overrides)


def _adopt(at: Situation, case: Case, host: str, overrides: tuple[Mapping[str, Any], ...]) -> Step:
    """It is a primary already: by a run that was killed before it could say so, or by somebody's hand."""
    view = at.facts.view(host)
    before = case.about.get("timeline")
    if before is not None and (view.timeline is None or view.timeline <= before):
        text = f"{host} runs as a primary on timeline {view.timeline}, and {case.old} had {before}: it is no successor"
        return Refused((Reason("timeline", text),))
    about = {"case": case.name, "old": case.old, "adopted": True, "timeline": view.timeline, "by": view.promoted_by}
    if view.promoted_by == at.request.run:
        # This run has done it, and has not proven that it can be written to.
        orders = order.promote(at.plan, at.request, at.facts, host)
        return Orders("promote", host, {**about, "timeline": before}, orders, f"Promote {host}", None, overrides)
    return Orders("promote", host, about, (), f"Take {host} as the primary, which it is already", None, overrides)


def _bound(at: Situation, case: Case, bound: Entry, overrides: tuple[Mapping[str, Any], ...]) -> Step:
    """A promotion was begun: it is ended, or its standby is fenced, before anybody else is promoted."""
    host, view = str(bound.host), at.facts.view(str(bound.host))
    begun = f"run {bound.run} has begun to promote {host}"
    if not view.reachable:
        text = f"{begun}, and nobody knows whether it did: it does not answer Ansible{at.error(host)}"
        return Refused((Reason("bound", text),), f"Restore {host}, or its connection, and run this again")
    if view.may_write:
        text = f"{begun}, and it is {at.state(host)}: it may be a primary already"
        return Refused((Reason("bound", text),), f"Look at {host}, and run this again")
    others = choose(at.plan, at.facts, case.old, {*case.released(), host})
    alone = choose(at.plan, at.facts, case.old, {m.host for m in at.plan.members} - {host})
    failures = case.failures("promote", None, host)
    now = case.failures("promote", at.request.epoch, host)
    able = alone.candidate == host
    blind = [entry for entry in failures if _ARCHIVE in str(entry.about.get("why"))]
    if others.candidate is not None and (not able or len(failures) - len(blind) >= _FAILURES):
        return fencing.release(at, case, host, failures)
    if now or not able or len(case.intents("promote", at.request.epoch)) >= TRIES:
        why = now[-1].about.get("why", "it failed") if now else alone.excluded.get(host, "it does not end")
        text = f"{begun}, and it cannot be ended: {why}"
        return Refused((Reason("bound", text),), f"Mend {host}, and run this again")
    return _elect(at, case, Choice(host), overrides)


def _elect(at: Situation, case: Case, choice: Choice, overrides: tuple[Mapping[str, Any], ...]) -> Step:
    """Promote whom the choice names, unless that loses too much or is not sure enough."""
    off = fencing.off(at, case)
    reasons, loss = successor_reasons(at.plan, at.facts, case.old, choice, at.last_known, off)
    host = choice.candidate
    blind = [e for e in case.failures("promote") if _ARCHIVE in str(e.about.get("why"))]
    if blind:
        text = f"nobody knows whether somebody has promoted another one: {blind[-1].about.get('why')}"
        reasons.append(Reason("archive", text, approvable=True))
    if host is None or not all(reason.approvable for reason in reasons):
        return Refused(tuple(reasons))
    approved = approve(at.plan, at.request, reasons, case.overridden(), case.name)
    if isinstance(approved, Refused):
        return approved
    view = at.facts.view(host)
    about = {
        "case": case.name,
        "old": case.old,
        "timeline": view.timeline,
        "system_identifier": view.system_identifier,
        "loss": loss.as_dict() if loss else None,
    }
    orders = order.promote(at.plan, at.request, at.facts, host, bool(blind))
    return Orders("promote", host, about, orders, f"Promote {host}", at.seconds("promote"), (*overrides, *approved))


def _settle(at: Situation, case: Case, promoted: Entry) -> Step:
    """There is a new primary: the others follow, applications move."""
    host = str(promoted.host)
    view = at.facts.view(host)
    if at.facts.after(promoted.n):
        others = [
            m.host for m in at.plan.members if m.host not in (host, case.old) and at.facts.view(m.host).is_primary
        ]
        if others:
            text = f"{host} was promoted at {promoted.at}, and {' and '.join(others)} run as primaries too: stop those"
            return Refused((Reason("two_primaries", text),))
        if not view.is_primary:
            state = (
                "does not answer Ansible" if not view.reachable else f"is {view.state}, {view.role or 'role unknown'}"
            )
            text = f"{host} was promoted at {promoted.at}, and {state}{at.error(host)}"
            hint = "Restore it and run this again; if it is lost, end this failover (state: aborted) and begin another"
            return Refused((Reason("successor", text),), hint)
    for step in steps_of(at.plan):
        if step in ("fence", "promote") or case.done(step):
            continue
        orders = order.later(at.plan, at.request, at.facts, step, case, promoted)
        if orders is not None and len(case.intents(step, at.request.epoch)) >= TRIES:
            hosts = ", ".join(dict.fromkeys(each.host for each in orders))
            text = f"{order.title(step, host, orders)}: ordered {TRIES} times, and not all of {hosts} answered"
            return Refused((Reason("unanswered", text),), "Restore those hosts, and run this again")
        if orders is not None:
            title = order.title(step, host, orders)
            return Orders(step, None, {"case": case.name}, orders, title, at.seconds(step))
    if not case.done(FINISH):
        about = {"case": case.name, "old": case.old, "primary": host}
        return Orders(FINISH, None, about, (), f"{at.plan.system} is served by {host}")
    return _finished(at, case, "failed_over", f"{at.plan.system} is served by {host}", host)


def _finished(
    at: Situation, case: Case | None, outcome: str, text: str, primary: str | None, found: Any = None
) -> Finished:
    promoted = case.done("promote") if case else None
    if case is None or promoted is None:
        return Finished(outcome, text, primary, assessment=found)
    return replace(summarise(at.plan, case, at.facts), outcome=outcome, text=text, primary=primary, assessment=found)


def abort(plan: Plan, request: Request, entries: Sequence[Entry], facts: Facts) -> Step:
    """End a failover before a promotion is begun, or after it was done. A server that was fenced stays so."""
    case = open_case(entries)
    if case is None:
        return Finished("aborted", f"no failover of {plan.system} is under way")
    bound = case.bound()
    if bound is not None:
        text = f"run {bound.run} has begun to promote {bound.host}, and nobody knows whether it did"
        return Refused((Reason("bound", text),), "Go on with it (state: failed_over)")
    return _end(Situation(plan, request, entries, facts), case)


def outline(
    plan: Plan,
    request: Request,
    entries: Sequence[Entry],
    facts: Facts,
    history: Sequence[Mapping[str, float]] = (),
    last_known: Seen | None = None,
) -> list[dict[str, Any]]:
    """Check mode: the next step as it would be ordered, and those after it, with predicted seconds."""
    step = next_step(plan, replace(request, check_mode=True), entries, facts, 0.0, history, last_known)
    if not isinstance(step, Orders):
        return []
    names = steps_of(plan)
    times = predict(plan, history).steps
    if step.step == pausing.STEP:
        names = [pausing.STEP, *names]
    after = names[names.index(step.step) + 1 :] if step.step in names else []
    return [
        {"step": step.step, "title": step.title, "seconds": step.seconds},
        *({"step": name, "title": name.capitalize(), "seconds": times.get(name)} for name in after),
    ]
