# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast logs grow, by the dates and sizes of their pieces, and when a limit is reached. Pure."""

from __future__ import annotations

from typing import Iterable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece

DAY = 86400.0
# The last week; where that has less than two rotations, because they are weekly or monthly, more of it.
_WINDOWS = (7 * DAY, 28 * DAY)
_LEAST = 2 * DAY


def per_day(pieces: Iterable[Piece], now: float) -> float | None:
    """Bytes of packed pieces a day, over the last days; None where two days of rotations are not there yet."""
    ages = sorted((now - piece.rotated, piece.size) for piece in pieces if piece.form)
    oldest = ages[-1][0] if ages else 0.0
    if oldest < _LEAST:
        return None
    for window in (*_WINDOWS, oldest):
        # What came before the oldest piece is not known: it begins a stretch, and is none of it.
        length = min(window, oldest)
        within = [(age, size) for age, size in ages if age < length]
        if len({int(age // DAY) for age, _size in within}) >= 2:
            return sum(size for _age, size in within) / length * DAY
    return None


def days_until(size: float, cap: float, rate: float, leaving: Sequence[tuple[float, float]], horizon: float) -> (
    float | None
):  # fmt: skip
    """Days until `size` reaches `cap` at `rate` bytes a day; None where it never does.

    `leaving` are pairs of days from now and bytes that go then, by their age. After `horizon` days, all that there is
    now has gone, and as much goes as comes.
    """
    at = 0.0
    for due, gone in (*sorted(leaving), (horizon, 0.0)):
        until = min(max(due, at), horizon)
        reached = at + (cap - size) / rate if rate > 0 and size < cap else at if size >= cap else None
        if reached is not None and reached <= until:
            return reached
        size += (until - at) * rate - gone
        at = until
    return None
