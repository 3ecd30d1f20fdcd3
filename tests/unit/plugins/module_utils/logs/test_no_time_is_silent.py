# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""However a date and a time of day are put together: read rightly, or said to be unreadable; never passed over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time, why_unreadable
from hypothesis import given, settings
from hypothesis import strategies as st

DATES = ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%y/%m/%d", "%d-%m-%Y"]
DATES += ["%d/%b/%Y", "%d-%b-%Y", "%Y%m%d", "%y%m%d", "%Y-%b-%d", "%d.%b.%Y", "%d%b%Y", "%b-%d-%Y", "%m-%d", "%d/%m"]
DATES += ["%Y_%m_%d", "%Y-%j", "%G-W%V-%u", "%d.%m.", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y"]
DATES += ["%a %b %d", "%b %d", "%b %e", "%d %b", "%d. %b %Y", "%Y-%m-%e", "%Y %b %d", "%Y %m %d", "%A, %d %B %Y"]
GAPS = [" ", "  ", "T", ":", "_", "-", ", ", " - ", "\t", " at "]
CLOCKS = ["%H:%M:%S", "%k:%M:%S", "%H:%M:%S.123", "%H:%M:%S,123", "%H:%M:%S:123", "%H:%M", "%I:%M:%S %p"]
CLOCKS += ["%H.%M.%S", "%H%M%S", "%Hh%M", "%H-%M-%S"]
BEFORE = ["", "[", "<34>", "ERROR ", "[7] ", "web | ", '"', "(", "10.0.0.1 - - [", "INFO: ", "app: ", "app[7]: ", " "]
BEHIND = {"": 0, " ERROR x": 0, "Z x": 1, "] ERROR x": 0, " CET x": 0, " [7] x": 0, ",x": 0, "|x": 0}


@pytest.fixture(autouse=True, scope="module")
def _berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@settings(max_examples=1000, deadline=None)
@given(
    st.datetimes(datetime(2026, 10, 26), datetime(2026, 11, 29)),
    st.tuples(st.sampled_from(DATES), st.sampled_from(GAPS), st.sampled_from(CLOCKS)),
    st.sampled_from(BEFORE),
    st.sampled_from(sorted(BEHIND)),
)
def test_a_date_and_a_time_of_day(moment: datetime, shapes: tuple[str, str, str], before: str, behind: str) -> None:
    date, gap, clock = shapes
    line = (before + moment.strftime(date) + gap + moment.strftime(clock).lstrip() + behind).encode()
    now = datetime(2026, 11, 30, 12).timestamp()
    found = line_time(line, now)
    if found is None:
        assert why_unreadable(line, now), line
        return
    # What follows as Z is an hour later than in Berlin's winter.
    assert int(found) // 60 == int(moment.timestamp() + 3600 * BEHIND[behind]) // 60, line
