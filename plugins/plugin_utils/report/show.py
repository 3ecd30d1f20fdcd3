# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a value and its thresholds are shown to a person, the same in every rendering."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    NO_UNIT,
    QuantityError,
    Unit,
    format_quantity,
    parse_unit,
)


@lru_cache(maxsize=1024)
def unit_of(symbol: str | None) -> Unit | None:
    """None where the symbol is no unit that we know: it is shown as it is."""
    if not symbol:
        return NO_UNIT
    try:
        return parse_unit(symbol)
    except QuantityError:
        return None


def value_text(row: Result) -> str:
    if row.value is None:
        return ""
    if isinstance(row.value, bool):
        return "true" if row.value else "false"
    if isinstance(row.value, str):
        return row.value
    unit = unit_of(row.unit)
    return format_quantity(row.value, unit) if unit else f"{row.value} {row.unit}"


def short_refs(refs: Sequence[str]) -> str:
    """`OE-D03 +2`: the first id of the manual's items and how many more there are; nothing without any."""
    return f"{refs[0]} +{len(refs) - 1}" if len(refs) > 1 else "".join(refs)


def thresholds(row: Result) -> str:
    """`warning > 80%, critical > 90%`, or nothing."""
    shown = []
    for name, threshold in (("warning", row.warning), ("critical", row.critical)):
        if threshold:
            shown.append(f"{name} {' or '.join(threshold) if isinstance(threshold, list) else threshold}")
    return ", ".join(shown)
