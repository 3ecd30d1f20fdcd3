# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a threshold has to be met before it counts: `5m`, or `3 runs`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

_RUNS = re.compile(r"(\d{1,6})\s+runs?")


@dataclass(frozen=True)
class Stretch:
    """Either a number of runs, this one too, or seconds."""

    runs: int | None = None
    seconds: float | None = None


def parse(text: str) -> Stretch:
    """Read `5m` or `3 runs`; QuantityError for anything else."""
    match = _RUNS.fullmatch(text.strip())
    if match is not None:
        number = int(match[1])
        if number < 1:
            raise QuantityError(f"'{text}' is less than one run")
        return Stretch(runs=number)
    if not re.search(r"[A-Za-zµ]", text):
        raise QuantityError(f"'{text}' is neither a stretch of time, such as 5m, nor a number of runs, such as 3 runs")
    seconds = parse_duration(text)
    if seconds <= 0:
        raise QuantityError(f"'{text}' is not longer than nothing")
    return Stretch(seconds=seconds)
