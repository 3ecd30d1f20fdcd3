# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Growth by the dates and sizes of pieces, and the days that are left."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.growth import DAY, days_until, per_day
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece

NOW = 1_790_000_000.0


def pieces(*ages_and_sizes: tuple[float, int], form: str = ".zst") -> list[Piece]:
    return [Piece(f"/l/{age}", "/l/app.log", NOW - age * DAY, form, size) for age, size in ages_and_sizes]


@pytest.mark.parametrize(
    ("found", "rate"),
    [
        # Daily: the last week counts, not what was before it.
        ([(age + 0.5, 100) for age in range(7)] + [(age + 0.5, 9000) for age in range(7, 30)], 100),
        # Several logs at the same moments.
        ([(age + 0.5, 100) for age in range(10)] * 3, 300),
        # Weekly and monthly ones: more than a week is looked at.
        ([(age, 700) for age in (1, 8, 15, 22, 29, 36)], 100),
        ([(age, 3000) for age in (15, 45, 75, 105)], 3000 * 3 / 105),
        # Little history: what came before its first piece is not known.
        ([(0.5, 100), (1.5, 100), (2.5, 77)], 200 / 2.5),
        ([(0.5, 100), (1.5, 100)], None),
        ([(30, 100)], None),
        ([(29.9, 100), (30, 100)], None),
        ([], None),
    ],
)
def test_growth_of_a_day(found: list[tuple[float, int]], rate: float | None) -> None:
    said = per_day(pieces(*found), NOW)
    assert said == (rate if rate is None else pytest.approx(rate))


def test_what_is_not_packed_yet_is_no_growth() -> None:
    daily = pieces(*[(age + 0.5, 100) for age in range(10)])
    assert per_day([*daily, *pieces((0.6, 10**6), form="")], NOW) == pytest.approx(100)


@pytest.mark.parametrize(
    ("size", "cap", "rate", "leaving", "horizon", "days"),
    [
        (400, 1000, 100, [], 30, 6),
        (1000, 1000, 100, [], 30, 0),
        (400, 1000, 0, [], 30, None),
        # As much goes as comes, a day's worth at a time.
        (1000, 1001, 100, [(day, 100) for day in range(1, 11)], 10, 0.01),
        (900, 1100, 100, [(day, 100) for day in range(1, 11)], 10, None),
        # It grows faster than before.
        (500, 1200, 150, [(day, 50) for day in range(1, 11)], 10, 6.666667),
        # What would be too old already goes at once.
        (500, 600, 10, [(-3, 200)], 30, 30),
        (500, 600, 9, [(-3, 200)], 30, None),
    ],
)
def test_days_until_a_limit(
    size: float, cap: float, rate: float, leaving: list[tuple[float, float]], horizon: float, days: float | None
) -> None:
    said = days_until(size, cap, rate, leaving, horizon)
    assert said == (days if days is None else pytest.approx(days, abs=0.001))
