# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows as an inventory lists them: what is refused, by window and field, and how they are said."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.windows import rule as rules
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import WindowsError, parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.rule import MissingLibrary
from ansible_collections.day2.ops.plugins.module_utils.windows.words import answer
from hypothesis import given
from hypothesis import strategies as st

GOOD: dict[str, Any] = {"name": "sunday", "rrule": "FREQ=MONTHLY;BYDAY=1SU", "start": "02:00", "duration": "4h"}
WRONG = [
    ("name", None, "is missing"),
    ("name", "First Sunday", "is no name"),
    ("start", None, "is missing"),
    ("start", 720, "no time of day in quotes"),
    ("start", "24:00", "no time of day"),
    ("start", "02:00:30", "no time of day"),
    ("duration", None, "is missing"),
    ("duration", "-2h", "not longer than nothing"),
    ("duration", 0, "not longer than nothing"),
    ("duration", "90s", "is not whole minutes"),
    ("duration", "32d", "longer than 31 days"),
    ("duration", "4 parsecs", "is not a duration"),
    ("duration", True, "is not a duration"),
    ("timezone", "Mars/Olympus", "no time zone that this machine knows"),
    ("timezone", 1, "no time zone"),
    ("timezone", "localtime", "is another zone on each machine"),
    ("timezone", "Factory", "is another zone on each machine"),
    ("timezone", "", "no time zone"),
    ("timezone", "../UTC", "no time zone"),
    ("timezone", "+02:00", "no time zone"),
    ("timezone", "GMT+2", "no time zone"),
    ("start", "02:00 ", "no time of day"),
    ("duration", "PT4H", "is not a quantity"),
    ("duration", "04:00", "is not a unit"),
    ("exceptions", [None], "is no date"),
    ("from", "2027-02-29", "is no date"),
    ("notice", "-1h", "less than nothing"),
    ("notice", "soon", "is not a quantity"),
    ("exceptions", "2027-01-03", "is not a list of dates"),
    ("exceptions", ["2027-02-30"], "'2027-02-30' is no date"),
    ("exceptions", [20270103], "is no date"),
    ("from", "yesterday", "is no date"),
    ("end", "06:00", "is no field of a window"),
    ("rrule", None, "is missing, and so is 'dates'"),
    ("dates", ["2027-01-03"], "do not go together"),
]
WRONG_RULES = {
    "": "is no part of a rule",
    "FREQ": "'FREQ' is no part of a rule",
    "BYDAY=SU": "has no FREQ",
    "FREQ=HOURLY": "FREQ=HOURLY is not DAILY, WEEKLY, MONTHLY or YEARLY",
    "FREQ=DAILY;FREQ=DAILY": "has FREQ twice",
    "DTSTART=20270101T000000;FREQ=DAILY": "DTSTART has no place in a window's rule: the first day stands in field",
    "DTSTART;TZID=UTC:20270101\nRRULE:FREQ=DAILY": "DTSTART has no place",
    "DTSTART:20270101\nRRULE:FREQ=DAILY": "DTSTART has no place",
    "FREQ=DAILY;COUNT=3": "COUNT has no place",
    "FREQ=DAILY\nEXDATE:20270103T020000Z": "EXDATE has no place",
    "RRULE:FREQ=DAILY\nRDATE;VALUE=DATE:20270103": "RDATE has no place",
    "FREQ=DAILY;UNTIL=20280101T000000": "UNTIL has no place",
    "FREQ=DAILY\nFREQ=DAILY": "has FREQ twice",
    "@weekly": "'@WEEKLY' is no part of a rule",
    "0 2 * * 0": "is no part of a rule",
    "Sun *-*-* 02:00": "is no part of a rule",
    "FREQ=WEEKLY;BYDAY=Sunday": "BYDAY=SUNDAY is not days",
    "FREQ=WEEKLY;BYDAY=": "BYDAY= is not days",
    "FREQ=WEEKLY;BYDAY=MO,,TU": "BYDAY=MO,,TU is not days",
    "FREQ=MONTHLY;BYDAY=SU;BYSETPOS=6": "falls on no day at all",
    "FREQ=DAILY;UNTIL=20280101": "UNTIL has no place",
    "FREQ=DAILY;BYHOUR=2": "the time stands in field 'start'",
    "FREQ=DAILY;BYMINUTE=2": "the time stands in field 'start'",
    "FREQ=DAILY;BYSECOND=2": "the time stands in field 'start'",
    "FREQ=DAILY;BYEASTER=0": "'BYEASTER=0' is no part of a rule",
    "FREQ=DAILY;INTERVAL=2": "add field 'from'",
    "FREQ=DAILY;INTERVAL=0": "INTERVAL=0 is not a whole number",
    "FREQ=DAILY;BYSETPOS=1": "BYSETPOS means nothing with FREQ=DAILY",
    "FREQ=WEEKLY": "FREQ=WEEKLY says no day",
    "FREQ=WEEKLY;BYDAY=XX": "BYDAY=XX is not days",
    "FREQ=WEEKLY;BYDAY=1SU": "a number before the day",
    "FREQ=WEEKLY;BYDAY=SU;BYMONTHDAY=1": "BYMONTHDAY means nothing with FREQ=WEEKLY",
    "FREQ=MONTHLY": "FREQ=MONTHLY says no day",
    "FREQ=MONTHLY;BYDAY=0SU": "days count from 1",
    "FREQ=MONTHLY;BYMONTHDAY=32": "BYMONTHDAY=32 is not numbers",
    "FREQ=MONTHLY;BYMONTHDAY=0": "BYMONTHDAY=0 is not numbers",
    "FREQ=MONTHLY;BYDAY=6SU": "falls on no day at all",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30": "falls on no day at all",
    "FREQ=YEARLY;BYMONTH=13;BYDAY=SU": "BYMONTH=13 is not months",
    "FREQ=YEARLY;BYMONTH=1": "FREQ=YEARLY says no day",
    "FREQ=YEARLY;BYWEEKNO=10;BYMONTHDAY=1": "add BYDAY",
}


def refused(entry: object) -> str:
    with pytest.raises(WindowsError) as caught:
        parse_windows([entry])
    return str(caught.value)


@pytest.mark.parametrize(("field", "value", "said"), WRONG)
def test_a_wrong_field_is_named(field: str, value: Any, said: str) -> None:
    text = refused({**GOOD, field: value})
    name = "window 1" if field == "name" and value is None else f"window '{(GOOD | {field: value})['name']}'"
    where = "rrule" if field == "dates" else field
    assert text.startswith(f"{name}, field '{where}': ") and said in text


@pytest.mark.parametrize("text", WRONG_RULES)
def test_a_wrong_rule_is_named(text: str) -> None:
    said = refused({**GOOD, "rrule": text})
    assert said.startswith("window 'sunday', field 'rrule': ") and WRONG_RULES[text] in said


def test_what_goes_with_a_rule_only() -> None:
    entry = {**GOOD, "rrule": None, "dates": ["2027-01-03"], "from": "2027-01-01"}
    assert refused(entry) == "window 'sunday', field 'from': goes with 'rrule'"


def test_all_faults_are_named_at_once() -> None:
    entry = {"name": "a", "rrule": "FREQ=DAILY", "start": "2", "duration": "x", "zone": "UTC"}
    with pytest.raises(WindowsError) as caught:
        parse_windows([entry, "b", GOOD, {**GOOD, "start": "03:00"}])
    assert len(caught.value.problems) == 5
    for said in ("field 'start'", "field 'duration'", "field 'zone'", "window 2: 'b'", "two different windows"):
        assert said in str(caught.value)
    with pytest.raises(WindowsError, match="is not a list of windows"):
        parse_windows(GOOD)


@given(st.text(alphabet="FREQ=DAILYWKMONTHBYSU;,:0123456789+-\n ", max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        parse_windows([{**GOOD, "rrule": f"FREQ=MONTHLY;{text}"}])
    except WindowsError as exc:
        assert "field 'rrule'" in str(exc)


def test_the_same_window_twice_counts_once() -> None:
    assert len(parse_windows([GOOD, dict(GOOD)])) == 1


def test_days_are_read_as_yaml_and_json_write_them() -> None:
    windows = [{**GOOD, "rrule": None, "dates": [each]} for each in (dt.date(2027, 1, 3), "2027-01-03")]
    assert parse_windows(windows[:1]) == parse_windows(windows[1:])
    assert "is no date" in refused({**GOOD, "rrule": None, "dates": [dt.datetime(2027, 1, 3)]})


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "rrulestr", None)
    with pytest.raises(MissingLibrary, match="install python3-dateutil"):
        parse_windows([GOOD])
    assert parse_windows([{**GOOD, "rrule": None, "dates": ["2027-01-03"]}])


def say(moment: str, **fields: Any) -> dict[str, Any]:
    now = dt.datetime.fromisoformat(moment + "+00:00").timestamp()
    return answer(parse_windows([{**GOOD, **fields}]), now)


def test_the_real_length_is_shown() -> None:
    spring = say("2027-03-27T00:00", rrule="FREQ=MONTHLY;BYDAY=-1SU", start="01:00", timezone="Europe/Berlin")
    assert spring["next"]["when"] == (
        "Sun 2027-03-28 00:00-04:00 UTC (Sun 2027-03-28 01:00-06:00 Europe/Berlin), 4 h;"
        " clocks go forward by 1 h meanwhile"
    )
    assert (spring["next"]["start_local"], spring["next"]["end_local"]) == (
        "2027-03-28T01:00:00+01:00",
        "2027-03-28T06:00:00+02:00",
    )
    autumn = say("2027-04-03T00:00", dates=["2027-04-04"], rrule=None, timezone="australia/lord_howe", start="01:00")
    assert autumn["next"]["when"] == (
        "Sat 2027-04-03 14:00-18:00 UTC (Sun 2027-04-04 01:00-04:30 Australia/Lord_Howe), 4 h;"
        " clocks go back by 30 min meanwhile"
    )
    over_midnight = say("2027-01-01T00:00", start="23:00")
    assert over_midnight["next"]["when"] == "Sun 2027-01-03 23:00 to Mon 2027-01-04 03:00 UTC, 4 h"


def test_what_a_playbook_asks() -> None:
    before = say("2027-01-03T01:59:59.5")
    assert (before["open"], before["seconds_until"], before["seconds_left"]) == (False, 1, 0)
    assert before["window"] == before["next"] and before["window"]["start"] == "2027-01-03T02:00:00Z"
    within = say("2027-01-03T05:00:00.5")
    assert (within["open"], within["seconds_until"], within["seconds_left"]) == (True, 0, 3599)
    assert within["window"]["end"] == "2027-01-03T06:00:00Z" and within["next"]["start"] == "2027-02-07T02:00:00Z"
    assert within["text"] == "window sunday is open: Sun 2027-01-03 02:00-06:00 UTC, 4 h"
    never = say("2028-01-01T00:00", rrule=None, dates=["2027-01-03"])
    assert (never["window"], never["next"], never["seconds_until"]) == (None, None, None)
    assert never["text"] == "no window is open, and none comes"
    assert answer([], 0)["text"] == "no window is open: there are none"


@pytest.mark.parametrize(
    "rule",
    ["freq=weekly;byday=su,mo", " RRULE:FREQ=WEEKLY;BYDAY=SU,MO; ", "FREQ = WEEKLY ; BYDAY = SU , MO",
     "FREQ=WEEKLY\nBYDAY=SU,MO\n", "BYDAY=SU,MO;FREQ=WEEKLY;WKST=SU"],
)  # fmt: skip
def test_one_rule_written_in_other_ways(rule: str) -> None:
    found = answer(parse_windows([{**GOOD, "rrule": rule}]), 1767225600.0, 3)["upcoming"]
    assert [occurrence["start"][:10] for occurrence in found] == ["2026-01-04", "2026-01-05", "2026-01-11"]
