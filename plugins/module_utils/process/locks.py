# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One at a time: an advisory lock that ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import Callable, Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

_POLL = 0.2
# Asked before each step that no two may take: raises when the lock is lost.
Held = Callable[[], None]


class LockError(Day2Error):
    """A lock that cannot be taken at all: a full or read-only disk, a link in its place."""


class Locked(LockError):
    """Somebody else holds the lock; the message says who, since when, and how long it was waited for."""


@contextmanager
def file_lock(
    path: str, wait: float = 0.0, holder: str = "", clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Hold flock(2) on a file, which stays. The kernel lets it go when the holder is gone, also after SIGKILL.

    `wait` is seconds. What is in the file only tells people who it is.
    """
    begun = clock()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise LockError(f"{path} cannot be opened as a lock: {exc.strerror}") from exc
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = clock() - begun
                if waited >= wait:
                    raise Locked(_describe_holder(descriptor, path, waited)) from None
                time.sleep(min(_POLL, wait - waited))
            except OSError as exc:
                raise LockError(f"{path} cannot be locked: {exc.strerror}") from exc
        about = {"host": socket.gethostname(), "pid": os.getpid(), "since": int(time.time()), "for": holder}
        # A full disk takes no name; the lock is held all the same.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(about).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _describe_holder(descriptor: int, path: str, waited: float) -> str:
    """Who holds the lock, by what the holder wrote into its file."""
    try:
        about = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
        who = f"process {int(about['pid'])} on {about['host']}, for {format_duration(time.time() - about['since'])}"
        who += f" ({about['for']})" if about.get("for") else ""
    except (ValueError, KeyError, TypeError):
        who = "another process"
    patience = f", after {format_duration(waited)} of waiting" if waited >= 1 else ""
    return f"{path} is held by {who}{patience}"
