# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that is wrong with the variables of a host, as its checklists would find it. No ansible, no host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError, Day2Error
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.plugin_utils.connections import fill_checks, finder
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import read_plan
from ansible_collections.day2.ops.plugins.plugin_utils.history import views
from ansible_collections.day2.ops.plugins.plugin_utils.lint.contradictions import contradictions, question
from ansible_collections.day2.ops.plugins.plugin_utils.lint.extra_variables import Known, misspelt_settings
from ansible_collections.day2.ops.plugins.plugin_utils.lint.names import misspelt_lists
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import parse as parse_channels
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain
from ansible_collections.day2.ops.plugins.plugin_utils.report import acknowledge
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step, StepError, parse_steps

# Findings that no check of an inventory asks for.
_SYNTHETIC = ("reachable", "checklist", "steps")


FindRoles = Callable[[list[Step]], list[str]]


@dataclass(frozen=True)
class Failover:
    """`day2_dr_plan` of a host, and the hosts of its system with their addresses."""

    plan: object
    hosts: Mapping[str, str]
    system: str


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
    variables: Mapping[str, object] | None = None,
    steps: Mapping[str, list[Any]] | None = None,
    find_roles: FindRoles = lambda _steps: [],
    windows: Any = None,
    collection: Known | None = None,
    connections: object = None,
    failover: Failover | None = None,
) -> Findings:
    """Checks, views and steps by cadence, acknowledged findings, channels, windows and all variables, of one host.

    `connections` are those that checks name (`day2_connections`), `failover` is the plan of one.
    `find_roles` says which roles of steps are not there, `collection` what playbooks and roles read.
    """
    found = Findings()
    parsed: dict[str, list[Check]] = {}
    for cadence, raw in checks.items():
        entries = _as_sent(raw)
        found.checks += len(entries)
        try:
            filled = fill_checks(entries, finder(connections, lambda value: value))
            parsed[cadence] = parse_checks(filled, find_spec, registry.PROBES, 10.0)
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
    if windows:
        _guarded(found, "", lambda: parse_windows(windows))
    if failover is not None:
        try:
            read_plan(failover.plan, failover.hosts, failover.system)
        except Day2Error as error:
            found.problems += getattr(error, "problems", None) or [str(error)]
    found.problems += contradictions(parsed) + _same_names(parsed) + misspelt_lists(variables or ())
    if collection is not None:
        found.problems += misspelt_settings(variables or {}, collection)
    return found


def _as_sent(entries: list[Any]) -> list[Any]:
    """As they reach the host: what YAML takes for a day is text there."""
    sent: list[Any] = plain(entries)
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


def _guarded(found: Findings, what: str, read: Callable[[], list[Any]]) -> list[Any]:
    try:
        return read()
    except (ValueError, Day2Error) as error:
        found.problems.append(f"{what}: {error}" if what else str(error))
        return []
