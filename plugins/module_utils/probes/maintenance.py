# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode: who holds it and until when, and whether something should have come back and did not."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import ROOT, StateFiles, reading
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import status
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress

SPEC = ProbeSpec(
    doc="Maintenance mode of this host's services: by whom, and until when. One that should be over, or that could not"
    " be left, is a warning.",
    arguments={
        "service": Argument("str", "One service; without it all of the host."),
        "root": Argument("path", "Where the state is.", default=ROOT),
    },
    metrics={
        "leases": Metric("How many leases are held.", "leases"),
        "overdue": Metric("How many services should be back and are not.", "services"),
    },
    default_metric="leases",
)


def source_key(check: Check) -> object:
    return check.args["root"]


def open_source(checks: list[Check], _progress: Progress) -> list[dict[str, Any]]:
    try:
        return status(StateFiles(checks[0].args["root"]), reading())
    except Day2Error as exc:
        raise Undetermined(str(exc)) from exc
    except PermissionError as exc:
        raise Undetermined(f"{exc.filename}: {exc.strerror}") from exc


def observe(source: list[dict[str, Any]], check: Check) -> Observation:
    wanted = check.args["service"]
    found = [state for state in source if wanted in (None, state["service"])]
    overdue = [state for state in found if state["faults"] or any(lease["left"] <= 0 for lease in state["leases"])]
    evidence = [state["msg"] for state in found] + [fault for state in found for fault in state["faults"]]
    text = "; ".join(state["msg"] for state in found) or "nothing is in maintenance"
    if check.metric.name == "overdue":
        return Observation(
            len(overdue), text, evidence=evidence, status=Status.WARNING if overdue else Status.OK, is_default=True
        )
    count = sum(len(state["leases"]) for state in found)
    return Observation(count, text, evidence=evidence, status=Status.WARNING if overdue else Status.OK, is_default=True)
