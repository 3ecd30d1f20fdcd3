# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changed since the baseline was recorded: accounts, sudo rights, firewall rules, modes of files, a figure."""

from __future__ import annotations

import re
import time
from typing import Any, Optional, Tuple, cast

from ansible_collections.day2.ops.plugins.module_utils.baseline import record
from ansible_collections.day2.ops.plugins.module_utils.baseline.record import Baseline
from ansible_collections.day2.ops.plugins.module_utils.baseline.subjects import COLLECT
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError, parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration, format_quantity
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import day

FIGURE = "figure"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def _validate(args: dict[str, Any], metric: str | None) -> None:
    subject = args["subject"]
    if (subject == "modes") != (args["path"] is not None):
        raise FieldError("path", "names the directory for subject 'modes', and goes with no other")
    for field in ("pattern", "exclude"):
        if args[field] is not None and subject != "modes":
            raise FieldError(field, "goes with subject 'modes' only")
    if (subject == FIGURE) != (args["of"] is not None):
        raise FieldError(
            "of", "is the check whose value is the figure; it goes with subject 'figure' and with no other"
        )
    if subject == FIGURE:
        _figure(args)
    wrong = {"changes"} if subject == FIGURE else {"drift"}
    if metric in wrong:
        raise FieldError("metric", f"'{metric}' is not for subject '{subject}'")


def _figure(args: dict[str, Any]) -> Check:
    """The check whose value is the figure."""
    of = args["of"]
    if of.get("probe") == "baseline":
        raise FieldError("of", "a baseline of a baseline says nothing")
    try:
        (check,) = parse_checks(
            [{"id": "of", "title": "of", **of}], lambda name: registry.load(name).SPEC, registry.PROBES, 10.0
        )
    except CheckError as exc:
        raise FieldError("of", str(exc).replace("check 'of', ", "")) from exc
    return check


SPEC = ProbeSpec(
    doc="Compares with the baseline that playbook `day2.ops.baseline` recorded. A change is a warning unless the check"
    " has thresholds; without a baseline it is unknown.",
    arguments={
        "subject": Argument("str", "What is compared.", required=True, choices=(*COLLECT, FIGURE)),
        "path": Argument("path", "For `modes`: the directory."),
        "pattern": Argument("strings", "For `modes`: only names that match one of these shell patterns."),
        "exclude": Argument("strings", "For `modes`: names, of directories too, that are left out."),
        "of": Argument("check", "For `figure`: probe, arguments, metric and unit of the check whose value counts."),
        "directory": Argument("path", "Where the host keeps its baselines.", default=record.DIRECTORY),
    },
    metrics={
        "changes": Metric("Lines that came or went.", "changes"),
        "drift": Metric("For `figure`: how far it went from its baseline; negative when it is less.", "%"),
        "age": Metric("Time since the baseline was recorded.", "s"),
    },
    default_metric="changes",
    validate=_validate,
    choose_metric=lambda args: "drift" if args["subject"] == FIGURE else "changes",
)


def parts(fields: dict[str, Any]) -> set[str]:
    """What the check loads whose value is the figure."""
    of = fields.get("of")
    is_another = isinstance(of, dict) and of.get("probe") != "baseline"
    return registry.needed(of) if is_another else set()


def collect(check: Check, now: float) -> Baseline:
    """What would be recorded now. Raises Undetermined or NeedsRoot."""
    args = dict(check.args)
    if _NAME.fullmatch(check.id) is None:
        raise Undetermined(f"'{check.id}' cannot name a file: letters, digits and '._-' can")
    if args["subject"] != FIGURE:
        return Baseline(args["subject"], now, tuple(COLLECT[args["subject"]](args)))
    figure = _figure(args)
    module = registry.load(figure.probe)
    source: Any = module.open_source([figure], _Nobody()) if hasattr(module, "open_source") else None
    try:
        seen = module.observe(source, figure)
    finally:
        if hasattr(source, "close"):
            source.close()
    if seen.failure is not None:
        raise Undetermined(seen.failure)
    if isinstance(seen.value, bool) or not isinstance(seen.value, (int, float)):
        raise Undetermined(f"{seen.text}: that is no figure")
    unit = figure.metric.source_unit
    return Baseline(FIGURE, now, value=float(seen.value), unit=unit.symbol if unit else None)


class _Nobody:
    """Stands where a pool would hear what is being worked on."""

    def enter(self, _item: int) -> None:
        """Nobody listens."""


def observe(_source: object, check: Check) -> Observation:
    path = record.place(check.args["directory"], check.id)
    recorded = record.read(path)
    if recorded is None:
        raise Undetermined("no baseline is recorded: run playbook day2.ops.baseline")
    now = time.time()
    age = now - recorded.recorded
    old = f"the baseline of {day(recorded.recorded)}"
    if check.metric.name == "age":
        return Observation(round(age, 1), f"{old} is {format_duration(age)} old")
    if recorded.subject != check.args["subject"]:
        raise Undetermined(f"{old} is of {recorded.subject}: record it again")
    return compare(recorded, collect(check, now), old, check)


def compare(before: Baseline, after: Baseline, old: str, check: Check) -> Observation:
    if check.metric.name == "drift":
        return _drift(before, after, old, check)
    changes = record.difference(before.lines, after.lines)
    if not changes:
        return Observation(0, f"{after.subject} as in {old}")
    text = (
        f"{counted(len(changes), 'line')} of {after.subject} {'differs' if len(changes) == 1 else 'differ'} from {old}"
    )
    return Observation(len(changes), text, evidence=changes, status=Status.WARNING, is_default=True)


def _drift(before: Baseline, after: Baseline, old: str, check: Check) -> Observation:
    was, value = cast(float, before.value), cast(float, after.value)
    unit = _figure(dict(check.args)).metric.source_unit
    shown, shown_old = (format_quantity(figure, unit) if unit else f"{figure:g}" for figure in (value, was))
    drift = record.drift_percent(was, value)
    if drift is None:
        raise Undetermined(f"{shown}, and {old} is 0: there is no share of nothing")
    return Observation(round(drift, 2), f"{shown}, {drift:+.1f} % from {shown_old} of {old}")


Recorded = Tuple[Check, Optional[Baseline], Optional[Baseline], Optional[str]]


def record_all(checks: list[Check], now: float) -> list[Recorded]:
    """For each check what was recorded, what is now, and why that cannot be told."""
    found: list[Recorded] = []
    for check in checks:
        try:
            before = record.read(record.place(check.args["directory"], check.id))
        except Undetermined:
            before = None
        try:
            found.append((check, before, collect(check, now), None))
        except (Undetermined, NeedsRoot) as exc:
            found.append((check, before, None, str(exc)))
    return found
