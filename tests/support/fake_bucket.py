# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket in memory behind the calls of an S3 client, with the faults of a real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import format_datetime
from hashlib import md5
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.repositories.s3 import Bucket
from botocore.exceptions import ClientError, ReadTimeoutError

MIB = 1 << 20


def refused(code: str, status: int = 400) -> ClientError:
    about: Any = {"Error": {"Code": code, "Message": "as the service words it"},
                  "ResponseMetadata": {"HTTPStatusCode": status}}  # fmt: skip
    return ClientError(about, "Operation")


def lost() -> Exception:
    """An answer that never came."""
    return ReadTimeoutError(endpoint_url="http://s3")


class Body:
    """What a download gives, which ends early where it is told."""

    def __init__(self, content: bytes, cut: int | None, fault: Exception) -> None:
        self._content, self._cut, self._fault = content, cut, fault

    def read(self) -> bytes:
        return self._content

    def iter_chunks(self, chunk: int) -> Iterator[bytes]:
        given = self._content if self._cut is None else self._content[: self._cut]
        for start in range(0, len(given), chunk):
            yield given[start : start + chunk]
        if self._cut is not None:
            raise self._fault

    def close(self) -> None:
        """Nothing is open."""


class Client:
    """The calls of boto3's client that a repository makes. `faults` are raised instead of an answer."""

    def __init__(self) -> None:
        # The service's own clock, years from this host's.
        self.now = datetime(2031, 1, 1, tzinfo=timezone.utc)
        self.objects: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, list[Exception]] = {}
        self.cuts: list[int] = []
        self.cut_by: Exception = lost()
        self.conditions: Callable[[], dict[str, str]] = dict
        self._guard = threading.RLock()

    def _call(self, name: str, about: dict[str, Any]) -> None:
        with self._guard:
            self.calls.append((name, about))
            if self.faults.get(name):
                raise self.faults[name].pop(0)

    def _answer(self, **answer: Any) -> dict[str, Any]:
        return {"ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(self.now)}}, **answer}

    def made(self, name: str) -> list[dict[str, Any]]:
        return [about for called, about in self.calls if called == name]

    def place(self, key: str, content: bytes, **about: Any) -> None:
        tag = f'"{md5(content, usedforsecurity=False).hexdigest()}"'
        self.objects[key] = {"Body": content, "ETag": tag, "LastModified": self.now, **about}

    def put_object(self, **about: Any) -> dict[str, Any]:
        self._call("put_object", about)
        there, wanted = self.objects.get(about["Key"]), self.conditions()
        if wanted.get("If-None-Match") == "*" and there is not None:
            raise refused("PreconditionFailed", 412)
        if "If-Match" in wanted and there is None:
            raise refused("NoSuchKey", 404)
        if there is not None and wanted.get("If-Match", there["ETag"]) != there["ETag"]:
            raise refused("PreconditionFailed", 412)
        self.place(about["Key"], about["Body"])
        return self._answer(ETag=self.objects[about["Key"]]["ETag"])

    def _found(self, key: str) -> dict[str, Any]:
        if key not in self.objects:
            raise refused("NoSuchKey", 404)
        return self.objects[key]

    def get_object(self, **about: Any) -> dict[str, Any]:
        self._call("get_object", about)
        found = self._found(about["Key"])
        if about.get("IfMatch", found["ETag"]) != found["ETag"]:
            raise refused("PreconditionFailed", 412)
        start = int(about.get("Range", "bytes=0-")[len("bytes=") : -1])
        body = Body(found["Body"][start:], self.cuts.pop(0) if self.cuts else None, self.cut_by)
        return self._answer(**{**found, "Body": body})

    def head_object(self, **about: Any) -> dict[str, Any]:
        self._call("head_object", about)
        found = self._found(about["Key"])
        return self._answer(**found, ContentLength=len(found["Body"]))

    def delete_object(self, **about: Any) -> None:
        self._call("delete_object", about)
        self.objects.pop(about["Key"], None)

    def get_paginator(self, name: str) -> Any:
        client = self

        class Pages:
            def paginate(self, **about: Any) -> Iterator[dict[str, Any]]:
                client._call(name, about)
                found = sorted(key for key in client.objects if key.startswith(about["Prefix"]))
                for start in range(0, len(found), 2):
                    yield {"Contents": [{"Key": key, "Size": len(client.objects[key]["Body"])}
                                        for key in found[start : start + 2]]}  # fmt: skip
                yield {"Uploads": [{"Key": key, "UploadId": f"of {key}"} for key in client.uploads
                                   if key.startswith(about["Prefix"])]}  # fmt: skip

        return Pages()

    def create_multipart_upload(self, **about: Any) -> dict[str, Any]:
        self._call("create_multipart_upload", about)
        self.uploads[about["Key"]] = {}
        return self._answer(UploadId=f"of {about['Key']}")

    def upload_part(self, **about: Any) -> dict[str, Any]:
        self._call("upload_part", about)
        self.uploads[about["Key"]][about["PartNumber"]] = about["Body"]
        return self._answer(ETag=f"part {about['PartNumber']}")

    def complete_multipart_upload(self, **about: Any) -> dict[str, Any]:
        self._call("complete_multipart_upload", about)
        parts = self.uploads.pop(about["Key"])
        named = about["MultipartUpload"]["Parts"]
        assert [part["ETag"] for part in named] == [f"part {part['PartNumber']}" for part in named]
        self.place(about["Key"], b"".join(parts[part["PartNumber"]] for part in named))
        return self._answer()

    def abort_multipart_upload(self, **about: Any) -> None:
        self._call("abort_multipart_upload", about)
        self.uploads.pop(about["Key"], None)


def store(bucket: Bucket, key: str, content: bytes, piece: int = MIB) -> None:
    with bucket.writer(key) as writer:
        for start in range(0, len(content), piece):
            writer.write(content[start : start + piece])
        writer.commit()
