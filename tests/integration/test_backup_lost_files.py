# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets whose files somebody removed or cut: whoever lists them sees it, and nobody relies on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, run
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import Options, pack
from ansible_collections.day2.ops.plugins.module_utils.file_sets.restore import Order, restore
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository, RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from ansible_collections.day2.ops.plugins.modules.pg_backup_info import SPEC, logical_sets
from file_sets import as_given, backup, make_data, odd, only, plan

ARCHIVE = "archive001.tar.zst"
Spoil = Callable[[Repository, str], None]


@pytest.fixture
def repository(repository_place: Any) -> Repository:
    return open_repository(repository_place)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data", files=2, size=20_000)


def removed(repository: Repository, name: str) -> None:
    repository.remove(f"files/{name}/{ARCHIVE}")


def cut(repository: Repository, name: str) -> None:
    key = f"files/{name}/{ARCHIVE}"
    content = b"".join(repository.read(key))
    repository.remove(key)
    repository.put(key, content[:1000])


def made(repository: Repository, data: Path, count: int, **about: Any) -> list[str]:
    """Ids, the newest first."""
    return [backup(repository, data, **about)["set"]["id"] for _run in range(count)][::-1]


def stored(repository: Repository, name: str) -> bytes:
    return repository.get(f"files/{name}/state.json") or b""


@pytest.mark.parametrize(("spoil", "words"), [(removed, "is missing"), (cut, "has 1,000 of ")])
def test_nobody_relies_on_a_set_without_its_file(repository: Repository, data: Path, spoil: Spoil, words: str) -> None:
    newest, before = made(repository, data, 2)
    assert backup(repository, data, max_age=3600.0)["msg"].startswith(
        f"no set is due, the newest good one is {newest} ("
    )
    spoil(repository, newest)
    known = stored(repository, newest)
    # Check mode looks, tells, and writes nothing.
    options = Options([str(data)])
    planned = run(plan(max_age=3600.0), repository, None, lambda place, folder: pack(options, place, folder), True)
    assert not planned["made"] and f"the newest good one is {before} (" in planned["msg"]
    assert words in planned["locations"][0]["damaged"][newest] and stored(repository, newest) == known
    outcome = backup(repository, data, max_age=3600.0)
    assert not outcome["made"] and outcome["set"]["id"] == before and before in outcome["msg"]
    assert outcome["changed"] and f"{ARCHIVE} {words}" in outcome["warnings"][0]
    # It is written down once.
    assert words.encode() in stored(repository, newest)
    again = backup(repository, data, max_age=3600.0)
    assert not again["changed"] and "warnings" not in again and newest in again["locations"][0]["damaged"]
    spoil(repository, before)
    assert backup(repository, data, max_age=3600.0)["made"], "a set is due where none is whole"


def test_files_that_are_there_again_end_the_damage(repository: Repository, data: Path) -> None:
    """A listing that lacked them, such as that of a disk which was not mounted, was right then."""
    (name,) = made(repository, data, 1)
    key = f"files/{name}/{ARCHIVE}"
    content = b"".join(repository.read(key))
    removed(repository, name)
    assert backup(repository, data, max_age=3600.0)["made"]
    assert sets.load(repository, "files").sets[1].state.damaged
    with repository.writer(key) as writer:
        writer.write(content)
        writer.commit()
    found = sets.load(repository, "files").sets[1]
    assert (found.manifest.id, found.state.damaged, found.state.good) == (name, None, True)
    # What somebody read of it stands, whatever a listing shows.
    found.state = found.state.found_damaged("other bytes", found.manifest.time, "a drill")
    sets.save_state(repository, found)
    assert sets.load(repository, "files").sets[1].state.damaged == "other bytes"


def test_a_copy_without_its_file_is_copied_again(repository: Repository, data: Path, tmp_path: Path) -> None:
    second = open_repository(str(tmp_path / "second"))
    newest, before = made(repository, data, 2, copy=second)
    removed(second, before)
    cut(second, newest)
    outcome = backup(repository, data, second, max_age=3600.0)
    assert sorted(outcome["copied"]) == [before, newest] and outcome["changed"] and not outcome["made"]
    assert all(f"copied again from {repository.name}" in told for told in outcome["warnings"][-2:])
    for name in (newest, before):
        original, copy = (b"".join(place.read(f"files/{name}/{ARCHIVE}")) for place in (repository, second))
        assert copy == original
    assert [each.state.good for each in sets.load(second, "files").sets] == [True, True]
    again = backup(repository, data, second, max_age=3600.0)
    assert not again["changed"] and "warnings" not in again


def test_a_set_that_cannot_be_copied_for_its_own_bytes_is_damaged(data: Path, tmp_path: Path) -> None:
    """Otherwise it would take the place of a whole one while the run that knows goes on to prune."""
    first, second = (open_repository(str(tmp_path / name)) for name in ("first", "second"))
    newest, before = made(first, data, 2, copy=second)
    removed(second, before)
    path = tmp_path / "first" / "files" / before / ARCHIVE
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    options = Options([str(data)])
    about = {"max_age": 3600.0, "policy": Policy(last=1, min_verified=1)}
    planned = run(plan(**about), first, second, lambda place, folder: pack(options, place, folder), True)
    assert planned["changed"] and planned["copied"] == [before]
    with pytest.raises(BackupFailed, match=rf"{before} .*its copy failed, and nothing was pruned: in {first.name}, "):
        backup(first, data, second, **about)
    assert {each.manifest.id: each.state.good for each in sets.load(first, "files").sets} == {
        newest: True,
        before: False,
    }
    assert len(sets.load(second, "files").sets) == 2
    # From then on it is nobody's source.
    assert not backup(first, data, second, max_age=3600.0)["made"]


def test_a_damage_that_somebody_read_is_not_taken_back_by_a_listing(repository: Repository, data: Path) -> None:
    (name,) = made(repository, data, 1)
    found = only(repository)
    found.state = found.state.found_damaged("rows differ", found.manifest.time, "a drill")
    assert found.state.found_lost("x is missing", found.manifest.time, "a drill") is found.state
    sets.save_state(repository, found)
    removed(repository, name)
    backup(repository, data)
    assert sets.load(repository, "files").sets[1].state.damaged == "rows differ"


def test_retention_gives_no_whole_set_for_one_without_its_file(repository: Repository, data: Path) -> None:
    names = made(repository, data, 4)
    removed(repository, names[0])
    outcome = backup(repository, data, max_age=3600.0, policy=Policy(last=1, min_verified=2))
    assert outcome["locations"][0]["pruned"] == [names[3], names[0]]
    assert [each.manifest.id for each in sets.load(repository, "files").sets] == names[1:3]


def test_fewer_whole_sets_than_the_floor_hold_all(repository: Repository, data: Path) -> None:
    names = made(repository, data, 3)
    for name in names[:2]:
        cut(repository, name)
    outcome = backup(repository, data, max_age=3600.0, policy=Policy(last=1, min_verified=2))
    (place,) = outcome["locations"]
    assert place["pruned"] == [] and "before there are 2 verified sets" in place["held"]


def test_the_proven_set_stays(repository: Repository, data: Path) -> None:
    (oldest,) = made(repository, data, 1)
    proven = only(repository)
    proven.state = replace(proven.state, proven_at=proven.manifest.time)
    sets.save_state(repository, proven)
    made(repository, data, 3)
    outcome = backup(repository, data, policy=Policy(last=1, min_verified=1))
    (told,) = [each["because"] for each in outcome["locations"][0]["kept"] if each["id"] == oldest]
    assert told == ["the newest proven set"] and len(outcome["locations"][0]["pruned"]) == 3


def test_those_who_only_read_tell_and_write_nothing(repository: Repository, data: Path) -> None:
    where = {"repository": as_given(repository), "series": "files"}

    def ask(**about: Any) -> dict[str, dict[str, Any]]:
        metrics = ("age", "size", "count", "unverified")
        checks = [{"id": name, "title": name, "probe": "backup", "metric": name, **where} for name in metrics]
        checks[0].update(about)
        return {row["id"]: row for row in run_checklist(checks)["results"]}

    newest, before = made(repository, data, 2)
    removed(repository, newest)
    known = stored(repository, newest)
    reason = f"{newest} is damaged: {ARCHIVE} is missing"
    found = ask(critical=">= 0 s")
    assert (
        found["age"]["status"] == "critical" and before in found["age"]["message"] and reason in found["age"]["message"]
    )
    assert before in found["size"]["message"] and reason in found["size"]["message"] and found["count"]["value"] == 1
    assert found["unverified"]["status"] == "critical" and reason in found["unverified"]["message"]
    rows = logical_sets({**dict.fromkeys(SPEC), **where})["sets"]
    assert [(row["id"], row["damaged"]) for row in rows] == [(newest, f"{ARCHIVE} is missing"), (before, None)]
    assert rows[0]["damaged_at"] == {repository.name: f"{ARCHIVE} is missing"}
    assert stored(repository, newest) == known
    removed(repository, before)
    found = ask()
    assert {row["status"] for row in found.values()} == {"critical"} and reason in found["age"]["message"]


def test_a_restore_takes_another_set_and_says_so(data: Path, tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    (tmp_path / "root").mkdir()
    newest, before = made(repository, data, 2)
    cut(repository, newest)
    known = stored(repository, newest)
    order = Order("files", root=str(tmp_path / "root"))
    assert restore(order, repository, check_mode=True)["set"]["id"] == before and stored(repository, newest) == known
    outcome = restore(order, repository)
    assert outcome["set"]["id"] == before and any(newest in told for told in outcome["warnings"])
    assert b"has 1,000 of " in stored(repository, newest)
    removed(repository, before)
    with pytest.raises(Day2Error, match=f"{before} is damaged: {ARCHIVE} is missing"):
        restore(replace(order, source=before), repository)
    assert b"is missing" in stored(repository, before)


@pytest.mark.parametrize(("spoil", "words"), [(removed, b"is missing"), ("flip", b"other bytes than were written")])
def test_a_restore_that_fails_by_its_set_marks_it(data: Path, tmp_path: Path, spoil: Any, words: bytes) -> None:
    inner = open_repository(str(tmp_path / "repository"))
    (name,) = made(inner, data, 1)
    path = tmp_path / "repository" / "files" / name / ARCHIVE

    def meanwhile(key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        if spoil is removed and path.exists():
            removed(inner, name)
        for piece in inner.read(key, chunk):
            yield piece[:-1] + bytes([piece[-1] ^ 1])

    (tmp_path / "root").mkdir()
    with pytest.raises(Day2Error):
        restore(Order("files", root=str(tmp_path / "root")), odd(inner, read=meanwhile))
    assert words in stored(inner, name) and only(inner).state.damaged


def test_root_leaves_no_state_in_the_directory_of_another(data: Path, tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    (name,) = made(repository, data, 1)
    removed(repository, name)
    os.chown(tmp_path / "repository", 65534, 65534)
    known = stored(repository, name)
    with pytest.raises(Day2Error, match="is missing"):
        restore(Order("files", source=name, root=str(tmp_path)), repository)
    assert stored(repository, name) == known


def test_a_listing_that_fails_is_no_damage(data: Path, tmp_path: Path) -> None:
    inner = open_repository(str(tmp_path / "repository"))
    (name,) = made(inner, data, 1)
    known = stored(inner, name)

    def silent(prefix: str) -> Iterator[tuple[str, int]]:
        raise RepositoryError("it does not answer")

    with pytest.raises(RepositoryError, match="does not answer"):
        backup(odd(inner, keys=silent), data, max_age=3600.0)
    assert stored(inner, name) == known and only(inner).state.good


def test_a_set_that_is_published_meanwhile_is_whole(data: Path, tmp_path: Path) -> None:
    inner = open_repository(str(tmp_path / "repository"))
    (name,) = made(inner, data, 1)

    def early(prefix: str) -> Iterator[tuple[str, int]]:
        """The first page of a listing was read before the archive was there."""
        for key, size in inner.keys(prefix):
            if prefix != "files/" or not key.endswith(ARCHIVE):
                yield key, size

    assert only(odd(inner, keys=early)).state.good
    assert only(inner).manifest.id == name
