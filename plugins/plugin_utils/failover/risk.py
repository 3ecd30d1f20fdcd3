# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a successor would lose, and whether the plan bears that. Pure."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Choice, Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import Seen, replica_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import Loss, Span, behind, lose
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts

# Seconds between two hosts' answers to one question, of which nobody knows which was the first.
_APART = 5.0


def successor_reasons(
    plan: Plan, facts: Facts, old: str, choice: Choice, last_known: Seen | None, off: float = 0.0
) -> tuple[list[Reason], Loss | None]:
    """Why a choice is not promoted, and what it would lose; for a failover that has begun. `off`: seconds since the old
    primary is proven to be off."""
    loss = loss_of(plan, facts, old, choice.candidate, last_known, off) if choice.candidate else None
    return [*choice.reasons, *beyond(plan, facts, old, choice.candidate, loss, last_known)], loss


def loss_of(
    plan: Plan, facts: Facts, old: str, candidate: str, last_known: Seen | None = None, off: float = 0.0
) -> Loss:
    view, position = facts.view(candidate), facts.view(candidate).position
    heard, missing = unheard(plan, facts, old, candidate), _missing(facts, old, candidate, last_known)
    spans = [heard]
    if last_known is not None and last_known.of(old, view):
        late = view.silence is not None and view.silence < last_known.age
        # It has heard of its primary since, and lacks what that had before: what it heard last bounds nothing.
        spans = [None if missing and late else heard]
        spans += [] if missing else [_unseen(facts, old, candidate, last_known, off)]
    span = min((span for span in spans if span is not None), key=lambda each: each.seconds, default=None)
    return lose(facts.view(old), position or view.lsn or 0, span, missing)


def _missing(facts: Facts, old: str, candidate: str, seen: Seen | None) -> int:
    """Bytes that the old primary was seen to have, and the candidate has not."""
    view = facts.view(candidate)
    return seen.missing(view.position or 0) if seen is not None and seen.of(old, view) else 0


def unheard(plan: Plan, facts: Facts, old: str, candidate: str) -> Span | None:
    """Since the candidate has heard of its primary, until that is known to have written last."""
    silent, view = facts.view(candidate).silence, facts.view(old)
    if view.is_primary:
        # While nothing is written, a standby hears of its primary twice a minute, and is not behind.
        replica = replica_of(plan, facts, old, candidate)
        silent = replica.seconds if replica is not None else silent
    if silent is None:
        return None
    if view.ended is None:
        return Span(silent, f"in the last {format_duration(silent)}")
    seconds = min(silent, max(0.0, silent - view.ended) + _APART)
    return Span(seconds, f"in the {format_duration(seconds)} before it ended")


def _unseen(facts: Facts, old: str, candidate: str, seen: Seen, off: float) -> Span:
    """Since the candidate is known to have had everything."""
    ended = facts.view(old).ended
    until = "until it ended" if ended is not None else "until it was proven to be off" if off else "until now"
    seconds = max(0.0, seen.age - max(ended or 0.0, off))
    span = f"since {seen.when}, when it had nothing that {candidate} lacks ({format_duration(seconds)} {until})"
    return Span(seconds, span)


def beyond(
    plan: Plan,
    facts: Facts,
    old: str,
    candidate: str | None,
    loss: Loss | None,
    last_known: Seen | None = None,
) -> list[Reason]:
    """Whether the loss is more than the plan bears."""
    if candidate is None or loss is None or (loss.exact and not loss.most):
        return []
    rpo, serves = plan.targets.rpo, facts.view(old).is_primary
    if rpo == 0:
        return [] if serves else _nothing(plan, facts, old, candidate, loss)
    missing = _missing(facts, old, candidate, last_known)
    within = not serves and loss.seconds is not None and loss.seconds <= rpo
    if within and not missing:
        return []
    lag = _lag(plan, facts, old, candidate, last_known if missing else None)
    bears = f"the plan bears {format_duration(rpo)} (targets.rpo)"
    if lag is not None and lag > rpo:
        size = f" ({format_bytes(loss.least)})" if loss.least else ""
        return [Reason("rpo", f"{candidate} is {format_duration(lag)}{size} behind, and {bears}", approvable=True)]
    # An outage is found and ended within its target. What is older was there before; of a primary that is known to
    # have ended, the outage does not count.
    heard = unheard(plan, facts, old, candidate)
    longest = rpo + (plan.targets.rto if facts.view(old).ended is None else 0.0)
    if serves or within or heard is None or heard.seconds <= longest:
        return []
    if last_known is not None and last_known.of(old, facts.view(candidate)) and not missing:
        text = (
            f"{old} was last seen at work at {last_known.when}, {format_duration(last_known.age)} ago, and"
            f" {candidate} has all that it had on disk then; what was written after that may be lost, if anything was,"
            f" and {bears}"
        )
    else:
        text = (
            f"the last that {candidate} has of {old} is {format_duration(heard.seconds)} old: either nothing was"
            " written since, or it is that far behind, and nobody can tell"
        )
    return [Reason("rpo", text, approvable=True)]


def _lag(plan: Plan, facts: Facts, old: str, candidate: str, lacks: Seen | None) -> float | None:
    """Seconds by which a candidate is known to be behind. `lacks`: what its primary had, and it has not."""
    if facts.view(old).is_primary:
        replica = replica_of(plan, facts, old, candidate)
        return replica.seconds if replica is not None else None
    known, silent = [behind(facts, candidate)], facts.view(candidate).silence
    if lacks is not None:
        # Its primary was at work: no outage kept it from having that. What it heard later came without it.
        known += [lacks.lags.get(candidate), abs(silent - lacks.age) if silent is not None else None]
    return max((seconds for seconds in known if seconds is not None), default=None)


def _nothing(plan: Plan, facts: Facts, old: str, candidate: str, loss: Loss) -> list[Reason]:
    """Why a plan that bears no loss is not kept. With synchronous replication, as the plan says, some standby has every
    commit that was acknowledged: so has the one that has most, if all are known."""
    if loss.least:
        why = loss.text
    else:
        most = facts.view(candidate).position or 0
        unknown = [
            member.host
            for member in plan.members
            if member.host not in (old, candidate) and (facts.view(member.host).position or most + 1) > most
        ]
        why = f"{' and '.join(unknown)} may have more" if unknown else ""
    if not why:
        return []
    text = f"the plan bears no loss (rpo: 0), and nobody can show that {candidate} has everything: {why}"
    return [Reason("rpo", text, approvable=True)]
