# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal hosts' answers come to: who leads, what was done, whether a majority knows it. Pure.

A majority counts over the plan's journal hosts only; what other hosts promise keeps old runs from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import (
    Entry,
    JournalError,
    Phase,
    Record,
    latest,
    majority,
    parse,
    render_entry,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan

# The code of what is approved where a majority does not answer.
MAJORITY = "majority"


@dataclass(frozen=True)
class Standing:
    """Answers of one round. `won`: a majority of the journal hosts took what was asked; `epoch`: the highest that any
    host knows, `holder` its run; `entries`: those that a run goes on from."""

    won: bool
    took: tuple[str, ...]
    missing: tuple[str, ...]
    epoch: int
    holder: str
    entries: tuple[Entry, ...]
    promised: Mapping[str, tuple[int, str]]
    reason: Reason | None = None


def read_answers(plan: Plan, answers: Mapping[str, object]) -> Standing:
    """Of `state: read`: host -> result. Won where a majority answered."""
    return _standing(plan, answers, lambda found: True, "answered")


def read_claims(plan: Plan, answers: Mapping[str, object], asked: tuple[int, str] | None = None) -> Standing:
    """Of `state: claimed`. Entries are of those that took the claim, as no other run writes there any more.

    `asked` is the ballot: an answer to an earlier claim is none to this one.
    """
    found = _standing(plan, answers, lambda answer: _has(answer, "promised", asked), "took the claim")
    return replace(found, won=False, reason=_diverged(answers, found)) if _diverged(answers, found) else found


def read_writes(
    plan: Plan, answers: Mapping[str, object], asked: tuple[int, str] | None = None, count: int = 0
) -> Standing:
    """Of `state: written`: before a majority has it, nothing is acted on.

    `asked` is the ballot and `count` the number of entries: an answer to an earlier write is none to this one.
    """

    def wrote(answer: Mapping[str, Any]) -> bool:
        return _has(answer, "written", asked) and len(answer.get("entries") or ()) >= count

    return _standing(plan, answers, wrote, "wrote the journal")


def _has(answer: Mapping[str, Any], name: str, asked: tuple[int, str] | None) -> bool:
    held = answer.get(name)
    same = asked is None or (isinstance(held, Mapping) and (held.get("epoch"), held.get("run")) == asked)
    return answer.get("accepted") is True and same


def _diverged(answers: Mapping[str, object], standing: Standing) -> Reason | None:
    """Whether a run that went on with a minority wrote another journal than the others have: only a person can tell
    which of the two happened."""
    minority = any(
        entry.phase is Phase.OVERRIDDEN and MAJORITY in entry.about.get("codes", ()) for entry in standing.entries
    )
    if not minority:
        return None
    for host, found in answers.items():
        entries = found.get("entries") if isinstance(found, Mapping) else None
        mine = [render_entry(entry) for entry in standing.entries]
        if isinstance(entries, (list, tuple)) and list(entries) != mine[: len(entries)]:
            text = (
                f"a run went on with a minority of the journal hosts, and {host} has another journal than that run"
                " wrote: compare both (/var/lib/day2/dr), find out which servers were promoted, and move the wrong one"
                " away"
            )
            return Reason("diverged", text)
    return None


def _standing(plan: Plan, answers: Mapping[str, object], took: Any, verb: str) -> Standing:
    records: dict[str, Record] = {}
    faults: dict[str, str] = {}
    for host, found in answers.items():
        if not isinstance(found, Mapping) or found.get("unreachable") or found.get("failed"):
            faults[host] = str(found.get("msg", "")) if isinstance(found, Mapping) else ""
            continue
        try:
            records[host] = parse(
                {"schema": 1, **{name: found.get(name) for name in ("promised", "written", "entries")}}
            )
        except JournalError as exc:
            faults[host] = str(exc)
    good = [host for host in plan.journal_hosts if host in records and took(answers[host])]
    missing = tuple(host for host in plan.journal_hosts if host not in good)
    top = max((record.promised for record in records.values()), default=Record().promised)
    entries = latest(records[host] for host in (good or records)).entries
    needed = majority(len(plan.journal_hosts))
    won = len(good) >= needed
    reason = None if won else _lost(plan, answers, missing, faults, len(good), needed, verb)
    promised = {host: (record.promised.epoch, record.promised.run) for host, record in records.items()}
    return Standing(won, tuple(good), missing, top.epoch, top.run, entries, promised, reason)


def _lost(
    plan: Plan,
    answers: Mapping[str, object],
    missing: Sequence[str],
    faults: Mapping[str, str],
    got: int,
    needed: int,
    verb: str,
) -> Reason:
    said = []
    overtaken = False
    for host in missing:
        found = answers.get(host)
        if isinstance(found, Mapping) and found.get("accepted") is False:
            overtaken = True
            holder = found.get("promised")
            who = holder.get("run") if isinstance(holder, Mapping) else "another run"
            said.append(f"{host} has promised {who}")
        else:
            said.append(f"{host} {'did not answer' if not faults.get(host) else faults[host]}")
    text = f"{got} of {len(plan.journal_hosts)} journal hosts {verb}, and {needed} are needed: {'; '.join(said)}"
    # Who was overtaken has lost, whatever somebody approves.
    return Reason("overtaken" if overtaken else MAJORITY, text, approvable=not overtaken)


def next_epoch(standing: Standing) -> int:
    """Higher than any that a host has told of."""
    return standing.epoch + 1


def next_entry(
    entries: Sequence[Entry],
    epoch: int,
    run: str,
    step: str,
    phase: str,
    host: str | None,
    about: Mapping[str, Any],
    at: str,
) -> Entry:
    """The entry after these. `at` is RFC 3339, for people and for durations."""
    return Entry(len(entries) + 1, epoch, run, step, Phase(phase), host, dict(about), at)
