# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does something at an instant of a failover, once: a signal to the controller's own group, or a program.

DAY2_AT is JSON: `step`, and `at` (intent: before that is written; before, during and after its orders), `signal`
(SIGKILL) or `argv`, and `pause`, seconds after `at`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

# Whose results say which step comes.
_DECIDE, _JUDGE = "Decide what is done next", "Judge what came of it"
_WRITE, _CARRY = "Write the journal", "Carry out orders that take several tasks"
# What carries out orders that are no module's.
_ACTIONS = ("day2.ops.checklist", "ansible.builtin.command")


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Knows the step by what was decided, and where it is by the names of the tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "at_instant"

    def __init__(self) -> None:
        super().__init__()
        self._wanted: dict[str, Any] = json.loads(os.environ.get("DAY2_AT") or "{}")
        self._step, self._at = "", ""

    def v2_runner_on_ok(self, result: Any) -> None:
        name = result._task.get_name().rpartition(" : ")[2]
        found = result._result if name == _DECIDE else result._result.get("next") if name == _JUDGE else None
        if found:
            self._step, self._at = (found.get("step") or {}).get("step", ""), ""

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if not self._wanted or self._step != self._wanted.get("step"):
            return
        before, self._at = self._at, self._instant(task)
        wanted = str(self._wanted["at"])
        if wanted == "during" and self._at == "before" and task.action == "day2.ops.dr_order":
            self._act(float(self._wanted.get("pause", 0.7)), wait=False)
        elif wanted == self._at != before:
            self._act(float(self._wanted.get("pause", 0.3 if wanted == "during" else 0)), wait=wanted != "during")

    def _instant(self, task: Any) -> str:
        name = task.get_name().rpartition(" : ")[2]
        if name == _WRITE:
            return "intent"
        if name == _JUDGE:
            return "after"
        if self._at == "intent" and (task.action == "day2.ops.dr_order" or name == _CARRY):
            return "before"
        if self._at == "before" and task.action in _ACTIONS:
            return "during"
        return self._at

    def _act(self, pause: float, wait: bool) -> None:
        wanted, self._wanted = self._wanted, {}

        def act() -> None:
            time.sleep(pause)
            if "signal" in wanted:
                os.killpg(0, signal.Signals[wanted["signal"]])
            else:
                subprocess.run(wanted["argv"], check=True, stdin=subprocess.DEVNULL)

        if wait:
            act()
        else:
            threading.Thread(target=act, daemon=True).start()
