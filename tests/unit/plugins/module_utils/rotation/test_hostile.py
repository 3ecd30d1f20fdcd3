# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever writes a log owns its directory: what they put there gives them no file of root's, and hides nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation import packing, present
from ansible_collections.day2.ops.plugins.module_utils.rotation.ledger import Ledger, ledger_of
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import WRITER, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.rotated import count_lines
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend
from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import verify
from rotated_logs import DAY, NOW, names, piece, policy, run, unpacked


def faults(place: Place, audit: Policy) -> list[str]:
    return verify(audit, place).faults


def texts(folder: Path) -> list[str]:
    """What is in all packed pieces."""
    return [unpacked(folder / name) for name in names(folder) if name.endswith(".zst")]


def test_a_link_put_in_the_place_of_what_was_made_changes_no_file_elsewhere(
    place: Place, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, victim = piece(folder), tmp_path / "shadow"
    path.chmod(0o666)
    victim.write_text("precious")
    victim.chmod(0o600)
    os.utime(victim, (1, 1))
    beside = folder / f".{path.name}.day2-packing"
    original = packing.refuse_written

    def swap(*arguments: Any) -> None:
        original(*arguments)
        if beside.exists() and not beside.is_symlink():
            beside.unlink()
            beside.symlink_to(victim)

    monkeypatch.setattr(packing, "refuse_written", swap)
    run(place, policy(folder))
    status = victim.stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o600, 1)


@pytest.mark.parametrize("text", ["forged\n", "shorter\n" * 20])
def test_a_file_of_a_sealed_pieces_name_does_not_take_its_place(
    place: Place, folder: Path, recipient: str, text: str
) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,))
    path = piece(folder, text="genuin\n")
    run(place, audit)
    sealed = Path(f"{path}.zst.age")
    before = sealed.read_bytes()
    path.write_text(text)
    run(place)
    assert sealed.read_bytes() == before
    assert len(names(folder)) == 2, "what was put there is packed too, under another name"
    assert [record.action for record in ledger_of(place, audit).records] == ["sealed", "sealed"]
    assert not faults(place, audit)


def test_a_sealed_piece_that_was_replaced_by_another_shows(place: Place, folder: Path, recipient: str) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,))
    path = piece(folder, text="genuin\n")
    run(place, audit)
    Path(f"{path}.zst.age").unlink()
    path.write_text("forged\n")
    run(place)
    (fault,) = faults(place, audit)
    assert f"{path}.zst.age (record 1) is gone" in fault


@pytest.mark.parametrize("by", ["logrotate", WRITER])
def test_two_pieces_of_one_name_are_both_kept(place: Place, folder: Path, by: str) -> None:
    """A clock that was set back, or two files that a writer closed in one second."""
    for text in ("first\n", "second\n"):
        path = piece(folder, text=text) if by != WRITER else folder / "app.log"
        path.write_text(text)
        os.utime(path, (NOW + len(text), NOW + len(text)) if by != WRITER else (NOW, NOW))
        assert not run(place, policy(folder, renamed_by=by)).faults
    assert sorted(texts(folder)) == ["first\n", "second\n"]


def test_what_an_interrupted_run_sealed_is_left_by_other_logs_of_the_directory(
    place: Place, folder: Path, recipient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = policy(folder, name="z", log_class="audit", encrypt_to=(recipient,), paths=(f"{folder}/z.log",))
    other = policy(folder, name="a", paths=(f"{folder}/a.log",))
    piece(folder, log="z.log"), piece(folder, log="a.log")

    class Killed(BaseException):
        pass

    def killed(*_arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(packing, "publish", killed)
        run(place, audit)
    assert not run(place, other).faults
    assert [record.action for record in ledger_of(place, audit).records] == ["sealed"]
    assert not faults(place, audit)


def test_pieces_go_for_want_of_room_only_after_what_waits_was_packed(place: Place, folder: Path) -> None:
    noise = os.urandom(20000).hex()
    old = piece(folder, 2, noise)
    run(place, policy(folder))
    piece(folder, 1, "much of the same\n" * 5000)
    done = run(place, policy(folder, max_size=50000))
    assert not done.removed and f"{old.name}.zst" in names(folder)


def test_what_was_rotated_before_there_was_a_policy_is_sealed_and_found_again(
    place: Place, folder: Path, recipient: str
) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,), max_age=365 * DAY)
    for name in ("app.log.1", "app.log-20260901"):
        (folder / name).write_text("a line\n")
        os.utime(folder / name, (NOW - 5 * DAY, NOW - 5 * DAY))
    assert len(run(place, audit).packed) == 2
    assert not faults(place, audit) and not run(place).changed
    tend(place, clock=lambda: NOW + 361 * DAY)
    assert len(tend(place, clock=lambda: NOW + 361 * DAY).removed) == 2 and names(folder) == []


def test_a_name_that_comes_again_before_there_was_a_policy_takes_no_ones_place(place: Place, folder: Path) -> None:
    """Something else rotates the log too: `app.log.1` is another piece each day."""
    for day in (3, 2, 1):
        path = folder / "app.log.1"
        path.write_text(f"day {day}\n")
        os.utime(path, (NOW - day * DAY, NOW - day * DAY))
        assert not run(place, policy(folder)).faults
    assert sorted(texts(folder)) == ["day 1\n", "day 2\n", "day 3\n"]


def test_a_copy_is_not_overwritten_by_what_was_altered_here(place: Place, folder: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    path = piece(folder)
    run(place, policy(folder, copy_to=str(away), host="web1"))
    copy = Path(f"{away}/web1/shop/pieces{path}.zst")
    before = copy.read_bytes()
    Path(f"{path}.zst").write_bytes(before + b"more")
    done = run(place)
    assert copy.read_bytes() == before
    assert f"{path}.zst" in done.faults[0] and "differs" in done.faults[0]


@pytest.mark.parametrize("copied", [True, False])
def test_a_name_that_is_no_text_stops_no_other_log(place: Place, folder: Path, tmp_path: Path, copied: bool) -> None:
    away, other = tmp_path / "away", tmp_path / "other"
    away.mkdir(), other.mkdir()
    odd = folder / os.fsdecode(b"\xff\n\x1b]0;x.log-20260921-1789000000")
    odd.write_text("a line\n")
    path = piece(other)
    usual = piece(folder)
    done = run(place, policy(folder, copy_to=str(away) if copied else None, host="h"), policy(other, name="z"))
    assert names(other) == [f"{path.name}.zst"] and Path(f"{odd}.zst").exists()
    assert bool(done.faults) is copied and all("its name is no UTF-8" in fault for fault in done.faults)
    assert Path(f"{away}/h/shop/pieces{usual}.zst").exists() is copied


def test_what_is_no_file_is_not_read(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link"):
        for read in (packing.digest_of, count_lines):
            with pytest.raises(OSError):
                read(str(folder / name))


def test_hidden_files_are_no_logs(place: Place, folder: Path) -> None:
    (folder / ".secret.day2-packing").write_text("x")
    (folder / ".app.log.swp").write_text("x")
    run(place, policy(folder, paths=(f"{folder}/*",), renamed_by=WRITER))
    assert ".app.log.swp" in names(folder)


def test_a_chain_that_is_broken_costs_no_room(place: Place, folder: Path, recipient: str) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,))
    piece(folder, 2)
    run(place, audit)
    chain = Path(ledger_of(place, audit).path)
    chain.write_text(chain.read_text().replace('"lines": 1', '"lines": 2'))
    path = piece(folder, 1)
    done = run(place)
    assert "was edited" in done.faults[0] and not [name for name in names(folder) if name.startswith(".")]
    assert path.exists()


def test_a_chain_without_room_for_a_record_leaves_the_piece_alone(
    place: Place, folder: Path, recipient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    audit, path = policy(folder, log_class="audit", encrypt_to=(recipient,)), piece(folder)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "_append", full)
        done = run(place, audit)
    assert "No space left" in done.faults[0] and names(folder) == [path.name]
    assert not run(place).faults and names(folder) == [f"{path.name}.zst.age"]


@pytest.mark.parametrize("moment", [0.0, 45.0])
def test_a_file_of_a_host_without_a_clock_is_found_again(place: Place, folder: Path, moment: float) -> None:
    path = folder / "app.log"
    path.write_text("a line\n")
    os.utime(path, (moment, moment))
    run(place, policy(folder, renamed_by=WRITER, max_age=100 * 365 * DAY))
    assert texts(folder) == ["a line\n"]
    done = run(place, policy(folder, renamed_by=WRITER, max_age=DAY))
    assert len(done.removed) == 1 and names(folder) == []


def test_a_diff_shows_no_secret_of_a_repository_that_a_policy_had(place: Place, folder: Path) -> None:
    away = {"url": "s3://bucket/logs", "access_key": "AKIAOLD", "secret_key": "wJalr"}
    place.policies.save(policy(folder, copy_to=away))
    shown = present.plan_absent("shop", place.policies, present.Site(str(folder / "none"), str(folder))).diff()
    assert "s3://bucket/logs" in shown["before"] and "wJalr" not in str(shown)


def test_what_a_writer_writes_to_counts_once_for_the_size_of_its_class(place: Place, folder: Path) -> None:
    kept = piece(folder, 2, os.urandom(20000).hex())
    by_writer = policy(folder, renamed_by=WRITER, max_size=100_000)
    run(place, by_writer)
    with open(folder / "app.log", "w") as stream:
        stream.write("x" * 45_000)
        stream.flush()
        done = run(place, by_writer)
    assert not done.removed and f"{kept.name}.zst" in names(folder) and "app.log" in names(folder)


def test_a_plan_does_not_pack_what_a_writer_writes_to(place: Place, folder: Path) -> None:
    by_writer = policy(folder, renamed_by=WRITER)
    place.policies.save(by_writer)
    closed = folder / "pg-Mon.log"
    closed.write_text("a line\n")
    with open(folder / "pg-Tue.log", "w"):
        done = tend(place, planning=True, clock=lambda: NOW)
        assert done.waiting == [str(closed)] and done.changed
        closed.unlink()
        assert not tend(place, planning=True, clock=lambda: NOW).changed


@pytest.mark.parametrize("instead", ["nothing", "link", "pipe"])
def test_what_lies_where_a_removed_piece_was_stops_no_packing(
    place: Place, folder: Path, recipient: str, instead: str
) -> None:
    (folder / "old").mkdir()
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,), paths=(f"{folder}/*/app.log",))
    path = piece(folder / "old", 29)
    run(place, audit)
    tend(place, clock=lambda: NOW + 2 * DAY)
    assert names(folder / "old") == [] and ledger_of(place, audit).records[-1].action == "removed"
    removed = Path(f"{path}.zst.age")
    {"nothing": removed.parent.rmdir, "link": lambda: removed.symlink_to("/dev/zero"),
     "pipe": lambda: os.mkfifo(removed)}[instead]()  # fmt: skip
    (folder / "new").mkdir()
    later = piece(folder / "new", 1)
    assert not run(place).faults and names(folder / "new") == [f"{later.name}.zst.age"]
