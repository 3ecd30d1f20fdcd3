# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An S3 that misbehaves in a run: what is published is whole, what fails says so, and the next run is well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import verify
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository, RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from faulty_s3 import (
    FOREVER,
    Deed,
    FaultyS3,
    alter_answer,
    alter_request,
    answer,
    cut,
    cut_answer,
    faulty_s3,
    hang,
    lose_answer,
)
from file_sets import backup, make_data, only
from repository_places import KEYS, new_bucket

ONE = Policy(last=1, min_verified=1)
SLOW_DOWN = answer(503, "SlowDown")
ATTEMPTS = 5


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    # Between attempts the client waits for up to 20 s; that it does is botocore's own business.
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
    with faulty_s3(moto) as proxy:
        yield proxy


@pytest.fixture
def bucket(s3: FaultyS3) -> str:
    return new_bucket(s3.upstream)


@pytest.fixture
def repository(s3: FaultyS3, bucket: str) -> Repository:
    return reached(s3, bucket)


def reached(s3: FaultyS3, bucket: str, **options: Any) -> Repository:
    # The least part is 5 MiB: data of 7 goes up in two.
    return open_repository(
        {"url": f"s3://{bucket}/some/prefix", **KEYS, "endpoint_url": s3.endpoint, **options}, spool=15 << 20
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("s3") / "data")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("s3-large") / "data", files=4, size=1_800_000)


def is_whole(repository: Repository) -> bool:
    """Every set that is there reads, past what its state says."""
    found = sets.load(repository, "files")
    return all(verify(repository, each.manifest, 2, None).faults == [] for each in found.sets)


def leftovers(s3: FaultyS3, repository: Repository) -> list[str]:
    """What is of no published set, parts of uploads among it; asked of the service itself."""
    bucket = repository.name.split("/")[2]
    client = boto3.client(
        "s3", endpoint_url=s3.upstream, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    uploads = [each["Key"] for each in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", ())]
    published = {key.rpartition("/")[0] for key in keys if key.endswith("/manifest.json")}
    return uploads + [key for key in keys if key.rpartition("/")[0] not in published]


@pytest.mark.parametrize("deed", [answer(500, "InternalError"), SLOW_DOWN, cut], ids=["500", "503", "cut"])
def test_what_passes_is_survived(s3: FaultyS3, repository: Repository, large: Path, deed: Deed) -> None:
    """The first of every request fails: of the lease, parts, manifest, state, of reading back and of pruning."""
    backup(repository, large)
    fault = s3.every_first(deed)
    outcome = backup(repository, large, policy=ONE)
    assert outcome["set"]["verified"] == "read" and len(outcome["locations"][0]["pruned"]) == 1
    assert fault.done > 15 and is_whole(repository) and leftovers(s3, repository) == []


@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("PUT", "/.lease"), ("GET", "list-type=2"), ("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId="),
        ("PUT", "/manifest.json"), ("PUT", "/state.json"), ("GET", "/archive001"),
    ],
)  # fmt: skip
def test_what_lasts_is_told(s3: FaultyS3, repository: Repository, large: Path, method: str, part: str) -> None:
    kept = backup(repository, large)["set"]["id"]
    s3.heal()
    s3.fault(method, part, SLOW_DOWN, FOREVER)
    with pytest.raises(Day2Error, match=rf"{repository.name}: .*SlowDown: this is SlowDown"):
        backup(repository, large, policy=Policy(last=1, min_verified=0))
    assert sum(each.method == method and part in each.path for each in s3.requests) <= 4 * ATTEMPTS
    s3.heal()
    found = sets.load(repository, "files").sets
    assert kept in [each.manifest.id for each in found] and not [each for each in found if each.state.damaged]
    assert len(found) == (2 if part in ("/state.json", "/archive001") else 1)
    after = backup(repository, large)
    assert after["made"] and is_whole(repository) and leftovers(s3, repository) == []


def test_a_service_that_hangs_is_given_up(s3: FaultyS3, bucket: str, data: Path) -> None:
    repository = reached(s3, bucket, timeout=1.0)
    s3.fault("PUT", "/archive001", hang, FOREVER)
    with pytest.raises(BackupFailed, match=r"archive001.*Read timeout"):
        backup(repository, data)
    assert sum("/archive001" in each.path and each.method == "PUT" for each in s3.requests) == ATTEMPTS
    s3.heal()
    assert sets.load(repository, "files").sets == [] and backup(repository, data)["made"]


def test_a_moment_without_an_answer_is_survived(s3: FaultyS3, bucket: str, data: Path) -> None:
    repository = reached(s3, bucket, timeout=1.0)
    s3.fault("PUT", "/archive001", hang)
    s3.fault("GET", "/archive001", hang)
    assert backup(repository, data)["set"]["verified"] == "read" and is_whole(repository)


def test_a_download_goes_on_where_it_was_cut(s3: FaultyS3, repository: Repository, data: Path) -> None:
    s3.fault("GET", "/archive001", cut_answer, FOREVER)
    with pytest.raises(BackupFailed, match=r"its verification did not end"):
        backup(repository, data)
    s3.heal()
    # A way that is cut is no verdict on what lies at its end.
    assert only(repository).state.damaged is None and not only(repository).state.good
    s3.fault("GET", "/archive001", cut_answer, 3)
    outcome = backup(repository, data, max_age=3600.0)
    assert outcome["made"] and outcome["set"]["verified"] == "read"


@pytest.mark.parametrize(("method", "deed"), [("PUT", alter_request), ("GET", alter_answer)])
def test_other_bytes_than_were_sent(s3: FaultyS3, repository: Repository, data: Path, method: str, deed: Deed) -> None:
    kept = backup(repository, data)["set"]["id"]
    s3.fault(method, "/archive001", deed, FOREVER)
    with pytest.raises(BackupFailed, match=r"is damaged, and nothing was pruned: .*other bytes"):
        backup(repository, data, policy=Policy(last=1, min_verified=0))
    s3.heal()
    bad, good = sets.load(repository, "files").sets
    assert bad.state.damaged and not bad.state.good and good.manifest.id == kept and good.state.good
    assert backup(repository, data, max_age=0.0)["set"]["verified"] == "read"


@pytest.mark.parametrize(
    ("method", "part", "deed", "words"),
    [
        ("PUT", "/archive001", alter_request, "other bytes than were written"),
        ("GET", "/archive001", alter_answer, "other bytes than were written"),
        ("PUT", "/archive001", SLOW_DOWN, "SlowDown"), ("PUT", "/manifest.json", SLOW_DOWN, "SlowDown"),
        ("HEAD", "", SLOW_DOWN, "503"),
    ],
)  # fmt: skip
def test_a_copy_that_fails_costs_nobody_the_backup(
    s3: FaultyS3, repository: Repository, data: Path, tmp_path: Path, method: str, part: str, deed: Deed, words: str
) -> None:
    local = open_repository(str(tmp_path / "local"))
    backup(local, data, repository)
    s3.fault(method, part, deed, FOREVER)
    with pytest.raises(BackupFailed, match=rf"its copy failed, and nothing was pruned: .*{words}"):
        backup(local, data, repository, policy=ONE)
    s3.heal()
    assert len(sets.load(local, "files").sets) == 2 and all(each.state.good for each in sets.load(local, "files").sets)
    assert len(sets.load(repository, "files").sets) == 1, "a copy that is not proven is no set"
    outcome = backup(local, data, repository, max_age=3600.0)
    assert len(outcome["copied"]) == 1 and not outcome["made"]
    assert is_whole(repository) and leftovers(s3, repository) == []


def test_an_answer_that_is_lost_changes_nothing(s3: FaultyS3, repository: Repository, large: Path) -> None:
    """All was done, nobody heard of it, and the client asks again: lease, manifest, a completed upload."""
    backup(repository, large)
    fault = s3.every_first(lose_answer)
    outcome = backup(repository, large, policy=ONE)
    assert outcome["set"]["verified"] == "read" and fault.done > 15
    s3.heal()
    # An upload that began without anybody hearing of it is left to the next run.
    outcome = backup(repository, large, policy=ONE)
    assert is_whole(repository) and leftovers(s3, repository) == []
    with pytest.raises(RepositoryError, match="already"):
        repository.put(f"files/{outcome['set']['id']}/manifest.json", b"another")


def test_an_upload_that_is_gone_is_whole_or_an_error(s3: FaultyS3, repository: Repository, large: Path) -> None:
    """Services forget an upload once it is complete: who asks again hears that there is none."""
    s3.fault("POST", "uploadId=", lose_answer)
    s3.fault("POST", "uploadId=", answer(404, "NoSuchUpload"))
    assert backup(repository, large)["set"]["verified"] == "read"
    s3.heal()
    s3.fault("POST", "uploadId=", answer(404, "NoSuchUpload"))
    with pytest.raises(BackupFailed, match=r"archive001.*NoSuchUpload"):
        backup(repository, large)
    assert only(repository).state.good


def test_keys_that_may_not_are_told(s3: FaultyS3, bucket: str, data: Path) -> None:
    s3.fault("*", "", answer(403, "InvalidAccessKeyId"), FOREVER)
    with pytest.raises(RepositoryError, match=rf"s3://{bucket}/some/prefix: the bucket: 403: .*keys"):
        backup(reached(s3, bucket), data)


def test_a_bucket_that_is_not_there_is_told(s3: FaultyS3, data: Path) -> None:
    with pytest.raises(RepositoryError, match=r"404: there is no such bucket"):
        backup(reached(s3, "no-such-bucket"), data)


@pytest.mark.parametrize(("status", "code"), [(301, "PermanentRedirect"), (307, "TemporaryRedirect"), (308, "Moved")])
def test_a_service_that_is_elsewhere_is_told(s3: FaultyS3, bucket: str, data: Path, status: int, code: str) -> None:
    """From http to https, or to another region: asked once, and not for ever."""
    s3.fault("*", "", answer(status, code), FOREVER)
    with pytest.raises(RepositoryError, match=rf"redirects \(status {status}\): `endpoint_url` .* `region`"):
        backup(reached(s3, bucket), data)
    assert len(s3.requests) == 1


@pytest.mark.parametrize("address", ["minio.example:9000", "localhost:1", "http://", "https://[::1"])
def test_what_is_no_address_of_a_service_is_told(s3: FaultyS3, data: Path, address: str) -> None:
    with pytest.raises(RepositoryError, match=r"`endpoint_url` is an address such as https://host:9000"):
        backup(reached(s3, "a-bucket", endpoint_url=address), data)


HOLDER = """
import json, sys; sys.path.insert(0, ".collections")
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
place = open_repository({"url": sys.argv[1], **json.loads(sys.argv[2])})
with place.lock("files", 0.0, "a run that dies"), place.writer("files/20260101T000000Z/archive001.tar.zst") as writer:
    writer.write(b"x" * (20 << 20))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_blocks_nobody_for_long(s3: FaultyS3, repository: Repository, data: Path) -> None:
    import json

    options = json.dumps({**KEYS, "endpoint_url": s3.endpoint})
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, repository.name, options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with pytest.raises(Locked, match=rf"held by process {holder.pid} on .* \(a run that dies\); it ends in"):
        backup(repository, data)
    assert leftovers(s3, repository) != []
    s3.ahead = 61.0
    assert backup(repository, data)["made"] and leftovers(s3, repository) == []


def test_a_lease_that_somebody_else_took_is_left_alone(s3: FaultyS3, repository: Repository) -> None:
    with repository.lock("files", 0.0, "me"):
        repository.put("files/.lease", b'{"token": "somebody else\'s"}', replace=True)
    assert repository.get("files/.lease") == b'{"token": "somebody else\'s"}'


def test_renewals_are_versions_of_their_own(s3: FaultyS3, repository: Repository) -> None:
    """A version is a digest on S3: were all renewals the same, one that waits could not tell that there was one."""
    from ansible_collections.day2.ops.plugins.module_utils.process.lease import hold
    from ansible_collections.day2.ops.plugins.module_utils.repositories.s3 import _LeaseObject

    place = _LeaseObject(repository, "files/.lease")
    with hold(place, 0.0, "me", seconds=2.0):
        first = place.read()
        wanted = threading.Event()
        for _attempt in range(100):
            if first is not None and (place.read() or first)[1] != first[1]:
                wanted.set()
                break
            wanted.wait(0.1)
        assert wanted.is_set() and first is not None
        assert place.write(b"late", first[1]) is None


def test_object_lock_is_respected_and_reported(s3: FaultyS3, data: Path) -> None:
    name = new_bucket(s3.upstream, ObjectLockEnabledForBucket=True)
    client = boto3.client(
        "s3", endpoint_url=s3.upstream, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=rule)
    repository = reached(s3, name)
    # What a killed run left is locked too, and stays without ending anything.
    client.put_object(Bucket=name, Key="some/prefix/files/20260101T000000Z/archive001.tar.zst", Body=b"half")
    first = backup(repository, data, policy=ONE)
    second = backup(repository, data, policy=ONE)
    assert first["made"] and second["made"] and second["cleared"] == []
    (place,) = second["locations"]
    assert place["pruned"] == [] and "object lock until" in place["locked"][first["set"]["id"]]
    found = sets.load(repository, "files")
    assert len(found.sets) == 2 and list(found.unpublished) == ["20260101T000000Z"] and is_whole(repository)
    assert os.path.basename(found.sets[0].manifest.id) == second["set"]["id"]
