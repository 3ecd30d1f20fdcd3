# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Full disks, damaged sets, things in a repository that nobody expects: sets of files on this machine."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.made import Made
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, run
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import verify
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.lease import LeaseLost
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository, RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import backup, flipped, make_data, odd, only, plan, truncated

# What a policy would let go at once: only a fault keeps it.
GREEDY = Policy(last=1, min_verified=0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data", files=2)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return open_repository(str(tmp_path / "repository"))


class Disk:
    """A small file system, and how it becomes full."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._filler = folder, folder / "filler"

    def fill(self) -> None:
        with suppress(OSError), self._filler.open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 4096)

    def empty(self) -> None:
        self._filler.unlink()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Disk]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", "size=8m") as made:
        yield made


def full_before(disk: Disk, inner: Repository, name: str) -> Repository:
    """The disk is full from the moment on when a file of this name is to be written."""

    def put(key: str, content: bytes, replace: bool = False) -> None:
        if key.endswith(f"/{name}"):
            disk.fill()
        inner.put(key, content, replace)

    @contextmanager
    def writer(key: str) -> Iterator[Any]:
        with inner.writer(key) as writing:
            if name in key:
                writing.write(b"")
                disk.fill()
            yield writing

    return odd(inner, put=put, writer=writer)


@pytest.mark.parametrize("stage", ["archive001", "manifest.json", "state.json"])
def test_a_full_disk_is_told_and_costs_no_other_set(disk: Disk, data: Path, stage: str) -> None:
    inner = open_repository(f"{disk.folder}/sets")
    kept = backup(inner, data)["set"]["id"]
    with pytest.raises(BackupFailed, match=rf"nothing was pruned: {disk.folder}/sets: .*{stage}.*No space left on dev"):
        backup(full_before(disk, inner, stage), data, policy=GREEDY)
    found = sets.load(inner, "files")
    assert [each.manifest.id for each in found.sets][-1] == kept and found.unpublished == {}
    # The set was published before its verdict had no room: it stays, and nobody calls it verified.
    assert [each.state.good for each in found.sets] == ([False, True] if stage == "state.json" else [True])
    disk.empty()
    assert backup(inner, data, max_age=0.0)["set"]["verified"] == "read"
    assert nothing_strange(disk.folder / "sets")


@pytest.mark.parametrize("stage", ["archive001", "manifest.json", "state.json"])
def test_a_full_disk_of_the_copy(disk: Disk, data: Path, repository: Repository, stage: str) -> None:
    inner = open_repository(f"{disk.folder}/sets")
    backup(repository, data, inner)
    with pytest.raises(BackupFailed, match=rf"its copy failed, and nothing was pruned: {disk.folder}.*No space left"):
        backup(repository, data, full_before(disk, inner, stage), policy=GREEDY)
    assert len(sets.load(repository, "files").sets) == 2 and len(sets.load(inner, "files").sets) == 1
    disk.empty()
    outcome = backup(repository, data, inner, max_age=3600.0)
    assert len(outcome["copied"]) == 1 and nothing_strange(disk.folder / "sets")


def test_no_room_for_a_lock(tmp_path: Path, data: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=2") as disk:
        with pytest.raises(Day2Error, match=rf"{disk.folder}/files/\.lock cannot be opened as a lock: No space left"):
            backup(open_repository(str(disk.folder)), data)
        assert os.listdir(disk.folder / "files") == []


def test_a_lock_whose_holder_has_no_room_for_its_name_is_held(disk: Disk) -> None:
    repository = open_repository(str(disk.folder))
    disk.fill()
    told = pytest.raises(Day2Error, match=r"is held by another process")
    with repository.lock("files", 0.0, "me"), told, repository.lock("files", 0.0, "you"):
        pass


def nothing_strange(root: Path) -> bool:
    """Every file below is one that a manifest names, or a manifest, its state, or the lock; and there is no more."""
    known = {root / "files" / ".lock"}
    for manifest in root.glob("files/*/manifest.json"):
        names = [each["path"] for each in json.loads(manifest.read_bytes())["files"]]
        known |= {manifest.parent / name for name in [*names, "manifest.json", "state.json"]}
    found = set(root.rglob("*"))
    return {each for each in found if not each.is_dir()} <= known and all(
        any(each in path.parents for path in known) for each in found if each.is_dir()
    )


def test_what_a_kill_leaves_between_two_calls_is_cleared(repository: Repository, data: Path, tmp_path: Path) -> None:
    """Files that were to be renamed, and directories that never got one."""
    backup(repository, data)
    folder = tmp_path / "repository" / "files"
    (folder / only(repository).manifest.id / ".tmpx8s9").write_bytes(b'{"verified"')
    (folder / "20260101T000000Z" / "db001").mkdir(parents=True)
    (folder / "20260102T000000Z").mkdir()
    (folder / "20260102T000000Z" / "archive001.tar.zst.unfinished").write_bytes(b"half")
    (folder / "somebody's own").mkdir()
    outcome = backup(repository, data)
    assert "20260102T000000Z" in outcome["cleared"] and (folder / "somebody's own").is_dir()
    (folder / "somebody's own").rmdir()
    assert nothing_strange(tmp_path / "repository")


@pytest.mark.parametrize("name", ["manifest.json", "state.json"])
@pytest.mark.parametrize("damage", [truncated, flipped])
def test_a_record_that_is_damaged_is_never_good(
    repository: Repository, data: Path, tmp_path: Path, name: str, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    """It is named, neither counts nor goes, and the sets beside it are as they were."""
    bad, good = (backup(repository, data)["set"]["id"] for _run in range(2))
    path, chance = tmp_path / "repository" / "files" / bad / name, random.Random(7)
    whole = path.read_bytes()
    for _offset in range(20):
        path.write_bytes(damage(whole.rstrip(), chance))
        found = sets.load(repository, "files")
        assert list(found.broken) == [bad] and [each.manifest.id for each in found.sets] == [good]
    outcome = backup(repository, data, policy=GREEDY)
    (place,) = outcome["locations"]
    assert place["pruned"] == [good] and bad in place["broken"] and path.exists()


def test_a_set_in_the_place_of_another_is_none(repository: Repository, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "files"
    first = backup(repository, data)["set"]["id"]
    shutil.copytree(folder / first, folder / "20260101T000000Z")
    assert "is that of files/" in sets.load(repository, "files").broken["20260101T000000Z"]


def test_files_that_changed_places(repository: Repository, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "files"
    first = backup(repository, data)["set"]["id"]
    (data / "in" / "new").write_bytes(b"new")
    second = backup(repository, data)["set"]["id"]
    one, other = (folder / name / "archive001.tar.zst" for name in (first, second))
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    for each in sets.load(repository, "files").sets:
        assert len(verify(repository, each.manifest, 2, None).faults) == 1


def as_link(path: Path) -> None:
    path.rename(path.parents[3] / "elsewhere")
    path.symlink_to(path.parents[3] / "elsewhere")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [as_link, as_pipe])
@pytest.mark.parametrize("name", ["manifest.json", "state.json", "archive001.tar.zst"])
def test_what_is_no_file_is_not_followed(
    repository: Repository, data: Path, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    """A link leads out of the repository, and a pipe that nobody feeds would be read for ever."""
    bad = backup(repository, data)["set"]["id"]
    manifest = only(repository).manifest
    change(tmp_path / "repository" / "files" / bad / name)
    if name == "archive001.tar.zst":
        assert "no regular file" in "".join(verify(repository, manifest, 1, None).faults)
    else:
        assert "no regular file" in sets.load(repository, "files").broken[bad]
    assert backup(repository, data)["made"]


def test_foreign_things_stay(repository: Repository, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository" / "files"
    for place in (root / "lost+found" / "x", root / "notes", tmp_path / "repository" / "other" / "y"):
        place.mkdir(parents=True)
        (place / "file").write_text("mine")
    (root / "20260101T000000Z").symlink_to(tmp_path)
    outcome = backup(repository, data, policy=GREEDY)
    assert outcome["cleared"] == [] and outcome["made"] and data.exists()
    assert (root / "lost+found" / "x" / "file").exists() and (root / "20260101T000000Z").is_symlink()


def test_a_repository_that_is_a_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RepositoryError, match=r"file is no directory"):
        backup(open_repository(str(tmp_path / "file")), data)
    with pytest.raises(RepositoryError, match=r"below cannot be made: Not a directory"):
        backup(open_repository(str(tmp_path / "file" / "below")), data)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_repository_that_is_read_only(data: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=8m") as disk:
        repository = open_repository(str(disk.folder))
        kept = backup(repository, data)["set"]["id"]
        subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
        with pytest.raises(RepositoryError, match=rf"{disk.folder} lies on a read-only file system"):
            backup(repository, data, policy=GREEDY)
        assert only(repository).manifest.id == kept


@pytest.mark.parametrize("moment", ["publish", "prune"])
def test_a_lock_that_was_lost_neither_publishes_nor_prunes(
    repository: Repository, data: Path, tmp_path: Path, moment: str
) -> None:
    kept = backup(repository, data)["set"]["id"]
    lost = []

    def held() -> None:
        if lost:
            raise LeaseLost("the lease was lost")

    @contextmanager
    def lock(series: str, wait: float, holder: str) -> Iterator[Held]:
        with repository.lock(series, wait, holder):
            yield held

    def put(key: str, content: bytes, replace: bool = False) -> None:
        repository.put(key, content, replace)
        if moment == "prune" and key.endswith("state.json"):
            lost.append(key)

    def make(place: Repository, folder: str) -> Any:
        place.put(f"{folder}/archive001.tar.zst", b"another run's by now")
        lost.extend([folder] if moment == "publish" else [])
        return Made([], {})

    losing: Any = odd(repository, lock=lock, put=put)
    if moment == "publish":
        with pytest.raises(BackupFailed, match=r"nothing was pruned: the lease was lost"):
            run(plan(policy=GREEDY), losing, None, make)
        assert only(repository).manifest.id == kept
        assert (tmp_path / "repository" / lost[0] / "archive001.tar.zst").exists(), "it may be another run's"
    else:
        with pytest.raises(LeaseLost):
            backup(losing, data, policy=GREEDY)
        assert kept in [each.manifest.id for each in sets.load(repository, "files").sets]


def test_a_copy_is_made_also_when_the_clock_was_set_back(
    repository: Repository, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    second = open_repository(str(tmp_path / "second"))
    backup(repository, data, second)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400)
    outcome = backup(repository, data, second)
    assert len(outcome["copied"]) == 1 and len(sets.load(second, "files").sets) == 2


def test_a_copy_whose_manifest_is_damaged_is_told(repository: Repository, data: Path, tmp_path: Path) -> None:
    second = open_repository(str(tmp_path / "second"))
    name = backup(repository, data, second)["set"]["id"]
    (tmp_path / "second" / "files" / name / "manifest.json").write_bytes(b"{")
    with pytest.raises(BackupFailed, match=rf"has {name} already, and its manifest is no JSON.*; remove it there"):
        backup(repository, data, second, max_age=3600.0)
    shutil.rmtree(tmp_path / "second" / "files" / name)
    assert backup(repository, data, second, max_age=3600.0)["copied"] == [name]


def test_a_reader_that_was_killed_is_no_damage(
    repository: Repository, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends a program for want of memory while a set is verified: nothing is known of the set then."""
    shims = tmp_path / "shims"
    shims.mkdir()
    real = shutil.which("zstd")
    (shims / "zstd").write_text(f'#!/bin/sh\ncase " $* " in *" -d "*) kill -9 $$;; esac\nexec {real} "$@"\n')
    (shims / "zstd").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{shims}:{os.environ['PATH']}")
        with pytest.raises(BackupFailed, match=r"its verification did not end, and nothing was pruned: zstd failed"):
            backup(repository, data)
    assert only(repository).state.damaged is None and not only(repository).state.good
    # And so another one is due.
    assert backup(repository, data, max_age=3600.0)["set"]["verified"] == "read"


def test_files_that_change_while_they_are_read_are_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is cut while tar reads it, which then writes zeros for the rest; the next one is gone before its turn."""
    cut, gone = data / "in" / "a \n log", data / "in" / "b"
    cut.write_bytes(os.urandom(300_000))
    gone.write_text("x")
    change = tmp_path / "change"
    change.write_text('#!/bin/sh\ntruncate -s 1000 "$CUT"; rm -f "$GONE"\n')
    # After each record of 10 KiB.
    shim = f'#!/bin/sh\nexec {shutil.which("tar")} --checkpoint=1 --checkpoint-action=exec="sh {change}" "$@"\n'
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tar").write_text(shim)
    (tmp_path / "bin" / "tar").chmod(0o755)
    repository = open_repository(str(tmp_path / "repository"))
    with monkeypatch.context() as patched:
        patched.setenv("CUT", str(cut))
        patched.setenv("GONE", str(gone))
        patched.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        made = backup(repository, data)
    (warning,) = made["warnings"]
    assert f"{data} is not of one moment" in warning and r"in/a \n log: File shrank by" in warning, warning
    assert "in/b: File removed before we read it" in warning
    # What nobody touches is not worth a word.
    assert not backup(repository, data).get("warnings")
