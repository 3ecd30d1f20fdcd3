# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of long work: what a line says of it, what is in its file, and that nothing about it ends the work."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from threading import Thread, Timer

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.progress import (
    NAME,
    Progress,
    Record,
    line,
    parse,
    sweep,
)

MIB, GIB = 1 << 20, 1 << 30


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("record", "before", "idle", "said"),
    [
        (
            Record("backup postgresql", GIB, 4 * GIB, False, 10.0),
            None,
            0.0,
            "backup postgresql: 1.0 GiB of about 4.0 GiB (25%), 102.4 MiB/s, about 30 s left",
        ),
        (
            Record("reading back x", 3 * GIB, 4 * GIB, True, 30.0),
            Record("reading back x", 2 * GIB, 4 * GIB, True, 25.0),
            0.0,
            "reading back x: 3.0 GiB of 4.0 GiB (75%), 204.8 MiB/s, 10 s left",
        ),
        # The first backup of a series: nobody knows how much it will be.
        (Record("backup", 50 * MIB, None, True, 10.0), None, 0.0, "backup: 50.0 MiB, 5.0 MiB/s"),
        # The database grew.
        (
            Record("backup", 3 * GIB, 2 * GIB, False, 30.0),
            None,
            0.0,
            "backup: 3.0 GiB (the last time 2.0 GiB), 102.4 MiB/s",
        ),
        (Record("building indexes", seconds=1.0), None, 129.0, "building indexes: 2 min 10 s so far"),
        (
            Record("full backup of main", seconds=0.0, usual=300.0),
            None,
            20.0,
            "full backup of main: 20 s so far (the last time 5 min)",
        ),
        # What pgBackRest says of itself.
        (
            Record("full backup of main", seconds=60.0, share=0.25),
            None,
            0.0,
            "full backup of main: 25% in 1 min, about 3 min left",
        ),
        (
            Record("full backup of main", seconds=60.0, share=0.25, usual=300.0),
            None,
            30.0,
            "full backup of main: 25% in 1 min 30 s (the last time 5 min), about 2 min 30 s left",
        ),
        (Record("full backup of main", seconds=60.0, share=1.0), None, 5.0, "full backup of main: 100% in 1 min 5 s"),
        (Record("full backup of main", seconds=60.0, share=0.0), None, 5.0, "full backup of main: 1 min 5 s so far"),
        (Record("full backup of main", seconds=60.0, share=0.9), None, 500.0, "full backup of main: 90% in 9 min 20 s"),
        # It hangs: no rate of before, and no time left that nobody knows.
        (
            Record("copying", MIB, 2 * MIB, True, 10.0),
            Record("copying", MIB, 2 * MIB, True, 10.0),
            40.0,
            "copying: 1.0 MiB of 2.0 MiB (50%), nothing for 40 s",
        ),
        # Nothing is done yet: no rate, no share, no time left.
        (Record("copying", 0, 2 * MIB, True, 0.0), None, 0.0, "copying: begun, nothing yet of 2.0 MiB"),
        (
            Record("backup postgresql", 0, 2 * GIB, False, 12.0),
            None,
            30.0,
            "backup postgresql: 42 s so far, nothing yet of about 2.0 GiB",
        ),
        (Record("copying", 2 * MIB, 2 * MIB, True, 1.0), None, 0.0, "copying: 2.0 MiB of 2.0 MiB (100%), 2.0 MiB/s"),
        # Another phase of the same name began: its rate is not that of the one before.
        (
            Record("reading", MIB, 2 * MIB, True, 1.0),
            Record("reading", 2 * MIB, 2 * MIB, True, 9.0),
            0.0,
            "reading: 1.0 MiB of 2.0 MiB (50%), 1.0 MiB/s, 1 s left",
        ),
        (Record("reading", 999 * MIB, 1000 * MIB, True, 0.0), None, 0.0, "reading: 999.0 MiB of 1000.0 MiB (99%)"),
        (Record("backup"), None, 0.0, "backup: begun"),
        (Record("empty", 0, 0, True, 3.0), None, 0.0, "empty: 3 s so far"),
    ],
)
def test_line(record: Record, before: Record | None, idle: float, said: str) -> None:
    assert line(record, before, idle) == said


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ('{"what": "b", "done": 5, "total": null, "exact": true, "seconds": 1.5}', Record("b", 5, None, True, 1.5)),
        # A terminal, a login message and a mitigating `sleep 0` may stand around it.
        ('Welcome\r\n{"what": "backup", "done": 5}\r\nlogout\r\n', Record("backup", 5)),
        ('{"what": "b", "done": -1, "total": "many", "seconds": true, "usual": 1e999}', Record("b")),
        ("", None),
        ("cat: /var/tmp/x: No such file or directory", None),
        ('{"what": "ba', None),
        ('{"done": 5}', None),
        ('{"what": ""}', None),
        ('{"what": 7}', None),
    ],
)  # fmt: skip
def test_parse(text: str, record: Record | None) -> None:
    assert parse(text) == record


def test_the_file_is_the_owner_s_alone_and_goes(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "progress"
    progress = Progress(str(path), clock)
    progress.phase("backup", 10 * MIB, exact=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for _second in range(3):
        clock.now += 0.5
        progress.add(MIB)
    # Half a second after the last write nothing is written.
    assert parse(path.read_text()) == Record("backup", 2 * MIB, 10 * MIB, False, 1.0)
    progress.phase("reading back", 5)
    assert parse(path.read_text()) == Record("reading back", 0, 5, True, 0.0)
    progress.end()
    progress.add(5)
    assert list(tmp_path.iterdir()) == []


def test_streams_count_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    clock = Clock()
    progress = Progress(str(path), clock)
    progress.phase("backup")

    def count() -> None:
        for _piece in range(1000):
            progress.add(1)

    threads = [Thread(target=count) for _stream in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.now += 5
    progress.add(0)
    assert json.loads(path.read_text())["done"] == 8000


def test_what_was_counted_before_a_stream_stands_still_is_written(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    progress = Progress(str(path))
    progress.phase("backup")
    progress.add(5)
    assert progress._later is not None
    progress._later.join()
    record = parse(path.read_text())
    assert record is not None and record.done == 5
    progress.end()


def test_what_killed_modules_left_is_removed(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (f"{NAME}old", f"{NAME}new", "other"))
    for path in (old, new, other):
        path.write_text("")
    os.utime(old, (1000.0, 1000.0))
    os.utime(other, (1000.0, 1000.0))
    sweep(str(tmp_path / f"{NAME}mine"), 1000.0 + 86401.0)
    assert not old.exists() and new.exists() and other.exists()


def test_a_share_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    progress = Progress(str(path), Clock())
    progress.phase("full backup of main", usual=5.0)
    progress.reach(0.5)
    assert progress.is_kept and parse(path.read_text()) == Record("full backup of main", usual=5.0, share=0.5)
    assert not Progress(None).is_kept


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    progress = Progress(None)
    progress.phase("backup", 5)
    progress.add(5)
    progress.end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["nosuch/progress", "", "directory"])
def test_a_place_that_cannot_be_written_ends_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "directory").mkdir()
    progress = Progress(str(tmp_path / place))
    progress.phase("backup")
    progress.add(5)
    progress.end()


def test_what_somebody_laid_there_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    path = tmp_path / "progress"
    os.symlink(victim, f"{path}.new")
    os.symlink(victim, path)
    progress = Progress(str(path))
    progress.phase("backup")
    assert victim.read_text() == "kept" and not path.is_symlink()
    assert parse(path.read_text()) == Record("backup")


def test_without_a_thread_the_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_timer: Timer) -> None:
        raise RuntimeError("can't start new thread")

    clock = Clock()
    progress = Progress(str(tmp_path / "record"), clock)
    progress.phase("backup", 100)
    with monkeypatch.context() as patched:
        patched.setattr(Timer, "start", no_thread)
        progress.add(5)
        progress.add(5)
    clock.now += 2
    progress.add(5)
    record = parse((tmp_path / "record").read_text())
    assert record is not None and record.done == 15
    progress.add(5)
    progress.end()
    assert list(tmp_path.iterdir()) == []
