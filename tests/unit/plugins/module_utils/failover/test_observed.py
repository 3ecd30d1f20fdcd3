# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host keeps of a primary at work: the newest, whole after any kill, for root alone, beside the journal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover import surroundings
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import JournalError
from ansible_collections.day2.ops.plugins.module_utils.failover.observed import (
    LARGEST,
    Kept,
    ObservedFile,
    parse_observed,
    told,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.store import JournalFile, answer
from ansible_collections.day2.ops.plugins.module_utils.process.mounts import Mount
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust

SEEN: dict[str, Any] = {
    "at": "2026-11-30T10:00:00Z", "primary": "db1", "system_identifier": "7", "timeline": 3, "lsn": "0/5000000",
    "standbys": {"db2": {"lsn": "0/5000000", "seconds": 0.0}},
}  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> JournalFile:
    return JournalFile("analytics", str(tmp_path / "dr"), Trust(os.geteuid(), str(tmp_path)))


def keep(journal: JournalFile, clock: float, now: float, check_mode: bool = False, **changes: Any) -> dict[str, Any]:
    return ObservedFile(journal).keep(Kept({**SEEN, **changes}, clock), now, 1.0, check_mode)


def test_only_newer_replaces_older(journal: JournalFile) -> None:
    assert told(journal, 5.0) == {"observed": None, "observed_error": "", "clock": 5.0}
    steps = [
        # the host's clock before it was seen, and now: accepted, changed, clock that is kept
        (100.0, 101.0, True, True, 100.0),
        (100.0, 102.0, True, False, 100.0),
        (90.0, 103.0, False, False, 100.0),
        (200.0, 201.0, True, True, 200.0),
        # Its clock was set back while the primary was observed; or since the last time.
        (160.0, 150.0, False, False, 200.0),
        (110.0, 111.0, True, True, 110.0),
    ]
    for clock, now, accepted, changed, remains in steps:
        found = keep(journal, clock, now)
        assert (found["accepted"], found["changed"]) == (accepted, changed), (clock, now, found)
        assert told(journal, now)["observed"] == {**SEEN, "clock": remains}
    assert keep(journal, 110.0, 112.0, timeline=4)["accepted"] is False


def test_it_is_roots_alone_and_no_journal(journal: JournalFile) -> None:
    assert keep(journal, 1.0, 2.0, check_mode=True)["changed"] and not os.path.exists(journal.root)
    keep(journal, 1.0, 2.0)
    path = ObservedFile(journal).path
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(journal.root)) == [".analytics.lock", "analytics.observed"]
    assert answer(journal.load())["promised"] == {"epoch": 0, "run": ""}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1, "clock": 1, "observed": {}}'])
def test_a_damaged_one_proves_nothing_and_is_replaced(journal: JournalFile, text: str) -> None:
    keep(journal, 1.0, 2.0)
    path = Path(ObservedFile(journal).path)
    path.write_text(text)
    found = told(journal, 3.0)
    assert found["observed"] is None and str(path) in found["observed_error"]
    path.chmod(0o666)
    assert "others" in told(journal, 3.0)["observed_error"]
    assert keep(journal, 2.0, 3.0)["changed"] and told(journal, 3.0)["observed"]["clock"] == 2.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"at": "soon"}, "'observed': "),
        ({"lsn": "far"}, "'observed': "),
        ({"timeline": 0}, "'timeline' is 0"),
        ({"timeline": True}, "'timeline' is True"),
        ({"primary": None}, "have to be texts"),
        ({"standbys": []}, "a mapping"),
        ({"more": 1}, "and nothing else"),
    ],
)
def test_what_is_no_observation_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(JournalError, match=words):
        parse_observed({**SEEN, **change})


@pytest.mark.parametrize(
    ("clock", "change", "words"),
    [
        (float("nan"), {}, "'clock'"),
        (-1.0, {}, "'clock'"),
        (1.0, {"standbys": {f"db{n}": {"lsn": "0/0", "seconds": 0.0} for n in range(LARGEST // 20)}}, "at most"),
    ],
)
def test_what_is_not_kept(journal: JournalFile, clock: float, change: dict[str, Any], words: str) -> None:
    with pytest.raises(JournalError, match=words):
        keep(journal, clock, 2.0, **change)
    assert told(journal, 3.0)["observed"] is None


@pytest.mark.parametrize(
    ("kind", "changed", "right"),
    [
        ("ext4", (2_000_000_000.0, 2_000_000_090.0), 10.0),
        # Older than the boot: a machine that fails forgets when it wrote last.
        ("xfs", (1000.0, 2000.0), "boot"),
        # Of another machine's clock; in the future; no WAL.
        ("nfs4", (2_000_000_000.0,), None),
        (None, (2_000_000_000.0,), None),
        ("ext4", (2_000_000_101.0,), None),
        ("ext4", (), None),
    ],
)
def test_how_long_wal_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, changed: Any, right: Any
) -> None:
    (tmp_path / "pg_wal").mkdir()
    for number, when in enumerate(changed):
        path = tmp_path / "pg_wal" / f"{number:024X}"
        path.touch()
        os.utime(path, (when, when))
    (tmp_path / "pg_wal" / "archive_status").mkdir()
    monkeypatch.setattr(surroundings, "mount_of", lambda _path: kind and Mount("/", "/dev/sda", kind))
    now = 2_000_000_100.0
    found = surroundings.unchanged(str(tmp_path), now)
    if right == "boot":
        right = now - float(Path("/proc/stat").read_text().partition("btime ")[2].split()[0]) - 1
    assert found == right
