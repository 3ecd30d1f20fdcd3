# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a report: all of them or none, whoever is killed, and for nobody else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import sample_run
from ansible_collections.day2.ops.plugins.plugin_utils.report import write
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Run, build
from sample_report import NOW, report


def test_files_appear_together_and_latest_names_them(tmp_path: Path) -> None:
    for run_id in ("first", "second"):
        made = build(Run(run_id=run_id, title="T"), sample_run.night().items(), NOW)
        places = write.write(made, tmp_path)
        assert sorted(path.name for path in (tmp_path / run_id).iterdir()) == [
            "report.html",
            "report.json",
            "report.prom",
            "report.xml",
        ]
        assert (tmp_path / "latest").resolve() == (tmp_path / run_id).resolve()
        assert all(Path(place).exists() for place in places.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "latest", "second"]


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write._write_file

    def full(path: Path, content: str) -> None:
        if path.name == "report.prom":
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(write, "_write_file", full)
    with pytest.raises(write.ReportError, match="No space left"):
        write.write(report(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(write.ReportError, match="day2_report_dir") as caught:
        write.write(report(), tmp_path / "file" / "reports")
    assert str(tmp_path / "file") in str(caught.value)


def test_a_run_that_was_reported_is_not_overwritten(tmp_path: Path) -> None:
    write.write(report(), tmp_path)
    with pytest.raises(write.ReportError, match="already"):
        write.write(report(), tmp_path)


# What changes the directory of reports: a kill may come before each of them.
_CHANGES = ("rename", "replace", "unlink", "rmdir", "symlink")


def _killed_before(change: int, directory: Path, exchanges: bool) -> int:
    """Publish the run again in a child that dies before its change number `change`; its exit status (9: it died)."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = change

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return real(*arguments, **options)

        return call

    for name in _CHANGES:
        setattr(os, name, counted(getattr(os, name)))
    exchange = write._renameat2 if exchanges else lambda new, old: False
    write._renameat2 = counted(exchange)  # type: ignore[assignment]
    status = 1
    try:
        write.write(report(title="new"), directory, again=True)
        status = 0
    finally:
        os._exit(status)


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "file by file"])
def test_a_kill_while_a_report_is_replaced_loses_neither(tmp_path: Path, exchanges: bool) -> None:
    seen, statuses = set(), []
    for change in range(40):
        directory = tmp_path / str(change)
        write.write(report(title="old"), directory)
        statuses.append(_killed_before(change, directory, exchanges))
        files = directory / "latest"
        seen.add(json.loads((files / "report.json").read_text())["title"])
        assert sorted(path.name for path in files.iterdir()) == sorted(name for name, _render in write.FILES.values())
        assert "</html>" in (files / "report.html").read_text()
    # It was killed early and late, and in the end it was not killed at all.
    assert set(statuses) == {9, 0} and seen == {"old", "new"}


def test_others_may_not_read_a_report(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write.write(report(), tmp_path / "reports")
    finally:
        os.umask(before)
    run = tmp_path / "reports" / "run-1"
    assert [path.stat().st_mode & 0o777 for path in (run.parent, run)] == [0o750, 0o750]
    assert {path.stat().st_mode & 0o777 for path in run.iterdir()} == {0o640}


def test_nothing_of_a_run_is_visible_before_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = write._write_file, []

    def watch(path: Path, content: str) -> None:
        real(path, content)
        seen.append([entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")])

    monkeypatch.setattr(write, "_write_file", watch)
    write.write(report(), tmp_path)
    assert seen == [[]] * len(write.FILES)


def test_what_a_killed_run_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".partial-old-1", tmp_path / ".partial-young-2"
    for directory in (old, young):
        directory.mkdir()
        (directory / "report.json").write_text("{")
    os.utime(old, (0, 0))
    write.write(report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-young-2", "latest", "run-1"]
