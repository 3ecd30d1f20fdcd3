# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history as playbooks keep it: in a file, on a real PostgreSQL server, and where neither works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.plugin_utils.history import dialects
from ansible_collections.day2.ops.plugins.plugin_utils.history.dialects import HistoryError
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import History, Row
from site_of_hosts import DISK, Site

PASSWORD = "f1ctional-history"
LASTING = {**DISK, "id": "full", "critical": "> 0%", "sustained": "2 runs"}
WEEK = {"id": "week", "title": "Week", "checks": "*", "days": 7}


@pytest.fixture(scope="module")
def dsn(lab_host: Any) -> Iterator[str]:
    """A database of the lab host's PostgreSQL, reached through a tunnel."""
    lab_host.sql(f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")
    lab_host.sql("CREATE DATABASE history OWNER keeper")
    try:
        with lab_host.tunnel(5432) as port:
            yield f"postgresql://keeper:{PASSWORD}@127.0.0.1:{port}/history"
    finally:
        lab_host.sql("DROP DATABASE history WITH (FORCE)")
        lab_host.sql("DROP ROLE keeper")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# Which of them needs a host is seen before the fixture asks for it.
@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.lab)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "history.sqlite")
    lab_host = request.getfixturevalue("lab_host")
    address: str = request.getfixturevalue("dsn")
    for table in ("day2_result", "day2_series", "day2_run", "day2_history"):
        lab_host.sql(f"DROP TABLE IF EXISTS {table}", "history")
    return address


def test_both_stores_keep_the_same(place: str) -> None:
    history = History(place)
    statuses = (Status.OK, Status.WARNING, Status.CRITICAL, Status.OK)
    for day, status in enumerate(statuses):
        rows = [Row(host, "cpu", f"CPU {day}", "%", status, day * 1.5 or None) for host in ("a", "b")]
        history.record(f"run-{day}", "daily", day * 86400.0, rows)
    history.close()
    history = History(place)
    known = history.series()
    assert set(known) == {("a", "cpu"), ("b", "cpu")} and known["a", "cpu"].title == "CPU 3"
    one = known["a", "cpu"]
    points = history.points([one], 0, 3 * 86400.0)[one.id]
    assert [tuple(point)[:3] for point in points] == [
        (86400, Status.WARNING, 1.5), (172800, Status.CRITICAL, 3.0), (259200, Status.OK, 4.5),
    ]  # fmt: skip
    counts = dict.fromkeys((Status.WARNING, Status.CRITICAL, Status.OK), 1)
    assert history.counts([one], 0, 3 * 86400.0) == {one.id: counts}
    assert history.newest() == 3 * 86400.0
    history.prune(2 * 86400.0)
    assert [point.at for point in history.points([one], -1, 9e9)[one.id]] == [172800, 259200]
    history.close()


def test_many_write_at_once(place: str) -> None:
    """Parts of a sliced run may all be the first; none of them is lost."""

    def part(number: int) -> None:
        history = History(place)
        rows = [Row(f"h{number}", f"c{check}", "C", None, Status.OK, 1.0) for check in range(50)]
        history.record("one", "daily", 1000.0 + number, rows)
        history.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(part, range(8)))
    history = History(place)
    assert len(history.points(list(history.series().values()), 0, 9e9)) == 400
    history.close()


def test_a_locked_table_is_an_error_in_time(lab_host: Any, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    History(dsn).close()
    monkeypatch.setattr(dialects, "BUSY_SECONDS", 1.0)
    with psycopg2.connect(dsn) as other:
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE day2_result")
        history = History(dsn)
        with pytest.raises(HistoryError, match="lock timeout"):
            history.record("one", "daily", 1.0, [Row("h", "c", "C", None, Status.OK, 1.0)])
        history.close()
    other.close()


def test_whoever_may_only_write_rows_needs_no_more(lab_host: Any, dsn: str) -> None:
    History(dsn).close()
    lab_host.sql("CREATE ROLE clerk LOGIN PASSWORD 'clerk'", "history")
    lab_host.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk", "history")
    lab_host.sql("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk", "history")
    try:
        history = History(dsn.replace(f"keeper:{PASSWORD}", "clerk:clerk"))
        history.record("by-clerk", "daily", 5000.0, [Row("h", "c", "C", None, Status.OK, 1.0)])
        history.close()
    finally:
        lab_host.sql("DROP OWNED BY clerk", "history")
        lab_host.sql("DROP ROLE clerk")


def test_a_threshold_that_lasts_and_a_view_over_the_runs(site: Site, place: str) -> None:
    site.host("a", day2_daily_checks=[LASTING], day2_daily_views=[WEEK])
    assert site.run(day2_history=place) == 0, site.output
    assert "critical for 1 of 2 runs" in site.results("a")["full"]["message"]
    assert site.run(day2_history=place) == 2, site.output
    results = site.results("a")
    assert results["full"]["status"] == "critical" and site.report["notes"] == []
    assert results["week"]["value"] == 2 and len(results["week"]["curves"][0]["points"]) == 2
    # History and password stay out of what is shown and written, however much is asked for.
    site.run("-vvv", day2_history=place, in_full=True)
    assert "module_args" in site.output
    told = site.output + "".join(path.read_text() for path in site.latest().iterdir())
    assert "f1ctional" not in told


def test_the_history_lies_beside_the_reports(site: Site) -> None:
    site.host("a", day2_daily_checks=[LASTING])
    site.run()
    assert (site.folder / "reports" / "history.sqlite").exists()
    site.run(day2_history=False)
    assert not (site.folder / "reports" / "history.sqlite").exists() and "counts at once" in site.output


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://keeper:s3cret-w0rd%zz@127.0.0.1:1/history", "127.0.0.1"),
        ("postgresql://keeper:s3cret-w0rd@127.0.0.1:1/history", "127.0.0.1"),
        ("/proc/nowhere/history.sqlite", "/proc/nowhere"),
    ],
)
def test_a_run_goes_on_without_its_history(site: Site, address: str, words: str) -> None:
    site.host("a", day2_daily_checks=[LASTING], day2_daily_views=[WEEK])
    assert site.run(day2_history=address) == 2, site.output
    (note,) = site.report["notes"]
    assert note.startswith("the history cannot be used") and words in note and "s3cret" not in note
    assert note in site.output
    assert {name: result["status"] for name, result in site.results("a").items()} == {
        "full": "critical", "week": "unknown",
    }  # fmt: skip


def test_a_malformed_view_is_refused_before_anything_runs(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK], day2_daily_views_more=[{**WEEK, "show": "all"}])
    assert site.run() == 2
    assert "day2_daily_views_more of a: view 1 ('week'): 'show' is 'all'" in site.output and site.report is None


def test_a_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        history = History(str(small / "h"))
        rows = [Row("a", f"check-{number}", "T" * 200, None, Status.OK, 1.0) for number in range(5000)]
        with pytest.raises(HistoryError, match="full"):
            history.record("one", "daily", 1.0, rows)
        assert history.series() == {}
        history.close()
    finally:
        subprocess.run(["umount", str(small)], check=True)
