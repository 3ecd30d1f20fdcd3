# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in memory that does what the protocol says, remembers what it was asked for, and fails where it is told.

A `death` is a host that is killed: from the call of that number on nothing arrives any more, no cleaning up either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held, Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    Missing,
    ObjectLocked,
    RepositoryError,
    Unavailable,
)

CHANGES = ("commit", "put", "remove")


class Killed(BaseException):
    """The host is gone."""


class Memory:
    """Files by key. `calls` has what was asked for, as (deed, key)."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.files: dict[str, bytes] = {}
        self.unfinished: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        # Of these keys, why they may not be removed.
        self.immutable: dict[str, str] = {}
        # What a read gives back instead of what was written.
        self.read_as: Callable[[str, bytes], bytes] = lambda _key, content: content
        # The call of this number fails, or is the last that arrives.
        self.fails_at: int | None = None
        self.dies_at: int | None = None
        self.holder: str | None = None
        self.lock_lost = False
        self._guard = threading.Lock()

    def _call(self, deed: str, key: str = "") -> None:
        with self._guard:
            number = len(self.calls)
            self.calls.append((deed, key))
        if self.dies_at is not None and number >= self.dies_at:
            raise Killed
        if number == self.fails_at:
            raise Unavailable(f"{self.name}: {deed} {key}: it does not answer")

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] in CHANGES]

    def exists(self) -> bool:
        return True

    def may_write(self) -> bool:
        return True

    def is_within(self, folder: str) -> bool:
        del folder
        return False

    def prepare(self, make: bool = True) -> None:
        del make
        self._call("prepare")

    @contextmanager
    def writer(self, key: str) -> Iterator[_Writer]:
        self._call("writer", key)
        self.unfinished.add(key)
        yield _Writer(self, key)
        # As with what is cut off by an error, only `tidy` knows of what was not committed.

    def read(self, key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        self._call("read", key)
        if key not in self.files:
            raise Missing(f"{self.name} has no {key}")
        content = self.read_as(key, self.files[key])
        for start in range(0, len(content), chunk):
            yield content[start : start + chunk]

    def put(self, key: str, content: bytes, replace: bool = False) -> None:
        self._call("put", key)
        if key in self.files and not replace:
            raise RepositoryError(f"{key} is in {self.name} already")
        self.files[key] = content

    def get(self, key: str) -> bytes | None:
        self._call("get", key)
        return self.files.get(key)

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._call("keys", prefix)
        for key in sorted(self.files):
            if key.startswith(prefix):
                yield key, len(self.files[key])

    def remove(self, key: str) -> None:
        self._call("remove", key)
        if key in self.immutable:
            raise ObjectLocked(f"{self.name}/{key} is kept by {self.immutable[key]}")
        self.files.pop(key, None)

    def tidy(self, prefix: str) -> None:
        self._call("tidy", prefix)
        self.unfinished = {key for key in self.unfinished if not key.startswith(prefix)}

    @contextmanager
    def lock(self, series: str, wait: float, holder: str) -> Iterator[Held]:
        del wait
        self._call("lock", series)
        if self.holder is not None:
            raise Locked(f"{self.name}/{series} is held by {self.holder}")
        self.holder = holder
        try:
            yield self._held
        finally:
            self.holder = None

    def _held(self) -> None:
        if self.lock_lost:
            raise Locked(f"{self.name} was lost while it was held")

    def revive(self) -> None:
        """Another run, on a host that is well."""
        self.fails_at = self.dies_at = None
        self.lock_lost = False
        self.calls.clear()


class _Writer:
    def __init__(self, repository: Memory, key: str) -> None:
        self._repository, self._key, self._content = repository, key, b""

    def write(self, piece: bytes) -> None:
        self._content += piece

    def commit(self) -> None:
        self._repository._call("commit", self._key)
        self._repository.unfinished.discard(self._key)
        self._repository.files[self._key] = self._content
