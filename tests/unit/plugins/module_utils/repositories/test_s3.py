# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket whose client is in memory: conditions, lost answers, downloads that are cut, objects that are held."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories import s3 as module
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    Missing,
    ObjectLocked,
    RepositoryError,
    Unavailable,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.s3 import KIND, Bucket
from botocore.exceptions import EndpointConnectionError
from fake_bucket import MIB, Client, lost, refused, store


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3://B", None),
        ("s3://bu_cket/x", None),
    ],
)
def test_addresses(address: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(RepositoryError, match="is no address such as s3://bucket/prefix"):
            KIND.open(address, {}, 0)
    else:
        assert KIND.open(address, {}, 0).name == name


def test_a_small_file(bucket: Bucket, client: Client) -> None:
    bucket.put("app/x", b"one")
    assert bucket.get("app/x") == b"one" and list(client.objects) == ["some/prefix/app/x"]
    with pytest.raises(RepositoryError, match="app/x is in s3://bucket/some/prefix already"):
        bucket.put("app/x", b"two")
    bucket.put("app/x", b"two", replace=True)
    assert bucket.get("app/x") == b"two" and bucket.get("app/none") is None


def test_an_answer_that_was_lost_is_no_file_of_somebody_else(bucket: Bucket, client: Client) -> None:
    """The client asks again, and then it is its own object that is in the way."""
    bucket.put("app/x", b"one")
    bucket.put("app/x", b"one")
    assert bucket.get("app/x") == b"one"


def test_a_condition_is_of_one_call(bucket: Bucket, client: Client) -> None:
    bucket.put("app/x", b"one")
    store(bucket, "app/x", b"two")
    assert bucket.get("app/x") == b"two"


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (refused("403", 403), RepositoryError, "the secret key is wrong"),
        (refused("AccessDenied", 403), RepositoryError, "as the service words it"),
        (refused("InternalError", 500), Unavailable, "InternalError"),
        (refused("SlowDown", 503), Unavailable, "SlowDown"),
        (refused("TooMany", 429), Unavailable, "TooMany"),
        (EndpointConnectionError(endpoint_url="http://s3"), Unavailable, "http://s3"),
        (lost(), Unavailable, "Read timeout"),
    ],
)
@pytest.mark.parametrize("deed", ["get", "put", "keys", "read", "remove", "tidy"])
def test_what_the_service_says(
    bucket: Bucket, client: Client, fault: Exception, kind: type[Exception], words: str, deed: str
) -> None:
    client.faults = {
        name: [fault] * 9
        for name in ("get_object", "put_object", "head_object", "list_objects_v2", "list_multipart_uploads")
    }
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: bucket.get("app/x"),
        "put": lambda: bucket.put("app/x", b""),
        "keys": lambda: list(bucket.keys("app/")),
        "read": lambda: list(bucket.read("app/x")),
        "remove": lambda: bucket.remove("app/x"),
        "tidy": lambda: bucket.tidy("app/"),
    }
    with pytest.raises(RepositoryError, match=f"s3://bucket/some/prefix: app/.*{words}") as raised:
        calls[deed]()
    assert raised.type is kind


def test_a_listing_has_all_pages_and_the_keys_as_they_were_given(bucket: Bucket, client: Client) -> None:
    for number in range(5):
        bucket.put(f"app/{number}", b"x" * number)
    client.place("some/prefix-of-others/app/9", b"")
    client.place("app/9", b"")
    assert list(bucket.keys("app/")) == [(f"app/{number}", number) for number in range(5)]


CONTENT = bytes(range(256)) * 40


@pytest.mark.parametrize("cuts", [[], [0], [1000], [1000, 0, 3000], [1] * 5])
def test_a_download_that_is_cut_goes_on(bucket: Bucket, client: Client, cuts: list[int]) -> None:
    bucket.put("app/x", CONTENT)
    client.cuts = [*cuts]
    assert b"".join(bucket.read("app/x", 100)) == CONTENT
    # From where it ended, and of the same object.
    at = [sum(cuts[:number]) for number in range(1, len(cuts) + 1)]
    tag = client.objects["some/prefix/app/x"]["ETag"]
    asked = [(about.get("Range"), about.get("IfMatch")) for about in client.made("get_object")]
    assert asked == [(None, None), *((f"bytes={byte}-", tag) if byte else (None, None) for byte in at)]


def test_a_download_that_is_cut_again_and_again(bucket: Bucket, client: Client) -> None:
    bucket.put("app/x", CONTENT)
    client.cuts = [10] * 99
    with pytest.raises(Unavailable):
        list(bucket.read("app/x", 100))
    assert len(client.made("get_object")) == 6


def test_a_download_that_is_refused_is_not_asked_for_again(bucket: Bucket, client: Client) -> None:
    bucket.put("app/x", CONTENT)
    client.cuts, client.cut_by = [10] * 99, refused("AccessDenied", 403)
    with pytest.raises(RepositoryError, match="AccessDenied"):
        list(bucket.read("app/x", 100))
    assert len(client.made("get_object")) == 1


def test_two_objects_are_never_one_file(bucket: Bucket, client: Client) -> None:
    bucket.put("app/x", CONTENT)
    client.cuts = [1000]
    pieces = bucket.read("app/x", 1000)
    assert next(pieces) == CONTENT[:1000]
    bucket.put("app/x", CONTENT[::-1], replace=True)
    with pytest.raises(RepositoryError, match="PreconditionFailed"):
        next(pieces)


def test_what_is_not_there(bucket: Bucket) -> None:
    with pytest.raises(Missing, match="s3://bucket/some/prefix has no app/x"):
        list(bucket.read("app/x"))
    bucket.remove("app/x")


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 33 * MIB])
def test_a_large_file_goes_in_parts(bucket: Bucket, client: Client, size: int) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    store(bucket, "app/x", content)
    assert client.objects["some/prefix/app/x"]["Body"] == content
    parts = {about["PartNumber"]: len(about["Body"]) for about in client.made("upload_part")}
    sizes = [parts[number] for number in sorted(parts)]
    assert sum(sizes) == (size if size >= 8 * MIB else 0) and all(part >= 8 * MIB for part in sizes[:-1])
    assert client.uploads == {} and not client.made("abort_multipart_upload")


def test_parts_grow_before_their_number_ends(bucket: Bucket, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROW_EVERY", 2)
    bucket._part = 10
    store(bucket, "app/x", b"x" * 155, piece=5)
    sizes = {about["PartNumber"]: len(about["Body"]) for about in client.made("upload_part")}
    assert [sizes[number] for number in sorted(sizes)] == [10, 10, 20, 20, 40, 40, 15]


@pytest.mark.parametrize(("spool", "part"), [(0, 8 * MIB), (18 * MIB, 6 * MIB), (MIB, 5 * MIB), (99 * MIB, 8 * MIB)])
def test_what_may_wait_in_memory(spool: int, part: int) -> None:
    assert Bucket("bucket", "", {}, spool)._part == part


def test_a_part_that_fails_ends_the_upload(bucket: Bucket, client: Client) -> None:
    client.faults["upload_part"] = [refused("InternalError", 500)]
    with pytest.raises(Unavailable), bucket.writer("app/x") as writer:
        for _piece in range(99):
            writer.write(b"x" * (8 * MIB))
            # At the latest when as many as may be on their way are.
            assert len(client.made("upload_part")) <= 4
    assert client.objects == {} and client.uploads == {}


def test_what_is_not_committed_is_aborted(bucket: Bucket, client: Client) -> None:
    with pytest.raises(ZeroDivisionError), bucket.writer("app/x") as writer:
        writer.write(b"x" * (20 * MIB))
        raise ZeroDivisionError
    assert client.objects == {} and client.uploads == {}
    # Nor is what went wrong hidden by an abort that fails.
    client.faults["abort_multipart_upload"] = [lost()]
    with pytest.raises(ZeroDivisionError), bucket.writer("app/x") as writer:
        writer.write(b"x" * (20 * MIB))
        raise ZeroDivisionError
    bucket.tidy("app/")
    assert client.uploads == {}


@pytest.mark.parametrize(("there", "is_whole"), [(20 * MIB, True), (20 * MIB - 1, False), (None, False)])
def test_an_upload_whose_last_answer_was_lost(
    bucket: Bucket, client: Client, there: int | None, is_whole: bool
) -> None:
    """The client asks again, and the upload is gone: because it is complete, or because somebody aborted it."""
    client.faults["complete_multipart_upload"] = [refused("NoSuchUpload", 404)]
    if there is not None:
        client.place("some/prefix/app/x", b"x" * there)
    if is_whole:
        store(bucket, "app/x", b"x" * (20 * MIB))
    else:
        with pytest.raises(RepositoryError, match="NoSuchUpload"):
            store(bucket, "app/x", b"x" * (20 * MIB))


def test_another_fault_of_the_last_step(bucket: Bucket, client: Client) -> None:
    client.faults["complete_multipart_upload"] = [refused("InternalError", 500)]
    client.place("some/prefix/app/x", b"x" * (20 * MIB))
    with pytest.raises(Unavailable):
        store(bucket, "app/x", b"x" * (20 * MIB))


def test_tidying_is_of_one_series(bucket: Bucket, client: Client) -> None:
    client.uploads = {"some/prefix/app/x": {}, "some/prefix/other/x": {}}
    bucket.tidy("app/")
    assert list(client.uploads) == ["some/prefix/other/x"]


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({}, None),
        ({"ObjectLockLegalHoldStatus": "OFF"}, None),
        ({"ObjectLockLegalHoldStatus": "ON"}, "is kept by a legal hold"),
        # By the service's clock: by this host's it is over for years.
        ({"ObjectLockRetainUntilDate": Client().now + HOUR}, "object lock until 2031-01-01 01:00 UTC"),
        ({"ObjectLockRetainUntilDate": Client().now - HOUR}, None),
        ({"ObjectLockRetainUntilDate": Client().now - HOUR, "ObjectLockLegalHoldStatus": "ON"}, "is kept by"),
    ],
)
def test_what_may_be_removed(bucket: Bucket, client: Client, about: dict[str, Any], why: str | None) -> None:
    client.place("some/prefix/app/x", b"x", **about)
    if why is None:
        bucket.remove("app/x")
    else:
        with pytest.raises(ObjectLocked, match=why):
            bucket.remove("app/x")
    assert ("some/prefix/app/x" in client.objects) is (why is not None)


def test_keys_that_may_not_remove(bucket: Bucket, client: Client) -> None:
    bucket.put("app/x", b"x")
    client.faults["delete_object"] = [refused("AccessDenied", 403), refused("InternalError", 500)]
    with pytest.raises(ObjectLocked, match="may not be removed: AccessDenied"):
        bucket.remove("app/x")
    with pytest.raises(Unavailable):
        bucket.remove("app/x")


LEASE = "some/prefix/app/.lease"


def test_one_at_a_time(bucket: Bucket, client: Client) -> None:
    with bucket.lock("app", 0.0, "a backup") as held:
        held()
        with (
            pytest.raises(Locked, match=r"app/\.lease is held by process \d+ on .* \(a backup\)"),
            bucket.lock("app", 0.0, "another"),
        ):
            pass
        assert client.objects[LEASE]
    assert client.objects == {}


@pytest.mark.parametrize(("age", "is_over"), [(59, False), (61, True)])
def test_the_age_of_a_lease_is_by_the_clock_of_the_service(
    bucket: Bucket, client: Client, age: int, is_over: bool
) -> None:
    client.place(LEASE, b'{"seconds": 60, "pid": 1, "host": "x"}')
    client.now += timedelta(seconds=age)
    if is_over:
        with bucket.lock("app", 0.0, "me"):
            assert b'"me"' in client.objects[LEASE]["Body"]
    else:
        with pytest.raises(Locked), bucket.lock("app", 0.0, "me"):
            pass


def write_lease(bucket: Bucket, content: bytes, version: str | None) -> str | None:
    return module._LeaseObject(bucket, "app/.lease").write(content, version)


def test_a_lease_is_written_on_what_was_read(bucket: Bucket, client: Client) -> None:
    first = write_lease(bucket, b"mine", None)
    assert first is not None and write_lease(bucket, b"theirs", None) is None
    second = write_lease(bucket, b"mine again", first)
    assert second is not None and write_lease(bucket, b"theirs", first) is None
    client.objects.clear()
    assert write_lease(bucket, b"mine", second) is None and client.objects == {}


def test_a_lease_that_is_refused_because_of_itself(bucket: Bucket, client: Client) -> None:
    """Its answer was lost, and the client has asked again."""
    first = write_lease(bucket, b"mine", None)
    assert write_lease(bucket, b"mine", None) == first


def test_a_lease_that_the_service_does_not_take(bucket: Bucket, client: Client) -> None:
    client.faults["put_object"] = [refused("InternalError", 500)]
    with pytest.raises(Unavailable):
        write_lease(bucket, b"mine", None)
