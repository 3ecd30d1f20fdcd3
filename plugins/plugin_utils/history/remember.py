# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run owes to the runs before it: thresholds that have to last, and views. Then it is recorded itself.

A history that cannot be used never ends a run: a note says why, sustained thresholds count at once, views are unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.sustained import parse as parse_sustained
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.history import sustained, views
from ansible_collections.day2.ops.plugins.plugin_utils.history.dialects import HistoryError
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import (
    History,
    Key,
    Point,
    Row,
    Series,
)
from ansible_collections.day2.ops.plugins.plugin_utils.history.views import View
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import HostReport, Run

# So far back a streak is looked for: enough for 3 monthly runs.
_LOOK_BACK = 100.0 * views.DAY
# Clocks of controllers that share a history differ by less.
_CLOCKS_DIFFER = 300.0


@dataclass
class _Past:
    """What the history says to a run; without it, why not."""

    # Points of rows that have to last, by host and check, oldest first.
    streaks: dict[Key, list[Point]] = field(default_factory=dict)
    views: dict[str, list[Result]] = field(default_factory=dict)
    why_not: tuple[Status, str] | None = None


@dataclass
class Memory:
    """Applies the history at `place` (None: there is none) to the hosts of a report; times are POSIX seconds.

    `views` are those of each host. `writes` is False in check mode: what was is looked at, and nothing is added.
    """

    place: str | None
    run: Run
    now: float
    views: Mapping[str, Sequence[View]] = field(default_factory=dict)
    keep_days: int = 400
    writes: bool = True

    def __call__(self, hosts: list[HostReport]) -> tuple[list[HostReport], list[str]]:
        """The hosts as they count, and notes."""
        if self.place is None:
            past = _Past(why_not=(Status.SKIPPED, "no history is kept (day2_history)"))
            return [self._with_views(self._softened(host, past), past) for host in hosts], []
        past, notes = _Past(why_not=(Status.UNKNOWN, "the history cannot be used, see the note")), list[str]()
        counted = None
        try:
            with _opened(self.place, self.run.system, not self.writes) as history:
                newest = history.newest()
                known = history.series()
                past = self._streaks(history, known, hosts)
                counted = [self._softened(host, past) for host in hosts]
                self._look(history, known, counted, past)
                if newest is not None and newest > self.now + _CLOCKS_DIFFER:
                    notes.append(
                        f"the history has a run of {rfc3339_ms(newest)}, which is to come: was the clock set back"
                    )
                if self.writes:
                    notes += self._record(history, hosts, counted, newest)
        except HistoryError as error:
            notes.append(f"the history cannot be used: {error}")
        counted = counted or [self._softened(host, past) for host in hosts]
        return [self._with_views(host, past) for host in counted], notes

    def _streaks(self, history: History, known: Mapping[Key, Series], hosts: Sequence[HostReport]) -> _Past:
        lasting = {
            (host.host, row.id): known[host.host, row.id]
            for host in hosts
            for row in host.results
            if row.sustained is not None and row.alarming and (host.host, row.id) in known
        }
        points = history.points(list(lasting.values()), self.now - _LOOK_BACK, self.now)
        return _Past(streaks={key: points.get(one.id, []) for key, one in lasting.items()})

    def _look(self, history: History, known: Mapping[Key, Series], hosts: Sequence[HostReport], past: _Past) -> None:
        """All views, over rows as they count."""
        names: dict[str, dict[str, Series]] = {}
        for (name, check), one in known.items():
            names.setdefault(name, {})[check] = one
        # Hosts of one group share their views: a view is asked for once, for all of them.
        shared: dict[View, list[HostReport]] = {}
        for host in hosts:
            for view in self.views.get(host.host, ()):
                shared.setdefault(view, []).append(host)
        for view, chosen in shared.items():
            self._view(history, view, chosen, names, past)

    def _view(
        self,
        history: History,
        view: View,
        hosts: Sequence[HostReport],
        names: Mapping[str, Mapping[str, Series]],
        past: _Past,
    ) -> None:
        picked = {host.host: view.pick([*names.get(host.host, ()), *_by_id(host)]) for host in hosts}
        wanted = [
            names[host][check] for host, checks in picked.items() for check in checks if check in names.get(host, ())
        ]
        look = history.counts if view.show == views.FINDINGS else history.points
        found = look(wanted, self.now - view.days * views.DAY, self.now)
        for host in hosts:
            series, rows = dict(names.get(host.host, {})), _by_id(host)
            before: dict[str, Any] = {}
            for check in picked[host.host]:
                before[check] = found.get(series[check].id) if check in series else None
                row = rows.get(check)
                if row is not None:
                    series[check] = Series(-1, row.title, row.unit)
            past.views.setdefault(host.host, []).append(
                views.of_findings(view, series, _counted(before, rows), self.now)
                if view.show == views.FINDINGS
                else views.of_values(view, series, _appended(before, rows, self.now), self.now)
            )

    def _record(
        self, history: History, hosts: Sequence[HostReport], counted: Sequence[HostReport], newest: float | None
    ) -> list[str]:
        as_counted = {(host.host, row.id): row.status for host in counted for row in host.results}
        rows = [
            Row(host.host, row.id, row.title, row.unit, row.status, number(row), as_counted[host.host, row.id])
            for host in hosts
            for row in host.results
        ]
        history.record(self.run.run_id, self.run.cadence or "", self.now, rows)
        keep = self.keep_days * views.DAY
        if newest is not None and self.now - newest > keep:
            # Or everything would be forgotten because of one run with a wrong clock.
            return [
                f"the newest run before this one was on {rfc3339_ms(newest)}: nothing is forgotten in this run,"
                " in case the clock is wrong"
            ]
        history.prune(self.now - keep)
        return []

    def _softened(self, host: HostReport, past: _Past) -> HostReport:
        rows = [self._row(host.host, row, past) for row in host.results]
        return HostReport(host.host, rows, host.duration, host.reachable, host.refused)

    def _with_views(self, host: HostReport, past: _Past) -> HostReport:
        chosen = self.views.get(host.host, ())
        if not chosen or not host.reachable or host.refused is not None:
            return host
        shown = past.views.get(host.host, [])
        if past.why_not is not None or not shown:
            status, why = past.why_not or (Status.UNKNOWN, "the history cannot be used, see the note")
            shown = [views.unseen(view, self.now, status, why) for view in chosen]
        return HostReport(host.host, [*host.results, *shown], host.duration, host.reachable, host.refused)

    def _row(self, host: str, row: Result, past: _Past) -> Result:
        if row.sustained is None:
            return row
        points = past.streaks.get((host, row.id), []) if past.why_not is None else None
        return sustained.apply(row, parse_sustained(row.sustained), points, self.now)


def _by_id(host: HostReport) -> dict[str, Result]:
    return {row.id: row for row in host.results}


def _appended(
    before: Mapping[str, Sequence[Point] | None], rows: Mapping[str, Result], now: float
) -> dict[str, list[Point]]:
    """Points of each check with this run's at their end."""
    return {
        check: [
            *(points or ()),
            *([Point(now, rows[check].status, number(rows[check]), rows[check].status)] if check in rows else ()),
        ]
        for check, points in before.items()
    }


def _counted(
    before: Mapping[str, Mapping[Status, int] | None], rows: Mapping[str, Result]
) -> dict[str, dict[Status, int]]:
    """Counts of each check with this run's among them."""
    found = {}
    for check, counts in before.items():
        found[check] = dict(counts or {})
        if check in rows:
            status = rows[check].status
            found[check][status] = found[check].get(status, 0) + 1
    return found


def number(row: Result) -> float | None:
    """The value, where it is a number that fits."""
    value = row.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


@contextmanager
def _opened(place: str, system: str, reads_only: bool) -> Iterator[History]:
    history = History(place, system, reads_only)
    try:
        yield history
    finally:
        history.close()
