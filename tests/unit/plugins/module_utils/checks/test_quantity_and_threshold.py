# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    QuantityError,
    convert,
    format_duration,
    format_quantity,
    parse_duration,
    parse_quantity,
    parse_unit,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import (
    ThresholdError,
    parse_threshold,
    parse_thresholds,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("10GB", 1e10),
        ("2Gi", 2 * 2**30),
        ("2GiB", 2**31),
        ("500ms", 0.5),
        ("30d", 2592000),
        ("100/s", 100),
        ("60/min", 1),
        ("80%", 80),
        ("5", 5),
        ("-1.5", -1.5),
        ("1e3 ms", 1),
        ("10 MB/s", 1e7),
        ("7 connections", 7),
    ],
)
def test_quantities_in_base_units(text: str, base: float) -> None:
    number, unit = parse_quantity(text)
    assert number * (unit.factor if unit else 1) == pytest.approx(base)


@pytest.mark.parametrize("text", ["10G", "10K", "5 /x", "ten", "", "5 %%", "5/parsec"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_quantity(text)


def test_units_of_unlike_dimensions_do_not_convert() -> None:
    with pytest.raises(QuantityError):
        convert(1, parse_unit("ms"), parse_unit("GB"))
    with pytest.raises(QuantityError):
        convert(1, parse_unit("MB/s"), parse_unit("/s"))


def test_durations() -> None:
    assert (parse_duration("24h"), parse_duration(5), parse_duration("1.5")) == (86400, 5, 1.5)
    for wrong in ("5GB", True, None, "soon"):
        with pytest.raises(QuantityError):
            parse_duration(wrong)


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (91.34, "%", "91.3 %"),
        (80, "%", "80 %"),
        (2.5 * 2**30, "B", "2.5 GiB"),
        (0, "B", "0 B"),
        (512, "MiB", "512.0 MiB"),
        (120, "ms", "120 ms"),
        (3.25, "s", "3.2 s"),
        (100000, "s", "1 d 3 h"),
        (412.5, "/s", "412.5/s"),
        (37, "connections", "37 connections"),
    ],
)
def test_shown_as_an_operator_says_it(number: float, unit: str, text: str) -> None:
    assert format_quantity(number, parse_unit(unit)) == text


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_every_duration_can_be_shown(seconds: float) -> None:
    assert format_duration(seconds)


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
