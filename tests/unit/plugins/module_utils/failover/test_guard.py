# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's file, and that nothing is changed for a run that was superseded."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.guard import acting
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import (
    Ballot,
    Entry,
    JournalError,
    Phase,
    Record,
    Superseded,
    promise,
    write,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.store import JournalFile, accept
from ansible_collections.day2.ops.plugins.module_utils.process import files
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust, Untrusted

SEVENTH = Ballot(7, "run-7")
ENTRIES = (Entry(1, 7, "run-7", "fence", Phase.INTENT, "db1", {"layer": "service"}, "2026-02-01T04:00:00Z"),)


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(os.geteuid(), str(tmp_path))


@pytest.fixture
def journal(tmp_path: Path, trust: Trust) -> JournalFile:
    return JournalFile("analytics", str(tmp_path / "dr"), trust)


def save(journal: JournalFile, record: Record) -> None:
    with journal.lock(0.0, "test"):
        journal.save(record)


def act(journal: JournalFile, epoch: int, run: str, check_mode: bool = False) -> list[Record]:
    """What the journal held while the module acted; empty where it did not."""
    seen = []
    with acting(journal.system, epoch, run, 0.0, check_mode, journal.root, journal.trust):
        seen.append(journal.load())
    return seen


def test_a_host_without_a_journal_has_promised_nothing(journal: JournalFile) -> None:
    assert journal.load() == Record() and not os.path.exists(journal.root)


def test_the_file_is_roots_alone(journal: JournalFile) -> None:
    save(journal, Record(SEVENTH, SEVENTH, ENTRIES))
    assert journal.load() == Record(SEVENTH, SEVENTH, ENTRIES)
    assert os.stat(journal.path).st_mode & 0o777 == 0o600


def dies_at(act: Callable[[], None], number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a process was killed before its call with this number of the kernel; else it has finished."""
    child = os.fork()
    if child == 0:
        calls = [0]

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                calls[0] += 1
                if calls[0] == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)

            return call

        for name in ("open", "listdir", "unlink", "fdopen", "fchmod", "fsync", "replace", "close"):
            monkeypatch.setattr(files.os, name, counted(getattr(os, name)))
        monkeypatch.setattr(files.tempfile, "mkstemp", counted(files.tempfile.mkstemp))
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_instant_leaves_the_old_one_or_the_new_one(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Record(Ballot(6, "run-6")), Record(SEVENTH, SEVENTH, ENTRIES)
    number, found = 1, []
    save(journal, old)
    while dies_at(lambda: journal.save(new), number, monkeypatch):
        found.append(journal.load())
        # Whatever was left, the next one can write, and tidies up.
        save(journal, old)
        assert sorted(os.listdir(journal.root)) == [".analytics.lock", "analytics.json"] and journal.load() == old
        number += 1
    assert set(found) == {old, new} and number > 8 and journal.load() == new


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "torn": lambda path: path.write_text(path.read_text()[:-40]),
    "empty": lambda path: path.write_text(""),
    "zeros": lambda path: path.write_bytes(b"\0" * 400),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "a later schema": lambda path: path.write_text(path.read_text().replace('"schema": 1', '"schema": 2')),
    "no list": lambda path: path.write_text("[]"),
    "a directory": make_directory,
    "a link": make_link,
    "everybody may write": lambda path: path.chmod(0o666),
    "the directory is everybody's": lambda path: path.parent.chmod(0o777),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_journal_that_cannot_be_read_refuses(journal: JournalFile, damage: str, check_mode: bool) -> None:
    save(journal, Record(SEVENTH, SEVENTH, ENTRIES))
    DAMAGE[damage](Path(journal.path))
    with pytest.raises((JournalError, Untrusted)) as refused:
        act(journal, 99, "run-99", check_mode)
    assert "/dr" in str(refused.value)


def test_a_journal_of_somebody_else_refuses(journal: JournalFile, tmp_path: Path) -> None:
    save(journal, Record(SEVENTH))
    with pytest.raises(Untrusted, match="belongs to"):
        JournalFile("analytics", journal.root, Trust(os.geteuid() + 1, str(tmp_path))).load()


@pytest.mark.parametrize("system", ["", "../etc", "a/b", ".hidden", "a\n", "a b", "ü"])
def test_a_name_that_is_no_systems_is_refused(system: str) -> None:
    with pytest.raises(JournalError, match="'system' is"):
        JournalFile(system)


@pytest.mark.parametrize(
    ("epoch", "run", "acts"),
    [(6, "run-6", False), (7, "run-6", False), (6, "run-7", False), (7, "run-7", True), (8, "run-6", True)],
)
def test_who_was_superseded_changes_nothing(journal: JournalFile, epoch: int, run: str, acts: bool) -> None:
    before = Record(SEVENTH, SEVENTH, ENTRIES)
    save(journal, before)
    for check_mode in (True, False):
        if acts:
            after = before if check_mode else Record(Ballot(epoch, run), SEVENTH, ENTRIES)
            assert act(journal, epoch, run, check_mode) == [after] and journal.load() == after
        else:
            with pytest.raises(Superseded, match="run-7"):
                act(journal, epoch, run, check_mode)
            assert journal.load() == before


def test_check_mode_makes_no_directory(journal: JournalFile) -> None:
    assert act(journal, 1, "run-1", check_mode=True) == [Record()] and not os.path.exists(journal.root)


def test_by_hand_nobody_is_asked(journal: JournalFile) -> None:
    with acting(None, None, None, 0.0, root=journal.root, trust=journal.trust):
        assert not os.path.exists(journal.root)


@pytest.mark.parametrize("given", [("shop", None, None), ("shop", 1, None), (None, 1, "run-1"), ("shop", None, "r")])
def test_half_of_an_identity_is_refused(given: tuple[Any, Any, Any]) -> None:
    with pytest.raises(JournalError, match="belong together"), acting(*given, 0.0):
        pytest.fail("it acted")


def test_a_later_run_waits_for_the_act_and_says_whose_it_is(journal: JournalFile) -> None:
    with acting(journal.system, 7, "run-7", 0.0, root=journal.root, trust=journal.trust):
        with pytest.raises(Locked, match="run run-7, epoch 7"):
            act(journal, 8, "run-8")
        with pytest.raises(Locked), journal.lock(0.3, "a claim"):
            pytest.fail("two hold the lock")
    assert act(journal, 8, "run-8") == [Record(Ballot(8, "run-8"))]
    with pytest.raises(Superseded):
        act(journal, 7, "run-7")


def test_a_module_that_is_killed_holds_nobody_up(journal: JournalFile) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with acting(journal.system, 7, "run-7", 0.0, root=journal.root, trust=journal.trust):
            os.write(told, b".")
            signal.pause()
        os._exit(1)
    try:
        assert os.read(ready, 1) == b"."
        with pytest.raises(Locked):
            act(journal, 8, "run-8")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert act(journal, 8, "run-8") == [Record(Ballot(8, "run-8"))]


def test_a_full_disk_is_said_before_anything_is_done(journal: JournalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    save(journal, Record(SEVENTH))

    def full(*_given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ansible_collections.day2.ops.plugins.module_utils.failover.store.write_atomic", full)
    with pytest.raises(Day2Error, match="cannot be written: No space left on device"):
        act(journal, 8, "run-8")
    assert act(journal, 7, "run-7") == [Record(SEVENTH)]


def test_a_claim_is_answered_with_what_the_host_has(journal: JournalFile) -> None:
    entries = [{"n": 1, "epoch": 7, "run": "run-7", "step": "fence", "phase": "intent", "host": "db1",
                "about": {"layer": "service"}, "at": "2026-02-01T04:00:00Z"}]  # fmt: skip
    seventh = {"epoch": 7, "run": "run-7"}
    claimed = accept(journal, 7, "run-7", promise, 0.0)
    assert (claimed["changed"], claimed["accepted"], claimed["promised"]) == (True, True, seventh)
    assert not accept(journal, 7, "run-7", promise, 0.0)["changed"]
    for changed in (True, False):
        written = accept(journal, 7, "run-7", lambda has, asked: write(has, asked, ENTRIES), 0.0)
        assert (written["changed"], written["written"], written["entries"]) == (changed, seventh, entries)
    refused = accept(journal, 6, "run-6", promise, 0.0)
    assert (refused["changed"], refused["accepted"], refused["promised"]) == (False, False, seventh)
    assert refused["entries"] == entries and "run run-7 has taken over with epoch 7" in refused["msg"]
    tried = accept(journal, 8, "run-8", promise, 0.0, check_mode=True)
    assert tried["changed"] and tried["accepted"] and journal.load() == Record(SEVENTH, SEVENTH, ENTRIES)


def test_a_claim_waits_for_who_acts_on_the_host(journal: JournalFile) -> None:
    with acting(journal.system, 7, "run-7", 0.0, root=journal.root, trust=journal.trust):
        with pytest.raises(Locked, match="run-7"):
            accept(journal, 8, "run-8", promise, 0.0)
        # Whoever only looks does not wait.
        assert accept(journal, 8, "run-8", promise, 0.0, check_mode=True)["accepted"]
    assert accept(journal, 8, "run-8", promise, 0.0)["accepted"]
