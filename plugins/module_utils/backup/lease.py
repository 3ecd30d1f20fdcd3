# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lease: a lock where there is no kernel to end it with its holder. It ends by itself when nobody renews it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from typing import Iterator, Protocol

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked

SECONDS = 60.0
_POLL = 2.0


class LeaseLost(Day2Error):
    """The lease could not be renewed and may be somebody else's now."""


class Place(Protocol):
    """Where a lease lies: a small object that can be written only if nobody else wrote it."""

    name: str

    def read(self) -> tuple[bytes, str, float] | None: ...
    def write(self, content: bytes, version: str | None) -> str | None: ...
    def remove(self) -> None: ...


@contextmanager
def hold(place: Place, wait: float, holder: str, seconds: float = SECONDS, poll: float = _POLL) -> Iterator[None]:
    """Hold a lease, renewed by a thread of its own. LeaseLost at the end when it was lost meanwhile.

    `wait` is how long to wait for another holder, `seconds` how long the lease lives without being renewed. Its age is
    told by the place, not by this host's clock.
    """
    about = {"host": socket.gethostname(), "pid": os.getpid(), "for": holder, "seconds": seconds}
    content = json.dumps({**about, "token": secrets.token_hex(8)}).encode()
    version = _take(place, content, wait, poll)
    done, lost = threading.Event(), threading.Event()
    renewing = threading.Thread(target=_renew, args=(place, content, version, seconds, done, lost), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        if not lost.is_set():
            place.remove()
    if lost.is_set():
        raise LeaseLost(f"{place.name} was lost while it was held: another run may have been at work")


def _take(place: Place, content: bytes, wait: float, poll: float) -> str:
    begun = time.monotonic()
    while True:
        found = place.read()
        if found is None:
            version = place.write(content, None)
        else:
            held, tag, age = found
            version = place.write(content, tag) if age > _lifetime(held) else None
        if version is not None:
            return version
        waited = time.monotonic() - begun
        if waited >= wait:
            raise Locked(f"{place.name} is held by {_who(found)}")
        time.sleep(min(poll, max(0.05, wait - waited)))


def _renew(
    place: Place, content: bytes, version: str, seconds: float, done: threading.Event, lost: threading.Event
) -> None:
    renewed = time.monotonic()
    while not done.wait(seconds / 4):
        try:
            fresh = place.write(content, version)
        except Day2Error:
            # The place may be back before the lease has ended.
            if time.monotonic() - renewed > seconds * 0.75:
                lost.set()
                return
            continue
        if fresh is None:
            lost.set()
            return
        version, renewed = fresh, time.monotonic()


def _lifetime(content: bytes) -> float:
    try:
        return float(json.loads(content)["seconds"])
    except (ValueError, KeyError, TypeError):
        return SECONDS


def _who(found: tuple[bytes, str, float] | None) -> str:
    try:
        about = json.loads(found[0]) if found is not None else {}
        ends = format_duration(max(0.0, float(about["seconds"]) - (found[2] if found is not None else 0)))
        purpose = f" ({about['for']})" if about.get("for") else ""
        return f"process {int(about['pid'])} on {about['host']}{purpose}; it ends in {ends} unless it is renewed"
    except (ValueError, KeyError, TypeError):
        return "another process"
