# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides a failover from what hosts answered; touches no host. Documented in modules/dr_failover.py."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic
from ansible_collections.day2.ops.plugins.plugin_utils.failover import rejoins, turns
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import read_codes
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import read_seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import CONTROLLER
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import read_plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Request
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import (
    Table,
    observed,
    plan_of,
    read_entries,
)
from ansible_collections.day2.ops.plugins.plugin_utils.plain import DEPRECATED, plain

_PHASES = ("admitted", "claiming", "claimed", "next", "acknowledged", "judged", "closed")
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "required": True, "choices": ["assessed", "failed_over", "status", "aborted", "rejoined"]},
    "phase": {"type": "str", "choices": list(_PHASES)},
    "plan": {"type": "dict", "required": True},
    "system": {"type": "str", "required": True},
    "run": {"type": "str"},
    "epoch": {"type": "int"},
    "confirm": {"type": "str", "default": ""},
    "approved_by": {"type": "str", "default": ""},
    "approve": {"type": "list", "elements": "str", "default": []},
    "approvers": {"type": "list", "elements": "str", "default": []},
    "reason": {"type": "str", "default": ""},
    "minority": {"type": "bool", "default": False},
    "entries": {"type": "list", "elements": "dict", "default": []},
    "members": {"type": "dict", "default": {}},
    "liveness": {"type": "dict", "default": {}},
    "liveness_of_controller": {"type": "dict", "default": {}},
    "promised": {"type": "dict", "default": {}},
    "managers": {"type": "dict", "default": {}},
    "led": {"type": "dict", "default": {}},
    "looked": {"type": "int", "default": -1},
    "journals": {"type": "dict", "default": {}},
    "next": {"type": "dict"},
    "acknowledged": {"type": "dict", "default": {}},
    "answers": {"type": "list", "elements": "dict", "default": []},
    "seen": {"type": "dict", "default": {}},
    "began": {"type": "float"},
    "member": {"type": "str", "default": ""},
    "ref": {"type": "list", "elements": "str", "default": []},
}
_NEEDS = {
    "claimed": ("run", "epoch"),
    "next": ("run", "epoch"),
    "acknowledged": ("run", "epoch"),
    "closed": ("run", "epoch"),
    "judged": ("run", "epoch", "next"),
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Works on the controller; asks no host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        given = {name: plain(value, DEPRECATED) for name, value in arguments.items()}
        state, phase = given["state"], given["phase"]
        if state in ("failed_over", "aborted", "rejoined") and phase is None:
            raise AnsibleActionFail(f"'phase' is needed for state {state}: one of {', '.join(_PHASES)}")
        for name in _NEEDS.get(phase or "", ()):
            if given[name] is None:
                raise AnsibleActionFail(f"'{name}' is needed for phase {phase}")
        try:
            return {**result, "changed": False, **self._answer(state, phase, given, task_vars or {})}
        except Day2Error as error:
            raise AnsibleActionFail(str(error)) from None

    def _answer(
        self, state: str, phase: str | None, given: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> dict[str, Any]:
        now = time.time()
        table = self._table(state, given, variables, now)
        if state == "status":
            return turns.status(table.plan, given["journals"])
        if state == "assessed":
            return turns.assessed(table, given["journals"])
        if phase == "admitted":
            _check_shared(given["system"], variables)
            _check_confirmed(given["confirm"], given["system"])
            # No two runs have the same name, whoever starts them.
            return {"plan": plan_of(table.plan), "run": f"{basic(now)}-{secrets.token_hex(3)}", "began": now}
        if phase == "claiming":
            return turns.claiming(table, given["journals"])
        if phase == "claimed":
            return turns.claimed(table, given["journals"])
        if state == "rejoined":
            if phase == "next":
                return rejoins.next_turn(table, given["member"])
            return rejoins.judged(table, given["next"], given["answers"])
        if phase == "acknowledged":
            return turns.acknowledged(table, given["journals"])
        if phase == "closed":
            return turns.closed(table, given["journals"])
        if phase == "next":
            return turns.planned(table) if self._task.check_mode else turns.turn(table)
        return turns.judged(table, given["next"], given["acknowledged"], given["answers"])

    def _table(self, state: str, given: Mapping[str, Any], variables: Mapping[str, Any], now: float) -> Table:
        hosts = list(variables.get("ansible_play_hosts_all", []))
        known = variables.get("hostvars", {})
        machines = {host: str(known[host].get("ansible_host") or host) for host in hosts}
        plan = read_plan(given["plan"], machines, given["system"])
        request = Request(
            run=given["run"] or "",
            epoch=given["epoch"] or 0,
            confirmed=bool(given["confirm"]) and given["confirm"] == given["system"],
            approved_by=given["approved_by"],
            reason=given["reason"],
            approves=read_codes(given["approve"]),
            approvers=tuple(given["approvers"]),
            check_mode=bool(self._task.check_mode),
        )
        return Table(
            plan=plan,
            request=request,
            hosts=hosts,
            entries=read_entries(given["entries"]),
            facts=observed(
                plan,
                given["members"],
                {**given["liveness"], CONTROLLER: given["liveness_of_controller"]},
                given["promised"],
                given["managers"],
                given["led"],
                given["looked"],
            ),
            now=now,
            ref=given["ref"],
            minority=given["minority"],
            aborting=state == "aborted",
            last_known=read_seen(given["seen"], now),
            began=given["began"],
        )


def _check_confirmed(confirmed: str, system: str) -> None:
    """Whoever confirms another system than this one is mistaken about which one it is, whatever would be done."""
    if confirmed not in ("", system):
        raise AnsibleActionFail(
            f"day2_dr_confirm names {confirmed}, and this run is of {system}: check which inventory it has; for this"
            f" system it is -e day2_dr_confirm={system}. Nothing was done"
        )


def _check_shared(system: str, variables: Mapping[str, Any]) -> None:
    """One run is of one system: its plan is that of whichever host comes first."""
    known = variables.get("hostvars", {})
    other = {host: known[host].get("day2_system", system) for host in variables.get("ansible_play_hosts_all", [])}
    wrong = [host for host, name in other.items() if name != system]
    if wrong:
        raise AnsibleActionFail(
            f"a failover is of one system: {wrong[0]} is of {other[wrong[0]]}, and others are of {system}; limit the"
            " run to the hosts of one (-e day2_hosts=GROUP)"
        )
