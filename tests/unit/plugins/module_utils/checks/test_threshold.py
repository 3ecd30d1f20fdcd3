# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import (
    ThresholdError,
    parse_threshold,
    parse_thresholds,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import parse_unit
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("threshold", "value", "unit", "triggered"),
    [
        ("> 80%", 80.1, "%", True),
        ("> 80%", 80, "%", False),
        (">= 80%", 80, "%", True),
        ("> 80", 81, "%", True),
        ("> 1s", 1200, "ms", True),
        ("> 1s", 900, "ms", False),
        ("== 300ms", 0.3, "s", True),
        ("<= 300ms", 0.1 + 0.2, "s", True),
        ("< 100/s", 99, "/s", True),
        ("> 10GB", 11e9, "B", True),
        ("> 10GB", 9.9, "GB", False),
        ("!= active", "failed", "", True),
        ("!= active", "active", "", False),
        ("== active", "active", "", True),
        ("== true", True, "", True),
        ("!= 200", 200, "", False),
        ("== 15.4", "15.4", "", True),
        ("== 15.4-1", "15.4-1", "", True),
        ("!= ok", 5, "", True),
        ("> 5", "7", "", True),
    ],
)
def test_thresholds(threshold: str, value: object, unit: str, triggered: bool) -> None:
    assert parse_threshold(threshold).matches(value, parse_unit(unit)) is triggered  # type: ignore[arg-type]


def test_an_empty_threshold_names_the_missing_quotes() -> None:
    for empty in ("", "  ", [""]):
        with pytest.raises(ThresholdError, match="quotes"):
            parse_thresholds(empty)


@pytest.mark.parametrize(
    "wrong", [80, 80.5, True, "80%", "=> 5", ">> 5", "> fast", ">", "!=", {"a": 1}, [], "> 10G", "= 5"]
)
def test_malformed_thresholds_are_refused(wrong: object) -> None:
    with pytest.raises(ThresholdError):
        parse_thresholds(wrong)


def test_text_is_not_silently_compared_with_a_number() -> None:
    with pytest.raises(ThresholdError, match="not a number"):
        parse_threshold("> 5").matches("many", parse_unit(""))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_opposite_operators_never_agree(value: float, limit: float) -> None:
    unit = parse_unit("ms")
    verdicts = {
        symbol: parse_threshold(f"{symbol} {limit!r}").matches(value, unit)
        for symbol in (">", "<=", "<", ">=", "==", "!=")
    }
    assert verdicts[">"] != verdicts["<="] and verdicts["<"] != verdicts[">="] and verdicts["=="] != verdicts["!="]


def test_limits_of_one_are_singular() -> None:
    assert parse_threshold("> 1 updates").describe(parse_unit("updates")) == "above 1 update"
    assert parse_threshold("> 1").describe(parse_unit("updates")) == "above 1 update"
    assert parse_threshold("> 1 ms").describe(parse_unit("ms")) == "above 1 ms"
