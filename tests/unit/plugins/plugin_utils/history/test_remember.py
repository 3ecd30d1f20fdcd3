# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run owes to earlier ones, on files: recording, streaks, views, and a history that fails."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample_run
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.plugin_utils.history import dialects
from ansible_collections.day2.ops.plugins.plugin_utils.history.dialects import HistoryError
from ansible_collections.day2.ops.plugins.plugin_utils.history.remember import Memory
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import History, Row
from ansible_collections.day2.ops.plugins.plugin_utils.history.views import DAY, parse
from ansible_collections.day2.ops.plugins.plugin_utils.report import html, terminal
from ansible_collections.day2.ops.plugins.plugin_utils.report import json as as_json
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, build

SCHEMA = json.loads((Path(__file__).resolve().parents[5] / "docs" / "report-schema.json").read_text())
NOW = 1_795_000_000.0
VIEW = {"id": "week", "title": "Week", "days": 7, "checks": "cpu"}


def report(
    place: Path | None, at: float, status: str = "critical", name: str = "", system: str = "", **memory: Any
) -> Report:
    """A run over one host whose check `cpu` has this status, and lasts for two runs before it counts."""
    row = {**sample_run.row(2, status), "sustained": "2 runs"}
    run = Run(name or f"run-{at:.0f}", "Daily", system, cadence="daily")
    remember = Memory(str(place) if place else None, run, at, **memory)
    moment = datetime.fromtimestamp(at, timezone.utc)
    return build(run, [("a", {"results": [row]})], moment, remember=remember)


def cpu(made: Report) -> Any:
    (row,) = [row for row in made.hosts[0].results if row.id == "cpu"]
    return row


def test_a_second_bad_run_counts(tmp_path: Path) -> None:
    place = tmp_path / "new" / "history.sqlite"
    first, second = report(place, NOW), report(place, NOW + DAY)
    assert cpu(first).status is Status.OK and not first.failing and "does not count yet" in cpu(first).message
    assert cpu(second).status is Status.CRITICAL and second.failing
    assert cpu(report(place, NOW + 2 * DAY, "ok")).status is Status.OK
    assert cpu(report(place, NOW + 3 * DAY)).status is Status.OK


def test_check_mode_adds_nothing(tmp_path: Path) -> None:
    place = tmp_path / "new" / "h"
    made = report(place, NOW, writes=False, views={"a": parse([VIEW])})
    assert made.notes == [] and not place.parent.exists()
    report(place, NOW)
    before = place.read_bytes()
    seen = report(place, NOW + DAY, writes=False, views={"a": parse([VIEW])})
    assert cpu(seen).status is Status.CRITICAL and place.read_bytes() == before
    assert {row.id: row.value for row in seen.hosts[0].results}["week"] == 2


def test_views_stand_in_every_format(tmp_path: Path) -> None:
    views = {"a": parse([VIEW, {**VIEW, "id": "often", "title": "Often", "checks": "*", "show": "findings"}])}
    for day in range(3):
        made = report(tmp_path / "h", NOW + day * DAY, views=views)
    rows = {row.id: row for row in made.hosts[0].results}
    assert rows["week"].value == 3 and rows["week"].probe == "history"
    assert rows["often"].evidence == ["CPU usage: 2 critical, of 3 runs"]
    document = json.loads(as_json.render(made))
    jsonschema.validate(document, SCHEMA)
    assert 'class="curve"' in html.render(made) and "3 runs, 2 findings" in terminal.render(made, "p")


def test_an_old_run_is_forgotten(tmp_path: Path) -> None:
    place = tmp_path / "h"
    for day in (0, 200, 401):
        report(place, NOW + day * DAY)
    history = History(str(place))
    (one,) = history.series().values()
    kept = [point.at for point in history.points([one], 0, NOW * 2)[one.id]]
    assert kept == [NOW + 200 * DAY, NOW + 401 * DAY]
    history.close()


def test_views_without_a_history_are_skipped() -> None:
    made = report(None, NOW, views={"a": parse([VIEW])})
    assert {row.id: row.status.value for row in made.hosts[0].results} == {"cpu": "critical", "week": "skipped"}
    assert "counts at once" in cpu(made).message and made.notes == []


def broken_file(place: Path) -> None:
    place.write_bytes(b"this is no database, and it is long enough to look like one" * 40)


def damaged(place: Path) -> None:
    for day in range(200):
        report(place, NOW - day * DAY)
    History(str(place)).close()
    content = bytearray(place.read_bytes())
    # The first page's header is left: it is a database still, and what it holds is not.
    content[200:] = b"\xff" * (len(content) - 200)
    place.write_bytes(content)


def of_a_later_release(place: Path) -> None:
    History(str(place)).close()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE day2_history SET version = 99")


@pytest.mark.parametrize("spoil", [broken_file, damaged, of_a_later_release, Path.mkdir])
def test_a_history_that_cannot_be_used_is_a_note(tmp_path: Path, spoil: Any) -> None:
    place = tmp_path / "history.sqlite"
    spoil(place)
    made = report(place, NOW + DAY, views={"a": parse([VIEW])})
    assert cpu(made).status is Status.CRITICAL
    (view,) = [row for row in made.hosts[0].results if row.id == "week"]
    assert view.status is Status.UNKNOWN
    (note,) = made.notes
    assert note.startswith("the history cannot be used: ") and str(place) in note
    assert "The history cannot be used" in html.render(made) and "note" in terminal.render(made, "p")
    jsonschema.validate(json.loads(as_json.render(made)), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE day2_result SET status = 9", "UPDATE day2_result SET value = 'much'", "DELETE FROM day2_history",
        "UPDATE day2_result SET counted = NULL", "DROP TABLE day2_run", "UPDATE day2_history SET version = 'x'",
    ],
)  # fmt: skip
def test_damaged_rows_are_a_note_too(tmp_path: Path, change: str) -> None:
    place = tmp_path / "h"
    report(place, NOW)
    with sqlite3.connect(place) as connection:
        if "counted" in change:
            connection.execute("ALTER TABLE day2_result RENAME TO old")
            connection.execute("CREATE TABLE day2_result AS SELECT * FROM old")
        connection.execute(change)
    made = report(place, NOW + DAY, views={"a": parse([VIEW])})
    assert made.hosts[0].results and (made.notes or change.startswith("DELETE"))


def test_random_damage_never_ends_a_run(tmp_path: Path) -> None:
    place = tmp_path / "h"
    for day in range(20):
        report(place, NOW + day * DAY)
    with sqlite3.connect(place) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole, chance = place.read_bytes(), random.Random(1)
    for _trial in range(150):
        content = bytearray(whole)
        for _byte in range(chance.randint(1, 30)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        for name in ("h-wal", "h-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        place.write_bytes(content)
        made = report(place, NOW + 30 * DAY, views={"a": parse([VIEW, {**VIEW, "id": "f", "show": "findings"}])})
        assert {row.id for row in made.hosts[0].results} == {"cpu", "week", "f"}


def test_systems_do_not_see_each_other(tmp_path: Path) -> None:
    """Hosts of two inventories may have one name, and one directory of reports."""
    for day in range(3):
        report(tmp_path / "h", NOW + day * DAY, system="shop")
    made = report(tmp_path / "h", NOW + 3 * DAY, system="bank", views={"a": parse([VIEW])}, keep_days=1)
    assert cpu(made).status is Status.OK
    assert {row.id: row.value for row in made.hosts[0].results}["week"] == 1
    assert cpu(report(tmp_path / "h", NOW + 4 * DAY, system="shop")).message.endswith("for 4 runs")


def test_views_show_what_counted(tmp_path: Path) -> None:
    view = {**VIEW, "id": "f", "checks": "*", "show": "findings"}
    for day in range(2):
        made = report(tmp_path / "h", NOW + day * DAY, views={"a": parse([view, VIEW])})
    rows = {row.id: row for row in made.hosts[0].results}
    assert rows["f"].evidence == ["CPU usage: 1 critical, of 2 runs"] and "2 runs, 1 finding" in rows["week"].message


def test_one_run_of_a_wrong_clock_forgets_nothing(tmp_path: Path) -> None:
    report(tmp_path / "h", NOW)
    made = report(tmp_path / "h", NOW + 5000 * DAY)
    (note,) = made.notes
    assert "nothing is forgotten" in note
    assert cpu(report(tmp_path / "h", NOW + DAY)).status is Status.CRITICAL


def test_a_number_that_is_too_large_is_none(tmp_path: Path) -> None:
    row = {**sample_run.row(2, "ok"), "value": 10**400}
    remember = Memory(str(tmp_path / "h"), Run("r", "Daily"), NOW)
    made = build(
        Run("r", "Daily"), [("a", {"results": [row]})], datetime.fromtimestamp(NOW, timezone.utc), None, remember
    )
    assert made.notes == []


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:S3CRET%zz@127.0.0.1:1/db", "postgresql://u:pa/S3CRET@127.0.0.1:1/db",
        "postgresql://u:S3C#RET@127.0.0.1:1/db", "postgresql://u:S[3CRET@127.0.0.1:1/db",
        "postgresql://u:S3C?RET@127.0.0.1:1/db", "postgresql://u:S3CRET@127.0.0.1:1/db?x=S3CRET",
    ],
)  # fmt: skip
def test_no_password_is_in_a_note(address: str) -> None:
    row = {**sample_run.row(2, "critical"), "sustained": "2 runs"}
    remember = Memory(address, Run("r", "Daily"), NOW)
    made = build(
        Run("r", "Daily"), [("a", {"results": [row]})], datetime.fromtimestamp(NOW, timezone.utc), None, remember
    )
    (note,) = made.notes
    assert "127.0.0.1" in note and not {"S3C", "RET", "CRET"} & set(re.split(r"[^A-Z0-9]", note))


def test_a_locked_history_is_waited_for_and_then_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "h"
    report(place, NOW)
    monkeypatch.setattr(dialects, "BUSY_SECONDS", 0.2)
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    made = report(place, NOW + DAY)
    (note,) = made.notes
    assert "locked" in note
    # What could be read was read: only the record is missing.
    assert cpu(made).status is Status.CRITICAL and "for 2 runs" in cpu(made).message
    other.execute("ROLLBACK")
    other.close()
    assert report(place, NOW + 2 * DAY).notes == []


def test_a_clock_that_was_set_back_is_a_note(tmp_path: Path) -> None:
    place = tmp_path / "h"
    report(place, NOW)
    made = report(place, NOW - DAY)
    (note,) = made.notes
    assert "was the clock set back" in note and "2026-11-18" in note
    # What is to come says nothing of how long it has lasted.
    assert cpu(made).status is Status.OK


def test_parts_of_a_sliced_run_are_one_run(tmp_path: Path) -> None:
    history = History(str(tmp_path / "h"))
    for host, at in (("a", NOW), ("b", NOW + 60), ("b", NOW + 60)):
        history.record("one", "daily", at, [Row(host, "cpu", "CPU", "%", Status.OK, 1.0)])
    series = list(history.series().values())
    assert [len(found) for found in history.points(series, 0, NOW * 2).values()] == [1, 1]
    assert history.newest() == NOW
    history.close()


def test_a_failed_record_leaves_nothing(tmp_path: Path) -> None:
    history = History(str(tmp_path / "h"))
    rows = [Row("a", "cpu", "CPU", "%", Status.OK, 1.0), Row("a", "disk", None, "%", Status.OK, 1.0)]  # type: ignore[arg-type]
    with pytest.raises(HistoryError):
        history.record("one", "daily", NOW, rows)
    assert history.series() == {} and history.newest() is None
    history.close()
