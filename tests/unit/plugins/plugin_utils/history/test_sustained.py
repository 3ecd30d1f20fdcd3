# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thresholds that have to last: every short past, by time and by runs."""

from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.sustained import Stretch, parse
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import Point
from ansible_collections.day2.ops.plugins.plugin_utils.history.sustained import apply

NOW, MINUTE = 1_800_000_000.0, 60.0
C, U, W, OK = Status.CRITICAL, Status.UNKNOWN, Status.WARNING, Status.OK


def row(status: Status, warning: str | None = "> 80%") -> Result:
    return Result(
        "cpu", "CPU", "cpu", status, 97.0, "%", "97 % busy", warning, "> 95%", [], [], "2026-11-21T03:00:00Z", 0.1,
        sustained="any",
    )  # fmt: skip


def past(*statuses: Status) -> list[Point]:
    """A run a minute, the last of them a minute ago."""
    return [Point(NOW - MINUTE * (len(statuses) - place), status, 1.0, status) for place, status in enumerate(statuses)]


def expected(statuses: tuple[Status, ...], now: Status, runs: int) -> Status:
    """By the definition: walk back over what could tell, and count."""
    told = [status for status in statuses if status is not U]

    def lasts(*bad: Status) -> bool:
        return len(told) >= runs - 1 and all(status in bad for status in told[len(told) - (runs - 1) :])

    if now not in (C, W):
        return now
    if now is C and lasts(C):
        return C
    return W if lasts(C, W) else OK


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_every_short_past_by_runs(runs: int) -> None:
    for length in range(5):
        for statuses in product((C, U, W, OK), repeat=length):
            for now in (C, U, W, OK):
                counted = apply(row(now), Stretch(runs=runs), past(*statuses), NOW).status
                assert counted is expected(statuses, now, runs), (statuses, now)


@pytest.mark.parametrize(
    ("seconds", "status"), [(60, C), (119, C), (120, C), (121, OK), (3600, OK)],
)  # fmt: skip
def test_by_time_from_the_first_bad_run(seconds: float, status: Status) -> None:
    assert apply(row(C), Stretch(seconds=seconds), past(OK, C, C), NOW).status is status


def test_without_a_warning_threshold_nothing_milder_is_said() -> None:
    assert apply(row(C, warning=None), Stretch(runs=3), past(W, W), NOW).status is OK


def test_the_message_says_how_long() -> None:
    assert apply(row(C), Stretch(runs=3), past(C), NOW).message == (
        "97 % busy; critical for 2 of 3 runs, which does not count yet"
    )
    assert apply(row(C), Stretch(seconds=300), past(C), NOW).message == (
        "97 % busy; critical for 1 min of 5 min, which does not count yet"
    )
    assert apply(row(C), Stretch(seconds=60), past(C), NOW).message == "97 % busy, for 1 min"
    assert "a warning for 3 runs" in apply(row(C), Stretch(runs=3), past(W, W), NOW).message


def test_without_a_history_it_counts_at_once() -> None:
    counted = apply(row(C), Stretch(runs=3), None, NOW)
    assert counted.status is C and "no history to look at" in counted.message


@pytest.mark.parametrize(("text", "stretch"), [
    ("5m", Stretch(seconds=300)), ("1 run", Stretch(runs=1)), ("3 runs", Stretch(runs=3)),
    ("2h", Stretch(seconds=7200)),
])  # fmt: skip
def test_what_is_read(text: str, stretch: Stretch) -> None:
    assert parse(text) == stretch


@pytest.mark.parametrize("text", ["5", "", "0 runs", "0s", "runs", "3 times", "-5m", "> 5m", "1.5 runs"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)
