# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The windows of a system as its inventory lists them: read, with every fault named by window and field. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import Entries, EntriesError
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import zone_name
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import parse_name
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.windows.rule import RuleError, parse_rule
from ansible_collections.day2.ops.plugins.module_utils.windows.window import Window

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LONGEST = 31 * 86400
# Files among those of time zones that are no place's: what a machine is set to, and what one that is not set has.
_NO_PLACE = ("localtime", "posixrules", "factory")


class WindowsError(EntriesError):
    """Windows that are malformed: which of them, which field, and what is wrong with it."""


def _start(value: object) -> int:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ArgumentError(f"{value!r} is no time of day in quotes, such as '02:00'")
    return 60 * int(match[1]) + int(match[2])


def _duration(value: object) -> int:
    seconds: float = Argument("duration", "").read(value)
    if seconds % 60 or seconds > _LONGEST:
        raise ArgumentError(f"{value!r} is not whole minutes, or longer than 31 days")
    return int(seconds)


def _notice(value: object) -> float:
    try:
        seconds = parse_duration(value)
    except QuantityError as exc:
        raise ArgumentError(str(exc)) from exc
    if not 0 <= seconds <= 12 * _LONGEST:
        raise ArgumentError(f"{value!r} is less than nothing, or more than a year")
    return seconds


def _zone(value: object) -> str:
    if isinstance(value, str) and value.lower() in _NO_PLACE:
        raise ArgumentError(f"{value!r} is another zone on each machine: name it, such as UTC or Europe/Berlin")
    name = zone_name(value) if isinstance(value, str) else None
    if name is None:
        raise ArgumentError(f"{value!r} is no time zone that this machine knows, such as UTC or Europe/Berlin")
    return name


def _date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return date(value.year, value.month, value.day)
    try:
        # fromisoformat takes other forms too, in some versions of Python.
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ArgumentError(f"{value!r} is no date, such as 2027-01-03")


def _dates(value: object) -> tuple[date, ...]:
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(f"{value!r} is not a list of dates, such as [2027-01-03]")
    return tuple(sorted({_date(day) for day in value}))


_READERS: Mapping[str, Callable[[object], Any]] = {
    "name": parse_name,
    "start": _start,
    "duration": _duration,
    "from": _date,
    "dates": _dates,
    "exceptions": _dates,
    "timezone": _zone,
    "notice": _notice,
}
_ENTRIES = Entries("window", _READERS, required=("name", "start", "duration"), others=("rrule",))


def parse_windows(raw: object) -> list[Window]:
    """Windows in the order of `raw`; the same one twice counts once. WindowsError names every fault."""
    return _ENTRIES.read(raw, _window, WindowsError)


def _window(entry: Mapping[str, Any], values: dict[str, Any], report: Callable[[str, str], None]) -> Window:
    given = [key for key in ("rrule", "dates") if entry.get(key) is not None]
    if len(given) != 1:
        report("rrule", "'rrule' and 'dates' do not go together" if given else "is missing, and so is 'dates'")
    elif given == ["rrule"]:
        try:
            values["rule"] = parse_rule(entry["rrule"], values.get("from"))
        except RuleError as exc:
            report("rrule", str(exc))
    elif "from" in values:
        report("from", "goes with 'rrule'")
    more = {"notice": values["notice"]} if "notice" in values else {}
    return Window(
        name=values["name"],
        start=values["start"],
        duration=values["duration"],
        rule=values.get("rule"),
        dates=values.get("dates", ()),
        exceptions=frozenset(values.get("exceptions", ())),
        zone=values.get("timezone", "UTC"),
        **more,
    )
