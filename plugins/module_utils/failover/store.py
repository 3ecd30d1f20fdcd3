# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host keeps the journals of failovers: a file a system, whole after any kill, on disk before an answer."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import (
    SYSTEM,
    Ballot,
    JournalError,
    Record,
    Superseded,
    ballot,
    parse,
    render,
)
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    ROOT_ONLY,
    Trust,
    make_directories,
    read_text,
)

ROOT = "/var/lib/day2/dr"


class JournalFile:
    """The journal of one system on this host. Whoever changes it, or acts by it, holds its lock."""

    def __init__(self, system: str, root: str = ROOT, trust: Trust = ROOT_ONLY) -> None:
        if not SYSTEM.fullmatch(system):
            raise JournalError(f"'system' is {system!r}, expected letters, digits, '.', '-' and '_'")
        self.system, self.root, self.trust = system, root, trust
        self.path = os.path.join(root, f"{system}.json")

    def load(self) -> Record:
        """What is recorded. A file that cannot be read is never taken for an empty one: it may hold a promise."""
        try:
            text = read_text(self.path, self.trust)
        except FileNotFoundError:
            return Record()
        except PermissionError:
            raise NeedsRoot(f"{self.path} can be read by root only") from None
        except (OSError, ValueError) as exc:
            raise self._damaged(str(exc)) from exc
        try:
            return parse(json.loads(text))
        except (ValueError, JournalError) as exc:
            raise self._damaged(str(exc)) from exc

    @contextmanager
    def lock(self, wait: float, holder: str) -> Iterator[None]:
        """`wait` is seconds. Readers need no lock: the file is exchanged as a whole."""
        try:
            make_directories(self.root, self.trust)
        except OSError as exc:
            raise JournalError(f"{exc.filename or self.root} cannot be made: {exc.strerror}") from exc
        with file_lock(os.path.join(self.root, f".{self.system}.lock"), wait, holder):
            yield

    def save(self, record: Record) -> None:
        """Under the lock. When this returns it is on disk, with the directory's entry."""
        text = json.dumps(render(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            sweep(self.path)
            write_atomic(self.path, text, 0o600)
        except OSError as exc:
            raise JournalError(f"{self.path} cannot be written: {exc.strerror}") from exc

    def _damaged(self, why: str) -> JournalError:
        return JournalError(
            f"the journal {self.path} cannot be read: {why}. Until it can, this host promises nothing, and nothing is"
            " changed on it; a majority of the other journal hosts is enough for a run. While no run is at work, and"
            f" the others have the journal: mv {self.path} {self.path}.damaged"
        )


def accept(
    journal: JournalFile,
    epoch: int,
    run: str,
    change: Callable[[Record, Ballot], Record],
    wait: float,
    check_mode: bool = False,
) -> dict[str, Any]:
    """The host's answer to a run that claims or writes: whether it was accepted, and what the host has."""
    asked = ballot(epoch, run)

    def changed(has: Record) -> tuple[Record, str | None]:
        try:
            return change(has, asked), None
        except Superseded as refused:
            return has, str(refused)

    if check_mode:
        has = journal.load()
        after, refused = changed(has)
    else:
        with journal.lock(wait, f"run {run}, epoch {epoch}: the journal"):
            has = journal.load()
            after, refused = changed(has)
            if after != has:
                journal.save(after)
    found = answer(after)
    return {**found, "changed": after != has, "accepted": refused is None, "msg": refused or found["msg"]}


def answer(record: Record) -> dict[str, Any]:
    """A record as results have it."""
    promised, count = record.promised, len(record.entries)
    who = f"epoch {promised.epoch} is promised to run {promised.run}" if promised.epoch else "no epoch is promised"
    found = {name: value for name, value in render(record).items() if name != "schema"}
    return {**found, "msg": f"{who}; entries: {count}"}
