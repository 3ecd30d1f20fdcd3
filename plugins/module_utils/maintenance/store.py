# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where maintenance is remembered, whole after any kill: whoever changes something holds a lock."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Entered, Reading, State
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import StoreError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import SCHEMA, SERVICE, StateFiles, digest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked, file_lock
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import make_directories
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339

_LOCK, _LOCKS = ".{}.lock", re.compile(r"\..+\.lock")


class FileStore(StateFiles):
    """The directory of all services. Whoever changes something holds its lock."""

    def flag(self, service: str, name: str) -> str:
        """The file whose presence says that a target is in maintenance."""
        return os.path.join(self.folder(service), f"{name}.on")

    @contextmanager
    def lock(self, service: str, wait: float, holder: str) -> Iterator[None]:
        """Two controllers, the timer and people at the host come one after the other; no service waits for another."""
        self.folder(service)
        with self._held(_LOCK.format(service), wait, holder):
            yield

    @contextmanager
    def alone(self, wait: float, holder: str) -> Iterator[None]:
        """For what all services share, the timer: never held while something takes long."""
        with self._held(".lock", wait, holder):
            yield

    @contextmanager
    def _held(self, name: str, wait: float, holder: str) -> Iterator[None]:
        try:
            make_directories(self.root, self.trust)
        except OSError as exc:
            raise StoreError(f"{self.root} cannot be made: {exc.strerror}") from exc
        with file_lock(os.path.join(self.root, name), wait, holder):
            yield

    def at_work(self) -> bool:
        """Whether somebody holds the lock of a service."""
        for name in os.listdir(self.root):
            if _LOCKS.fullmatch(name):
                try:
                    with self._held(name, 0.0, ""):
                        continue
                except Locked:
                    return True
        return False

    def is_published(self, state: State) -> bool:
        """Whether everybody sees this state."""
        try:
            return self.load_public(state.service) == _public_part(state)
        except Day2Error:
            return False

    def publish(self, state: State, now: Reading) -> None:
        """Let everybody see it."""
        path = self.public(state.service)
        try:
            write_atomic(path, _render(_public_part(state), now), 0o644)
        except OSError as exc:
            raise StoreError(f"{path}: {exc.strerror}") from exc

    def save(self, state: State, now: Reading) -> None:
        """Both files, the older one last: at least one of them is whole at any time. Then what everybody sees."""
        folder, paths = self.folder(state.service), self.files(state.service)
        try:
            make_directories(folder, self.trust)
            for path in (*paths, self.public(state.service)):
                sweep(path)
            if state.empty:
                # A kill in between must leave the newer one.
                for path in (self.public(state.service), *reversed(paths)):
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                return
            text = _render(state, now)
            for path in paths:
                write_atomic(path, text, 0o600)
        except OSError as exc:
            raise StoreError(f"{folder}: {exc.strerror}") from exc
        self.publish(state, now)

    def tidy(self) -> None:
        """Remove what killed processes have left, where nothing is remembered and nobody is at work."""
        with suppress(FileNotFoundError), os.scandir(self.root) as found:
            for folder in found:
                if SERVICE.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                    flags = (self.flag(folder.name, name) for name in TARGETS)
                    for path in (*self.files(folder.name), self.public(folder.name), *flags):
                        sweep(path)
                    with suppress(FileNotFoundError):
                        # Without a state beside it, it tells what is over.
                        os.unlink(self.public(folder.name))
                    with suppress(OSError):
                        # Not where somebody keeps a damaged state to look at.
                        os.rmdir(folder.path)

    def set_aside(self, service: str) -> list[str]:
        """Keep what cannot be read for somebody to look at, under other names; returns those."""
        kept = []
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.public(service))
            for path in self.files(service):
                with suppress(FileNotFoundError):
                    os.replace(path, f"{path}.damaged")
                    kept.append(f"{path}.damaged")
        except OSError as exc:
            raise StoreError(f"{self.folder(service)}: {exc.strerror}") from exc
        return kept


def _public_part(state: State) -> State:
    targets = {name: Entered(entered.phase, {}, entered.error) for name, entered in state.targets.items()}
    return State(state.service, dict(state.leases), targets)


def _render(state: State, now: Reading) -> str:
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "service": state.service,
        "leases": {
            name: {**asdict(lease), "ends": rfc3339(now.wall + lease.left(now))} for name, lease in state.leases.items()
        },
        "targets": {
            name: {"phase": entered.phase.value, "record": entered.record, "error": entered.error}
            for name, entered in state.targets.items()
        },
    }
    return json.dumps({**record, "digest": digest(record)}, indent=1, ensure_ascii=False) + "\n"
