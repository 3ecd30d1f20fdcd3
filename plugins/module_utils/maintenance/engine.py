# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Enter all targets or none, leave them one by one, and remember each step before it is taken.

Whatever is killed in between is in the state, and leases end: the host's timer leaves what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Entered, Phase, Reading, State
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import Store
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.alerts import Alerts
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.units import Units
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.web import Web

_KINDS: Mapping[str, Callable[[str, str], Target]] = {"alerts": Alerts, "web": Web, "units": Units}


class EnterFailed(Day2Error):
    """A target could not be entered; all others are as they were, or the message says which are not."""


class LeaveFailed(Day2Error):
    """Targets that could not be left; the host's timer goes on trying."""


@dataclass
class Engine:
    """The targets of a service by their names. `config` is what the site says of each; leaving does not need it."""

    store: Store
    config: Mapping[str, Mapping[str, Any]]

    def target(self, service: str, name: str) -> Target:
        return _KINDS[name](service, self.store.flag(service, name))

    def plan(self, state: State, now: Reading) -> list[str]:
        """What `apply` would do, in words. It asks the targets, and changes nothing."""
        steps = []
        for name in state.to_enter():
            target = self.target(state.service, name)
            steps += target.steps(self._survey(state, name, now))
        return steps + [f"leave {name}" for name in state.to_leave()]

    def _survey(self, state: State, name: str, now: Reading) -> dict[str, Any]:
        held = state.targets.get(name)
        if held is not None:
            # Interrupted: what was before is in its record, what is now is half of it.
            return held.record
        return self.target(state.service, name).survey(self.config.get(name) or {}, state.until(name, now))

    def apply(self, state: State, before: State, now: Reading) -> list[str]:
        """Make the targets what the leases of `state` ask for; returns the steps that were taken.

        EnterFailed: the leases are those of `before` again. LeaveFailed: what could not be left is remembered.
        """
        steps = self._enter(state, before, now)
        for name in state.wanted():
            if self.target(state.service, name).prolong(state.targets[name].record, state.until(name, now)):
                self.store.save(state, now)
                steps.append(f"prolonged {name}")
        return steps + self._leave(state, now)

    def _enter(self, state: State, before: State, now: Reading) -> list[str]:
        # All are asked before the first one is touched.
        records = {name: self._survey(state, name, now) for name in state.to_enter()}
        self.store.save(state, now)
        steps: list[str] = []
        for name, record in records.items():
            target = self.target(state.service, name)
            state.targets[name] = Entered(Phase.ENTERING, record)
            self.store.save(state, now)
            try:
                target.enter(record)
            except Day2Error as exc:
                raise self._back(state, before, list(records), exc, now) from exc
            state.targets[name].phase = Phase.ENTERED
            self.store.save(state, now)
            steps += target.steps(record)
        return steps

    def _back(self, state: State, before: State, names: list[str], why: Day2Error, now: Reading) -> EnterFailed:
        state.leases = dict(before.leases)
        wrong = self._leave_these(state, [name for name in reversed(names) if name in state.targets], now)
        self.store.save(state, now)
        if wrong:
            return EnterFailed(f"{why}; and on the way back: {'; '.join(wrong)} (the host's timer goes on trying)")
        return EnterFailed(f"{why}; everything is as it was before")

    def _leave(self, state: State, now: Reading) -> list[str]:
        names = state.to_leave()
        wrong = self._leave_these(state, names, now)
        self.store.save(state, now)
        if wrong:
            raise LeaveFailed(f"{'; '.join(wrong)}; the host's timer goes on trying (day2ctl maintenance status)")
        return [f"left {name}" for name in names]

    def _leave_these(self, state: State, names: list[str], now: Reading) -> list[str]:
        wrong = []
        for name in names:
            entered = state.targets[name]
            entered.phase = Phase.LEAVING
            self.store.save(state, now)
            try:
                self.target(state.service, name).leave(entered.record)
            except Day2Error as exc:
                entered.error = str(exc)
                wrong.append(str(exc))
                continue
            del state.targets[name]
        return wrong
