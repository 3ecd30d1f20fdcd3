# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Enter all targets or none, leave them one by one, and remember each step before it is taken.

Whatever is killed in between is in the state, and leases end: the host's timer leaves what is left.
"""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Entered, Phase, Reading, State
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Store, StoreError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target, TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS, in_order


class EnterFailed(Day2Error):
    """A target could not be entered; all others are as they were, or the message says which are not."""


class LeaveFailed(Day2Error):
    """Targets that could not be left or prolonged; the host's timer goes on trying."""


@dataclass
class Engine:
    """The targets of a service by their names. `config` is what the site says of each; leaving does not need it."""

    store: Store
    config: Mapping[str, Mapping[str, Any]]

    def target(self, service: str, name: str) -> Target:
        return TARGETS[name](service, self.store.flag(service, name))

    @staticmethod
    def is_watched(state: State) -> bool:
        """Whether a target is in effect that others than this host can end, so that each tick looks at it again."""
        return any(name in state.targets and TARGETS[name].watched for name in state.wanted())

    def watch(self, state: State, now: Reading) -> None:
        """Look at what others can end, and put it back; what cannot be put back is a fault of the status."""
        before = deepcopy(state)
        self._prolong(state, now, [])
        if state != before or not self.store.is_published(state):
            self.store.save(state, now)

    def plan(self, state: State, now: Reading, enter: bool = False) -> list[str]:
        """What `apply` would do, in words. It asks the targets, and changes nothing."""
        steps = []
        if enter:
            self.refuse_others(state)
        for name in in_order(state.to_enter()) if enter else ():
            target = self.target(state.service, name)
            steps += target.steps(self._survey(state, name, now))
        return steps + [f"leave {name}" for name in _leaving(state)]

    def _survey(self, state: State, name: str, now: Reading) -> dict[str, Any]:
        held, target = state.targets.get(name), self.target(state.service, name)
        if held is not None and target.remembers:
            # Interrupted: what was before is in its record, what is now is half of it.
            return held.record
        return target.survey(self.config.get(name) or {}, state.until(name, now))

    def apply(self, state: State, before: State, now: Reading, enter: bool = False) -> list[str]:
        """Make the targets what the leases of `state` ask for; returns the steps that were taken.

        Only who asks for the mode enters: everybody else only leaves what nobody wants any more. EnterFailed: the
        leases are those of `before` again. LeaveFailed: what could not be left or prolonged is remembered.
        A target that does not answer, and that is asked for nothing more than before, is a fault of the status only:
        units that come back do not wait for Alertmanager.
        """
        entered = in_order(state.to_enter()) if enter else []
        steps = self._enter(state, before, now) if enter else []
        late = self._prolong(state, now, steps, skip=entered)
        refusing = [why for name, why in late.items() if not (self.config.get(name) or {}).get("optional")]
        if enter and refusing and (entered or _is_longer(state, before, now)):
            raise self._back(state, before, entered, TargetError("; ".join(refusing)), now)
        wrong = []
        if late and not enter and _is_longer(state, before, now):
            wrong.append(f"the lease is longer, but not everywhere: {'; '.join(late.values())}")
        wrong += self._leave(state, _leaving(state), now, steps)
        self.store.save(state, now)
        if wrong:
            raise LeaveFailed(f"{'; '.join(wrong)}; the host's timer goes on trying (day2ctl maintenance status)")
        return steps

    def _enter(self, state: State, before: State, now: Reading) -> list[str]:
        # All are asked before the first one is touched.
        records = {name: self._survey(state, name, now) for name in in_order(state.to_enter())}
        steps: list[str] = []
        try:
            self.store.save(state, now)
            for name, record in records.items():
                target = self.target(state.service, name)
                state.targets[name] = Entered(Phase.ENTERING, record)
                self.store.save(state, now)
                steps += target.enter(record)
                state.targets[name].phase = Phase.ENTERED
                # What the owner is content without, and the timer goes on trying.
                state.targets[name].error = record.get("unmet")
                self.store.save(state, now)
        except Day2Error as exc:
            raise self._back(state, before, list(records), exc, now) from exc
        return steps

    def refuse_others(self, state: State) -> None:
        """What is entered is entered as its first owner asked. Who wants more is told, rather than left to believe."""
        lacking = [
            self.target(state.service, name).lacks(state.targets[name].record, self.config.get(name) or {})
            for name in in_order(state.wanted())
            # One that was interrupted, or could not be left, is entered again as its record has it.
            if name in state.targets
        ]
        if any(lacking):
            raise EnterFailed(
                f"{state.service} is in maintenance already, and this asks for something else:"
                f" {'; '.join(filter(None, lacking))}. End it first, or ask for the same"
            )

    def _back(self, state: State, before: State, names: list[str], why: Day2Error, now: Reading) -> EnterFailed:
        state.leases = dict(before.leases)
        wrong = self._leave(state, [name for name in reversed(names) if name in state.targets], now, [])
        try:
            self.store.save(state, now)
        except StoreError as exc:
            wrong.append(str(exc))
        if wrong:
            return EnterFailed(f"{why}; and on the way back: {'; '.join(wrong)} (the host's timer goes on trying)")
        return EnterFailed(f"{why}; everything is as it was before")

    def _prolong(self, state: State, now: Reading, steps: list[str], skip: Sequence[str] = ()) -> dict[str, str]:
        """Where that fails for an extension it is extended all the same: else work would meet a service that runs.

        `skip` are those that were entered a moment ago. Returns why a target could not be prolonged, by its name.
        """
        late = {}
        for name in in_order(state.wanted()):
            entered = state.targets.get(name)
            if entered is None or entered.phase is Phase.LEAVING or name in skip:
                # Whoever was to enter it was killed, or could not leave it before.
                continue
            try:
                done = self.target(state.service, name).prolong(entered.record, state.until(name, now))
                steps += [done] if done else []
                entered.error = None
            except TargetError as exc:
                entered.error = str(exc)
                # An owner who entered without it is not refused for it later.
                if "unmet" not in entered.record:
                    late[name] = str(exc)
        return late

    def _leave(self, state: State, names: list[str], now: Reading, steps: list[str]) -> list[str]:
        wrong = []
        for name in names:
            entered = state.targets[name]
            entered.phase = Phase.LEAVING
            # A full disk keeps nothing in maintenance: what is remembered from before is enough to leave it again.
            with suppress(StoreError):
                self.store.save(state, now)
            try:
                self.target(state.service, name).leave(entered.record)
            except Day2Error as exc:
                entered.error = str(exc)
                wrong.append(str(exc))
                continue
            del state.targets[name]
            steps.append(f"left {name}")
        return wrong


def _leaving(state: State) -> list[str]:
    """What no lease asks for any more, in the order of leaving."""
    return in_order(state.to_leave())[::-1]


def _is_longer(state: State, before: State, now: Reading) -> bool:
    """Whether a target is wanted for longer than before, by more than two readings of a clock differ."""
    return any(state.until(name, now) > before.until(name, now) + 1 for name in state.wanted())
