# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look again and again, for a limited time. Seconds are of the monotonic clock."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

# Seconds between two looks.
PAUSE = 0.2
_Seen = TypeVar("_Seen")


def last_look(
    look: Callable[[], _Seen],
    enough: Callable[[_Seen], bool],
    limit: float,
    pause: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> _Seen:
    """What was seen when it was enough, or when so many seconds were over, at which it is looked once more."""
    end = clock() + limit
    while True:
        seen = look()
        left = end - clock()
        if enough(seen) or left <= 0:
            return seen
        sleep(min(pause, left))


def wait_until(wanted: Callable[[], bool], limit: float) -> bool:
    """Whether it came true within so many seconds."""
    return last_look(wanted, bool, limit, PAUSE)
