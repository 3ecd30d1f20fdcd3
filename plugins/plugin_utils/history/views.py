# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Views over several runs: what some checks of a host did in the last days. Pure: points in, a result out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    NO_UNIT,
    QuantityError,
    format_quantity,
    parse_unit,
)
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import day
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import Point, Series

PROBE = "history"
DAY = 86400
LONGEST_DAYS = 3660
VALUES, FINDINGS = "values", "findings"
# More points than this cannot be distinguished in a small chart.
CURVE_POINTS = 240
_EVIDENCE_LINES = 20
_FIELDS = ("id", "title", "days", "checks", "show", "ref")
_BAD = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING)


class ViewError(Day2Error):
    """A view that cannot be made; the message names it and its field."""


@dataclass(frozen=True)
class View:
    """`checks` are ids of a host's checks or shell patterns of them, `days` is the stretch that ends now.

    `show` is `values` (how the numbers went) or `findings` (what alarmed, and how often).
    """

    id: str
    title: str
    days: int
    checks: tuple[str, ...]
    show: str
    ref: tuple[str, ...]

    def pick(self, known: Iterable[str]) -> list[str]:
        """The checks that are meant, in the view's order; a plain id is meant also when nothing is known of it."""
        names = list(known)
        found: dict[str, None] = {}
        for pattern in self.checks:
            if any(sign in pattern for sign in "*?["):
                found.update((name, None) for name in names if fnmatchcase(name, pattern))
            else:
                found[pattern] = None
        return list(found)


def parse(entries: object) -> list[View]:
    """The entries of `day2_<cadence>_views`; ViewError names what is wrong."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ViewError("they are not a list")
    views = [_read(number, entry) for number, entry in enumerate(entries, start=1)]
    for number, view in enumerate(views, start=1):
        if any(view.id == other.id for other in views[: number - 1]):
            raise ViewError(f"view {number} ('{view.id}'): the 'id' is taken by a view before it")
    return views


def _read(number: int, entry: object) -> View:
    if not isinstance(entry, Mapping):
        raise ViewError(f"view {number} is not a mapping of {', '.join(_FIELDS)}")
    name = f"view {number} ('{entry.get('id')}')"
    strange = [field for field in entry if field not in _FIELDS]
    if strange:
        raise ViewError(f"{name}: '{strange[0]}' is no field; {meant(strange[0], _FIELDS)}")
    missing = [field for field in ("id", "title", "checks") if not entry.get(field)]
    if missing:
        raise ViewError(f"{name}: '{missing[0]}' is missing")
    days, show = entry.get("days", 7), entry.get("show", VALUES)
    if isinstance(days, bool) or not str(days).isdecimal() or not 0 < int(days) <= LONGEST_DAYS:
        raise ViewError(f"{name}: 'days' is '{days}', not a number of days up to {LONGEST_DAYS}")
    if show not in (VALUES, FINDINGS):
        raise ViewError(f"{name}: 'show' is '{show}', neither {VALUES} nor {FINDINGS}")
    checks, ref = (
        tuple(map(str, given if isinstance(given, (list, tuple)) else [given]))
        for given in (entry["checks"], entry.get("ref") or [])
    )
    return View(str(entry["id"]), str(entry["title"]), int(days), checks, str(show), ref)


def of_values(view: View, series: Mapping[str, Series], points: Mapping[str, Sequence[Point]], now: float) -> Result:
    """How the numbers of the picked checks went: a sentence and a curve each."""
    evidence, curves, findings = [], [], 0
    for check, found in points.items():
        known = series.get(check)
        title, unit = (known.title, known.unit) if known is not None else (check, None)
        findings += sum(point.counted in _BAD for point in found)
        numbers = [(point.at, point.value) for point in found if point.value is not None]
        if numbers:
            sentence = _describe(numbers, unit)
        else:
            sentence = f"{_times(len(found))}, none with a number" if found else "nothing recorded"
        evidence.append(f"{title}: {sentence}")
        curves.append({"title": title, "summary": sentence, "points": [list(point) for point in thinned(numbers)]})
    runs = max((len(found) for found in points.values()), default=0)
    return _result(view, now, runs, _count(findings), evidence, curves)


def of_findings(
    view: View, series: Mapping[str, Series], counts: Mapping[str, Mapping[Status, int]], now: float
) -> Result:
    """Which of the picked checks alarmed, most often first."""
    runs = max((sum(found.values()) for found in counts.values()), default=0)
    alarmed = {check: sum(found.get(bad, 0) for bad in _BAD) for check, found in counts.items()}
    evidence = []
    for check in sorted((check for check, times in alarmed.items() if times), key=lambda name: -alarmed[name]):
        found = counts[check]
        kinds = ", ".join(f"{found[bad]} {bad.value}" for bad in _BAD if found.get(bad))
        title = series[check].title if check in series else check
        evidence.append(f"{title}: {kinds}, of {_times(sum(found.values()))}")
    total = sum(alarmed.values())
    sentence = f"{_count(total)}, from {len(evidence)} of {len(counts)} checks" if total else _count(0)
    if len(evidence) > _EVIDENCE_LINES:
        evidence[_EVIDENCE_LINES - 1 :] = [f"and {len(evidence) - _EVIDENCE_LINES + 1} more checks"]
    return _result(view, now, runs, sentence, evidence, [])


def unseen(view: View, now: float, status: Status, why: str) -> Result:
    """A view that could not be made."""
    return _result(view, now, 0, why, [], [], status)


def _result(
    view: View,
    now: float,
    runs: int,
    sentence: str,
    evidence: list[str],
    curves: list[dict[str, Any]],
    status: Status | None = None,
) -> Result:
    stretch = f"{day(now - view.days * DAY)} to {day(now)}"
    if status is None:
        status = Status.OK if runs else Status.UNKNOWN
        sentence = (
            f"{stretch}: {_times(runs)}, {sentence}"
            if runs
            else f"{stretch}: nothing of these checks is in the history"
        )
    return Result.make(
        view.id,
        view.title,
        status,
        sentence,
        now,
        probe=PROBE,
        value=runs or None,
        unit="runs" if runs else None,
        evidence=evidence,
        ref=view.ref,
        curves=curves or None,
    )


def _describe(numbers: Sequence[tuple[float, float]], symbol: str | None) -> str:
    try:
        unit = parse_unit(symbol) if symbol else NO_UNIT
    except QuantityError:
        unit = NO_UNIT
    values = [value for _at, value in numbers]
    last, low, high, mean = (
        format_quantity(value, unit) for value in (values[-1], min(values), max(values), sum(values) / len(values))
    )
    if len(values) == 1:
        return f"now {last}, seen once"
    change = values[-1] - values[0]
    moved = f"{'+' if change > 0 else '-'}{format_quantity(abs(change), unit)}" if change else "unchanged"
    return f"now {last}, {moved} since {day(numbers[0][0])}; {low} to {high}, {mean} on average of {len(values)}"


def _count(findings: int) -> str:
    return {0: "no findings", 1: "1 finding"}.get(findings, f"{findings} findings")


def _times(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def thinned(points: Sequence[tuple[float, float]], most: int = CURVE_POINTS) -> list[tuple[float, float]]:
    """At most so many points; of each stretch its least and its greatest value, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    kept: list[tuple[float, float]] = []
    stretches = most // 2
    for number in range(stretches):
        part = points[number * len(points) // stretches : (number + 1) * len(points) // stretches]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept
