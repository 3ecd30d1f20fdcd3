# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether maintenance may begin, go on, and end. Documented in modules/maintenance_procedure.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    QuantityError,
    parse_duration,
    parse_lifetime,
)
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.words import answer
from ansible_collections.day2.ops.plugins.plugin_utils.maintenance import procedure
from ansible_collections.day2.ops.plugins.plugin_utils.maintenance.procedure import (
    Decision,
    Outcome,
    Report,
    Request,
    Window,
)
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import parse_steps

Kind = TypeVar("Kind", Outcome, Report)

# A host counts a lease from when it has the call, and its timer looks every five seconds: with so much less (seconds)
# the service is back when the window ends, not after it.
_WAY = 10.0
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "required": True, "choices": ["admitted", "fitting", "decided", "summarized"]},
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
    "seconds_left": {"type": "float"},
    "seconds": {"type": "float"},
    "decision": {"type": "dict", "default": {}},
    "reports": {"type": "dict"},
    "service": {"type": "str"},
    "owner": {"type": "str"},
    "outcomes": {"type": "dict"},
}
_NEEDS = {"admitted": (), "fitting": ("step", "seconds_left"), "decided": ("service", "owner", "outcomes"),
          "summarized": ("service", "seconds", "reports")}  # fmt: skip


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
        answers = {"admitted": _admitted, "fitting": _fitting, "decided": _decided, "summarized": _summarized}
        # A plan may be read before the window opens.
        arguments["planning"] = bool(self._task.check_mode)
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
        duration=_seconds(arguments, "duration", parse_lifetime),
        window=_window(arguments, now) if emergency is None and arguments["windows"] else None,
        reason=arguments["reason"],
        approved_by=arguments["approved_by"],
        approvers=arguments["approvers"],
    )
    admission = procedure.admit(request)
    later = request.window.seconds_until if request.window else 0.0
    begins, deadline = now + later, now + later + admission.seconds
    period = f"from {rfc3339(begins)} until {rfc3339(deadline)}" if later else f"until {rfc3339(deadline)}"
    return {
        "begins": begins,
        "deadline": deadline,
        "lease_until": max(begins, deadline - _WAY),
        "seconds": admission.seconds,
        "until": rfc3339(deadline),
        "period": period,
        "owner": admission.owner,
        "reason": admission.reason,
        "plan": admission.lines,
        "msg": f"{admission.lines[0]}, {period}" + (f" ({request.window.text})" if request.window and later else ""),
    }


def _window(arguments: Mapping[str, Any], now: float) -> Window:
    state = answer(parse_windows(arguments["windows"]), now, 1, 0.0)
    window, text = state["window"], state["text"]
    if state["open"]:
        return Window(window["name"], state["seconds_left"], text)
    if arguments["planning"] and window:
        return Window(window["name"], window["duration"], text, state["seconds_until"])
    return Window(None, 0.0, text)


def _fitting(arguments: Mapping[str, Any], now: float) -> dict[str, Any]:
    (step,) = parse_steps([arguments["step"]])
    why = procedure.no_time(step, arguments["seconds_left"], _seconds(arguments, "reserve") or 0.0)
    return {"fits": why is None, "msg": why or "there is time"}


def _decided(arguments: Mapping[str, Any], _now: float) -> dict[str, Any]:
    outcomes = _by_host(arguments["outcomes"], "outcomes", Outcome)
    if arguments["planning"]:
        decision = procedure.decide_plan(outcomes)
    else:
        decision = procedure.decide(outcomes, arguments["service"], arguments["owner"])
    return {"back": decision.back, "why": decision.why, "todo": decision.todo, "msg": decision.why}


def _summarized(arguments: Mapping[str, Any], _now: float) -> dict[str, Any]:
    known = arguments["decision"]
    decision = Decision(
        back=bool(known.get("back", False)),
        why=str(known.get("why") or "nobody could decide whether the service comes back"),
        todo=str(known.get("todo") or ""),
    )
    reports = _by_host(arguments["reports"], "reports", Report)
    reason, service = arguments["reason"], arguments["service"]
    if arguments["planning"]:
        announcement = procedure.summarise_plan(reason, service, decision, reports)
    else:
        announcement = procedure.summarise(reason, service, arguments["seconds"], decision, reports)
    return {
        "title": announcement.title,
        "text": announcement.text,
        "severity": announcement.severity,
        "msg": announcement.title,
    }


def _by_host(given: Mapping[str, Any], name: str, kind: type[Kind]) -> dict[str, Kind]:
    known = [field.name for field in fields(kind)]
    found = {}
    for host, values in given.items():
        if not isinstance(values, Mapping) or set(values) - set(known):
            raise AnsibleActionFail(f"'{name}' of {host} is not a mapping of {', '.join(known)}")
        found[host] = kind(**{field: _native(value) for field, value in values.items()})
    return found


def _native(value: Any) -> Any:
    """A template's boolean, which ansible-core before 2.19 may hand over as a word."""
    return {"True": True, "False": False}.get(value, value) if isinstance(value, str) else value


def _seconds(arguments: Mapping[str, Any], name: str, read: Callable[[object], float] = parse_duration) -> float | None:
    if arguments[name] in (None, ""):
        return None
    try:
        return read(arguments[name])
    except QuantityError as error:
        raise AnsibleActionFail(f"'{name}': {error}") from error
