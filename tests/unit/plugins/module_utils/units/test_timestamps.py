# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moments are written in UTC, whatever zone the machine or the moment has, and read back as they were."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.day2.ops.plugins.module_utils.units import timestamps
from hypothesis import given
from hypothesis import strategies as st

AT = 1795225605.5


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    assert os.environ.get("TZ") == before
    time.tzset()


@pytest.mark.parametrize(
    "moment",
    [
        AT,
        datetime.fromtimestamp(AT, timezone.utc),
        datetime.fromtimestamp(AT, timezone(timedelta(hours=-9, minutes=-30))),
    ],
)
def test_every_form(moment: timestamps.Moment, zone: None) -> None:
    assert timestamps.rfc3339(moment) == "2026-11-21T01:46:45Z"
    assert timestamps.rfc3339_ms(moment) == "2026-11-21T01:46:45.500Z"
    assert timestamps.basic(moment) == "20261121T014645Z"
    assert timestamps.day(moment) == "2026-11-21"
    assert timestamps.readable(moment) == "2026-11-21 01:46:45 UTC"


@given(st.floats(min_value=0, max_value=4e9))
def test_what_is_written_is_read(moment: float) -> None:
    assert -1e-6 < moment - timestamps.parse_rfc3339(timestamps.rfc3339(moment)) < 1.000001
    assert -1e-6 < moment - timestamps.parse_rfc3339(timestamps.rfc3339_ms(moment)) < 0.001001


@pytest.mark.parametrize(
    ("text", "moment"),
    [("2026-11-21T01:46:45Z", 1795225605.0), ("2026-11-21 01:46:45.5z", AT), ("2026-11-21T03:16:45.500+01:30", AT),
     ("2026-11-20T20:46:45.500000000-05:00", AT), ("2016-12-31T23:59:60Z", 1483228800.0)],
)  # fmt: skip
def test_times_of_others(text: str, moment: float) -> None:
    assert timestamps.parse_rfc3339(text) == moment


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-11-21", "2026-11-21T01:46:45", "2026-13-01T00:00:00Z", "2026-11-21T01:46Z", None, 5]
)
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is no time|month must be"):
        timestamps.parse_rfc3339(text)
