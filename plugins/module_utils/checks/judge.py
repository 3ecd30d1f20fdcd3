# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a probe saw to a result: units, thresholds, status, message, evidence."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import clip_evidence, mask, printable
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    NO_UNIT,
    QuantityError,
    Unit,
    convert,
    parse_unit,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Result, Status, worst
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import (
    ThresholdError,
    Value,
    as_number,
    first_match,
)

MAX_MESSAGE = 500


def rfc3339(timestamp: float) -> str:
    """A POSIX time as `2026-11-21T03:15:00.123Z`."""
    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


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
    """Make the record of a check whose status is known; masks and caps what people will read."""
    return Result(
        id=check.id,
        title=check.title,
        probe=check.probe,
        status=status,
        value=printable(mask(value, secrets)) if isinstance(value, str) else value,
        unit=unit,
        message=printable(_one_line(mask(message, secrets))),
        warning=check.raw_warning,
        critical=check.raw_critical,
        evidence=clip_evidence([printable(mask(line, secrets)) for line in evidence]),
        ref=check.ref,
        started=rfc3339(started),
        duration=round(duration, 4),
        sustained=check.sustained,
    )


def judge(check: Check, seen: Observation, *, started: float, duration: float, secrets: Sequence[str] = ()) -> Result:
    """Apply the check's thresholds and the built-in expectations to an observation."""
    value, unit = _in_wanted_unit(check, seen)
    status, message = _verdict(check, seen, value, unit)
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
        reason = f"{seen.text}, {status.value} {threshold.describe(unit or NO_UNIT)}"
        return (worst((status, Status.UNKNOWN)) if seen.status is Status.UNKNOWN else status), reason
    if seen.status is not None and (seen.status is Status.UNKNOWN or not (check.warning or check.critical)):
        return seen.status, seen.text
    return Status.OK, seen.text
