# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket and prefix of an S3-compatible service as a repository; the lock is a lease that is put conditionally."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ContextManager, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.lease import hold
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import ObjectLocked, RepositoryError

# S3 takes 10,000 parts an object, the last one of any size, the others of 5 MiB at least: they begin small and grow,
# so that 10,000 of them are 25 TB (an object may have 5) while most dumps never need large ones.
_LEAST_PART = 5 << 20
_PART = 8 << 20
_GROW_EVERY = 1500
# Parts on their way at the same time, of one object.
_IN_FLIGHT = 2
_OPTIONS = ("endpoint_url", "region", "access_key", "secret_key", "session_token", "ca_path", "validate_certs")


class Bucket:
    """Objects below `s3://bucket/prefix/`. `options` are those of the client; without keys boto3 finds its own."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any]) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._options = {name: options.get(name) for name in _OPTIONS}
        # Of each stream one part fills while others are on their way.
        spool = int(options.get("spool") or 0) // (_IN_FLIGHT + 1)
        self._part = max(_LEAST_PART, min(_PART, spool)) if spool else _PART
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = _client(self._options, self.name)
        return self._made

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def prepare(self) -> None:
        with _told(self.name, "the bucket"):
            self._client.head_bucket(Bucket=self.bucket)

    @contextmanager
    def writer(self, key: str) -> Iterator[_Upload]:
        upload = _Upload(self._client, self.bucket, self._key(key), self.name, key, self._part)
        try:
            yield upload
        finally:
            upload.close()

    def read(self, key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        with _told(self.name, key):
            body = self._client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"]
            try:
                yield from body.iter_chunks(chunk)
            finally:
                body.close()

    def put(self, key: str, content: bytes, replace: bool = False) -> None:
        with _told(self.name, key):
            only_new = {} if replace else {"IfNoneMatch": "*"}
            try:
                self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content, **only_new)
            except Exception as exc:
                if _code(exc) in ("PreconditionFailed", "412"):
                    raise RepositoryError(f"{key} is in {self.name} already") from exc
                raise

    def get(self, key: str) -> bytes | None:
        with _told(self.name, key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=self._key(key))
            except Exception as exc:
                if _code(exc) in ("NoSuchKey", "404"):
                    return None
                raise
            content: bytes = answer["Body"].read()
            return content

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        with _told(self.name, prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"][len(self._key("")) :], int(entry["Size"])

    def remove(self, key: str) -> None:
        """In a bucket with versions what is removed is the newest one; older ones are for its lifecycle rules."""
        with _told(self.name, key):
            try:
                held = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except Exception as exc:
                if _code(exc) in ("NoSuchKey", "404"):
                    return
                raise
            until = held.get("ObjectLockRetainUntilDate")
            if held.get("ObjectLockLegalHoldStatus") == "ON" or (until is not None and until > held_time(held)):
                why = "a legal hold" if until is None else f"object lock until {until:%Y-%m-%d %H:%M} UTC"
                raise ObjectLocked(f"{self.name}/{key} is kept by {why}")
            try:
                self._client.delete_object(Bucket=self.bucket, Key=self._key(key))
            except Exception as exc:
                if _code(exc) == "AccessDenied":
                    raise ObjectLocked(f"{self.name}/{key} may not be removed: {_words(exc)}") from exc
                raise

    def tidy(self, prefix: str) -> None:
        """Parts of uploads that were never completed, which cost money and no listing shows."""
        with _told(self.name, prefix):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix)
            )
            for page in pages:
                for each in page.get("Uploads", ()):
                    self._client.abort_multipart_upload(Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"])

    def lock(self, series: str, wait: float, holder: str) -> ContextManager[None]:
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
        with _told(bucket.name, self._key):
            try:
                answer = bucket._client.get_object(Bucket=bucket.bucket, Key=bucket._key(self._key))
            except Exception as exc:
                if _code(exc) in ("NoSuchKey", "404"):
                    return None
                raise
            age = (held_time(answer) - answer["LastModified"]).total_seconds()
            return answer["Body"].read(), answer["ETag"], age

    def write(self, content: bytes, version: str | None) -> str | None:
        """The new version, or None when somebody else was quicker. `version` None: only if there is none yet."""
        bucket = self._bucket
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with _told(bucket.name, self._key):
            try:
                answer = bucket._client.put_object(
                    Bucket=bucket.bucket, Key=bucket._key(self._key), Body=content, **condition
                )
            except Exception as exc:
                if _code(exc) in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"):
                    return None
                raise
            tag: str = answer["ETag"]
            return tag

    def remove(self) -> None:
        bucket = self._bucket
        with _told(bucket.name, self._key):
            bucket._client.delete_object(Bucket=bucket.bucket, Key=bucket._key(self._key))


class _Upload:
    """An object in parts, a few of them on their way while the next one fills."""

    def __init__(self, client: Any, bucket: str, key: str, place: str, shown: str, part: int) -> None:
        self._part = part
        self._client, self._about = client, {"Bucket": bucket, "Key": key}
        self._place, self._shown = place, shown
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._committed = False

    @property
    def _part_size(self) -> int:
        return self._part << (len(self._parts) // _GROW_EVERY)

    def write(self, piece: bytes) -> None:
        self._buffer += piece
        if len(self._buffer) >= self._part_size:
            self._send(bytes(self._buffer))
            self._buffer.clear()

    def _send(self, content: bytes) -> None:
        with _told(self._place, self._shown):
            if self._upload is None:
                self._upload = self._client.create_multipart_upload(**self._about)["UploadId"]
                self._pool = ThreadPoolExecutor(_IN_FLIGHT)
            # A part that failed is told now, and no more than a few wait in memory.
            if len(self._parts) >= _IN_FLIGHT:
                self._parts[-_IN_FLIGHT].result()
            if self._pool is not None:
                self._parts.append(self._pool.submit(self._send_part, len(self._parts) + 1, content))

    def _send_part(self, number: int, content: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**self._about, UploadId=self._upload, PartNumber=number, Body=content)
        return {"ETag": answer["ETag"], "PartNumber": number}

    def commit(self) -> None:
        with _told(self._place, self._shown):
            if self._upload is None:
                self._client.put_object(**self._about, Body=bytes(self._buffer))
            else:
                if self._buffer:
                    self._send(bytes(self._buffer))
                parts = [part.result() for part in self._parts]
                self._client.complete_multipart_upload(
                    **self._about, UploadId=self._upload, MultipartUpload={"Parts": parts}
                )
        self._committed = True

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._committed or self._upload is None:
            return
        try:
            self._client.abort_multipart_upload(**self._about, UploadId=self._upload)
        except Exception:  # noqa: BLE001 - what failed before is told; the next run tidies up
            return


def _client(options: Mapping[str, Any], name: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as exc:
        raise RepositoryError(
            f"{name} needs boto3 for {sys.executable}: install python3-boto3 (Debian, RHEL) or boto3 (pip)"
        ) from exc
    own = options["endpoint_url"] is not None
    verify: Any = options["ca_path"] if options["ca_path"] else options["validate_certs"] is not False
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 5},
        s3={"addressing_style": "path"} if own else {},
        # Other services than Amazon's do not know its newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.client(
            "s3",
            endpoint_url=options["endpoint_url"],
            region_name=options["region"] or ("us-east-1" if own else None),
            aws_access_key_id=options["access_key"],
            aws_secret_access_key=options["secret_key"],
            aws_session_token=options["session_token"],
            verify=verify,
            config=config,
        )
    except Exception as exc:
        raise RepositoryError(f"{name}: {_words(exc)}") from exc


def _code(exc: BaseException) -> str:
    answer = getattr(exc, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, Mapping) else ""


def _words(exc: BaseException) -> str:
    answer = getattr(exc, "response", None)
    if isinstance(answer, Mapping):
        error = answer.get("Error", {})
        return f"{error.get('Code', 'error')}: {error.get('Message') or 'it does not say why'}"
    return " ".join(str(exc).split()) or type(exc).__name__


@contextmanager
def _told(place: str, key: str) -> Iterator[None]:
    """What boto3 raises in the words of a repository; nobody's programming errors."""
    try:
        yield
    except RepositoryError:
        raise
    except Exception as exc:
        theirs = type(exc).__module__.partition(".")[0] in ("botocore", "boto3", "urllib3")
        if not theirs and not isinstance(exc, OSError):
            raise
        raise RepositoryError(f"{place}: {key}: {_words(exc)}") from exc
