# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket and prefix of an S3-compatible service as a repository; the lock is a lease that is put conditionally."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ContextManager, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.process.lease import hold
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    Kind,
    Missing,
    ObjectLocked,
    RepositoryError,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.s3_client import (
    body,
    code,
    connect,
    failures,
    passing,
    translate_errors,
    words,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.s3_options import OPTIONS

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
# S3 takes 10,000 parts an object, the last one of any size, the others of 5 MiB at least: they begin small and grow,
# so that 10,000 of them are 25 TB (an object may have 5) while most dumps never need large ones.
_LEAST_PART = 5 << 20
_PART = 8 << 20
_GROW_EVERY = 1500
# Parts on their way at the same time, of one object.
_IN_FLIGHT = 2
# How often a download that was cut goes on where it ended.
_RESUMED = 5
_REFUSED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_ABSENT = ("NoSuchKey", "404")


class Bucket:
    """Objects below `s3://bucket/prefix/`. `options` are those of the client; without keys boto3 finds its own."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any], spool: int = 0) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._options = {name: options.get(name) for name in OPTIONS}
        # Of each stream one part fills while others are on their way.
        self._part = max(_LEAST_PART, min(_PART, spool // (_IN_FLIGHT + 1))) if spool else _PART
        self._made: Any = None
        self._conditions = threading.local()

    def exists(self) -> bool:
        """A bucket that is not there does not answer as one that is empty."""
        return True

    def may_write(self) -> bool:
        return True

    def is_within(self, folder: str) -> bool:
        return False

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = connect(self._options, self.name)
            self._made.meta.events.register("before-call.s3.PutObject", self._add_conditions)
        return self._made

    def _add_conditions(self, params: dict[str, Any], **_about: Any) -> None:
        params["headers"].update(getattr(self._conditions, "headers", {}))

    def put_if(self, key: str, content: bytes, condition: Mapping[str, str]) -> Any:
        """Put a small object, on a condition: headers by hand, for boto3 has arguments for them since 1.35 only."""
        self._conditions.headers = condition
        try:
            return self._client.put_object(Bucket=self.bucket, Key=self._key(key), **body(content))
        finally:
            self._conditions.headers = {}

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def prepare(self, make: bool = True) -> None:
        del make
        with translate_errors(self.name, "the bucket"):
            self._client.head_bucket(Bucket=self.bucket)

    @contextmanager
    def writer(self, key: str) -> Iterator[_Upload]:
        upload = _Upload(self._client, self.bucket, self._key(key), self.name, key, self._part)
        try:
            yield upload
        finally:
            upload.close()

    def read(self, key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        done, version = 0, ""
        for attempt in range(_RESUMED + 1):
            with translate_errors(self.name, key):
                stream, version = self._stream(key, done, version)
                try:
                    for piece in stream.iter_chunks(chunk):
                        done += len(piece)
                        yield piece
                except failures() as exc:
                    if attempt == _RESUMED or not passing(exc):
                        raise
                else:
                    return
                finally:
                    stream.close()

    def _stream(self, key: str, done: int, version: str) -> tuple[Any, str]:
        """The rest of an object from a byte on, of the same version as what was read before."""
        rest = {"Range": f"bytes={done}-", "IfMatch": version} if done else {}
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self._key(key), **rest)
        except failures() as exc:
            if code(exc) in _ABSENT:
                raise Missing(f"{self.name} has no {key}") from exc
            raise
        return answer["Body"], answer["ETag"]

    def put(self, key: str, content: bytes, replace: bool = False) -> None:
        with translate_errors(self.name, key):
            try:
                self.put_if(key, content, {} if replace else {"If-None-Match": "*"})
            except failures() as exc:
                if code(exc) not in _REFUSED:
                    raise
                # The client asks again when an answer is lost; then it is its own object that is in the way.
                if self.get(key) != content:
                    raise RepositoryError(f"{key} is in {self.name} already") from exc

    def get(self, key: str) -> bytes | None:
        with translate_errors(self.name, key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=self._key(key))
            except failures() as exc:
                if code(exc) in _ABSENT:
                    return None
                raise
            content: bytes = answer["Body"].read()
            return content

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        with translate_errors(self.name, prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"][len(self._key("")) :], int(entry["Size"])

    def remove(self, key: str) -> None:
        """In a bucket with versions what is removed is the newest one; older ones are for its lifecycle rules."""
        with translate_errors(self.name, key):
            try:
                held = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except failures() as exc:
                if code(exc) in _ABSENT:
                    return
                raise
            until = held.get("ObjectLockRetainUntilDate")
            if held.get("ObjectLockLegalHoldStatus") == "ON" or (until is not None and until > held_time(held)):
                why = "a legal hold" if until is None else f"object lock until {until:%Y-%m-%d %H:%M} UTC"
                raise ObjectLocked(f"{self.name}/{key} is kept by {why}")
            try:
                self._client.delete_object(Bucket=self.bucket, Key=self._key(key))
            except failures() as exc:
                if code(exc) == "AccessDenied":
                    raise ObjectLocked(f"{self.name}/{key} may not be removed: {words(exc)}") from exc
                raise

    def tidy(self, prefix: str) -> None:
        """Parts of uploads that were never completed, which cost money and no listing shows."""
        with translate_errors(self.name, prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix)
            )
            for page in pages:
                for upload in page.get("Uploads", ()):
                    self._client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    def lock(self, series: str, wait: float, holder: str) -> ContextManager[Held]:
        return hold(_LeaseObject(self, f"{series}/.lease"), wait, holder)


def held_time(answer: Mapping[str, Any]) -> Any:
    """The service's own time: this host's clock may be wrong."""
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


class _LeaseObject:
    """What a lease needs of an object: read with its version, and written only if that is still the version."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self.name = f"{bucket.name}/{key}"

    def read(self) -> tuple[bytes, str, float] | None:
        """Content, version, and how old it is in seconds by the service's own clock; None: there is none."""
        bucket = self._bucket
        with translate_errors(bucket.name, self._key):
            try:
                answer = bucket._client.get_object(Bucket=bucket.bucket, Key=bucket._key(self._key))
            except failures() as exc:
                if code(exc) in _ABSENT:
                    return None
                raise
            age = (held_time(answer) - answer["LastModified"]).total_seconds()
            return answer["Body"].read(), answer["ETag"], age

    def write(self, content: bytes, version: str | None) -> str | None:
        """The new version, or None when somebody else was quicker. `version` None: only if there is none yet."""
        bucket = self._bucket
        condition = {"If-None-Match": "*"} if version is None else {"If-Match": version}
        with translate_errors(bucket.name, self._key):
            try:
                answer = bucket.put_if(self._key, content, condition)
            except failures() as exc:
                if code(exc) not in (*_REFUSED, *_ABSENT):
                    raise
                # The client asks again when an answer is lost; then it is refused because of itself.
                found = self.read()
                return found[1] if found is not None and found[0] == content else None
            tag: str = answer["ETag"]
            return tag

    def remove(self) -> None:
        bucket = self._bucket
        with translate_errors(bucket.name, self._key):
            bucket._client.delete_object(Bucket=bucket.bucket, Key=bucket._key(self._key))


class _Upload:
    """An object in parts, a few of them on their way while the next one fills."""

    def __init__(self, client: Any, bucket: str, key: str, place: str, shown: str, part: int) -> None:
        self._part = part
        self._client, self._about = client, {"Bucket": bucket, "Key": key}
        self._place, self._shown = place, shown
        self._buffer = bytearray()
        self._size = 0
        self._upload: str | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._committed = False

    @property
    def _part_size(self) -> int:
        return self._part << (len(self._parts) // _GROW_EVERY)

    def write(self, piece: bytes) -> None:
        self._buffer += piece
        self._size += len(piece)
        if len(self._buffer) >= self._part_size:
            self._send(bytes(self._buffer))
            self._buffer.clear()

    def _send(self, content: bytes) -> None:
        with translate_errors(self._place, self._shown):
            if self._upload is None:
                from concurrent.futures import ThreadPoolExecutor

                self._upload = self._client.create_multipart_upload(**self._about)["UploadId"]
                self._pool = ThreadPoolExecutor(_IN_FLIGHT)
            # A part that failed is raised now, and no more than a few wait in memory.
            if len(self._parts) >= _IN_FLIGHT:
                self._parts[-_IN_FLIGHT].result()
            if self._pool is not None:
                self._parts.append(self._pool.submit(self._send_part, len(self._parts) + 1, content))

    def _send_part(self, number: int, content: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**self._about, UploadId=self._upload, PartNumber=number, **body(content))
        return {"ETag": answer["ETag"], "PartNumber": number}

    def commit(self) -> None:
        with translate_errors(self._place, self._shown):
            if self._upload is None:
                self._client.put_object(**self._about, **body(bytes(self._buffer)))
            else:
                if self._buffer:
                    self._send(bytes(self._buffer))
                parts = [part.result() for part in self._parts]
                self._complete(parts)
        self._committed = True

    def _complete(self, parts: list[dict[str, Any]]) -> None:
        try:
            self._client.complete_multipart_upload(
                **self._about, UploadId=self._upload, MultipartUpload={"Parts": parts}
            )
        except failures() as exc:
            # The client asks again when an answer is lost; then the upload is gone because it is complete.
            if code(exc) != "NoSuchUpload" or not self._is_there():
                raise

    def _is_there(self) -> bool:
        """Whether the object is there whole: nobody else writes it, and what it gives back is compared later."""
        try:
            answer = self._client.head_object(**self._about)
        except failures() as exc:
            if code(exc) in _ABSENT:
                return False
            raise
        return int(answer["ContentLength"]) == self._size

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._committed or self._upload is None:
            return
        # What failed before is raised; the next run tidies up.
        with suppress(*failures()):
            self._client.abort_multipart_upload(**self._about, UploadId=self._upload)


def _open(address: str, options: Mapping[str, Any], spool: int) -> Bucket:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise RepositoryError(f"'{address}' is no address such as {KIND.example}")
    return Bucket(match[1], (match[2] or "").strip("/"), options, spool)


KIND = Kind("s3", "s3://bucket/prefix", _open, OPTIONS, ("python3-boto3",), "s3_")
