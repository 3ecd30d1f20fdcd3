# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Enter all targets or none, leave them one by one, and remember each step before it is taken.

Whatever is killed in between is in the state, and leases end: the host's timer leaves what is left.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Entered, Phase, Reading, State
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import Store, StoreError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.alerts import Alerts
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target, TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.units import Units
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.web import Web

_KINDS: Mapping[str, Callable[[str, str], Target]] = {"alerts": Alerts, "web": Web, "units": Units}


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
        return _KINDS[name](service, self.store.flag(service, name))

    def plan(self, state: State, now: Reading, enter: bool = False) -> list[str]:
        """What `apply` would do, in words. It asks the targets, and changes nothing."""
        steps = []
        if enter:
            self.refuse_others(state)
        for name in state.to_enter() if enter else ():
            target = self.target(state.service, name)
            steps += target.steps(self._survey(state, name, now))
        return steps + [f"leave {name}" for name in state.to_leave()]

    def _survey(self, state: State, name: str, now: Reading) -> dict[str, Any]:
        held = state.targets.get(name)
        if held is not None:
            # Interrupted: what was before is in its record, what is now is half of it.
            return held.record
        return self.target(state.service, name).survey(self.config.get(name) or {}, state.until(name, now))

    def apply(self, state: State, before: State, now: Reading, enter: bool = False) -> list[str]:
        """Make the targets what the leases of `state` ask for; returns the steps that were taken.

        Only who asks for the mode enters: everybody else only leaves what nobody wants any more. EnterFailed: the
        leases are those of `before` again. LeaveFailed: what could not be left or prolonged is remembered.
        """
        entered = state.to_enter() if enter else []
        steps = self._enter(state, before, now) if enter else []
        late = self._prolong(state, now, steps)
        if late and enter:
            raise self._back(state, before, entered, TargetError("; ".join(late)), now)
        wrong = [f"the lease is longer, but not everywhere: {'; '.join(late)}"] if late else []
        wrong += self._leave(state, state.to_leave(), now, steps)
        self.store.save(state, now)
        if wrong:
            raise LeaveFailed(f"{'; '.join(wrong)}; the host's timer goes on trying (day2ctl maintenance status)")
        return steps

    def _enter(self, state: State, before: State, now: Reading) -> list[str]:
        # All are asked before the first one is touched.
        records = {name: self._survey(state, name, now) for name in state.to_enter()}
        steps: list[str] = []
        try:
            self.store.save(state, now)
            for name, record in records.items():
                target = self.target(state.service, name)
                state.targets[name] = Entered(Phase.ENTERING, record)
                self.store.save(state, now)
                target.enter(record)
                state.targets[name].phase = Phase.ENTERED
                self.store.save(state, now)
                steps += target.steps(record)
        except Day2Error as exc:
            raise self._back(state, before, list(records), exc, now) from exc
        return steps

    def refuse_others(self, state: State) -> None:
        """What is entered is entered as its first owner asked. Who wants more is told, rather than left to believe."""
        lacking = [
            self.target(state.service, name).lacks(state.targets[name].record, self.config.get(name) or {})
            for name in state.wanted()
            if name not in state.to_enter()
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

    def _prolong(self, state: State, now: Reading, steps: list[str]) -> list[str]:
        """Where that fails for an extension it is extended all the same: else work would meet a service that runs."""
        wrong = []
        for name in state.wanted():
            entered = state.targets.get(name)
            if entered is None or entered.phase is Phase.LEAVING:
                # Whoever was to enter it was killed, or could not leave it before.
                continue
            try:
                if self.target(state.service, name).prolong(entered.record, state.until(name, now)):
                    steps.append(f"prolonged {name}")
                entered.error = None
            except TargetError as exc:
                entered.error = str(exc)
                wrong.append(str(exc))
        return wrong

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
