# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a probe saw to a result: units, thresholds, status, message, evidence."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Result, Status, worst
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import (
    ThresholdError,
    Value,
    as_number,
    first_match,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    NO_UNIT,
    QuantityError,
    Unit,
    convert,
    parse_unit,
)

MAX_MESSAGE = 500


def settle(
    check: Check,
    status: Status,
    message: str,
    *,
    started: float,
    duration: float = 0.0,
    value: Value = None,
    unit: str | None = None,
    evidence: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> Result:
    """Make the record of a check whose status is known."""
    return Result.make(
        check.id,
        check.title,
        status,
        message,
        started,
        duration,
        probe=check.probe,
        value=value,
        unit=unit,
        warning=check.raw_warning,
        critical=check.raw_critical,
        evidence=evidence,
        ref=check.ref,
        sustained=check.sustained,
        secrets=secrets,
        longest=MAX_MESSAGE,
    )


def judge(check: Check, seen: Observation, *, started: float, duration: float, secrets: Sequence[str] = ()) -> Result:
    """Apply the check's thresholds and the built-in expectations to an observation."""
    value, unit = _in_wanted_unit(check, seen)
    status, message = _verdict(check, seen, value, unit)
    if isinstance(value, str) and not check.metric.words:
        value = _as_compared(check, value)
    return settle(
        check,
        status,
        message,
        started=started,
        duration=duration,
        value=value,
        unit=unit.symbol if unit is not None and unit.symbol else None,
        evidence=seen.evidence,
        secrets=secrets,
    )


def _as_compared(check: Check, text: str) -> Value:
    """A text as the number that a threshold needs, where it is one; else it stays as it was written."""
    number = as_number(text)
    if number is None or not any(threshold.needs_number for threshold in (*check.warning, *check.critical)):
        return text
    return int(number) if number == int(number) and "." not in text else number


def _in_wanted_unit(check: Check, seen: Observation) -> tuple[Value, Unit | None]:
    """The value in the unit that the check wants; where only the answer has a unit, in that one."""
    source, wanted = check.metric.source_unit, check.metric.unit
    if seen.unit is not None:
        try:
            source = parse_unit(seen.unit)
        except QuantityError:
            source = NO_UNIT
        wanted = wanted if wanted is not None and wanted.fits(source) else source
    number = as_number(seen.value)
    if check.metric.words or number is None or source is None or wanted is None:
        return seen.value, wanted
    number = round(convert(number, source, wanted), 6)
    return (int(number) if number == int(number) and isinstance(seen.value, int) else number), wanted


def _verdict(check: Check, seen: Observation, value: Value, unit: Unit | None) -> tuple[Status, str]:
    if seen.failure is not None:
        return Status.CRITICAL, seen.failure
    if seen.fault is not None:
        return Status.CRITICAL, f"{seen.text}, {seen.fault}"
    if value is None and (check.warning or check.critical) and seen.status is None:
        return Status.UNKNOWN, f"{seen.text}: there is no value to compare"
    try:
        found = [
            (status, threshold)
            for status, thresholds in ((Status.CRITICAL, check.critical), (Status.WARNING, check.warning))
            for threshold in [first_match(thresholds, value, unit)]
            if threshold is not None
        ]
    except ThresholdError as exc:
        return Status.UNKNOWN, f"{seen.text}: {exc}"
    if seen.unexpected is not None and not check.critical:
        return Status.CRITICAL, f"{seen.text}, {seen.unexpected}"
    if found:
        status, threshold = found[0]
        reason = f"{seen.text}, {status.value} {threshold.describe(unit or NO_UNIT, value)}"
        return worst((status, *_kept(check, seen))), reason
    return worst((Status.OK, *_kept(check, seen))), seen.text


def _kept(check: Check, seen: Observation) -> list[Status]:
    """The verdict that came with the value, where no threshold of the check takes its place."""
    if seen.status is None:
        return []
    replacing = check.critical if seen.status is Status.CRITICAL else (*check.warning, *check.critical)
    return [] if seen.is_default and replacing and seen.status is not Status.UNKNOWN else [seen.status]
