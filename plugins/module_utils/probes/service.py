# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State of systemd units. All checks of a host cost one systemctl call."""

from __future__ import annotations

import os
import time

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

SPEC = ProbeSpec(
    doc="A systemd unit. One that is not active is critical. A unit that only groups others (Debian's postgresql)"
    " is as active as the worst of its members.",
    arguments={"name": Argument("str", "The unit; without a suffix a service.", required=True)},
    metrics={
        "state": Metric("systemd's ActiveState (active, inactive, failed, activating …), or not-found.", words=True),
        "restarts": Metric("Restarts by systemd itself since the unit was started.", "restarts"),
        "uptime": Metric("Time since it became active.", "s"),
    },
    default_metric="state",
)
_FIELDS = (
    "Id,Names,LoadState,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestampMonotonic,ConsistsOf,ExecMainStatus"
)
_SUFFIXES = ("service", "socket", "timer", "mount", "automount", "path", "target", "slice", "scope", "swap", "device")
# How bad a member's state is for the unit that groups it.
_SEVERITY = ("active", "reloading", "activating", "deactivating", "inactive", "failed", "not-found")

Units = dict[str, dict[str, str]]


def source_key(_check: Check) -> object:
    return "systemd"


def _unit(name: str) -> str:
    return name if name.rpartition(".")[2] in _SUFFIXES and "." in name else f"{name}.service"


def _show(names: list[str]) -> Units:
    """Each unit's fields, under each of its names."""
    answer = run(["systemctl", "show", f"--property={_FIELDS}", "--", *names], cap=1 << 24)
    if answer.code != 0:
        raise Undetermined(f"systemctl cannot tell: {answer.complaint}")
    units: Units = {}
    blocks = [block for block in answer.stdout.decode("utf-8", "replace").split("\n\n") if block.strip()]
    for name, block in zip(names, blocks):
        fields = dict(line.partition("=")[::2] for line in block.strip().split("\n"))
        units[name] = fields
    return units


def open_source(checks: list[Check], _progress: object) -> Units:
    if not os.path.isdir("/run/systemd/system"):
        raise Undetermined("systemd does not run this host")
    units = _show(sorted({_unit(check.args["name"]) for check in checks}))
    members = {name for fields in units.values() for name in _members(fields)} - set(units)
    if members:
        units.update(_show(sorted(members)))
    return units


def _members(fields: dict[str, str]) -> list[str]:
    """The units of one that has no process of its own: `postgresql` is /bin/true, its clusters are its parts."""
    if fields.get("ActiveState") == "active" and fields.get("SubState") == "exited":
        return fields.get("ConsistsOf", "").split()
    return []


def _state(fields: dict[str, str]) -> str:
    if fields.get("LoadState") in ("not-found", "masked") and fields.get("ActiveState") != "active":
        return fields["LoadState"]
    return fields.get("ActiveState", "unknown")


def observe(units: Units, check: Check) -> Observation:
    name = _unit(check.args["name"])
    fields = units.get(name)
    if not fields:
        raise Undetermined(f"systemctl says nothing about {name}")
    if check.metric.name == "restarts":
        if fields.get("LoadState") == "not-found":
            raise Undetermined(f"there is no unit {name}")
        if not fields.get("NRestarts", "").isdigit():
            raise Undetermined(f"{name} is not a unit that restarts")
        count = int(fields["NRestarts"])
        return Observation(count, f"{name} was restarted {count} times by systemd")
    state, culprit, detail = _state(fields), name, fields
    for member in _members(fields):
        part = _state(units.get(member, {}))
        if _rank(part) > _rank(state):
            state, culprit, detail = part, member, units[member]
    if check.metric.name == "uptime":
        return _uptime(name, state, fields)
    text = f"{culprit} is {_words(state, detail)}"
    if culprit != name:
        text += f" (a part of {name})"
    evidence = [f"{key}={value}" for key, value in detail.items() if key in ("Result", "ExecMainStatus", "NRestarts")]
    fine = state in ("active", "reloading")
    return Observation(
        state, text, evidence=[] if fine else evidence, unexpected=None if fine else "it should be active"
    )


def _rank(state: str) -> int:
    return _SEVERITY.index(state) if state in _SEVERITY else len(_SEVERITY)


def _words(state: str, fields: dict[str, str]) -> str:
    if state == "not-found":
        return "not installed (systemd knows no such unit)"
    sub = fields.get("SubState", "")
    result = fields.get("Result", "success")
    words = state if sub in ("", state) else f"{state} ({sub})"
    if state == "failed" and result not in ("success", ""):
        code = fields.get("ExecMainStatus", "")
        words += f" ({result}{' ' + code if result == 'exit-code' and code else ''})"
    return words


def _uptime(name: str, state: str, fields: dict[str, str]) -> Observation:
    if state not in ("active", "reloading"):
        raise Undetermined(f"{name} is {_words(state, fields)}")
    since = int(fields.get("ActiveEnterTimestampMonotonic", "0") or 0) / 1e6
    uptime = time.clock_gettime(time.CLOCK_MONOTONIC) - since
    return Observation(round(uptime, 1), f"{name} is active for {format_duration(uptime)}")
