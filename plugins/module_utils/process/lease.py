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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Iterator, Protocol

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held, Locked
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

SECONDS = 60.0
_POLL = 2.0


# How long the end of a run waits for a renewal that hangs.
_PATIENCE = 10.0


class LeaseLost(Day2Error):
    """The lease could not be renewed and may be somebody else's now."""


class Place(Protocol):
    """Where a lease lies: a small object that can be written only if nobody else wrote it.

    A write whose answer is lost and that is then refused because of itself has to be reported as done: no two contents
    are the same.
    """

    name: str

    def read(self) -> tuple[bytes, str, float] | None:
        """The content, its version, and the age in seconds; None where there is none."""

    def write(self, content: bytes, version: str | None) -> str | None:
        """Replace that version (None: nothing); the new version, or None when it was another one."""

    def remove(self) -> None:
        """Remove it, whatever its version."""


@dataclass
class _Lease:
    """A lease on its way. `renewed` is a monotonic time from before the write that was the last to succeed."""

    about: dict[str, Any]
    seconds: float
    version: str = ""
    renewed: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def content(self) -> bytes:
        """New each time: a version may be no more than a digest of it, and a renewal has to change that."""
        return json.dumps(
            {**self.about, "seconds": self.seconds, "token": self.token, "n": time.monotonic_ns()}
        ).encode()

    def check(self, name: str) -> None:
        if self.lost.is_set() or time.monotonic() - self.renewed >= self.seconds:
            raise LeaseLost(f"{name} was lost while it was held: another run may be at work")


@contextmanager
def hold(place: Place, wait: float, holder: str, seconds: float = SECONDS, poll: float = _POLL) -> Iterator[Held]:
    """Hold a lease, renewed by a thread of its own. What it yields raises LeaseLost as soon as the lease may be lost.

    `wait` is how long to wait for another holder, `seconds` how long the lease lives without being renewed. Its age is
    by the clock of the place, not by this host's clock.
    """
    lease = _Lease({"host": socket.gethostname(), "pid": os.getpid(), "for": holder}, seconds)
    _take(place, lease, wait, poll)
    renewing = threading.Thread(target=_renew, args=(place, lease), daemon=True)
    renewing.start()
    try:
        yield lambda: lease.check(place.name)
    finally:
        lease.done.set()
        renewing.join(_PATIENCE)
        _release(place, lease)
    lease.check(place.name)


def _release(place: Place, lease: _Lease) -> None:
    """Remove it, if it still is this one's. A place that does not answer lets it end by itself."""
    with suppress(Day2Error):
        found = place.read()
        if found is not None and lease.token.encode() in found[0]:
            place.remove()


def _take(place: Place, lease: _Lease, wait: float, poll: float) -> None:
    begun = time.monotonic()
    while True:
        found, now = place.read(), time.monotonic()
        if found is None:
            version = place.write(lease.content(), None)
        else:
            held, tag, age = found
            version = place.write(lease.content(), tag) if age > _lifetime(held) else None
        if version is not None:
            lease.version, lease.renewed = version, now
            return
        waited = time.monotonic() - begun
        if waited >= wait:
            raise Locked(f"{place.name} is held by {_who(found)}")
        time.sleep(min(poll, max(0.05, wait - waited)))


def _renew(place: Place, lease: _Lease) -> None:
    try:
        while not lease.done.wait(lease.seconds / 4):
            now = time.monotonic()
            try:
                fresh = place.write(lease.content(), lease.version)
            except Day2Error:
                # The place may be back before the lease has ended.
                continue
            if fresh is None:
                return
            lease.version, lease.renewed = fresh, now
    finally:
        # However this ends: nobody renews it any more.
        if not lease.done.is_set():
            lease.lost.set()


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
