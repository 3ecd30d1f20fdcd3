# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that is wrong with the variables of a host, as its checklists would find it. No ansible, no host."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError, Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.procedure import TYPES
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.module_utils.steps.spec import Step, StepError, parse_steps
from ansible_collections.day2.ops.plugins.plugin_utils.history import views
from ansible_collections.day2.ops.plugins.plugin_utils.lint.contradictions import contradictions, question
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import parse as parse_channels
from ansible_collections.day2.ops.plugins.plugin_utils.report import acknowledge

CADENCES = ("daily", "weekly", "monthly", "quarterly", "backup", "drill", "recovery", "maintenance")
# Steps of emergencies have no checks of their own.
STEPS = (*CADENCES, *(f"emergency_{kind}" for kind in TYPES))
_KINDS = ("checks", "views", "steps")
_MEANT = tuple(
    dict.fromkeys(
        [*(f"day2_{each}_{kind}" for each in CADENCES for kind in _KINDS), *(f"day2_{each}_steps" for each in STEPS)]
    )
)
_LISTS = re.compile(rf"(?:{'|'.join(_MEANT)})(?:_.+)?")
_LIKE = re.compile(r"day2_\w*(?:check|view|step|dail|week|month|quarter)\w*")
_OTHERS = ("day2_check_timeout", "day2_check_deadline", "day2_check_workers", "day2_steps", "day2_checklist")
# Findings that no check of an inventory asks for.
_SYNTHETIC = ("reachable", "checklist", "steps")


FindRoles = Callable[[list[Step]], list[str]]


@dataclass
class Findings:
    """What was looked at, and what is wrong with it."""

    checks: int = 0
    views: int = 0
    steps: int = 0
    problems: list[str] = field(default_factory=list)


def look(
    checks: Mapping[str, list[Any]],
    shown: Mapping[str, list[Any]],
    acknowledged: Any = None,
    channels: Any = None,
    names: Iterable[str] = (),
    steps: Mapping[str, list[Any]] | None = None,
    find_roles: FindRoles = lambda _steps: [],
) -> Findings:
    """Checks, views and steps by cadence, acknowledged findings, channels and the names of all variables, of one host.

    `find_roles` says which roles of steps are not there.
    """
    found = Findings()
    parsed: dict[str, list[Check]] = {}
    for cadence, raw in checks.items():
        entries = _as_sent(raw)
        found.checks += len(entries)
        try:
            parsed[cadence] = parse_checks(entries, find_spec, registry.PROBES, 10.0)
        except CheckError as error:
            found.problems += [f"{cadence} {problem}" for problem in error.problems]
    ids = {str(entry.get("id")) for raw in checks.values() for entry in raw if isinstance(entry, Mapping)}
    _look_at_views(found, shown, ids)
    known = {*ids, *_SYNTHETIC, *_look_at_steps(found, steps or {}, ids, find_roles)}
    if acknowledged:
        for entry in _guarded(found, "acknowledged findings", lambda: acknowledge.parse(acknowledged)):
            if not any(fnmatchcase(name, entry.id) for name in known):
                found.problems.append(f"acknowledged finding '{entry.id}' is no check of this host")
    if channels:
        _guarded(found, "", lambda: parse_channels(channels))
    found.problems += contradictions(parsed) + _same_names(parsed) + _misspelt(names)
    return found


def _as_sent(entries: list[Any]) -> list[Any]:
    """As they reach the host, by JSON: what YAML takes for a day is text there."""
    sent: list[Any] = json.loads(json.dumps(entries, default=str))
    return sent


def _look_at_views(found: Findings, shown: Mapping[str, list[Any]], ids: set[str]) -> None:
    for cadence, raw in shown.items():
        found.views += len(raw)
        for view in _guarded(found, f"{cadence} views", lambda raw=raw: views.parse(raw)):  # type: ignore[misc]
            missing = [name for name in view.pick(ids) if name not in ids]
            if missing or not view.pick(ids):
                what = f"'{missing[0]}'" if missing else f"'{', '.join(view.checks)}'"
                found.problems.append(f"{cadence} view '{view.id}' shows {what}, which is no check of this host")
            if view.id in ids:
                found.problems.append(f"{cadence} view '{view.id}' has the id of a check")


def _look_at_steps(found: Findings, listed: Mapping[str, list[Any]], ids: set[str], find_roles: FindRoles) -> set[str]:
    """Their ids."""
    seen = set()
    for cadence, raw in listed.items():
        found.steps += len(raw)
        try:
            steps = parse_steps(_as_sent(raw))
            problems = find_roles(steps)
        except StepError as error:
            steps, problems = [], error.problems
        # In a report, a check and a step of one name would be one line with two answers.
        problems += [f"step '{step.id}' has the id of a check" for step in steps if step.id in ids]
        found.problems += [f"{cadence.replace('_', ' ')} {problem}" for problem in problems]
        seen |= {step.id for step in steps}
    return seen


def _same_names(checks: Mapping[str, list[Check]]) -> list[str]:
    """One name for two questions: their history, their acknowledgements and their alarms would be mixed up."""
    seen: dict[str, tuple[str, object]] = {}
    problems = []
    for cadence, chosen in checks.items():
        for check in chosen:
            asks = question(check)
            before, asked = seen.setdefault(check.id, (cadence, asks))
            if asked != asks:
                problems.append(f"id '{check.id}' is in {before} and in {cadence} and asks something else there")
    return problems


def _misspelt(names: Iterable[str]) -> list[str]:
    """Variables that look like lists of checks, views or steps and are none."""
    problems = []
    for name in sorted(names):
        if _LIKE.fullmatch(name) and not _LISTS.fullmatch(name) and name not in _OTHERS:
            near = difflib.get_close_matches(name, _MEANT, 1, 0.7)
            hint = f"; did you mean {near[0]}" if near else ""
            problems.append(f"{name} is no variable of a checklist{hint}")
    return problems


def _guarded(found: Findings, what: str, read: Callable[[], list[Any]]) -> list[Any]:
    try:
        return read()
    except (ValueError, Day2Error) as error:
        found.problems.append(f"{what}: {error}" if what else str(error))
        return []
