# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the chain of a log is kept: a file of root's that only grows."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    ROOT_ONLY,
    Trust,
    make_directories,
    read_text,
)
from ansible_collections.day2.ops.plugins.module_utils.rotation import chain
from ansible_collections.day2.ops.plugins.module_utils.rotation.packing import sync_directory
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy


class LedgerError(Day2Error):
    """A chain that cannot be read, or that is broken: nothing is added to it."""


class Ledger:
    """The chain of one log. Whoever adds to it holds the lock of all rotation."""

    def __init__(self, path: str, trust: Trust = ROOT_ONLY) -> None:
        self.path, self._trust = path, trust
        self.records, self.faults, self._whole = chain.parse(self._text())

    def _text(self) -> str:
        try:
            return read_text(self.path, self._trust)
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as exc:
            raise LedgerError(f"{self.path} cannot be read: {exc}") from exc

    def check(self) -> None:
        """LedgerError where the chain is broken."""
        if self.faults:
            raise LedgerError(f"{self.path} is broken, and nothing is added to it: {self.faults[0]}")

    def add(self, action: str, at: float, **fields: Any) -> chain.Record:
        """A record more, on the disk when this returns. LedgerError where the chain is broken, or there is no room."""
        self.check()
        record = chain.link(self.records, action, at, **fields)
        try:
            make_directories(os.path.dirname(self.path), self._trust)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._append(descriptor, chain.render(record).encode())
            finally:
                os.close(descriptor)
            sync_directory(os.path.dirname(self.path))
        except OSError as exc:
            raise LedgerError(f"{self.path}: {exc.strerror}") from exc
        self.records.append(record)
        return record

    def _append(self, descriptor: int, line: bytes) -> None:
        # What a killed writer left without an end is no record; the next one takes its place.
        os.ftruncate(descriptor, self._whole)
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(descriptor, line[written:], self._whole + written)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._whole)
            raise
        self._whole += len(line)


def ledger_of(place: Place, policy: Policy) -> Ledger:
    """The chain of a policy's log."""
    return Ledger(os.path.join(place.state, f"{policy.name}.chain"), place.trust)
