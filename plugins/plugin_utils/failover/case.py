# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One failover as the journal tells it: what was begun, done, failed, and approved. Pure.

A case is called by the run that began it; every entry says its case. Other runs go on with it until it is finished, or
aborted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry, Phase

# What ends a case.
FINISH, ABORT = "finish", "abort"


@dataclass(frozen=True)
class Case:
    name: str
    entries: tuple[Entry, ...]

    @property
    def about(self) -> Mapping[str, Any]:
        """What the case was begun with: old, timeline, adopted, known."""
        return next((entry.about for entry in self.intents("fence")), {})

    @property
    def old(self) -> str:
        return str(self.about.get("old", ""))

    def done(self, step: str, host: str | None = None) -> Entry | None:
        """The last time that a step was done (on a host)."""
        return self._last(step, Phase.DONE, host)

    def failures(self, step: str, epoch: int | None = None, host: str | None = None) -> list[Entry]:
        return [
            entry
            for entry in self.entries
            if entry.step == step
            and entry.phase is Phase.FAILED
            and epoch in (None, entry.epoch)
            and host in (None, entry.host)
        ]

    def intents(self, step: str, epoch: int | None = None) -> list[Entry]:
        return [e for e in self.entries if e.step == step and e.phase is Phase.INTENT and epoch in (None, e.epoch)]

    def bound(self) -> Entry | None:
        """The intent to promote that binds: neither done, nor was its host fenced since."""
        if self.done("promote"):
            return None
        intents = self.intents("promote")
        if not intents:
            return None
        released = self.done("fence", intents[-1].host)
        return None if released is not None and released.n > intents[-1].n else intents[-1]

    def released(self) -> set[str]:
        """Hosts whose promotion failed, and that were fenced for that."""
        return {
            str(e.host) for e in self.entries if e.step == "fence" and e.phase is Phase.DONE and e.about.get("release")
        }

    def overridden(self) -> dict[str, Mapping[str, Any]]:
        """What was approved: by code of the rule."""
        return {
            str(code): e.about for e in self.entries if e.phase is Phase.OVERRIDDEN for code in e.about.get("codes", ())
        }

    def runs(self) -> set[str]:
        return {entry.run for entry in self.entries}

    def _last(self, step: str, phase: Phase, host: str | None) -> Entry | None:
        return next(
            (e for e in reversed(self.entries) if e.step == step and e.phase is phase and host in (None, e.host)), None
        )


def cases(entries: Iterable[Entry]) -> list[Case]:
    """In the order in which they were begun."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        name = entry.about.get("case")
        if name is not None:
            found.setdefault(str(name), []).append(entry)
    return [Case(name, tuple(part)) for name, part in found.items()]


def open_case(entries: Sequence[Entry]) -> Case | None:
    """The failover that was begun and has not ended."""
    last = last_case(entries)
    return None if last is None or last.done(FINISH) or last.done(ABORT) else last


def last_case(entries: Sequence[Entry]) -> Case | None:
    """One of which nothing but an approval was written was not begun."""
    return next((case for case in reversed(cases(entries)) if case.old), None)


def settled(entries: Sequence[Entry]) -> dict[str, str]:
    """Whom the last finished failover replaced, and the layer that was proven to keep it off (none: approved)."""
    promoted = (case for case in reversed(cases(entries)) if case.done("promote"))
    case = next(promoted, None)
    if case is None or not case.done(FINISH):
        return {}
    fenced = case.done("fence", case.old)
    return {case.old: str(fenced.about.get("layer")) if fenced else "none"}


def known_primary(entries: Sequence[Entry]) -> str | None:
    """Whom the journal has promoted last."""
    for case in reversed(cases(entries)):
        promoted = case.done("promote")
        if promoted is not None:
            return promoted.host
    return None
