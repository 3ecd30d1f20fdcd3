# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A year of daily runs over 1,000 hosts of 50 checks: views over 30 days, recording one more run, size on disk."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure

HOSTS, CHECKS, DAYS = 1000, 50, 365
DAY = 86400.0
NOW = 1_795_000_000.0


def fill(place: Path) -> None:
    """Runs as record() leaves them, past it: a year of them would take it a quarter of an hour."""
    from ansible_collections.day2.ops.plugins.plugin_utils.history.store import History

    History(str(place)).close()
    chance = random.Random(1)

    def results() -> Iterator[tuple[int, int, int, int, float]]:
        for run in range(1, DAYS + 1):
            for series in range(1, HOSTS * CHECKS + 1):
                status = 3 if chance.random() > 0.02 else 0
                yield run, series, status, status, chance.random() * 100

    connection = sqlite3.connect(place)
    connection.executemany(
        "INSERT INTO day2_series (system, host, name, title, unit) VALUES ('s', ?, ?, ?, '%')",
        ((f"h{host}", f"c{check}", f"Check {check}") for host in range(HOSTS) for check in range(CHECKS)),
    )
    runs = ((f"run-{day}", NOW - DAY * (DAYS - day)) for day in range(1, DAYS + 1))
    connection.executemany("INSERT INTO day2_run (run_id, system, cadence, at) VALUES (?, 's', 'daily', ?)", runs)
    connection.executemany(
        "INSERT INTO day2_result (run, series, status, counted, value) VALUES (?, ?, ?, ?, ?)", results()
    )
    connection.commit()
    connection.close()


def run() -> list[Figure]:
    from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
    from ansible_collections.day2.ops.plugins.plugin_utils.history.remember import Memory
    from ansible_collections.day2.ops.plugins.plugin_utils.history.views import parse
    from ansible_collections.day2.ops.plugins.plugin_utils.report.document import HostReport, Run

    def hosts() -> list[HostReport]:
        return [
            HostReport(
                f"h{host}",
                [
                    Result(f"c{check}", f"Check {check}", "cpu", Status.OK, 7.0, "%", "", None, None, [], [], "", 0.0)
                    for check in range(CHECKS)
                ],
            )
            for host in range(HOSTS)
        ]

    def seconds(name: str, views: list[dict[str, object]], writes: bool = False) -> float:
        chosen = parse(views)
        memory = Memory(
            str(place), Run(name, "Daily", system="s"), NOW + 60, {f"h{n}": chosen for n in range(HOSTS)}, writes=writes
        )
        reports, begun = hosts(), time.monotonic()
        _seen, notes = memory(reports)
        if notes:
            raise RuntimeError(notes)
        return time.monotonic() - begun

    view = {"id": "v", "title": "V", "days": 30}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "history.sqlite"
        fill(place)
        size = place.stat().st_size / 2**30
        detail = f"{HOSTS:,} hosts x {CHECKS} checks x {DAYS} days"
        nothing = seconds("none", [])
        values = seconds("values", [{**view, "checks": ["c1", "c2", "c3", "c4", "c5"]}])
        findings = seconds("findings", [{**view, "checks": "*", "show": "findings"}])
        record = seconds("record", [], writes=True) - nothing
    return [
        Figure("30-day view, 5 checks of each host", values, 2, detail, "s"),
        Figure("30-day view, findings of all checks", findings, 2, detail, "s"),
        Figure("one more run", record, 20, "50,000 results recorded, as part of the report's 20 s", "s"),
        Figure("a year on disk", size, 6, detail, "GB"),
    ]
