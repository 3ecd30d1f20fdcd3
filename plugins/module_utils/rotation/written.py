# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a piece is still written to: what only looks at logs needs of their packing."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import BinaryIO, Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.opened import InUse, unused


class PackingError(Day2Error):
    """A piece that stays as it was written; the message says why."""


class StillWritten(PackingError):
    """A process has the piece open for writing."""


def refuse_written_at(path: str, shown: str) -> None:
    """StillWritten where a process has it open for writing."""
    with opened(path) as plain:
        refuse_written(plain, shown)


def is_written(path: str) -> bool:
    """Whether a process has it open for writing. Raises OSError where that cannot be seen."""
    try:
        with suppress(FileNotFoundError):
            refuse_written_at(path, path)
    except StillWritten:
        return True
    return False


def refuse_written(plain: BinaryIO, path: str) -> None:
    try:
        with unused(plain.fileno(), writing=True):
            return
    except InUse:
        raise StillWritten(f"{path} is open for writing: its writer goes on with it") from None


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A regular file to read, and nothing else that was put in its place. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        # A pipe or a device that was put in its place may have no end.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        yield stream
