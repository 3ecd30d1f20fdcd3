# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Views over several runs: what they pick, say and draw; what is refused."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import Point, Series
from ansible_collections.day2.ops.plugins.plugin_utils.history.views import (
    CURVE_POINTS,
    DAY,
    ViewError,
    of_findings,
    of_values,
    parse,
    thinned,
)
from ansible_collections.day2.ops.plugins.plugin_utils.report import html
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import HostReport, Report, Run

NOW = 1_795_000_000.0
VIEW = {"id": "week", "title": "Week", "days": 7, "checks": ["disk", "api*"], "ref": "OE-W01"}
SERIES = {"disk": Series(1, "Root <disk>", "%"), "api": Series(2, "API", "ms")}


def days(*values: float | None, status: Status = Status.OK) -> list[Point]:
    return [Point(NOW - DAY * (len(values) - 1 - place), status, value, status) for place, value in enumerate(values)]


def drawn(result: Result) -> str:
    """The charts of a report's page."""
    now = datetime.fromtimestamp(NOW, timezone.utc)
    page = html.render(Report(Run("r", "T"), [HostReport("h", [result])], now, now))
    return page.partition('<table class="curves">')[2].partition("</table>")[0]


def test_values_are_told_and_drawn() -> None:
    (view,) = parse([VIEW])
    found = {"disk": days(40.0, 42.0, 50.0), "api": days(None, 3000.0, status=Status.WARNING), "gone": []}
    result = of_values(view, SERIES, found, NOW)
    assert result.status is Status.OK and result.value == 3 and result.ref == ["OE-W01"]
    assert result.message == "2026-11-11 to 2026-11-18: 3 runs, 2 findings"
    assert result.evidence == [
        "Root <disk>: now 50 %, +10 % since 2026-11-16; 40 % to 50 %, 44 % on average of 3",
        "API: now 3 s, seen once",
        "gone: nothing recorded",
    ]
    assert result.curves is not None
    charts = drawn(result)
    assert charts.count("<svg") == 2 and "Root &lt;disk&gt;" in charts
    (line,) = re.findall(r'points="([^"]+)"', charts.partition("</tr>")[0])
    heights = [float(place.split(",")[1]) for place in line.split()]
    assert heights[0] > heights[1] > heights[2]


def test_what_stays_is_a_line_in_the_middle() -> None:
    (view,) = parse([VIEW])
    result = of_values(view, SERIES, {"disk": days(7.0, 7.0)}, NOW)
    assert "now 7 %, unchanged since" in result.evidence[0]
    (line,) = re.findall(r'points="([^"]+)"', drawn(result))
    assert {place.split(",")[1] for place in line.split()} == {"18.0"}


def test_findings_come_most_often_first() -> None:
    (view,) = parse([{**VIEW, "show": "findings"}])
    counts = {
        "disk": {Status.OK: 6, Status.WARNING: 1},
        "api": {Status.CRITICAL: 2, Status.UNKNOWN: 1, Status.OK: 4},
        "fine": {Status.OK: 7},
    }
    result = of_findings(view, SERIES, counts, NOW)
    assert result.message.endswith("7 runs, 4 findings, from 2 of 3 checks")
    assert result.evidence == ["API: 2 critical, 1 unknown, of 7 runs", "Root <disk>: 1 warning, of 7 runs"]
    many = of_findings(view, {}, {f"c{number}": {Status.WARNING: 1} for number in range(30)}, NOW)
    assert len(many.evidence) == 20 and many.evidence[-1] == "and 11 more checks"


def test_nothing_in_the_history_is_unknown() -> None:
    (view,) = parse([VIEW])
    assert of_values(view, SERIES, {"disk": []}, NOW).status is Status.UNKNOWN
    assert of_findings(view, SERIES, {}, NOW).status is Status.UNKNOWN


def test_patterns_pick_what_is_known_and_ids_always() -> None:
    (view,) = parse([VIEW])
    assert view.pick(["api-p95", "cpu", "api"]) == ["disk", "api-p95", "api"]


def test_a_long_curve_keeps_its_peaks() -> None:
    points = [(float(at), float(at % 7)) for at in range(10_000)]
    points[4711] = (4711.0, 900.0)
    points[4800] = (4800.0, -900.0)
    kept = thinned(points)
    assert len(kept) <= CURVE_POINTS and points[4711] in kept and points[4800] in kept
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("week", "not a list"), ([3], "view 1 is not a mapping"), ([{**VIEW, "day": 3}], "'day' is no field"),
        ([{**VIEW, "id": ""}], "'id' is missing"), ([{**VIEW, "checks": []}], "'checks' is missing"),
        ([{**VIEW, "days": "week"}], "'days' is 'week'"), ([{**VIEW, "days": True}], "'days'"),
        ([{**VIEW, "days": 0}], "'days'"), ([{**VIEW, "show": "all"}], "'show' is 'all'"),
        ([VIEW, VIEW], "view 2 ('week'): the 'id' is taken"),
    ],
)  # fmt: skip
def test_malformed_views_are_refused_by_name(entries: Any, words: str) -> None:
    with pytest.raises(ViewError, match=re.escape(words)):
        parse(entries)
