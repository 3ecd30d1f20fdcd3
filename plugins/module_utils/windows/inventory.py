# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The windows of a system as its inventory lists them: read, with every fault named by window and field. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import zone_name
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import parse_name
from ansible_collections.day2.ops.plugins.module_utils.windows.rule import RuleError, parse_rule
from ansible_collections.day2.ops.plugins.module_utils.windows.window import Window

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LONGEST = 31 * 86400


class WindowsError(Day2Error):
    """Windows that are malformed: which of them, which field, and what is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


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
    return tuple(sorted({_date(each) for each in value}))


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
_FIELDS = ("name", "rrule", "dates", "from", "start", "duration", "timezone", "notice", "exceptions")
_REQUIRED = ("name", "start", "duration")


def parse_windows(raw: object) -> list[Window]:
    """Windows in the order of `raw`; the same one twice counts once. WindowsError names every fault."""
    if not isinstance(raw, (list, tuple)):
        raise WindowsError([f"{raw!r} is not a list of windows"])
    problems: list[str] = []
    windows: dict[str, Window] = {}
    for place, entry in enumerate(raw, start=1):
        window = _parse_window(place, entry, problems)
        if window is not None and windows.setdefault(window.name, window) != window:
            problems.append(f"window '{window.name}', field 'name': two different windows have it")
    if problems:
        raise WindowsError(problems)
    return list(windows.values())


def _parse_window(place: int, entry: object, problems: list[str]) -> Window | None:
    if not isinstance(entry, dict):
        problems.append(f"window {place}: {entry!r} is not a mapping")
        return None
    name = entry.get("name")
    label = f"window '{name}'" if isinstance(name, str) and name else f"window {place}"
    before = len(problems)
    for key in entry:
        if key not in _FIELDS:
            problems.append(f"{label}, field '{key}': is no field of a window; it has {', '.join(_FIELDS)}")
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        if entry.get(key) is None:
            if key in _REQUIRED:
                problems.append(f"{label}, field '{key}': is missing")
            continue
        try:
            values[key] = read(entry[key])
        except ArgumentError as exc:
            problems.append(f"{label}, field '{key}': {exc}")
    if len(problems) == before:
        _read_days(label, entry, values, problems)
    return _window(values) if len(problems) == before else None


def _read_days(label: str, entry: Mapping[str, Any], values: dict[str, Any], problems: list[str]) -> None:
    given = [key for key in ("rrule", "dates") if entry.get(key) is not None]
    if len(given) != 1:
        both = "'rrule' and 'dates' do not go together" if given else "is missing, and so is 'dates'"
        problems.append(f"{label}, field 'rrule': {both}")
    elif given == ["rrule"]:
        try:
            values["rule"] = parse_rule(entry["rrule"], values.get("from"))
        except RuleError as exc:
            problems.append(f"{label}, field 'rrule': {exc}")
    elif "from" in values:
        problems.append(f"{label}, field 'from': goes with 'rrule'")


def _window(values: Mapping[str, Any]) -> Window:
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
