# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that is wrong with the variables of a host, as its checklists would find it. No ansible, no host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.plugin_utils.history import views
from ansible_collections.day2.ops.plugins.plugin_utils.lint.contradictions import contradictions
from ansible_collections.day2.ops.plugins.plugin_utils.report import acknowledge


@dataclass
class Findings:
    """What was looked at, and what is wrong with it."""

    checks: int = 0
    views: int = 0
    problems: list[str] = field(default_factory=list)


def look(checks: Mapping[str, list[Any]], shown: Mapping[str, list[Any]], acknowledged: Any) -> Findings:
    """Checks and views by cadence, and acknowledged findings, as the host has them."""
    found = Findings()
    parsed: dict[str, list[Check]] = {}
    for cadence, raw in checks.items():
        found.checks += len(raw)
        try:
            parsed[cadence] = parse_checks(raw, find_spec, registry.PROBES, 10.0)
        except CheckError as error:
            found.problems += [f"{cadence} {problem}" for problem in error.problems]
    ids = {str(entry.get("id")) for raw in checks.values() for entry in raw if isinstance(entry, Mapping)}
    for cadence, raw in shown.items():
        found.views += len(raw)
        for view in _guarded(found, f"{cadence} views", lambda raw=raw: views.parse(raw)):  # type: ignore[misc]
            missing = [name for name in view.pick(ids) if name not in ids]
            if missing or not view.pick(ids):
                what = f"'{missing[0]}'" if missing else f"'{', '.join(view.checks)}'"
                found.problems.append(f"{cadence} view '{view.id}' shows {what}, which is no check of this host")
    if acknowledged:
        _guarded(found, "acknowledged findings", lambda: acknowledge.parse(acknowledged))
    found.problems += contradictions(parsed)
    return found


def _guarded(found: Findings, what: str, read: Callable[[], list[Any]]) -> list[Any]:
    try:
        return read()
    except ValueError as error:
        found.problems.append(f"{what}: {error}")
        return []
