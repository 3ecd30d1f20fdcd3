# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every kind of repository has to do: the protocol of repositories/base.py, against the real services."""

from __future__ import annotations

import json
import random
import sys
from subprocess import PIPE, Popen
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Missing, Repository, RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import KINDS, open_repository

SET = "files/20260101T000000Z"


@pytest.fixture
def place(repository_place: Any) -> Any:
    return repository_place


@pytest.fixture
def repository(place: Any) -> Repository:
    return open_repository(place)


def keys(repository: Repository, prefix: str = "files/") -> dict[str, int]:
    # A lock may leave something of its own.
    return {key: size for key, size in repository.keys(prefix) if "/.l" not in key}


def test_every_kind_is_here() -> None:
    assert [kind.scheme for kind in KINDS] == ["", "s3", "sftp"]


def test_a_place_is_made_once_it_is_needed(repository: Repository) -> None:
    assert keys(repository, "") == {} and repository.get("files/x") is None
    repository.prepare(make=False)
    is_bucket = repository.name.startswith("s3://")
    assert repository.exists() == is_bucket
    for _again in range(2):
        repository.prepare()
    assert repository.exists() and repository.may_write() and keys(repository, "") == {}
    assert not repository.is_within("/opt")


@pytest.mark.parametrize("size", [0, 1, (8 << 20), (8 << 20) + 1, 30_000_001])
def test_a_file_of_any_size_is_what_was_written(repository: Repository, size: int) -> None:
    content = random.Random(size).randbytes(size)
    with repository.writer(f"{SET}/archive") as writer:
        for place in range(0, size, 1_000_000):
            writer.write(content[place : place + 1_000_000])
        assert repository.get(f"{SET}/archive") is None, "nothing is visible before it is whole"
        writer.commit()
    assert keys(repository) == {f"{SET}/archive": size}
    pieces = list(repository.read(f"{SET}/archive", 100_000))
    assert b"".join(pieces) == content and max(map(len, pieces), default=0) <= 100_000


@pytest.mark.parametrize("size", [0, 10, 20 << 20])
def test_what_is_not_committed_is_gone(repository: Repository, size: int) -> None:
    repository.prepare()
    with pytest.raises(ZeroDivisionError), repository.writer(f"{SET}/archive") as writer:
        writer.write(bytes(size))
        raise ZeroDivisionError
    repository.tidy("files/")
    assert keys(repository) == {} and repository.get(f"{SET}/archive") is None


def test_a_reader_may_stop_and_others_read_meanwhile(repository: Repository) -> None:
    content = random.Random(4).randbytes(20 << 20)
    with repository.writer(f"{SET}/archive") as writer:
        writer.write(content)
        writer.commit()
    first, second = repository.read(f"{SET}/archive"), repository.read(f"{SET}/archive")
    assert next(first) == next(second) == content[: 1 << 20]
    repository.put("files/other", b"x")
    assert b"".join(second) == content[1 << 20 :]
    first.close()  # type: ignore[attr-defined]


def test_a_small_file_is_replaced_only_where_it_may_be(repository: Repository) -> None:
    repository.put(f"{SET}/manifest.json", b"one")
    with pytest.raises(RepositoryError, match=f"{SET}/manifest.json is in .* already"):
        repository.put(f"{SET}/manifest.json", b"two")
    assert repository.get(f"{SET}/manifest.json") == b"one"
    repository.put(f"{SET}/manifest.json", b"three", replace=True)
    repository.put(f"{SET}/state.json", b"", replace=True)
    assert repository.get(f"{SET}/manifest.json") == b"three" and repository.get(f"{SET}/state.json") == b""
    assert keys(repository) == {f"{SET}/manifest.json": 5, f"{SET}/state.json": 0}


def test_what_is_not_there(repository: Repository) -> None:
    repository.put("files/other", b"x")
    assert repository.get(f"{SET}/x") is None and keys(repository, f"{SET}/") == {}
    with pytest.raises(Missing, match=f"has no {SET}/x"):
        next(repository.read(f"{SET}/x"))
    repository.remove(f"{SET}/x")


def test_keys_are_those_of_a_prefix(repository: Repository) -> None:
    for key in (f"{SET}/db 001/a", f"{SET}/b", "files/20260102T000000Z/c", "other/d"):
        repository.put(key, key.encode())
    assert sorted(keys(repository)) == ["files/20260101T000000Z/b", f"{SET}/db 001/a", "files/20260102T000000Z/c"]
    assert keys(repository, f"{SET}/") == {f"{SET}/b": len(f"{SET}/b"), f"{SET}/db 001/a": len(f"{SET}/db 001/a")}
    assert sorted(keys(repository, "")) == [f"{SET}/b", f"{SET}/db 001/a", "files/20260102T000000Z/c", "other/d"]


@pytest.mark.parametrize("name", ["a b", "*", "[x]?", "'", '"', "\\", "é ü", "-n", "#", "$(id)", "a;b", "~", "x" * 200])
def test_names_are_taken_literally(repository: Repository, name: str) -> None:
    repository.put(f"{SET}/{name}", b"content")
    repository.put(f"{SET}/axb", b"another")
    assert repository.get(f"{SET}/{name}") == b"content"
    assert keys(repository) == {f"{SET}/{name}": 7, f"{SET}/axb": 7}
    repository.remove(f"{SET}/{name}")
    assert keys(repository) == {f"{SET}/axb": 7}


def test_removing_leaves_nothing(repository: Repository) -> None:
    repository.put(f"{SET}/db001/a", b"x")
    repository.put(f"{SET}/b", b"x")
    for key in (f"{SET}/db001/a", f"{SET}/b", f"{SET}/b"):
        repository.remove(key)
    assert keys(repository, "") == {}
    repository.tidy("files/")
    assert repository.exists()


def test_one_at_a_time(repository: Repository, place: Any) -> None:
    repository.prepare()
    other = open_repository(place)
    for _again in range(2):
        with repository.lock("files", 0.0, "the first run") as held:
            held()
            with pytest.raises(Locked, match="the first run"), other.lock("files", 0.0, "the second"):
                pass
            with other.lock("another-series", 0.0, "not in the way") as free:
                free()
    with other.lock("files", 0.0, "the second") as held:
        held()
    assert keys(repository, "") == {}


RIVAL = """
import json, sys; sys.path.insert(0, ".collections")
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
place = open_repository(json.loads(sys.argv[1]))
place.prepare()
for turn in range(3):
    with place.lock("files", 120.0, "a rival") as held:
        number = int(place.get("count") or b"0")
        held()
        place.put("count", str(number + 1).encode(), replace=True)
"""


def test_rivals_take_turns(repository: Repository, place: Any) -> None:
    """Every one of them adds to the same number, and none of them overwrites another's."""
    argument = json.dumps(place if isinstance(place, dict) else {"url": place})
    rivals = [Popen([sys.executable, "-c", RIVAL, argument], stdout=PIPE, stderr=PIPE) for _rival in range(3)]
    for rival in rivals:
        _out, said = rival.communicate()
        assert rival.returncode == 0, said.decode()
    assert repository.get("count") == b"9"
