# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State of systemd units. All checks of a host cost one call of systemctl, as a rule."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.systemd.units import (
    Fields,
    Units,
    full_name,
    need_systemd,
    show,
    unit_names,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration

SPEC = ProbeSpec(
    doc="A systemd unit. One that is not active is critical, unless it is not enabled and an active socket, timer or"
    " path starts it when it is needed. One that systemd restarted within the last minute is a warning. A unit that"
    " only groups others (Debian's postgresql) is as active as the worst of its members.",
    arguments={
        "name": Argument(
            "str",
            "The unit, by any of its names; without a suffix a service. Patterns and templates without an instance are"
            " unknown.",
            required=True,
        )
    },
    metrics={
        "state": Metric(
            "systemd's ActiveState (active, inactive, failed, activating …), or its LoadState where the unit cannot be"
            " started (not-found, masked, bad-setting, error).",
            words=True,
        ),
        "restarts": Metric("Restarts by systemd itself since the unit was started.", "restarts"),
        "uptime": Metric("Time since it became active.", "s"),
    },
    default_metric="state",
)
_PROPERTIES = (
    "LoadState", "LoadError", "UnitFileState", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus",
    "ActiveEnterTimestampMonotonic", "ConditionResult", "ConditionTimestampMonotonic", "ConsistsOf", "TriggeredBy",
)  # fmt: skip
# How bad a member's state is for the unit that groups it.
_SEVERITY = ("active", "reloading", "activating", "deactivating", "inactive", "failed", "not-found")
# Seconds after a restart by systemd in which a unit is not yet taken for sound.
_FRESH = 60.0


@dataclass
class Host:
    """The units by the names that checks use, why some cannot be told, and the monotonic clock in seconds."""

    units: Units
    refused: dict[str, str] = field(default_factory=dict)
    now: float = 0.0


def source_key(_check: Check) -> object:
    return "systemd"


def open_source(checks: list[Check], _progress: object) -> Host:
    need_systemd()
    units, refused = show(sorted({full_name(check.args["name"]) for check in checks}), _PROPERTIES)
    others = {name for fields in units.values() for name in (*_members(fields), *_triggers(fields))} - set(units)
    if others:
        units.update(show(sorted(others), _PROPERTIES)[0])
    return Host(units, refused, time.clock_gettime(time.CLOCK_MONOTONIC))


def _members(fields: Fields) -> list[str]:
    """The units of one that has no process of its own: `postgresql` is /bin/true, its clusters are its parts."""
    if fields.get("ActiveState") == "active" and fields.get("SubState") == "exited":
        return fields.get("ConsistsOf", "").split()
    return []


def _triggers(fields: Fields) -> list[str]:
    """What may start a unit that waits: not one that was told to run by itself (enabled), and not a failed one."""
    waits = fields.get("ActiveState") == "inactive" and fields.get("LoadState") == "loaded"
    if not waits or fields.get("UnitFileState", "").startswith("enabled") or fields.get("Result") != "success":
        return []
    return fields.get("TriggeredBy", "").split()


def _state(fields: Fields) -> str:
    if fields.get("LoadState") in ("not-found", "masked", "bad-setting", "error"):
        return fields["ActiveState"] if fields.get("ActiveState") == "active" else fields["LoadState"]
    return fields.get("ActiveState", "unknown")


def observe(host: Host, check: Check) -> Observation:
    name = full_name(check.args["name"])
    fields = host.units.get(name)
    if fields is None:
        raise Undetermined(host.refused.get(name, f"systemctl says nothing about {name}"))
    if check.metric.name == "restarts":
        return _restarts(name, fields)
    state, culprit, detail = _state(fields), name, fields
    for member in _members(fields):
        part = _state(host.units.get(member, {}))
        if _rank(part) > _rank(state):
            state, culprit, detail = part, member, host.units.get(member, {})
    if check.metric.name == "uptime":
        return _uptime(name, state, fields, host.now)
    text = f"{_called(culprit, detail)} is {_words(state, detail)}"
    if culprit != name:
        text += f" (a part of {name})"
    if state in ("active", "reloading"):
        return _running(state, text, detail, host.now)
    evidence = [f"{key}={value}" for key, value in detail.items() if key in ("Result", "ExecMainStatus", "NRestarts")]
    awake = [trigger for trigger in _triggers(detail) if host.units.get(trigger, {}).get("ActiveState") == "active"]
    if awake:
        return Observation(state, f"{text}, {' and '.join(awake)} will start it", evidence=evidence)
    return Observation(state, text, evidence=evidence, unexpected="it should be active")


def _called(name: str, fields: Fields) -> str:
    """The name of the check, and the unit's own where that is another: an alias, or a name that systemd escapes."""
    own = fields.get("Id", name)
    if own == name:
        return name
    return f"{name} (alias of {own})" if name in unit_names(fields) else f"{name} (as a unit {own})"


def _restarts(name: str, fields: Fields) -> Observation:
    if fields.get("LoadState") == "not-found":
        raise Undetermined(f"there is no unit {name}")
    if not fields.get("NRestarts", "").isdigit():
        raise Undetermined(f"{name} is not a unit that restarts")
    count = int(fields["NRestarts"])
    return Observation(count, f"{name} was restarted {counted(count, 'time')} by systemd")


def _running(state: str, text: str, fields: Fields, now: float) -> Observation:
    restarts, age = int(fields.get("NRestarts") or 0), _age(fields, now)
    if fields.get("LoadState") == "not-found":
        text += ", and its unit file is gone"
    if restarts:
        text += f", restarted {counted(restarts, 'time')} by systemd"
        if age < _FRESH:
            # Between two crashes a unit is active: that is no proof that it works.
            text += f", the last time {format_duration(age)} ago"
            return Observation(state, text, status=Status.WARNING)
    return Observation(state, text)


def _rank(state: str) -> int:
    return _SEVERITY.index(state) if state in _SEVERITY else len(_SEVERITY)


def _words(state: str, fields: Fields) -> str:
    if state == "not-found":
        return "not installed (systemd knows no such unit)"
    if state == "masked":
        return "masked: it cannot be started"
    if state in ("bad-setting", "error"):
        # LoadError is a D-Bus error's name and a sentence in quotes.
        said = fields.get("LoadError", "").partition('"')[2].rstrip('"')
        return f"not usable ({said or state})"
    sub, result = fields.get("SubState", ""), fields.get("Result", "success")
    words = state if sub in ("", state) else f"{state} ({sub})"
    if result not in ("success", "") and state != "active":
        code = fields.get("ExecMainStatus", "")
        words += f" ({result}{' ' + code if result == 'exit-code' and code else ''})"
    if sub == "auto-restart" and fields.get("NRestarts", "0") != "0":
        words += f", restarted {counted(int(fields['NRestarts']), 'time')} so far"
    untried = fields.get("ConditionTimestampMonotonic", "0") == "0"
    if state == "inactive" and fields.get("ConditionResult") == "no" and not untried:
        words += " because a condition of its start was not met"
    return words


def _age(fields: Fields, now: float) -> float:
    return now - int(fields.get("ActiveEnterTimestampMonotonic") or 0) / 1e6


def _uptime(name: str, state: str, fields: Fields, now: float) -> Observation:
    if state not in ("active", "reloading"):
        raise Undetermined(f"{name} is {_words(state, fields)}")
    uptime = _age(fields, now)
    return Observation(round(uptime, 1), f"{name} is active for {format_duration(uptime)}")
