# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a second location lacks, what is mended there, and who notes damage: against repositories in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import copying, damage, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, State, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from memory_repository import Memory

# 2026-01-31 02:00:00 UTC
NIGHT = 1769824800.0
DAY = 86400.0
NAME = "20260131T020000Z"
GOOD = State(verified="read", verified_at=NIGHT)
FILES = {"1.age": b"roles", "2.age": b"rows"}


def manifest(
    name: str = NAME, sequence: int = 1, time: float = NIGHT, files: dict[str, bytes] | None = None
) -> Manifest:
    stored = [
        StoredFile(path, "archive", len(content), hashlib.sha256(content).hexdigest(), encrypted=True)
        for path, content in (FILES if files is None else files).items()
    ]
    return Manifest(name, "files", "app", sequence, time, time + 1, stored, ["age1"])


def publish(repository: Memory, about: Manifest, state: State | None = None) -> BackupSet:
    made = BackupSet(about, state or GOOD)
    for stored in about.files:
        repository.put(f"app/{about.id}/{stored.path}", FILES[stored.path])
    sets.save_state(repository, made)
    sets.publish(repository, about)
    return made


def only(repository: Memory) -> BackupSet:
    (found,) = sets.load(repository, "app").sets
    return found


def series(*sets_of_it: tuple[str, int, float, str | None]) -> Series:
    """Sets of (id, sequence, time in days, damage), newest first."""
    return Series([
        BackupSet(manifest(name, sequence, NIGHT + days * DAY), replace(GOOD, damaged=damaged))
        for name, sequence, days, damaged in sets_of_it
    ])  # fmt: skip


THREE = series(("c", 3, 3.0, None), ("b", 2, 2.0, None), ("a", 1, 1.0, None))


@pytest.mark.parametrize(
    ("source", "target", "copied"),
    [
        (THREE, series(), ["a", "b", "c"]),
        (THREE, series(("a", 1, 1.0, None)), ["b", "c"]),
        # What its own retention let go.
        (THREE, series(("b", 2, 2.0, None)), ["c"]),
        (THREE, series(("c", 3, 3.0, None)), []),
        (series(("c", 3, 3.0, None), ("b", 2, 2.0, "other bytes")), series(), ["c"]),
        # A clock that was set back: later by its number.
        (series(("a", 1, 1.0, None), ("b", 2, 0.5, None)), series(("a", 1, 1.0, None)), ["b"]),
        # A repository that was begun anew: later by its time.
        (series(("b", 1, 5.0, None)), series(("old", 9, 4.0, None)), ["b"]),
        (series(("b", 1, 3.0, None)), series(("old", 9, 4.0, None)), []),
    ],
)
def test_what_is_missing(source: Series, target: Series, copied: list[str]) -> None:
    assert [found.manifest.id for found in copying.missing(source, target)] == copied


def lacking(about: Manifest, state: State = GOOD, unnoted: bool = True) -> BackupSet:
    return BackupSet(about, state, lost="2.age is missing", unnoted=unnoted)


@pytest.mark.parametrize(
    ("original", "copy", "mended"),
    [
        (BackupSet(manifest(), GOOD), lacking(manifest()), True),
        (BackupSet(manifest(), GOOD), lacking(manifest(), GOOD.found_lost("2.age", NIGHT, "x"), False), True),
        # A damage that somebody read is for people to look at.
        (BackupSet(manifest(), GOOD), lacking(manifest(), GOOD.found_damaged("bytes", NIGHT, "x"), False), False),
        (BackupSet(manifest(), replace(GOOD, damaged="bytes")), lacking(manifest()), False),
        (BackupSet(manifest(files={"1.age": b"roles"}), GOOD), lacking(manifest()), False),
        (BackupSet(manifest("another"), GOOD), lacking(manifest()), False),
        (BackupSet(manifest(), GOOD), BackupSet(manifest(), GOOD), False),
    ],
)
def test_what_is_mended(original: BackupSet, copy: BackupSet, mended: bool) -> None:
    assert copying.spoilt(Series([original]), Series([copy])) == ([(original, copy)] if mended else [])


@pytest.mark.parametrize(("verified", "level"), [("none", "digest"), ("digest", "digest"), ("read", "read")])
def test_how_far_a_copy_is_verified(verified: str, level: str) -> None:
    assert copying.level_of(BackupSet(manifest(), State(verified=verified))) == level


def free() -> None:
    """A lock that is held."""


def spoilt_pair() -> tuple[Memory, Memory, BackupSet]:
    first, second = Memory("first"), Memory("second")
    original = publish(first, manifest())
    publish(second, manifest())
    del second.files[f"app/{NAME}/2.age"]
    for place in (first, second):
        place.calls.clear()
    return first, second, original


def test_only_files_that_are_not_what_was_written_are_copied_again() -> None:
    first, second, original = spoilt_pair()
    copying.mend(first, second, original, only(second), free)
    assert [key for deed, key in first.calls if deed == "read"] == [f"app/{NAME}/2.age"]
    assert only(second).lost is None and only(second).state.good


def test_a_copy_is_read_back_before_it_counts() -> None:
    first, second, original = spoilt_pair()
    second.read_as = lambda key, content: content[::-1] if key.endswith("2.age") else content
    with pytest.raises(Damaged, match="other bytes"):
        copying.mend(first, second, original, only(second), free)
    assert [call for call in second.changes if call[0] == "put"] == []


def test_a_lock_that_was_lost_notes_no_verdict() -> None:
    first, second, original = spoilt_pair()
    second.lock_lost = True
    with pytest.raises(Locked):
        copying.mend(first, second, original, only(second), second._held)
    assert [call for call in second.changes if call[0] == "put"] == []


def test_a_file_that_the_source_lost_is_not_written() -> None:
    first, second, original = spoilt_pair()
    first.files[f"app/{NAME}/2.age"] = b"ROWS"
    with pytest.raises(copying.SourceDamaged, match=r"in first, 2\.age has other bytes"):
        copying.copy_files(first, second, f"app/{NAME}", original.manifest.files[1:])
    assert f"app/{NAME}/2.age" not in second.files


def test_what_a_listing_shows_is_noted() -> None:
    repository = Memory()
    publish(repository, manifest())
    del repository.files[f"app/{NAME}/2.age"]
    found = sets.load(repository, "app")
    (said,) = damage.note(repository, found, free, "a listing")
    assert said == f"{NAME} in memory is damaged: 2.age is missing"
    assert only(repository).state.history[-1]["by"] == "a listing" and only(repository).unnoted is False
    # It is said once.
    assert damage.note(repository, sets.load(repository, "app"), free, "a listing") == []


def test_a_loss_that_cannot_be_noted_is_said_all_the_same() -> None:
    repository = Memory()
    publish(repository, manifest())
    del repository.files[f"app/{NAME}/2.age"]
    found = sets.load(repository, "app")
    repository.fails_at = len(repository.calls)
    (said,) = damage.note(repository, found, free, "a listing")
    assert "2.age is missing (its state cannot say so: " in said and found.sets[0].unnoted


def test_nothing_is_noted_with_the_lock_lost() -> None:
    repository = Memory()
    publish(repository, manifest())
    del repository.files[f"app/{NAME}/2.age"]
    found = sets.load(repository, "app")
    repository.calls.clear()
    repository.lock_lost = True
    with pytest.raises(Locked):
        damage.note(repository, found, repository._held, "a listing")
    assert repository.changes == []


def failing_restore(repository: Memory, check_mode: bool = False) -> BackupSet:
    """A restore whose failure is due to what the repository gives back."""
    chosen = only(repository)
    with pytest.raises(Day2Error, match="the restore failed"), damage.noting(repository, chosen, check_mode):
        try:
            for stored in chosen.manifest.files:
                drain(stored_pieces(repository, f"app/{NAME}", stored))
        except Damaged as exc:
            raise Day2Error("the restore failed") from exc
        raise Day2Error("the restore failed")
    repository.read_as = lambda _key, content: content
    return only(repository)


def other_bytes(_key: str, content: bytes) -> bytes:
    return content[::-1]


def test_a_restore_that_got_other_bytes_notes_it() -> None:
    repository = Memory()
    publish(repository, manifest())
    repository.read_as = other_bytes
    noted = failing_restore(repository)
    assert noted.state.damaged == "1.age has other bytes than were written"
    assert noted.state.history[-1]["by"].startswith("a restore on ") and repository.holder is None


def without_right(repository: Memory) -> None:
    repository.may_write = lambda: False  # type: ignore[method-assign]


def at_work(repository: Memory) -> None:
    repository.holder = "a backup"


def without_lock(repository: Memory) -> None:
    repository.lock_lost = True


@pytest.mark.parametrize(
    ("begin", "read_as", "check_mode"),
    [
        # For another reason: no trace, not even that of a lock.
        (None, None, False),
        (None, other_bytes, True),
        (without_right, other_bytes, False),
        (at_work, other_bytes, False),
        (without_lock, other_bytes, False),
    ],
)
def test_a_restore_that_notes_nothing(
    begin: Callable[[Memory], None] | None, read_as: Callable[[str, bytes], bytes] | None, check_mode: bool
) -> None:
    repository = Memory()
    publish(repository, manifest())
    repository.read_as = read_as or repository.read_as
    if begin is not None:
        begin(repository)
    repository.calls.clear()
    assert failing_restore(repository, check_mode).state == GOOD and repository.changes == []
    assert read_as is not None or "lock" not in [deed for deed, _key in repository.calls]


def test_a_restore_adds_nothing_to_a_damage_that_is_known() -> None:
    repository = Memory()
    publish(repository, manifest(), GOOD.found_damaged("a bad block", NIGHT, "somebody"))
    repository.read_as = other_bytes
    assert failing_restore(repository).state.damaged == "a bad block" and "lock" not in [
        deed for deed, _key in repository.calls
    ]


def test_a_loss_that_was_made_up_for_meanwhile_is_not_noted() -> None:
    """Somebody held the lock between the first look and the second."""
    repository = Memory()
    publish(repository, manifest())
    rows = repository.files.pop(f"app/{NAME}/2.age")
    inner: Any = repository.lock

    def lock(*about: Any) -> Any:
        repository.files[f"app/{NAME}/2.age"] = rows
        return inner(*about)

    repository.lock = lock  # type: ignore[method-assign]
    repository.calls.clear()
    damage.note_of_restore(repository, "app", sets.load(repository, "app"))
    assert ("lock", "app") in repository.calls and repository.changes == []


def test_a_restore_notes_what_its_listing_showed() -> None:
    repository = Memory()
    publish(repository, manifest())
    damage.note_of_restore(repository, "app", sets.load(repository, "app"))
    assert "lock" not in [deed for deed, _key in repository.calls]
    del repository.files[f"app/{NAME}/2.age"]
    damage.note_of_restore(repository, "app", sets.load(repository, "app"))
    assert only(repository).state.lost and not only(repository).unnoted
