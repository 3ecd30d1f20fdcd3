# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pieces of logs by zstd and age, with writers that have them open: what is packed, what stays, what goes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation import chain, packing
from ansible_collections.day2.ops.plugins.module_utils.rotation.ledger import ledger_of
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import WRITER, Hold, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend
from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import verify
from rotated_logs import DAY, NOW, names, piece, policy, run, unpacked

WRITE = "import sys; stream = open(sys.argv[1], 'a'); print(flush=True); sys.stdin.read()"


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_piece_is_packed_and_says_the_same(place: Place, folder: Path) -> None:
    path = piece(folder)
    (folder / "app.log").write_text("still written to\n")
    path.chmod(0o640)
    text, before = path.read_text(), path.stat()
    done = run(place, policy(folder))
    assert [packed.path for packed in done.packed] == [f"{path}.zst"] and not done.faults
    assert (done.packed[0].lines, done.packed[0].plain_size) == (1000, len(text))
    assert names(folder) == ["app.log", f"{path.name}.zst"]
    made = Path(f"{path}.zst")
    assert unpacked(made) == text and (made.stat().st_mode, made.stat().st_mtime_ns) == (
        before.st_mode,
        before.st_mtime_ns,
    )
    assert not run(place).changed


def test_a_plan_touches_nothing(place: Place, folder: Path) -> None:
    paths = [piece(folder), piece(folder, 40)]
    Path(f"{paths[1]}.zst").write_bytes(b"x")
    paths[1].unlink()
    before = names(folder)
    done = run(place, policy(folder), planning=True)
    assert done.waiting == [str(paths[0])] and [going.piece.path for going in done.removed] == [f"{paths[1]}.zst"]
    assert names(folder) == before and done.changed


def test_who_writes_to_a_piece_is_notified_and_then_named(place: Place, folder: Path, tmp_path: Path) -> None:
    path, other, mark = piece(folder), piece(folder, 1), tmp_path / "notified"
    with writer(path) as process:
        said = run(place, policy(folder))
        assert names(folder) == sorted([path.name, f"{other.name}.zst"]), "the other one does not wait for it"
        (fault,) = said.faults
        assert f"{path} is still open for writing by" in fault and "is not notified by this policy" in fault
        # It listens: the command has it close the piece.
        reopen = ("sh", "-c", f"touch {mark}; kill {process.pid}")
        done = run(place, policy(folder, reopen=reopen))
    assert not done.faults and mark.exists() and done.notified == ["shop: sh -c"]
    assert f"{path.name}.zst" in names(folder) and path.name not in names(folder)


def test_a_writer_that_does_not_listen_is_named(place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.day2.ops.plugins.module_utils.rotation.tending._REOPEN", 0.1)
    path = piece(folder)
    with writer(path):
        done = run(place, policy(folder, reopen=("true",)))
        assert "does not reopen its log when it is notified" in done.faults[0] and names(folder) == [path.name]
        failed = run(place, policy(folder, reopen=("sh", "-c", "echo no such unit >&2; exit 4")))
    assert "its writer cannot be notified" in failed.faults[0] and "no such unit" in failed.faults[0]


def test_what_readers_have_open_is_packed(place: Place, folder: Path) -> None:
    path = piece(folder)
    with open(path) as reader:
        done = run(place, policy(folder))
        assert done.packed and reader.read()


@pytest.mark.parametrize(
    ("age", "hold", "stays"),
    [(29, None, True), (31, None, False), (31, "app.log-*", True), (31, "*/logs/*", True), (31, "other-*", False)],
)
def test_age_counts_from_the_rotation(place: Place, folder: Path, age: float, hold: str | None, stays: bool) -> None:
    path = piece(folder, age)
    # What was written to last a year ago and renamed yesterday is a day old.
    os.utime(path, (NOW - 400 * DAY, NOW - 400 * DAY))
    holds = (Hold(hold, NOW + DAY, "court order 7"),) if hold else ()
    done = run(place, policy(folder, holds=holds))
    assert names(folder) == ([f"{path.name}.zst"] if stays else [])
    assert [going.why for going in done.held] == (["court order 7"] if stays and hold else [])


def test_a_hold_that_is_over_holds_nothing(place: Place, folder: Path) -> None:
    piece(folder, 31)
    run(place, policy(folder, holds=(Hold("*", NOW - 1, "it is over"),)))
    assert names(folder) == []


def test_over_the_size_of_a_class_the_oldest_of_all_its_logs_go(place: Place, folder: Path) -> None:
    ages = {1: "app.log", 2: "other.txt", 3: "app.log", 4: "other.txt"}
    noise = {age: os.urandom(20000).hex() for age in ages}
    paths = {age: piece(folder, age, noise[age], log) for age, log in ages.items()}
    more = policy(folder, name="other", paths=(f"{folder}/*.txt",), max_size=50000)
    done = run(place, policy(folder, max_size=50000), more)
    assert names(folder) == sorted(f"{paths[age].name}.zst" for age in (1, 2))
    assert [going.policy for going in done.removed] == ["other", "shop"] and not done.over


@pytest.mark.parametrize("name", ["a b.log", "new\nline.log", "[x]*.log", "%s.log", "-rf.log", "ä.log", "'q\".log"])
def test_names_are_names(place: Place, folder: Path, name: str) -> None:
    path = piece(folder, log=name)
    text = path.read_text()
    done = run(place, policy(folder))
    assert not done.faults and unpacked(Path(f"{path}.zst")) == text and not path.exists()


def test_links_are_not_followed(place: Place, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = piece(outside)
    (folder / target.name).symlink_to(target)
    (tmp_path / "linked").symlink_to(outside)
    before = target.read_text()
    done = run(place, policy(folder, paths=(f"{folder}/*.log", f"{tmp_path}/linked/*.log", f"{tmp_path}/lin*/*.log")))
    assert not done.changed and target.read_text() == before and names(outside) == [target.name]


def test_a_link_in_the_place_of_what_is_made_is_not_written_through(place: Place, folder: Path, tmp_path: Path) -> None:
    path, victim = piece(folder), tmp_path / "victim"
    victim.write_text("precious")
    for beside in (os.symlink, os.link):
        beside(victim, folder / f".{path.name}.day2-packing")
        run(place, policy(folder))
        assert victim.read_text() == "precious"
        path = piece(folder, 2)


def test_an_empty_piece_and_none_at_all(place: Place, folder: Path) -> None:
    path = folder / f"app.log-20260921-{int(NOW)}"
    path.touch()
    assert run(place, policy(folder)).packed[0].lines == 0 and unpacked(Path(f"{path}.zst")) == ""
    assert not run(place, policy(folder, name="none", paths=("/nosuch/*.log",))).faults


def test_one_log_that_fails_stops_no_other(place: Place, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    path = piece(other)
    piece(folder)
    bad = policy(folder, name="a-bad", log_class="audit", encrypt_to=("age1nonsense",))
    done = run(place, bad, policy(other, name="b-good"))
    assert names(other) == [f"{path.name}.zst"]
    assert "a-bad: " in done.faults[0] and "age" in done.faults[0] and len(names(folder)) == 1


def test_audit_without_a_recipient_stays_and_is_said(place: Place, folder: Path) -> None:
    path = piece(folder)
    done = run(place, policy(folder, log_class="audit"))
    assert "there is no recipient" in done.faults[0] and names(folder) == [path.name]


def test_audit_is_encrypted_and_sealed(place: Place, folder: Path, identity: Path, recipient: str) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,), max_size=10)
    texts = {piece(folder, age): f"line of {age}\n" * 1000 for age in (3, 2, 1)}
    done = run(place, audit)
    assert names(folder) == sorted(f"{path.name}.zst.age" for path in texts)
    for path, text in texts.items():
        assert unpacked(Path(f"{path}.zst.age"), identity) == text
    # It is over its size, and nothing of it goes before its age.
    assert not done.removed and "its files go by their age alone" in done.over[0]
    ledger = ledger_of(place, audit)
    assert [record.number for record in ledger.records] == [1, 2, 3] and not ledger.faults
    seen = {f"{path}.zst.age": packing.digest_of(f"{path}.zst.age") for path in texts}
    assert chain.check(ledger.records, seen) == []
    tend(place, clock=lambda: NOW + 363 * DAY)
    later = tend(place, clock=lambda: NOW + 363 * DAY)
    assert {going.why for going in later.removed} == {"older than 30 d"} and names(folder) == []
    assert [record.action for record in ledger_of(place, audit).records] == ["sealed"] * 3 + ["removed"] * 3


def test_a_writer_that_renames_by_itself(place: Place, folder: Path) -> None:
    """PostgreSQL's collector: what it has closed is a piece, and a name that comes again next week is another one."""
    by_writer = policy(folder, renamed_by=WRITER)
    monday, tuesday = folder / "pg-Mon.log", folder / "pg-Tue.log"
    monday.write_text("first week\n")
    with writer(tuesday):
        run(place, by_writer)
        packed = [name for name in names(folder) if name.endswith(".zst")]
        assert len(packed) == 1 and packed[0].startswith("pg-Mon.log-") and "pg-Tue.log" in names(folder)
        monday.write_text("second week\n")
        os.utime(monday, (NOW, NOW))
        run(place, by_writer)
    packed = sorted(unpacked(folder / name) for name in names(folder) if name.endswith(".zst"))
    assert packed == ["first week\n", "second week\n"] and "pg-Mon.log" not in names(folder)


# The whole run has 170 of them.
@pytest.mark.parametrize("number", [*range(60), *range(60, 172, 4)])
def test_a_kill_at_any_call_loses_and_doubles_nothing(
    place: Place, folder: Path, identity: Path, recipient: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child dies before its `number`th call that changes a file; the next run ends the work."""
    audit = policy(folder, name="audit", log_class="audit", encrypt_to=(recipient,), paths=(f"{folder}/*.audit",))
    texts = {piece(folder, age, log=log): f"{log} {age}\n" * 50 for age in (2, 1) for log in ("a.log", "b.audit")}
    for path, text in texts.items():
        path.write_text(text)
    old = piece(folder, 50, log="c.audit")
    for each in (policy(folder), audit):
        place.policies.save(each)
    tend(place, "audit", clock=lambda: NOW - 45 * DAY) if number % 2 else None
    child = os.fork()
    if child == 0:
        _die_before(number)
        tend(place, clock=lambda: NOW)
        os._exit(0)
    _pid, _status = os.waitpid(child, 0)
    done = tend(place, clock=lambda: NOW)
    assert not done.faults, done.faults
    for path, text in texts.items():
        kept = [name for name in names(folder) if name.startswith(path.name)]
        ending = ".zst.age" if ".audit-" in path.name else ".zst"
        assert kept == [path.name + ending] and unpacked(folder / kept[0], identity) == text
    assert not [name for name in names(folder) if name.startswith((".", old.name))]
    ledger = ledger_of(place, audit)
    seen = {str(folder / name): packing.digest_of(str(folder / name)) for name in names(folder) if ".audit-" in name}
    assert not ledger.faults and chain.check(ledger.records, seen) == []


def _die_before(number: int) -> None:
    left = [number]

    def fatal(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return call(*arguments, **options)

        return instead

    for name in ("rename", "replace", "unlink", "fsync", "pwrite", "ftruncate", "fchown", "fchmod", "utime", "open"):
        setattr(os, name, fatal(getattr(os, name)))


def test_the_chain_of_a_torn_write_goes_on(place: Place, folder: Path, recipient: str) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,))
    piece(folder, 2)
    run(place, audit)
    with open(ledger_of(place, audit).path, "a") as stream:
        stream.write('{"number": 2, "torn')
    piece(folder, 1)
    assert not run(place).faults
    assert [record.number for record in ledger_of(place, audit).records] == [1, 2] and not ledger_of(
        place, audit
    ).faults


def test_nothing_is_added_to_a_chain_that_was_edited(place: Place, folder: Path, recipient: str) -> None:
    audit = policy(folder, log_class="audit", encrypt_to=(recipient,))
    piece(folder, 2)
    run(place, audit)
    path = Path(ledger_of(place, audit).path)
    path.write_text(path.read_text().replace('"lines": 1000', '"lines": 999'))
    later = piece(folder, 1)
    done = run(place)
    assert "was edited" in done.faults[0] and later.exists()


def test_two_policies_of_a_class_have_one_size() -> None:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import LogPolicyError, check_together

    one = Policy("one", "system", ("/var/log/x",), DAY, 10)
    check_together(replace(one, name="two"), [one])
    with pytest.raises(LogPolicyError, match="'max_size' of two is 11 bytes, and one of the same class"):
        check_together(replace(one, name="two", max_size=11), [one])


def test_copies_and_heads_leave_the_host(place: Place, folder: Path, tmp_path: Path, recipient: str) -> None:
    away = tmp_path / "away"
    away.mkdir()
    audit = policy(folder, name="audit", log_class="audit", encrypt_to=(recipient,), copy_to=str(away), host="db1")
    first = piece(folder, 2)
    done = run(place, audit)
    there = away / "db1" / "audit"
    copy = Path(f"{there}/pieces{first}.zst.age")
    assert done.copied == [f"{first}.zst.age"] and copy.read_bytes() == Path(f"{first}.zst.age").read_bytes()
    assert not run(place).changed and len(list((there / "heads").iterdir())) == 1
    piece(folder, 1)
    run(place)
    verdict = verify(audit, place)
    assert verdict.faults == [] and verdict.head == verdict.anchor and verdict.head.number == 2
    assert len(list((there / "heads").iterdir())) == 2
    # Somebody empties the host, chain and all: the heads that are away know of it.
    Path(ledger_of(place, audit).path).unlink()
    for path in folder.iterdir():
        path.unlink()
    faults = verify(audit, place).faults
    assert len(faults) == 2 and "its end was cut off" in faults[0]


@pytest.mark.parametrize(("hold", "stays"), [(None, False), (Hold("app.log-*", NOW + 90 * DAY, "an audit"), True)])
def test_copies_go_by_the_same_terms(
    place: Place, folder: Path, tmp_path: Path, hold: Hold | None, stays: bool
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    path = piece(folder, 2)
    kept = policy(folder, copy_to=str(away), host="web1", holds=(hold,) if hold else ())
    run(place, kept)
    copy = Path(f"{away}/web1/shop/pieces{path}.zst")
    assert copy.exists()
    # Gone here for want of room, and there only by its age.
    Path(f"{path}.zst").unlink()
    run(place)
    assert copy.exists()
    for _time in range(2):
        tend(place, clock=lambda: NOW + 40 * DAY)
    assert copy.exists() is stays


def test_a_repository_that_is_away_keeps_nothing_from_being_packed(place: Place, folder: Path, tmp_path: Path) -> None:
    path, other = piece(folder), piece(folder, log="other.txt")
    lost = policy(folder, copy_to=f"{tmp_path}/nosuch/place/at/all")
    done = run(place, lost, policy(folder, name="zz", paths=(f"{folder}/*.txt",)))
    assert names(folder) == [f"{path.name}.zst", f"{other.name}.zst"]
    assert not done.faults or "nosuch" in done.faults[0]


@pytest.mark.parametrize("sealed", [False, True])
def test_two_pieces_of_one_name_are_both_kept(place: Place, folder: Path, identity: Path, recipient: str,
                                              sealed: bool) -> None:  # fmt: skip
    """Rotated twice in a second, or with a clock that was set back: of the same size, too."""
    kept = policy(folder, **({"log_class": "audit", "encrypt_to": (recipient,)} if sealed else {}))
    for text in ("first\n", "other\n", "a third one\n"):
        piece(folder, text=text)
        done = run(place, kept)
        assert not done.faults and len(done.packed) == 1
    texts = [unpacked(folder / name, identity) for name in names(folder)]
    assert texts == ["first\n", "other\n", "a third one\n"]
    assert not sealed or not verify(kept, place).faults


def test_a_clock_that_leaps_ahead_removes_nothing_at_once(place: Place, folder: Path, tmp_path: Path) -> None:
    """A clock of 2106 is right again an hour later; one that stays there is believed."""
    away = tmp_path / "away"
    away.mkdir()
    kept = policy(folder, copy_to=str(away), host="web1")
    path = piece(folder, 1)
    run(place, kept)
    leap = NOW + 80 * 365 * DAY
    assert not tend(place, clock=lambda: leap).removed
    there = Path(f"{away}/web1/shop/pieces{path}.zst")
    assert names(folder) == [f"{path.name}.zst"] and there.exists()
    assert not tend(place, clock=lambda: NOW + DAY).removed and there.exists()
    for _time in range(2):
        tend(place, clock=lambda: leap)
    assert names(folder) == [] and not there.exists()


def test_a_piece_of_a_name_that_there_was_before_may_still_be_written_to(place: Place, folder: Path) -> None:
    piece(folder, text="first\n")
    run(place, policy(folder))
    path = piece(folder, text="second\n")
    with writer(path) as process:
        done = run(place, policy(folder, reopen=("sh", "-c", f"kill {process.pid}")))
    assert not done.faults and len(done.packed) == 1
    assert [unpacked(folder / name) for name in names(folder)] == ["first\n", "second\n"]
