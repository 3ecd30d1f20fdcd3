# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where maintenance is remembered: a file a service below one directory, readable by people, whole after any kill."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import (
    ORDER,
    Entered,
    Lease,
    Phase,
    Reading,
    State,
)
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked, file_lock

ROOT = "/var/lib/day2/maintenance"
_STATE, _BEFORE = "state.json", "state.before.json"
_LOCK, _LOCKS = ".{}.lock", re.compile(r"\..+\.lock")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
SCHEMA = 1


class StoreError(Day2Error):
    """A state that cannot be read or written; the message says where and what helps."""


class Damaged(StoreError):
    """Neither of the files of a service is what was written."""


def reading() -> Reading:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        boot = stream.read().strip()
    # Linux has it since 2.6.39; it goes on while the host is suspended, and is that of the kernel in a container.
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Reading(time.time(), uptime, boot)


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """The directory of all services. Whoever changes something holds its lock."""

    def __init__(self, root: str = ROOT) -> None:
        self.root = root

    def folder(self, service: str) -> str:
        if not _SERVICE.fullmatch(service):
            raise StoreError(f"'service' is {service!r}: letters, digits, '.', '-' and '_'")
        return os.path.join(self.root, service)

    def flag(self, service: str, name: str) -> str:
        """The file whose presence says that a target is in maintenance."""
        return os.path.join(self.folder(service), f"{name}.on")

    def services(self) -> list[str]:
        """Of which something is remembered, readable or not."""
        return [name for name in self._remembered() if _SERVICE.fullmatch(name)]

    def strangers(self) -> list[str]:
        """Folders with a state that no service can have: an editor's copy, somebody's backup."""
        return [os.path.join(self.root, name) for name in self._remembered() if not _SERVICE.fullmatch(name)]

    def _remembered(self) -> list[str]:
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        return [name for name in names if any(os.path.exists(path) for path in self.files(name))]

    def files(self, service: str) -> list[str]:
        """Where a service is remembered: twice, the one that is written first in front."""
        return [os.path.join(self.root, service, name) for name in (_STATE, _BEFORE)]

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
            _directory(self.root)
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

    def load(self, service: str) -> State:
        """What is remembered. A file that was damaged gives way to the one before it."""
        self.folder(service)
        faults = []
        for path in self.files(service):
            try:
                with open(path, encoding="utf-8") as stream:
                    return _parse(stream.read(), service)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError) as exc:
                faults.append(f"{path} ({exc})")
        if faults:
            raise Damaged(
                f"the state of {service} cannot be read, so nobody knows when it ends and what there was before:"
                f" {', '.join(faults)}. End it with: day2ctl maintenance disable {service} --force"
            )
        return State(service)

    def save(self, state: State, now: Reading) -> None:
        """Both files, the older one last: at least one of them is whole at any time."""
        folder, paths = self.folder(state.service), self.files(state.service)
        try:
            _directory(folder)
            for path in paths:
                sweep(path)
            if state.empty:
                # A kill in between must leave the newer one.
                for path in reversed(paths):
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                return
            text = _render(state, now)
            for path in paths:
                write_atomic(path, text, 0o644)
        except OSError as exc:
            raise StoreError(f"{folder}: {exc.strerror}") from exc

    def tidy(self) -> None:
        """Remove what killed processes have left, where nothing is remembered and nobody is at work."""
        with suppress(FileNotFoundError), os.scandir(self.root) as found:
            for folder in found:
                if _SERVICE.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                    for path in (*self.files(folder.name), *(self.flag(folder.name, name) for name in ORDER)):
                        sweep(path)
                    with suppress(OSError):
                        # Not where somebody keeps a damaged state to look at.
                        os.rmdir(folder.path)

    def set_aside(self, service: str) -> list[str]:
        """Keep what cannot be read for somebody to look at, under other names; returns those."""
        kept = []
        try:
            for path in self.files(service):
                with suppress(FileNotFoundError):
                    os.replace(path, f"{path}.damaged")
                    kept.append(f"{path}.damaged")
        except OSError as exc:
            raise StoreError(f"{self.folder(service)}: {exc.strerror}") from exc
        return kept


def _directory(path: str) -> None:
    """Whatever root's umask is: nginx's user has to see the files below it."""
    usual = os.umask(0o022)
    try:
        os.makedirs(path, exist_ok=True)
    finally:
        os.umask(usual)


def _render(state: State, now: Reading) -> str:
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "service": state.service,
        "leases": {
            name: {**asdict(lease), "ends": stamp(now.wall + lease.left(now))} for name, lease in state.leases.items()
        },
        "targets": {
            name: {"phase": each.phase.value, "record": each.record, "error": each.error}
            for name, each in state.targets.items()
        },
    }
    return json.dumps({**record, "digest": _digest(record)}, indent=1, ensure_ascii=False) + "\n"


def _digest(record: Mapping[str, Any]) -> str:
    fields = {name: value for name, value in record.items() if name != "digest"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _parse(text: str, service: str) -> State:
    record = json.loads(text)
    if record["schema"] != SCHEMA or record["service"] != service or record["digest"] != _digest(record):
        raise ValueError("it is not what was written")
    leases = {}
    for name, fields in record["leases"].items():
        known = {key: value for key, value in fields.items() if key != "ends"}
        leases[name] = Lease(**{**known, "targets": tuple(known["targets"])})
    targets = {
        name: Entered(Phase(each["phase"]), each["record"], each["error"]) for name, each in record["targets"].items()
    }
    return State(service, leases, targets)
