# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the old primary is off, and how it gets there. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from ansible_collections.day2.ops.plugins.plugin_utils.failover import orders as order
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import approve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import verdicts
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import Case
from ansible_collections.day2.ops.plugins.plugin_utils.failover.situation import TRIES, Situation
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Refused, Step

# Seconds for which what vantage points have seen is enough to promote somebody.
_FRESH = 10.0


def hold(at: Situation, case: Case) -> Step | None:
    """What has to be done so that the old primary is off; None where it is proven, or approved."""
    old, view = case.old, at.facts.view(case.old)
    fenced = case.done("fence", old)
    about = {**case.about, "case": case.name}
    if fenced is None:
        return None if "fence" in case.overridden() and not _alive(at, old) else fence(at, case, about, old, ())
    if not at.facts.after(fenced.n):
        return None
    layer = fenced.about.get("layer")
    if layer == "proxy" and not (view.may_write and _stoppable(at, case)):
        # It is cut off, whatever it does.
        return None
    alive = _alive(at, old)
    if alive:
        why = f"{old} was fenced ({layer}) at {fenced.at}, and {alive} again"
    elif view.unit_masked is False and view.state == "stopped" and fenced.epoch != at.request.epoch:
        # A unit that cannot be masked has a drop-in, which only the module sees.
        why = f"{old} was fenced (service) at {fenced.at}, and its unit is not masked: a reboot may start it"
    else:
        return None
    if fenced.epoch == at.request.epoch and layer != "proxy":
        return Refused((Reason("fence_undone", f"{why}: something starts it; find out what, and end that"),))
    return fence(at, case, {**about, "again": why}, old, ())


def stale(at: Situation, case: Case) -> bool:
    """Whether vantage points look again before anybody is promoted: it may answer by now, and nothing says that it is
    off but what was seen a while ago. One that is cut off at every layer may answer."""
    own = [entry for entry in at.entries if entry.epoch == at.request.epoch and entry.step != "claim"]
    if not own or at.facts.looked >= own[-1].n:
        # They have looked since.
        return False
    fenced, view = case.done("fence", case.old), at.facts.view(case.old)
    if fenced is None:
        return True
    if fenced.about.get("layer") == "proxy" or (view.reachable and at.facts.after(fenced.n)):
        return False
    since = fenced.at if fenced.epoch == at.request.epoch else own[0].at
    return at.now - parse_rfc3339(since) > _FRESH


def off(at: Situation, case: Case) -> float:
    """Seconds since the old primary was proven to be off. What an earlier run proved has the time of its clock, which
    may be another one."""
    fenced = case.done("fence", case.old)
    if fenced is None or fenced.epoch != at.request.epoch:
        return 0.0
    return max(0.0, at.now - parse_rfc3339(fenced.at))


def _alive(at: Situation, host: str) -> str | None:
    """What says that a primary is not off: its own host, or whom it answers while its host does not answer Ansible."""
    view = at.facts.view(host)
    if view.may_write:
        return f"is {at.state(host)}"
    points = () if view.reachable else verdicts(at.plan, at.facts, host).alive
    return f"answers {', '.join(points)}" if points else None


def _stoppable(at: Situation, case: Case) -> bool:
    """Whether it may be stopped on its host, too, which is more than to be cut off."""
    tried = any(e.about.get("layer") == "service" for e in case.failures("fence", at.request.epoch, case.old))
    return not tried and any(layer.kind == "service" for layer in at.plan.fence)


def fence(
    at: Situation, case: Case, about: Mapping[str, Any], old: str, overrides: tuple[Mapping[str, Any], ...]
) -> Step:
    """By the first layer that has not failed in this epoch."""
    failures = case.failures("fence", at.request.epoch, old)
    failed = {entry.about.get("entry") for entry in failures}
    stuck = len(case.intents("fence", at.request.epoch)) >= TRIES * max(1, len(at.plan.fence))
    for number, layer in enumerate(at.plan.fence, start=1):
        if number in failed or stuck:
            continue
        orders = order.fence(at.plan, at.request, at.facts, layer, old)
        if layer.kind == "proxy" and orders is not None and case.done("traffic"):
            # Every layer leads to the new primary: to cut once more would cut that off.
            orders = ()
        if orders is not None:
            return Orders(
                "fence", old, {**about, "layer": layer.kind, "entry": number}, orders, f"Fence {old} ({layer.title})",
                at.seconds("fence"), overrides,
            )  # fmt: skip
    return _unproven(at, case, about, old, overrides)


def _unproven(
    at: Situation, case: Case, about: Mapping[str, Any], old: str, overrides: tuple[Mapping[str, Any], ...]
) -> Step:
    """No layer is left: somebody answers for it, or nothing goes on."""
    failures = case.failures("fence", at.request.epoch, old)
    tried = [f"{entry.about.get('layer')}: {entry.about.get('why', 'failed')}" for entry in failures]
    if not at.facts.view(old).reachable:
        tried.insert(0, f"its host does not answer Ansible{at.error(old)}")
    text = f"nobody can prove that {old} is off: {'; '.join(tried) or 'no layer of the plan can'}"
    reason = Reason("fence", text, approvable=True)
    alive = _alive(at, old)
    if alive:
        text = f"{old} {alive}, and could not be fenced: {'; '.join(tried) or 'no layer of the plan can'}"
        return Refused((Reason("fence", text),), "Stop it on its host, or cut its power, and run this again")
    approved = approve(at.plan, at.request, (reason,), case.overridden(), case.name)
    if isinstance(approved, Refused):
        return replace(approved, hint=f"Make sure that {old} is off (power, cloud). {approved.hint}")
    # Who is replaced stands in the journal, also where nothing can be done about it.
    return Orders(
        "fence", None, {**about, "layer": "none"}, (), f"Go on without a fence of {old}", None, (*overrides, *approved)
    )


def release(at: Situation, case: Case, host: str, failures: Sequence[Entry]) -> Step:
    """Stop a standby whose promotion did not succeed, as it might still do: then another one is free to be promoted."""
    failed = case.failures("fence", at.request.epoch, host)
    if failed:
        text = f"{host}, whose promotion was begun, could not be fenced: {failed[-1].about.get('why', 'it failed')}"
        return Refused((Reason("bound", text),), "Stop and mask its server by hand, and run this again")
    why = f"its promotion failed {len(failures)} times" if failures else "its promotion cannot be ended"
    about = {"case": case.name, "old": case.old, "layer": "service", "release": True, "why": why}
    orders = order.service(at.plan, at.request, at.facts, host)
    return Orders(
        "fence", host, about, orders, f"Fence {host}: {why}, and another one is promoted", at.seconds("fence")
    )
