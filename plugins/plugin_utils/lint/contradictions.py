# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two checks that ask the same and judge it differently: one value a warning here and critical there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import (
    Threshold,
    ThresholdError,
    Value,
    first_match,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    NO_UNIT,
    QuantityError,
    Unit,
    convert,
    format_quantity,
)

_ELSE = "something else"


def contradictions(checks: Mapping[str, Sequence[Check]]) -> list[str]:
    """Sentences about the checks of each cadence: which two of them, at what value, say what."""
    asked: dict[Any, list[tuple[str, Check]]] = {}
    for cadence, chosen in checks.items():
        for check in chosen:
            if check.enabled and (check.warning or check.critical):
                asked.setdefault(question(check), []).append((f"{cadence} check '{check.id}'", check))
    found = []
    for alike in asked.values():
        for (first, one), (second, other) in combinations(alike, 2):
            difference = _difference(one, other)
            if difference is not None:
                value, here, there = difference
                found.append(
                    f"{first} and {second} read the same value and contradict each other:"
                    f" {value} is {here.value} in the one and {there.value} in the other"
                )
    return found


def question(check: Check) -> tuple[str, str, str]:
    """What is asked, without how it is judged."""
    args = sorted((name, repr(value)) for name, value in check.args.items())
    return check.probe, check.metric.name, repr(args)


def _difference(one: Check, other: Check) -> tuple[str, Status, Status] | None:
    """A value that is a warning to one of them and critical to the other.

    What is fine to one of them is no contradiction: checks may watch the two ends of one quantity.
    """
    unit = one.metric.source_unit or one.metric.unit or other.metric.unit or NO_UNIT
    for value in _values(unit, one, other):
        here, there = _status(one, value, unit), _status(other, value, unit)
        if {here, there} == {Status.WARNING, Status.CRITICAL} and here is not None and there is not None:
            return format_quantity(value, unit) if isinstance(value, float) else str(value), here, there
    return None


def _values(unit: Unit, *checks: Check) -> Iterator[Value]:
    """Values at, between and beyond all limits; and every word, with one that is none of them."""
    limits = [(check, limit) for check in checks for limit in (*check.warning, *check.critical)]
    words = [limit.word for _check, limit in limits if limit.word is not None and limit.number is None]
    yield from dict.fromkeys(words)
    if words:
        yield _ELSE
    numbers = sorted({number for check, limit in limits for number in _number(check, limit, unit)})
    if not numbers:
        return
    yield from numbers
    for low, high in pairwise(numbers):
        yield (low + high) / 2
    room = max(abs(numbers[0]), abs(numbers[-1]), 1.0) / 10
    yield numbers[-1] + room
    yield numbers[0] - room


def _number(check: Check, limit: Threshold, unit: Unit) -> list[float]:
    if limit.number is None:
        return []
    try:
        return [convert(limit.number, limit.unit or check.metric.unit or unit, unit)]
    except QuantityError:
        return []


def _status(check: Check, value: Value, unit: Unit) -> Status | None:
    """What the thresholds alone say; None where they cannot be compared with such a value."""
    own = check.metric.unit or unit
    try:
        mine = convert(value, unit, own) if isinstance(value, float) else value
        for status, limits in ((Status.CRITICAL, check.critical), (Status.WARNING, check.warning)):
            if first_match(limits, mine, own) is not None:
                return status
    except (ThresholdError, QuantityError):
        return None
    return Status.OK
