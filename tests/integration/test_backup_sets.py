# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of files on this machine: damage that is found, disks that are full, and an S3 that misbehaves."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import State
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import verify
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    ObjectLocked,
    Repository,
    RepositoryError,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import Damage, as_given, backup, flipped, grown, make_data, odd, only, swapped, truncated
from repository_places import KEYS, new_bucket


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest.fixture
def repository(repository_place: Any) -> Repository:
    return open_repository(repository_place)


def test_what_is_packed_is_what_is_stored(repository: Repository, data: Path, tmp_path: Path) -> None:
    outcome = backup(repository, data)
    assert outcome["set"]["verified"] == "read" and outcome["set"]["files"] == 1
    folder = f"files/{outcome['set']['id']}"
    archive = tmp_path / "archive"
    archive.write_bytes(b"".join(repository.read(f"{folder}/archive001.tar.zst")))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-x", "--zstd", "-f", str(archive), "-C", str(tmp_path / "out")], check=True)
    assert subprocess.run(["diff", "-r", str(data), f"{tmp_path}/out{data}"], check=False).returncode == 0


def test_a_large_object_goes_in_parts(moto: str, repository: Repository) -> None:
    chance = random.Random(2)
    pieces = [chance.randbytes(1 << 20) for _piece in range(30)]
    with repository.writer("files/large") as writer:
        for piece in pieces:
            writer.write(piece)
        writer.commit()
    assert b"".join(repository.read("files/large")) == b"".join(pieces)
    with pytest.raises(RepositoryError, match="already"):
        repository.put("files/large", b"other")


def test_what_was_not_committed_is_not_there(repository: Repository) -> None:
    repository.prepare()
    with pytest.raises(RuntimeError), repository.writer("files/20260101T000000Z/x") as writer:
        writer.write(b"y" * (20 << 20))
        raise RuntimeError
    repository.tidy("files/")
    assert [key for key, _size in repository.keys("files/")] == []


@pytest.mark.parametrize("damage", [truncated, flipped, grown, swapped])
def test_every_damage_is_found(data: Path, tmp_path: Path, damage: Damage) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    folder = Path(str(tmp_path)) / "repository" / "files" / backup(repository, data)["set"]["id"]
    path, chance = folder / "archive001.tar.zst", random.Random(3)
    whole = path.read_bytes()
    for _offset in range(20):
        path.write_bytes(damage(whole, chance))
        assert verify(repository, only(repository).manifest, 2, None).faults
    path.write_bytes(whole)
    assert verify(repository, only(repository).manifest, 2, None).faults == []
    path.unlink()
    (fault,) = verify(repository, only(repository).manifest, 2, None).faults
    assert "has no files/" in fault


def test_no_false_alarm(data: Path, tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    for _run in range(50):
        assert backup(repository, data, policy=Policy(last=3))["set"]["verified"] == "read"
    assert len(sets.load(repository, "files").sets) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"schema_version": "9.0"}', b'{"schema_version": "1.0"}',
        b'{"schema_version": "1.0", "files": [{"path": "../../etc/passwd", "role": "x", "bytes": 1, "sha256": "0"}]}',
    ],
)  # fmt: skip
def test_a_manifest_that_is_damaged_is_named_and_never_pruned(data: Path, tmp_path: Path, content: bytes) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    name = backup(repository, data)["set"]["id"]
    (tmp_path / "repository" / "files" / name / "manifest.json").write_bytes(content)
    outcome = backup(repository, data, policy=Policy(last=1, min_verified=0))
    assert list(outcome["locations"][0]["broken"]) == [name] and (tmp_path / "repository" / "files" / name).exists()


def test_what_a_killed_run_left_is_cleared(repository: Repository, data: Path) -> None:
    repository.prepare()
    for key in ("archive001.tar.zst", "state.json"):
        repository.put(f"files/20260101T000000Z/{key}", b"half")
    outcome = backup(repository, data)
    assert outcome["cleared"] == ["20260101T000000Z"]
    assert not [key for key, _size in repository.keys("files/20260101T000000Z/")]


def test_the_copy_is_the_same_set_and_is_made_up_for(data: Path, tmp_path: Path) -> None:
    first, second = (open_repository(str(tmp_path / name)) for name in ("first", "second"))
    backup(first, data)
    outcome = backup(first, data, second, copy_policy=Policy(last=1, min_verified=1))
    assert len(outcome["copied"]) == 2 and len(sets.load(second, "files").sets) == 1
    assert only(second).manifest == sets.load(first, "files").sets[0].manifest and only(second).state.good
    (tmp_path / "second").chmod(0o500)
    shutil.rmtree(tmp_path / "second")
    (tmp_path / "second").write_text("no directory")
    with pytest.raises((BackupFailed, RepositoryError)):
        backup(first, data, second)


def test_a_disk_that_is_full_leaves_nothing(data: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(small)], check=True)
    try:
        repository = open_repository(str(small))
        with pytest.raises(BackupFailed, match="No space left on device"):
            backup(repository, data)
        assert [key for key, _size in repository.keys("") if not key.endswith(".lock")] == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_clock_that_was_set_back_prunes_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    backup(repository, data)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400)
    outcome = backup(repository, data, policy=Policy(last=1, min_verified=1))
    assert "the clock was set back" in outcome["locations"][0]["held"] and outcome["locations"][0]["pruned"] == []


def test_what_cannot_be_listed_is_not_empty(data: Path, open_path: Path) -> None:
    repository = open_repository(str(open_path / "repository"))
    backup(repository, data)
    check = "import sys; sys.path.insert(0, '.collections'); import os; os.setuid(65534)\n"
    check += "from ansible_collections.day2.ops.plugins.module_utils.repositories.directory import Directory\n"
    check += "print(list(Directory(sys.argv[1]).keys('files/')))"
    (open_path / "repository").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", check, str(open_path / "repository")], capture_output=True, text=True, check=False
    )
    assert "Permission denied" in done.stderr and done.stdout == ""


def test_two_runs_at_once(repository: Repository, data: Path) -> None:
    repository.prepare()
    with repository.lock("files", 0.0, "another run"), pytest.raises(Locked, match="another run"):
        backup(repository, data)
    assert backup(repository, data)["made"]


def test_a_repository_that_gives_back_other_bytes(data: Path, tmp_path: Path) -> None:
    inner = open_repository(str(tmp_path / "repository"))

    def other(key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        for piece in inner.read(key, chunk):
            yield piece[:-1] + b"?"

    with pytest.raises(BackupFailed, match="other bytes than were written"):
        backup(odd(inner, read=other), data)
    found = only(inner)
    assert found.state.damaged and not found.state.good
    # It takes nobody's place, and a run that is due makes another one.
    assert backup(inner, data, max_age=3600.0)["made"]


def test_object_lock_is_respected(data: Path, tmp_path: Path) -> None:
    inner = open_repository(str(tmp_path / "repository"))
    kept = backup(inner, data)["set"]["id"]

    def remove(key: str) -> None:
        if kept in key:
            raise ObjectLocked(f"{key} is kept by object lock until 2199-01-01")
        inner.remove(key)

    outcome = backup(odd(inner, remove=remove), data, policy=Policy(last=1, min_verified=1))
    (place,) = outcome["locations"]
    assert place["pruned"] == [] and "object lock until" in place["locked"][kept]


def test_a_service_that_is_not_there(data: Path) -> None:
    gone = open_repository({"url": "s3://bucket/x", **KEYS, "endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(RepositoryError, match="s3://bucket/x"):
        backup(gone, data)


def test_a_bucket_that_does_not_exist(moto: str, data: Path) -> None:
    with pytest.raises(RepositoryError, match="404"):
        backup(open_repository({"url": "s3://no-such-bucket/x", **KEYS, "endpoint_url": moto}), data)


def test_a_state_survives(tmp_path: Path, data: Path) -> None:
    repository = open_repository(str(tmp_path / "repository"))
    backup(repository, data)
    found = only(repository)
    found.state = State("read", 1.0, 2.0, {"seconds": 3}, None)
    sets.save_state(repository, found)
    assert only(repository).state == found.state


@pytest.mark.parametrize("way", ["flat", "mapping"])
def test_the_probe_has_the_keys_of_the_role(moto: str, data: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    bucket = new_bucket(moto)
    repository = open_repository({"url": f"s3://{bucket}/p", **KEYS, "endpoint_url": moto})
    backup(repository, data)
    check = {"id": "x", "title": "x", "probe": "backup", "repository": repository.name, "series": "files"}
    keys = {"endpoint_url": moto, "region": "us-east-1", "access_key": "testing", "secret_key": "s3cret-part"}
    given = keys if way == "flat" else {"s3": {**keys, "validate_certs": "true", "timeout": "20s", "session_token": ""}}
    (seen,) = run_checklist([{**check, **given}])["results"]
    assert seen["status"] == "ok", seen
    (blind,) = run_checklist([{**check, "endpoint_url": moto}])["results"]
    assert blind["status"] == "unknown" and "redential" in blind["message"], blind


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"s3": {"secret": "s3cret-part"}}, "has no entry 'secret'"),
        ({"s3": {"secret_key": "s3cret-part"}, "secret_key": "s3cret-part"}, "'secret_key', which stands beside"),
        ({"s3": {"validate_certs": "maybe"}}, "'validate_certs'"),
        ({"s3": "s3cret-part"}, "cannot be read"),
        ({"path": "/x", "repository": None, "access_key": "y"}, "goes with 'repository'"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused_unseen(given: dict[str, Any], words: str) -> None:
    check = {"id": "x", "title": "x", "probe": "backup", "repository": "s3://bucket/p"}
    with pytest.raises(CheckError) as caught:
        run_checklist([{**check, **given}])
    assert words in str(caught.value) and "s3cret" not in str(caught.value)


def test_the_probe_reads_sets(repository: Repository, data: Path) -> None:
    where = {"repository": as_given(repository), "series": "files"}

    def ask(*metrics: str) -> dict[str, dict[str, Any]]:
        checks = [{"id": name, "title": name, "probe": "backup", "metric": name, **where} for name in metrics]
        return {row["id"]: row for row in run_checklist(checks)["results"]}

    nothing = ask("age", "unverified")
    assert {row["status"] for row in nothing.values()} == {"critical"}
    for _run in range(2):
        backup(repository, data)
    found = ask("age", "size_percent", "count", "unverified", "unencrypted", "unreadable", "proven_age")
    assert {name: row["status"] for name, row in found.items()} == {
        "age": "ok", "size_percent": "ok", "count": "ok", "unverified": "ok", "unencrypted": "critical",
        "unreadable": "ok", "proven_age": "critical",
    }  # fmt: skip
    assert found["count"]["value"] == 2 and 0 <= found["age"]["value"] < 600
    newest = sets.load(repository, "files").sets[0]
    newest.state = State("read", time.time(), time.time() - 3600)
    sets.save_state(repository, newest)
    (key,) = [key for key, _size in repository.keys(f"files/{newest.manifest.id}/") if "archive" in key]
    content = b"".join(repository.read(key))
    repository.remove(key)
    repository.put(key, content[:-1])
    after = ask("proven_age", "unreadable")
    assert 3590 < after["proven_age"]["value"] < 4200
    assert after["unreadable"]["status"] == "critical" and "of the" in after["unreadable"]["evidence"][0]
