# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of restores and drills, and their conversion."""

from __future__ import annotations

import tempfile
import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import choose, passed_over
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.damage import note_of_restore, noting
from ansible_collections.day2.ops.plugins.module_utils.backup.outcome import describe
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Drill, Expectation, Targets
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import connected
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import Allowed
from ansible_collections.day2.ops.plugins.module_utils.restore.revert import revert
from ansible_collections.day2.ops.plugins.module_utils.restore.run import Order, restore
from ansible_collections.day2.ops.plugins.module_utils.restore.swap import oid_of
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration, parse_lifetime

_ALLOW = ("other_cluster", "slots", "subscriptions", "create_roles", "gained_rights", "extensions")
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
    return [Expectation(entry["query"], entry["result"], entry["title"]) for entry in params["expect"]]


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Select the backup set and restore the database that the module's parameters name."""
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
        keep_old=arguments.seconds(params, "keep_old", parse_lifetime) or 0.0,
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
    # If the user named a set, no warning about newer ones is needed.
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
    return Result.make(
        f"restore-{order.target}",
        f"Restore of {order.target}",
        Status.OK,
        f"{outcome['msg']} (unavailable for {outcome['unavailable'] * 1000:.0f} ms)",
        began,
        seconds,
        value=round(seconds, 3),
        unit="s",
        evidence=[phases, *(f"dropped {name}" for name in [*outcome["dropped"], *outcome["cleared"]])],
    ).to_dict()


def run_revert(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make the database that a restore replaced the live one again."""
    target, began, begun = params["target"] or params["database"], time.time(), time.monotonic()
    limit = arguments.seconds(params, "swap_timeout") or 0.0
    outcome = revert(arguments.login(params), target, params["force"], limit, check_mode)
    if not check_mode:
        outcome["step"] = _revert_step(target, outcome, began, time.monotonic() - begun)
    return outcome


def _revert_step(target: str, outcome: Mapping[str, Any], began: float, seconds: float) -> dict[str, Any]:
    away = f" (unavailable for {outcome['unavailable'] * 1000:.0f} ms)" if "unavailable" in outcome else ""
    evidence = [outcome["lost"]] if outcome["lost"] else []
    return Result.make(
        f"revert-{target}",
        f"Revert of the restore of {target}",
        Status.OK,
        f"{outcome['msg']}{away}",
        began,
        seconds,
        value=round(seconds, 3),
        unit="s",
        evidence=[*evidence, *(f"dropped {name}" for name in outcome["cleared"])],
    ).to_dict()


DRILL: dict[str, dict[str, Any]] = {
    "method": {"type": "str", "choices": ["logical", "physical"], "default": "logical"},
    "database": {"type": "str", "required": True},
    "source": {"type": "str"},
    "copy_to": arguments.PLACE,
    "identity": {"type": "path"},
    "place": {"type": "str", "choices": ["cluster", "database"], "default": "cluster"},
    "settings": {"type": "dict", "default": {}},
    "allow": {"type": "list", "elements": "str", "choices": ["extensions"], "default": []},
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
    """The drill that the module's parameters describe."""
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
        allow_extensions="extensions" in params["allow"],
    )
