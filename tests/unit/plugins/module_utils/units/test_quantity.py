# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    QuantityError,
    convert,
    counted,
    format_duration,
    format_quantity,
    parse_duration,
    parse_lifetime,
    parse_quantity,
    parse_unit,
    singular,
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
    ("number", "noun", "plural", "text"),
    [
        (0, "line", None, "0 lines"),
        (1, "line", None, "1 line"),
        (-1, "line", None, "-1 line"),
        (2, "matching line", None, "2 matching lines"),
        (1.5, "day", None, "1.5 days"),
        (3, "process", None, "3 processes"),
        (1, "process", None, "1 process"),
        (2, "entry", None, "2 entries"),
        (2, "address", None, "2 addresses"),
        (2, "branch", None, "2 branches"),
        (1, "index", "indexes", "1 index"),
        (2, "series", "series", "2 series"),
    ],
)
def test_what_is_counted_agrees_with_its_number(number: float, noun: str, plural: str | None, text: str) -> None:
    assert counted(number, noun, plural) == text


@pytest.mark.parametrize(
    ("label", "one"),
    [
        ("updates", "update"),
        ("lines", "line"),
        ("processes", "process"),
        ("queries", "query"),
        ("addresses", "address"),
        ("caches", "cache"),
        ("matches", "match"),
        ("boxes", "box"),
        ("status", "status"),
        ("bus", "bus"),
        ("progress", "progress"),
        ("analysis", "analysis"),
        ("jobs", "job"),
        ("°", "°"),
        ("s", "s"),
    ],
)
def test_one_of_what_a_label_counts(label: str, one: str) -> None:
    assert singular(label) == one


def test_units_of_one_are_singular() -> None:
    assert format_quantity(1, parse_unit("updates")) == "1 update"
    assert format_quantity(2, parse_unit("updates")) == "2 updates"


@pytest.mark.parametrize(("value", "seconds"), [("90d", 7776000), ("1.5h", 5400), ("0", 0), (0, 0), ("0s", 0)])
def test_what_removes_has_a_unit(value: object, seconds: float) -> None:
    assert parse_lifetime(value) == seconds


@pytest.mark.parametrize("value", [90, "90", 90.0, "1.5", " 7 ", "7GB", "soon", True, None])
def test_a_number_alone_removes_nothing(value: object) -> None:
    with pytest.raises(QuantityError):
        parse_lifetime(value)
