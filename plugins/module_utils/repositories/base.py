# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where backup sets live: a directory, a bucket, a directory of another host. Keys are relative paths with slashes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, ContextManager, Iterator, Mapping, Protocol

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held


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


# As ids of sets are made: a UTC time, and a few characters where a second had two.
SET_ID = re.compile(r"\d{8}T\d{6}Z(-[0-9a-z]{1,8})?")


class Writer(Protocol):
    """One file on its way in. Nothing is visible before `commit`; leaving the context without it removes everything."""

    def write(self, piece: bytes) -> None:
        """Append a piece."""

    def commit(self) -> None:
        """Make the file visible, whole."""


class Repository(Protocol):
    """What a place has to do. `name` is how messages call it, without any secret."""

    name: str

    def exists(self) -> bool:
        """False where the place itself is not there, which no read would tell from an empty one."""

    def may_write(self) -> bool:
        """Whether a record may be left there: not root's among somebody else's, who could not read it afterwards."""

    def is_within(self, folder: str) -> bool:
        """Whether it lies in this directory of the host, or is it: who replaces that loses the repository."""

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


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of repository, as its file declares it: its address, and what else may be said about it.

    `open` is given the address and what was said, every option of `options` by its name, and how many bytes of a
    stream may wait in memory (0: as it likes). `prefix` is that of module options beside the repository's own.
    """

    scheme: str
    example: str
    open: Callable[[str, Mapping[str, Any], int], Repository]
    options: Mapping[str, Argument] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    prefix: str | None = None
