# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking again for a limited time."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import last_look


@pytest.mark.parametrize(
    ("enough", "limit", "seen", "at"),
    [
        (0, 5.0, 0, []),
        (2, 5.0, 2, [2.0, 2.0]),
        # The last pause is as long as there is time, and it is looked once more.
        (9, 5.0, 3, [2.0, 2.0, 1.0]),
        (9, 0.0, 0, []),
        (9, -1.0, 0, []),
    ],
    ids=["at once", "later", "never", "no time", "time is over"],
)
def test_last_look(enough: int, limit: float, seen: int, at: list[float]) -> None:
    pauses: list[float] = []
    looks = iter(range(100))
    found = last_look(
        lambda: next(looks), lambda number: number >= enough, limit, 2.0, lambda: 100.0 + sum(pauses), pauses.append
    )
    assert (found, pauses) == (seen, at)
