# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where backup sets live: a directory, or a bucket and prefix. Keys are relative paths with slashes."""

from __future__ import annotations

import re
from typing import Any, Callable, ContextManager, Iterator, Mapping, Protocol

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


class RepositoryError(Day2Error):
    """A repository that does not do what it should; the message names it and what was wanted."""


class Missing(RepositoryError):
    """There is no such file."""


class Unreadable(RepositoryError):
    """One file that cannot be read, in a place that does what it should: a bad block, a link where a file was."""


class Unavailable(RepositoryError):
    """The place does not answer now. What it holds is not known: this is no verdict on any set."""


class ObjectLocked(RepositoryError):
    """Something that may not be removed before a date: object lock of S3, an immutable file."""


Held = Callable[[], None]


class Writer(Protocol):
    """One file on its way in. Nothing is visible before `commit`; leaving the context without it removes everything."""

    def write(self, piece: bytes) -> None: ...
    def commit(self) -> None: ...


class Repository(Protocol):
    """What a place has to do. `name` is how messages call it, without any secret."""

    name: str

    def writer(self, key: str) -> ContextManager[Writer]:
        """A new file of any size."""

    def read(self, key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        """A file in pieces; Missing when there is none."""

    def put(self, key: str, content: bytes, replace: bool = False) -> None:
        """A small file, all at once. One that is there already is an error unless it may be replaced."""

    def get(self, key: str) -> bytes | None:
        """A small file, or None."""

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Every file whose key begins so, with its size."""

    def remove(self, key: str) -> None:
        """A file that may be gone already. ObjectLocked when it has to stay."""

    def tidy(self, prefix: str) -> None:
        """What interrupted writers left and no key shows."""

    def lock(self, series: str, wait: float, holder: str) -> ContextManager[Held]:
        """Held by one at a time, waited for so many seconds; Locked otherwise.

        What it yields is asked before each step that no two may take: it raises when the lock is lost.
        """

    def prepare(self, make: bool = True) -> None:
        """Make what is missing, and find out whether it can be written. Not to `make` changes nothing."""


_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


def open_repository(place: str, s3: Mapping[str, Any] | None = None) -> Repository:
    """A repository by its address: an absolute path, or `s3://bucket/prefix`. `s3` are options of its client."""
    if place.startswith("s3://"):
        match = _S3.fullmatch(place)
        if match is None:
            raise RepositoryError(f"'{place}' is no address such as s3://bucket/prefix")
        from ansible_collections.day2.ops.plugins.module_utils.backup.s3 import Bucket

        return Bucket(match[1], (match[2] or "").strip("/"), s3 or {})
    if not place.startswith("/"):
        raise RepositoryError(f"'{place}' is neither an absolute path nor an address such as s3://bucket/prefix")
    from ansible_collections.day2.ops.plugins.module_utils.backup.directory import Directory

    return Directory(place)
