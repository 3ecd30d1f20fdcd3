# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the answers to a step's orders come to. Pure.

Only what a module has proven is done. An answer that was lost proves nothing, in either direction.
"""

from __future__ import annotations

import re
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import open_case
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import missed
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import lose, read_loss, span_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import lsn_of
from ansible_collections.day2.ops.plugins.plugin_utils.failover.risk import unheard
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import (
    Answer,
    Judgement,
    Orders,
    Request,
    read_answers,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts

DONE, FAILED, AGAIN = "done", "failed", "again"
# What a promotion leaves in the journal.
_PROMOTED = ("timeline", "lsn", "fork_lsn", "first_write_seconds", "last_commit", "previous_synchronous_standby_names")
# What a host's guard says to a run that was superseded.
_SUPERSEDED = re.compile(r"has taken over with epoch|belongs to run .* not to run")
_RERUN = "run this again when that is mended: it goes on here"


def judge(
    plan: Plan, request: Request, entries: Sequence[Entry], facts: Facts, step: Orders, answers: object
) -> Judgement:
    """`answers`: mappings of host, module, ok, unreachable and result, one for each order that was answered."""
    found = read_answers(answers)
    for answer in found:
        if not answer.ok and (answer.result.get("superseded") or _SUPERSEDED.search(answer.message)):
            # Its journal is closed to this run, too.
            return Judgement(AGAIN, dict(step.about), answer.message, refuse=f"{answer.host}: {answer.message}")
    if not step.orders:
        return Judgement(DONE, dict(step.about), step.title)
    answered = {(answer.host, answer.module) for answer in found}
    lost = [order.host for order in step.orders if (order.host, order.module) not in answered]
    if lost:
        return Judgement(AGAIN, dict(step.about), f"no answer of {', '.join(lost)}")
    if step.step == "fence":
        return _fence(step, found)
    if step.step == "promote":
        return _promote(plan, entries, facts, step, found)
    if step.step == "follow":
        return _follow(step, found)
    if step.step == "verify":
        return _verify(step, found)
    return _all(plan, step, found)


def _why(answers: Sequence[Answer]) -> str:
    return "; ".join(f"{answer.host}: {answer.message}" for answer in answers)


def _evidence(answers: Sequence[Answer]) -> tuple[str, ...]:
    return tuple(str(line) for answer in answers for line in answer.result.get("evidence") or ())


def _fence(step: Orders, answers: Sequence[Answer]) -> Judgement:
    layer = step.about.get("layer")
    unproven = [answer for answer in answers if not _proves(answer, layer)]
    evidence = _evidence(answers)
    if not unproven:
        return Judgement(DONE, {**step.about, "evidence": list(evidence)}, f"{step.host} is fenced ({layer})", evidence)
    why = _why(unproven)
    # Another layer may prove it; a standby has no other.
    refuse = f"{step.host} could not be fenced: {why}; {_RERUN}" if step.about.get("release") else None
    return Judgement(
        FAILED, {**step.about, "why": why}, f"{step.host} is not fenced ({layer}): {why}", evidence, refuse
    )


def _proves(answer: Answer, layer: object) -> bool:
    if not answer.ok:
        return False
    # What a reboot undoes is no fence.
    survives = answer.result.get("survives_reboot")
    return answer.result.get("proven") is True and (survives is True if layer == "service" else survives is not False)


def _promote(plan: Plan, entries: Sequence[Entry], facts: Facts, step: Orders, answers: Sequence[Answer]) -> Judgement:
    answer = answers[0]
    host, result = str(step.host), answer.result
    if answer.unreachable:
        return Judgement(AGAIN, dict(step.about), f"nobody knows whether {host} was promoted: {answer.message}")
    timeline, before = result.get("timeline"), step.about.get("timeline")
    if not answer.ok and isinstance(timeline, int) and isinstance(before, int) and timeline > before:
        text = f"{host} is promoted, to timeline {timeline}, and cannot be written to: {answer.message}"
        about = {**step.about, "why": answer.message, "promoted": True}
        return Judgement(FAILED, about, text, _evidence(answers), f"{text}; {_RERUN}")
    if not answer.ok and answer.result.get("elsewhere"):
        # Whom a manager has chosen instead is taken.
        why = answer.message
        return Judgement(FAILED, {**step.about, "why": why}, f"{host} was not promoted: {why}", _evidence(answers))
    if not answer.ok:
        text = f"{host} was not promoted: {answer.message}"
        return Judgement(
            FAILED, {**step.about, "why": answer.message}, text, _evidence(answers),
            f"{text}. Run this again: it is tried once more, and after that another standby is taken, if there is one",
        )  # fmt: skip
    if not isinstance(timeline, int) or (isinstance(before, int) and timeline <= before):
        return Judgement(AGAIN, dict(step.about), f"{host} says that it was promoted, and not to which timeline")
    fork = lsn_of(result.get("fork_lsn"))
    old = str(step.about.get("old") or "")
    about = {
        **step.about,
        "expected_timeline": before,
        **{name: result.get(name) for name in _PROMOTED},
    }
    if fork is not None and old:
        case = open_case(entries)
        span = span_of(read_loss(step.about.get("loss"))) or unheard(plan, facts, old, host)
        about["loss"] = lose(facts.view(old), fork, span, missed(case.about, fork) if case else 0).as_dict()
    seconds = result.get("first_write_seconds")
    written = f", first write after {format_duration(seconds)}" if isinstance(seconds, (int, float)) else ""
    said = about.get("loss") or {}
    lost = f"; {said['msg']}" if isinstance(said, Mapping) and said.get("msg") else ""
    return Judgement(DONE, about, f"{host} is the primary on timeline {timeline}{written}{lost}", _evidence(answers))


def _follow(step: Orders, answers: Sequence[Answer]) -> Judgement:
    """Whoever does not follow is named, and keeps nobody waiting: applications need the new primary."""
    left = []
    for answer in answers:
        if answer.result.get("diverged") is True:
            ahead = answer.result.get("ahead_bytes")
            more = f" by {format_bytes(ahead)}" if isinstance(ahead, (int, float)) else ""
            left.append(f"{answer.host} has WAL beyond the fork{more}, and was not touched: rebuild it")
        elif not answer.ok:
            left.append(f"{answer.host} does not follow: {answer.message}")
    follow = [answer.host for answer in answers if answer.ok and answer.result.get("diverged") is not True]
    message = f"{', '.join(follow) or 'nobody'} {'follow' if len(follow) > 1 else 'follows'}"
    return Judgement(
        DONE, {**step.about, "followed": follow, "left": left}, "; ".join([message, *left]), _evidence(answers)
    )


def _verify(step: Orders, answers: Sequence[Answer]) -> Judgement:
    bad = [answer for answer in answers if not answer.ok]
    lines = []
    for answer in answers:
        for row in answer.result.get("results") or ():
            if isinstance(row, Mapping) and row.get("status") in ("critical", "unknown"):
                lines.append(f"{answer.host}, {row.get('title')}: {row.get('status')} ({row.get('message', '')})")
    if not bad and not lines:
        return Judgement(DONE, dict(step.about), "the plan's checks are well")
    why = "; ".join([*([_why(bad)] if bad else []), *lines])
    return Judgement(
        FAILED, {**step.about, "why": why}, why, tuple(lines),
        f"the plan's checks are not well, and applications are not moved: {why}; {_RERUN}",
    )  # fmt: skip


def _all(plan: Plan, step: Orders, answers: Sequence[Answer]) -> Judgement:
    """Steps of which every part is needed."""
    bad = [answer for answer in answers if not answer.ok]
    if not bad:
        # One that led there already does not know since when.
        served = [str(answer.result["served_at"]) for answer in answers if answer.result.get("served_at")]
        known = {"served_at": max(served)} if step.step == "traffic" and len(served) == len(answers) else {}
        return Judgement(DONE, {**step.about, **known}, step.title, _evidence(answers))
    why = _why(bad)
    refuse = {
        "pause": f"repmgrd could not be paused, and may promote a standby: {why}; {_RERUN}",
        "application": f"the application is not ready on the new primary: {why}; {_RERUN}",
        "traffic": f"not every traffic layer points at the new primary: {why}; {_RERUN}",
        "backup": f"applications are served, and no backup of the new timeline was taken: {why}; {_RERUN}",
    }.get(step.step, f"{why}; {_RERUN}")
    return Judgement(FAILED, {**step.about, "why": why}, f"{step.title}: {why}", _evidence(answers), refuse)
