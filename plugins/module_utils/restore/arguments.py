# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of restores, and what they mean."""

from __future__ import annotations

import tempfile
import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import choose, passed_over
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.damage import note_of_restore, noting
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND
from ansible_collections.day2.ops.plugins.module_utils.backup.run import describe
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import connected
from ansible_collections.day2.ops.plugins.module_utils.restore.drill import Drill
from ansible_collections.day2.ops.plugins.module_utils.restore.drills import Targets
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import Allowed
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import Expectation
from ansible_collections.day2.ops.plugins.module_utils.restore.run import Order, restore
from ansible_collections.day2.ops.plugins.module_utils.restore.swap import oid_of

_ALLOW = ("other_cluster", "slots", "subscriptions", "create_roles")
EXPECT: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "query": {"type": "str", "required": True},
        "result": {"type": "str", "required": True},
        "title": {"type": "str", "default": ""},
    },
}
RESTORE: dict[str, dict[str, Any]] = {
    "database": {"type": "str", "required": True},
    "target": {"type": "str"},
    "source": {"type": "str", "default": "latest"},
    "run_id": {"type": "str"},
    "mode": {"type": "str", "choices": ["new", "replace", "either"], "default": "new"},
    "state": {"type": "str", "choices": ["present", "reverted"], "default": "present"},
    "force": {"type": "bool", "default": False},
    "identity": {"type": "path"},
    "allow": {"type": "list", "elements": "str", "choices": list(_ALLOW), "default": []},
    "expect": EXPECT,
    "amcheck": {"type": "bool", "default": True},
    "keep_old": {"type": "str", "default": "7d"},
    "swap_timeout": {"type": "str", "default": "30s"},
    "jobs": {"type": "int"},
    "scratch": {"type": "path"},
    "bin_dir": {"type": "path"},
    "timeout": {"type": "str"},
}


def expectations(params: Mapping[str, Any]) -> list[Expectation]:
    return [Expectation(each["query"], each["result"], each["title"]) for each in params["expect"]]


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Choose the set and restore of it what the module was told."""
    order = Order(
        database=params["database"],
        target=params["target"] or params["database"],
        replaces=_replaces(params),
        jobs=arguments.jobs(params),
        scratch=params["scratch"] or tempfile.gettempdir(),
        identity=params["identity"],
        bin_dir=params["bin_dir"],
        allowed=Allowed(**{name: name in params["allow"] for name in _ALLOW}),
        expectations=expectations(params),
        amcheck=params["amcheck"],
        keep_old=arguments.seconds(params, "keep_old") or 0.0,
        swap_timeout=arguments.seconds(params, "swap_timeout") or 0.0,
        timeout=arguments.seconds(params, "timeout"),
    )
    place = arguments.repository(params)
    found = sets.published(place, arguments.series(params, KIND))
    if not check_mode:
        note_of_restore(place, arguments.series(params, KIND), found)
    wanted = Contents(frozenset([params["database"]]))
    chosen = choose(found.sets, params["source"], params["run_id"], found.broken, contents=wanted, now=time.time())
    began, begun = time.time(), time.monotonic()
    with noting(place, chosen, check_mode):
        outcome = restore(arguments.login(params), order, place, chosen.manifest, check_mode)
    if not check_mode:
        outcome["step"] = _step(order, outcome, began, time.monotonic() - begun)
    # Whoever named a set knows that there are newer ones.
    named = params["source"] == chosen.manifest.id
    skipped = {} if named else passed_over(found.sets, chosen, found.broken)
    warnings = [f"passed over {name}: {why}" for name, why in skipped.items()]
    warnings += outcome.get("warnings", [])
    return {**outcome, "set": describe(chosen, [place.name]), "warnings": warnings}


def _replaces(params: Mapping[str, Any]) -> bool:
    if params["mode"] != "either":
        return bool(params["mode"] == "replace")
    with connected(arguments.login(params)) as connection:
        return oid_of(connection, params["target"] or params["database"]) is not None


def _step(order: Order, outcome: Mapping[str, Any], began: float, seconds: float) -> dict[str, Any]:
    phases = ", ".join(f"{name} {format_duration(taken)}" for name, taken in outcome["phases"].items())
    return Result(
        id=f"restore-{order.target}",
        title=f"Restore of {order.target}",
        probe="step",
        status=Status.OK,
        value=round(seconds, 3),
        unit="s",
        message=f"{outcome['msg']} (unavailable for {outcome['unavailable'] * 1000:.0f} ms)",
        warning=None,
        critical=None,
        evidence=[phases, *(f"dropped {name}" for name in [*outcome["dropped"], *outcome["cleared"]])],
        ref=[],
        started=rfc3339(began),
        duration=round(seconds, 3),
    ).to_dict()


DRILL: dict[str, dict[str, Any]] = {
    "method": {"type": "str", "choices": ["logical", "physical"], "default": "logical"},
    "database": {"type": "str", "required": True},
    "source": {"type": "str"},
    "copy_to": {"type": "str"},
    "identity": {"type": "path"},
    "place": {"type": "str", "choices": ["cluster", "database"], "default": "cluster"},
    "settings": {"type": "dict", "default": {}},
    "expect": EXPECT,
    "amcheck": {"type": "bool", "default": True},
    "newest_row": {"type": "str"},
    "rto": {"type": "str"},
    "rpo": {"type": "str"},
    "sets": {"type": "int", "default": 1},
    "time_budget": {"type": "str", "default": "1h"},
    "disk_budget": {"type": "str"},
    "jobs": {"type": "int"},
    "scratch": {"type": "path"},
    "bin_dir": {"type": "path"},
    "timeout": {"type": "str"},
}


def drill(params: Mapping[str, Any]) -> Drill:
    """Drills as the module was told."""
    if params["sets"] < 1:
        raise arguments.ArgumentFault(f"'sets' is {params['sets']}; one is the least")
    return Drill(
        database=params["database"],
        jobs=arguments.jobs(params),
        scratch=params["scratch"] or tempfile.gettempdir(),
        login=arguments.login(params) if params["place"] == "database" else None,
        identity=params["identity"],
        bin_dir=params["bin_dir"],
        settings={name: str(value) for name, value in params["settings"].items()},
        expectations=expectations(params),
        amcheck=params["amcheck"],
        newest_row=params["newest_row"],
        targets=Targets(arguments.seconds(params, "rto"), arguments.seconds(params, "rpo")),
        most=params["sets"],
        time_budget=arguments.seconds(params, "time_budget") or 0.0,
        disk_budget=arguments.size("disk_budget", params["disk_budget"]) if params["disk_budget"] else None,
        source=params["source"],
        timeout=arguments.seconds(params, "timeout"),
    )
