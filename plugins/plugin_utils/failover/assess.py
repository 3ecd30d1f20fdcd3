# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a system needs: nothing, attention, a failover, or somebody who decides where this refuses to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason, choose, member_at
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import Seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import Loss
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import Prediction, predict
from ansible_collections.day2.ops.plugins.plugin_utils.failover.risk import beyond, loss_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import ANSWERS, DEAD, Facts

HEALTHY, DEGRADED, FAILOVER, REFUSE = "healthy", "degraded", "failover", "refuse"
_DECIDERS = {
    "patroni": "Patroni decides here: use patronictl failover, or say so in the plan (manager: {kind: patroni})",
    "repmgrd": "repmgrd decides here: say in the plan that it is paused first (manager: {kind: repmgr})",
    "pacemaker": "Pacemaker decides here: use pcs resource move",
    "pg_auto_failover": "pg_auto_failover decides here: use pg_autoctl perform failover",
    "stolon": "stolon decides here: use stolonctl failkeeper",
    "cloudnative_pg": "CloudNativePG decides here: use kubectl cnpg promote",
}


@dataclass(frozen=True)
class Assessment:
    """A decision and why. `primary`: the one that serves, or that has to be replaced; `candidate`: who takes over,
    `adopted` where it is a primary already, because somebody has promoted it."""

    decision: str
    reasons: tuple[Reason, ...]
    rto: Prediction
    primary: str | None = None
    candidate: str | None = None
    adopted: bool = False
    loss: Loss | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def approvable(self) -> bool:
        return self.decision == REFUSE and self.candidate is not None and all(r.approvable for r in self.reasons)

    def as_dict(self) -> dict[str, Any]:
        return {
            "decision": self.decision,
            "reasons": [reason.text for reason in self.reasons],
            "codes": [reason.code for reason in self.reasons],
            "approvable": self.approvable,
            "primary": self.primary,
            "candidate": self.candidate,
            "adopted": self.adopted,
            "rpo": self.loss.as_dict() if self.loss else {"bytes": None, "seconds": None},
            "rto": self.rto.as_dict(),
            "excluded": dict(self.excluded),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Verdicts:
    """What vantage points say of a primary, those on its own host aside."""

    dead: tuple[str, ...]
    alive: tuple[str, ...]
    unsure: tuple[str, ...]

    @property
    def agree_dead(self) -> bool:
        return len(self.dead) >= 2 and not self.alive


def verdicts(plan: Plan, facts: Facts, host: str) -> Verdicts:
    dead, alive, unsure = [], [], []
    for point in plan.points_for(host):
        verdict = facts.liveness.get(point, {}).get(host)
        if verdict == ANSWERS:
            alive.append(point)
        elif verdict in DEAD:
            dead.append(f"{point} ({verdict})")
        else:
            unsure.append(f"{point} ({verdict or 'gave no answer'})")
    return Verdicts(tuple(dead), tuple(alive), tuple(unsure))


def forbidden(plan: Plan, facts: Facts) -> list[Reason]:
    """What forbids every failover, at every step: somebody else decides, or members are of different systems."""
    reasons = []
    for member in plan.members:
        manager = facts.view(member.host).managed_by
        allowed = {"patroni": plan.is_managed, "repmgrd": plan.is_paused}
        if manager is not None and not allowed.get(manager, False):
            text = _DECIDERS.get(manager, f"{manager} decides here")
            reasons.append(Reason("decider", f"{member.host}: {text}; two deciders make two primaries"))
    identifiers: dict[str, list[str]] = {}
    for member in plan.members:
        identifier = facts.view(member.host).system_identifier
        if identifier is not None:
            identifiers.setdefault(identifier, []).append(member.host)
    if len(identifiers) > 1:
        said = ", ".join(f"{' and '.join(hosts)} {name}" for name, hosts in identifiers.items())
        reasons.append(
            Reason("identifiers", f"members are of different systems (system identifier: {said}): correct day2_dr_plan")
        )
    return reasons


def assess(
    plan: Plan,
    facts: Facts,
    now: float = 0.0,
    history: Sequence[Mapping[str, float]] = (),
    last_known: Seen | None = None,
    known_primary: str | None = None,
    settled: Mapping[str, str] | None = None,
) -> Assessment:
    """`history`: durations of earlier failovers (predict.measure); `last_known`: the primary when it was last seen
    at work; `known_primary`: whom the journal promoted last, `settled`: whom it replaced, and the layer that keeps it
    off. `now` is POSIX seconds."""
    rto = predict(plan, history)
    primaries = [member.host for member in plan.members if facts.view(member.host).is_primary]
    never = forbidden(plan, facts)
    if len(primaries) > 1:
        where = " and ".join(f"{host} (timeline {facts.view(host).timeline})" for host in primaries)
        text = (
            f"there are {len(primaries)} running primaries, {where}: stop all but the right one, which nobody can guess"
        )
        never.append(Reason("two_primaries", text))
    if never:
        return Assessment(REFUSE, tuple(never), rto, primaries[0] if len(primaries) == 1 else None, notes=plan.notes)
    if primaries:
        kept = settled if settled and known_primary == primaries[0] else {}
        old = _superseded(plan, facts, primaries[0], kept)
        if old is not None:
            return _adopt(plan, facts, rto, old, primaries[0])
        return serving(plan, facts, rto, primaries[0], kept)
    old, why = find_primary(plan, facts, known_primary)
    if old is None:
        return Assessment(REFUSE, (Reason("no_primary", why),), rto, notes=plan.notes)
    return _without(plan, facts, rto, old, last_known)


def find_primary(plan: Plan, facts: Facts, known: str | None = None) -> tuple[str | None, str]:
    """The primary that does not run as one: by its own files, by whom standbys follow, by who else it could be."""
    own = [m.host for m in plan.members if facts.view(m.host).reachable and facts.view(m.host).role == "primary"]
    followed: set[str] = set()
    for member in plan.members:
        upstream = facts.view(member.host).upstream
        place = member_at(plan, upstream.host, upstream.port) if upstream is not None else None
        if place is not None and place != member.host and facts.view(place).role != "standby":
            followed.add(place)
    newest = max((facts.view(host).timeline or 0 for host in own), default=0)
    own = [host for host in own if (facts.view(host).timeline or 0) == newest]
    standbys = max((v.timeline or 0 for v in facts.views.values() if v.role == "standby"), default=0)
    silent = [member.host for member in plan.members if facts.view(member.host).role is None]
    if newest and newest < standbys:
        # Its successor is somewhere else.
        own = []
    for found in (own, sorted(followed), [known] if known in silent else [], silent):
        if len(found) == 1:
            return found[0], ""
        if len(found) > 1:
            return (
                None,
                f"nobody can tell which one was the primary:"
                f" {' or '.join(map(str, found))}; mend the others, or remove them from the plan",
            )
    return None, "no member is or was a primary, as far as anybody can see: is the plan of this system?"


def _superseded(plan: Plan, facts: Facts, primary: str, settled: Mapping[str, str]) -> str | None:
    """An old primary that a running one has succeeded by somebody's hand, while nothing keeps the old one off."""
    timeline = facts.view(primary).timeline
    for member in plan.members:
        view = facts.view(member.host)
        if member.host == primary or member.host in settled:
            continue
        if view.reachable:
            older = timeline is None or view.timeline is None or view.timeline < timeline
            if view.role == "primary" and older and view.unit_masked is not True:
                return member.host
        else:
            # Whoever follows it is on its timeline; one that has the primary's follows a standby.
            followers = [
                other
                for other in facts.views.values()
                if other.upstream is not None
                and member_at(plan, other.upstream.host, other.upstream.port) == member.host
                and (timeline or 0) > (other.timeline or timeline or 0)
            ]
            if followers:
                return member.host
    return None


def _adopt(plan: Plan, facts: Facts, rto: Prediction, old: str, primary: str) -> Assessment:
    found = verdicts(plan, facts, old)
    promoted = f"{primary} runs as primary on timeline {facts.view(primary).timeline}, promoted by somebody"
    if found.alive:
        text = f"{promoted}, and {old} still answers {', '.join(found.alive)}: two primaries; stop one"
        return Assessment(REFUSE, (Reason("two_primaries", text),), rto, old, primary, True, notes=plan.notes)
    loss = loss_of(plan, facts, old, primary)
    text = f"{promoted}; {old} is down, and nothing keeps it from coming back: it is fenced, and {primary} adopted"
    if not found.agree_dead:
        return Assessment(REFUSE, (few(old, found),), rto, old, primary, True, loss, notes=(*plan.notes, text))
    return Assessment(FAILOVER, (Reason("adopted", text),), rto, old, primary, True, loss, notes=plan.notes)


def few(host: str, found: Verdicts) -> Reason:
    said = ", ".join((*found.dead, *found.unsure)) or "nobody"
    text = (
        f"{len(found.dead)} of the vantage points found {host} dead ({said}), and two have to agree: restore the"
        " others, or let somebody approve"
    )
    return Reason("one_point", text, approvable=True)


def serving(plan: Plan, facts: Facts, rto: Prediction, primary: str, settled: Mapping[str, str]) -> Assessment:
    """A primary runs, by its own word."""
    found = verdicts(plan, facts, primary)
    if found.agree_dead:
        text = (
            f"{primary} runs, by its own word, and does not answer {', '.join(found.dead)}: mend the network (address,"
            " firewall, listen_addresses); a failover would not"
        )
        choice = choose(plan, facts, primary)
        return Assessment(
            REFUSE, (Reason("unreached", text, approvable=True), *choice.reasons), rto, primary, choice.candidate,
            excluded=choice.excluded, notes=(*plan.notes, *choice.notes),
        )  # fmt: skip
    reasons = [Reason("unreached", f"{primary} does not answer {point}") for point in found.dead]
    reasons += [Reason("unknown", f"nobody knows whether {primary} answers {point}") for point in found.unsure]
    reasons += [*_weaknesses(plan, facts, primary), *_weak_standbys(plan, facts, primary)]
    for host, layer in settled.items():
        # Who is managed starts as its manager wants.
        if layer not in ("service", "manager"):
            text = f"{host}, which {primary} has replaced, is not kept from starting ({layer}): stop and mask its unit"
            reasons.append(Reason("unmasked", text))
    choice = choose(plan, facts, primary)
    if choice.candidate is None:
        reasons += choice.reasons
    loss = loss_of(plan, facts, primary, choice.candidate) if choice.candidate else None
    reasons += beyond(plan, facts, primary, choice.candidate, loss)
    return Assessment(
        DEGRADED if reasons else HEALTHY, tuple(reasons), rto, primary, choice.candidate, loss=loss,
        excluded=choice.excluded, notes=(*plan.notes, *choice.notes),
    )  # fmt: skip


def _weaknesses(plan: Plan, facts: Facts, primary: str) -> list[Reason]:
    """What would make a failover worse, while there is no need for one."""
    view, found = facts.view(primary), []
    if view.archiver_failing:
        found.append("its archiver fails: a backup would end where it stopped")
    if view.repository_on_this_disk:
        found.append("its backups are on its own disk, and would be lost with it")
    if view.archiver_failing is None:
        found.append("nobody knows whether it archives its WAL")
    for slot in view.slots:
        if slot.get("wal_status") in ("lost", "unreserved"):
            found.append(
                f"slot {slot.get('name')} has lost WAL (wal_status {slot.get('wal_status')}): rebuild its standby"
            )
        if slot.get("type") == "logical" and slot.get("failover") is not True:
            found.append(f"logical slot {slot.get('name')} would not outlive a failover")
    if plan.targets.rpo == 0 and not view.synchronous_standby_names:
        found.append("it replicates asynchronously (synchronous_standby_names), and the plan bears no loss (rpo: 0)")
    return [Reason("weak", f"{primary}: {text}") for text in found]


def _weak_standbys(plan: Plan, facts: Facts, primary: str) -> list[Reason]:
    reasons = []
    for member in plan.members:
        other = facts.view(member.host)
        if other.manager_paused:
            reasons.append(Reason("paused", f"{member.host}: repmgrd is paused, and promotes nobody by itself"))
        if member.host == primary:
            continue
        if not other.is_standby:
            state = "does not answer Ansible" if not other.reachable else f"is {other.state or 'in an unknown state'}"
            reasons.append(Reason("weak", f"{member.host} {state}, and is no standby now"))
        elif other.upstream is None or other.upstream.status != "streaming":
            reasons.append(Reason("weak", f"{member.host} does not stream from its primary"))
        if other.password_ok is False:
            reasons.append(Reason("weak", f"{member.host}: its password for replication is refused or has expired"))
    return reasons


def _without(plan: Plan, facts: Facts, rto: Prediction, old: str, last_known: Seen | None) -> Assessment:
    """No primary runs, as far as Ansible sees."""
    found = verdicts(plan, facts, old)
    if found.alive:
        text = f"{old} answers {', '.join(found.alive)}"
        if found.dead:
            text += f", and not {', '.join(found.dead)}: vantage points do not agree"
        seen = (
            "Ansible does not reach it"
            if not facts.view(old).reachable
            else f"its own host finds it {facts.view(old).state}"
        )
        return Assessment(DEGRADED, (Reason("alive", f"{text}; {seen}"),), rto, old, notes=plan.notes)
    choice = choose(plan, facts, old)
    loss = loss_of(plan, facts, old, choice.candidate, last_known) if choice.candidate else None
    reasons = [] if found.agree_dead else [few(old, found)]
    reasons += choice.reasons
    reasons += beyond(plan, facts, old, choice.candidate, loss, last_known)
    decision = REFUSE if reasons else FAILOVER
    if not reasons:
        reasons = [Reason("dead", f"{old} does not answer {', '.join(found.dead)}, {plan.liveness.tries} times each")]
    return Assessment(
        decision, tuple(reasons), rto, old, choice.candidate, loss=loss, excluded=choice.excluded,
        notes=(*plan.notes, *choice.notes),
    )  # fmt: skip
