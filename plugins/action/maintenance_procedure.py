# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether maintenance may begin, go on, and end. Documented in modules/maintenance_procedure.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import procedure
from ansible_collections.day2.ops.plugins.module_utils.maintenance.procedure import Outcome, Request, Window
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import stamp
from ansible_collections.day2.ops.plugins.module_utils.steps.spec import parse_steps
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.words import answer

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "required": True, "choices": ["admitted", "fitting", "decided"]},
    "system": {"type": "str", "default": ""},
    "emergency": {"type": "str"},
    "reason": {"type": "str", "default": ""},
    "approved_by": {"type": "str", "default": ""},
    "approvers": {"type": "list", "elements": "str", "default": []},
    "windows": {"type": "list", "elements": "dict", "default": []},
    "duration": {"type": "str"},
    "reserve": {"type": "str", "default": "15m"},
    "steps": {"type": "list", "elements": "raw", "default": []},
    "step": {"type": "dict"},
    "deadline": {"type": "float"},
    "service": {"type": "str"},
    "owner": {"type": "str"},
    "outcomes": {"type": "dict"},
}
_NEEDS = {"admitted": (), "fitting": ("step", "deadline"), "decided": ("service", "owner", "outcomes")}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Decides on the controller; changes nothing anywhere."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        for name in _NEEDS[arguments["state"]]:
            if arguments[name] is None:
                raise AnsibleActionFail(f"'{name}' is needed for state {arguments['state']}")
        answers = {"admitted": _admitted, "fitting": _fitting, "decided": _decided}
        try:
            return {**result, "changed": False, **answers[arguments["state"]](arguments, time.time())}
        except Day2Error as error:
            raise AnsibleActionFail(str(error)) from None


def _admitted(arguments: Mapping[str, Any], now: float) -> dict[str, Any]:
    emergency = arguments["emergency"]
    request = Request(
        system=arguments["system"],
        emergency=emergency,
        steps=arguments["steps"],
        reserve=_seconds(arguments, "reserve") or 0.0,
        duration=_seconds(arguments, "duration"),
        window=_window(arguments["windows"], now) if emergency is None and arguments["windows"] else None,
        reason=arguments["reason"],
        approved_by=arguments["approved_by"],
        approvers=arguments["approvers"],
    )
    admission = procedure.admit(request)
    deadline = now + admission.seconds
    return {
        "deadline": deadline,
        "until": stamp(deadline),
        "owner": admission.owner,
        "reason": admission.reason,
        "plan": admission.lines,
        "msg": f"{admission.lines[0]}, until {stamp(deadline)}",
    }


def _window(windows: list[Any], now: float) -> Window:
    told = answer(parse_windows(windows), now, 1, 0.0)
    return Window(told["window"]["name"] if told["open"] else None, told["seconds_left"], told["text"])


def _fitting(arguments: Mapping[str, Any], now: float) -> dict[str, Any]:
    left = arguments["deadline"] - now
    (step,) = parse_steps([arguments["step"]])
    why = procedure.no_time(step, left, _seconds(arguments, "reserve") or 0.0)
    return {"fits": why is None, "msg": why or "there is time", "seconds_left": left}


def _decided(arguments: Mapping[str, Any], _now: float) -> dict[str, Any]:
    known = [each.name for each in fields(Outcome)]
    outcomes = {}
    for host, told in arguments["outcomes"].items():
        if not isinstance(told, Mapping) or set(told) - set(known):
            raise AnsibleActionFail(f"'outcomes' of {host} is not a mapping of {', '.join(known)}")
        outcomes[host] = Outcome(**told)
    decision = procedure.decide(outcomes, arguments["service"], arguments["owner"])
    return {"back": decision.back, "why": decision.why, "todo": decision.todo, "msg": decision.why}


def _seconds(arguments: Mapping[str, Any], name: str) -> float | None:
    if arguments[name] in (None, ""):
        return None
    try:
        return parse_duration(arguments[name])
    except QuantityError as error:
        raise AnsibleActionFail(f"'{name}': {error}") from error
