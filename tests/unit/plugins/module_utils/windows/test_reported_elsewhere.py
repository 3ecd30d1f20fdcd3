# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recurrences over changes of clocks that other schedulers got wrong, each rebuilt as windows of ours.

Public reports: ansible/awx 15809, 16407, 8071 and 1024, jkbrzt/rrule 157, remotehour/rrule-duration 213,
mantinedev/mantine 9112, dateutil/dateutil 1351 and 1398, zenoss/zenoss-prodbin 4069, SigNoz/signoz 7494,
apache/rocketmq-dashboard 3303, louislam/uptime-kuma 7704, googlecloudrobotics/core 575, rlanvin/php-rrule 39 and 140.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.words import answer

WEEKLY = {"name": "w", "rrule": "FREQ=WEEKLY;BYDAY=SU"}
CASES: list[tuple[str, dict[str, Any], str, list[tuple[str, float]]]] = [
    ("a start within daylight saving, asked about outside of it, is not an hour off (awx 15809)",
     {**WEEKLY, "from": "2024-07-07", "start": "16:00", "duration": "2h", "timezone": "America/New_York"},
     "2025-02-03T00:00:00+00:00",
     [("2025-02-09T16:00:00-05:00", 2.0), ("2025-02-16T16:00:00-05:00", 2.0)]),
    ("the hour stays the wall's hour on the day when clocks go back (awx 16407)",
     {"name": "w", "rrule": "FREQ=DAILY", "start": "09:00", "duration": "1h", "timezone": "America/New_York"},
     "2025-11-01T20:00:00+00:00",
     [("2025-11-02T09:00:00-05:00", 1.0), ("2025-11-03T09:00:00-05:00", 1.0)]),
    ("the day stays the day when clocks go forward (rrule 157)",
     {**WEEKLY, "start": "16:00", "duration": "1h", "timezone": "Australia/Sydney"},
     "2016-09-30T00:00:00+00:00",
     [("2016-10-02T16:00:00+11:00", 1.0), ("2016-10-09T16:00:00+11:00", 1.0)]),
    ("both ends move together (rrule-duration 213)",
     {**WEEKLY, "start": "09:00", "duration": "8h", "timezone": "America/New_York"},
     "2023-10-28T00:00:00+00:00",
     [("2023-10-29T09:00:00-04:00", 8.0), ("2023-11-05T09:00:00-05:00", 8.0)]),
    ("midnight stays midnight over a change (mantine 9112)",
     {"name": "w", "rrule": "FREQ=DAILY", "start": "00:00", "duration": "1h", "timezone": "Europe/Berlin"},
     "2026-03-28T12:00:00+00:00",
     [("2026-03-29T00:00:00+01:00", 1.0), ("2026-03-30T00:00:00+02:00", 1.0)]),
    ("a rule that began long ago goes on (awx 8071)",
     {**WEEKLY, "from": "2020-08-23", "start": "13:50", "duration": "1h", "timezone": "UTC"},
     "2026-09-02T00:00:00+00:00",
     [("2026-09-06T13:50:00+00:00", 1.0), ("2026-09-13T13:50:00+00:00", 1.0)]),
    ("an hour that comes twice is one window (dateutil 1351)",
     {"name": "w", "dates": ["2024-11-03"], "start": "01:30", "duration": "1h", "timezone": "America/New_York"},
     "2024-11-01T00:00:00+00:00",
     [("2024-11-03T01:30:00-04:00", 1.0)]),
    ("each window has its own zone, whatever the controller's is (zenoss 4069)",
     {**WEEKLY, "start": "02:00", "duration": "4h", "timezone": "Asia/Tokyo"},
     "2026-01-02T00:00:00+00:00",
     [("2026-01-04T02:00:00+09:00", 4.0)]),
    ("the day that a rule begins on has a window, too (uptime-kuma 7704)",
     {"name": "w", "rrule": "FREQ=DAILY", "from": "2026-08-11", "start": "14:55", "duration": "1h", "timezone": "UTC"},
     "2026-08-11T14:54:59+00:00",
     [("2026-08-11T14:55:00+00:00", 1.0), ("2026-08-12T14:55:00+00:00", 1.0)]),
    ("every other week counts from the week of the first day (php-rrule 140)",
     {"name": "w", "rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH", "from": "2023-09-03", "start": "15:00",
      "duration": "1h", "timezone": "UTC"},
     "2023-09-03T00:00:00+00:00",
     [("2023-09-14T15:00:00+00:00", 1.0), ("2023-09-28T15:00:00+00:00", 1.0)]),
    ("where weeks begin decides which week that is (php-rrule 39)",
     {"name": "w", "rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH;WKST=SU", "from": "2023-09-03", "start": "15:00",
      "duration": "1h", "timezone": "UTC"},
     "2023-09-03T00:00:00+00:00",
     [("2023-09-07T15:00:00+00:00", 1.0), ("2023-09-21T15:00:00+00:00", 1.0)]),
]  # fmt: skip


@pytest.mark.parametrize(("_why", "window", "asked", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_starts_and_lengths(_why: str, window: dict[str, Any], asked: str, wanted: list[tuple[str, float]]) -> None:
    found = answer(parse_windows([window]), datetime.fromisoformat(asked).timestamp(), len(wanted), 0.0)["upcoming"]
    zone = ZoneInfo(window["timezone"])
    starts = [
        datetime.fromisoformat(window_found["start"].replace("Z", "+00:00")).astimezone(zone) for window_found in found
    ]
    assert [start.isoformat() for start in starts] == [start for start, _hours in wanted]
    assert [window_found["duration"] / 3600 for window_found in found] == [hours for _start, hours in wanted]


@pytest.mark.parametrize(
    ("zone", "moment", "is_open"),
    [
        # 02:30 does not exist that night in Berlin, and comes twice in the autumn.
        ("Europe/Berlin", "2026-03-29T01:45:00+00:00", True), ("Europe/Berlin", "2026-03-29T00:00:00+00:00", False),
        ("Europe/Berlin", "2026-10-25T00:45:00+00:00", True), ("Europe/Berlin", "2026-10-25T00:15:00+00:00", False),
        ("Europe/Berlin", "2026-10-25T01:20:00+00:00", True), ("Europe/Berlin", "2026-10-25T01:45:00+00:00", False),
    ],
)  # fmt: skip
def test_a_window_in_the_hour_that_is_not_there_or_comes_twice(zone: str, moment: str, is_open: bool) -> None:
    window = {"name": "w", "rrule": "FREQ=DAILY", "start": "02:30", "duration": "1h", "timezone": zone}
    now = datetime.fromisoformat(moment).timestamp()
    state = answer(parse_windows([window]), now, 1, 0.0)
    assert state["open"] is is_open and (0 < state["seconds_left"] <= 3600) is is_open


@pytest.mark.parametrize(
    ("rule", "first", "days"),
    [
        # dateutil 1398: in the week of the first day, days before it count for a position as well.
        ("FREQ=WEEKLY;WKST=WE;BYSETPOS=1;BYDAY=MO,TU,WE", "2024-11-10", ["2024-11-13", "2024-11-20", "2024-11-27"]),
        ("FREQ=WEEKLY;WKST=WE;BYSETPOS=2;BYDAY=MO,TU,WE", "2024-11-10", ["2024-11-11", "2024-11-18", "2024-11-25"]),
        ("FREQ=WEEKLY;WKST=WE;BYSETPOS=-2;BYDAY=MO,TU,WE", "2024-11-10", ["2024-11-11", "2024-11-18", "2024-11-25"]),
        ("FREQ=WEEKLY;BYSETPOS=1;BYDAY=MO,WE,FR", "2027-01-06", ["2027-01-11", "2027-01-18", "2027-01-25"]),
        ("FREQ=WEEKLY;BYSETPOS=1;BYDAY=MO,WE,FR", "2027-01-04", ["2027-01-04", "2027-01-11", "2027-01-18"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYSETPOS=-1;BYDAY=TU,TH", "2027-01-06", ["2027-01-07", "2027-01-21", "2027-02-04"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYSETPOS=1;BYDAY=TU,TH", "2027-01-06", ["2027-01-19", "2027-02-02", "2027-02-16"]),
        ("FREQ=WEEKLY;BYSETPOS=2;BYDAY=SU,MO;WKST=SU", "0001-01-02", ["2027-01-04", "2027-01-11", "2027-01-18"]),
        # In a month and in a year the days before the first one count, too.
        ("FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", ["1997-09-04", "1997-10-07", "1997-11-06"]),
        ("FREQ=MONTHLY;BYDAY=SU;BYSETPOS=-1", "2017-07-01", ["2017-07-30", "2017-08-27", "2017-09-24"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29", ["1997-09-29", "1997-10-30", "1997-11-27"]),
        # The Sunday after the second Tuesday, which is not always the second one.
        ("FREQ=MONTHLY;BYDAY=SU;BYMONTHDAY=13,14,15,16,17,18,19", "2026-08-01",
         ["2026-08-16", "2026-09-13", "2026-10-18"]),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", "2026-01-01", ["2027-01-04", "2028-01-03", "2029-01-01"]),
        # A week in which the year changes is of the year that has most of it; dateutil has it in both.
        ("FREQ=YEARLY;BYWEEKNO=52;BYDAY=SU", "2026-12-01", ["2026-12-27", "2028-01-02", "2028-12-31"]),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU", "2026-12-01", ["2027-01-03", "2033-01-02", "2038-01-03"]),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SA;WKST=SU", "2025-01-01", ["2026-01-03", "2032-01-03", "2037-01-03"]),
        ("FREQ=YEARLY;BYWEEKNO=52;BYDAY=FR,SA;WKST=SU", "2026-12-20", ["2027-01-01", "2027-01-02", "2027-12-31"]),
        ("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU", "2026-12-20", ["2027-01-03", "2028-01-02", "2028-12-31"]),
        ("FREQ=YEARLY;BYWEEKNO=-52;BYDAY=MO", "2026-01-01", ["2026-01-05", "2027-01-04", "2028-01-03"]),
        ("FREQ=YEARLY;BYWEEKNO=1,20;BYDAY=MO,TU;BYSETPOS=-1", "2027-06-01", ["2028-05-16", "2029-12-31", "2030-12-31"]),
        ("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=10;BYDAY=WE", "2026-12-01", ["2028-03-08", "2030-03-06", "2032-03-03"]),
        ("FREQ=YEARLY;BYYEARDAY=-1", "2027-01-01", ["2027-12-31", "2028-12-31", "2029-12-31"]),
    ],
)  # fmt: skip
def test_days_by_their_position(rule: str, first: str, days: list[str]) -> None:
    window = {"name": "w", "rrule": rule, "from": first, "start": "02:00", "duration": "1h"}
    begin = datetime.fromisoformat(f"{days[0] if first < '1900' else first}T00:00:00+00:00").timestamp()
    found = answer(parse_windows([window]), begin, len(days))["upcoming"]
    assert [occurrence["start"][:10] for occurrence in found] == days


@pytest.mark.parametrize(
    ("window", "moments"),
    [
        # signoz 7494: it goes on after midnight, also of a month and of a year.
        ({"rrule": "FREQ=DAILY", "start": "23:00", "duration": "4h"},
         {"2026-03-31T22:59:59": 0, "2026-03-31T23:00:00": 14400, "2026-04-01T02:59:59": 1, "2026-04-01T03:00:00": 0}),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=-1", "start": "23:00", "duration": "4h"},
         {"2026-12-31T23:30:00": 12600, "2027-01-01T00:30:00": 9000, "2027-01-01T23:30:00": 0}),
        # A day that is left out is the day on which it begins.
        ({"rrule": "FREQ=DAILY", "start": "23:00", "duration": "4h", "exceptions": ["2026-04-01"]},
         {"2026-04-01T01:00:00": 7200, "2026-04-01T23:30:00": 0, "2026-04-02T01:00:00": 0,
          "2026-04-02T23:30:00": 12600}),
        # rocketmq-dashboard 3303: as long as its period, it is open to its last second, and never shut.
        ({"rrule": "FREQ=WEEKLY;BYDAY=SA", "start": "10:00", "duration": "7d"},
         {"2026-09-05T09:59:59": 1, "2026-09-05T10:00:00": 604800, "2026-09-12T09:59:59": 1}),
        # core 575: longer than its period, the occurrence counts that stays open longest.
        ({"rrule": "FREQ=WEEKLY;BYDAY=SA,SU", "start": "05:00", "duration": "38h"},
         {"2026-04-04T12:00:00": 111600, "2026-04-05T12:00:00": 111600, "2026-04-06T18:59:59": 1,
          "2026-04-06T19:00:00": 0}),
        ({"rrule": "FREQ=DAILY", "start": "00:00", "duration": "31d"}, {"2026-04-05T12:00:00": 31 * 86400 - 43200}),
    ],
)  # fmt: skip
def test_how_long_a_window_stays_open(window: dict[str, Any], moments: dict[str, int]) -> None:
    windows = parse_windows([{"name": "w", **window}])
    found = {text: answer(windows, datetime.fromisoformat(f"{text}+00:00").timestamp()) for text in moments}
    assert {text: said["seconds_left"] for text, said in found.items()} == moments
    assert all(said["open"] is (moments[text] > 0) for text, said in found.items())
