# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state's file on the controller: one at a time, whole or not at all, moved aside when it is damaged."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import State, StateError, from_dict

_DIRECTORY_MODE = 0o750
# Whoever holds it reads, thinks and writes: that takes milliseconds.
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.05


class StoreError(Day2Error):
    """What channels know so far cannot be read or written. Messages can be sent all the same."""


class Store:
    """The state of one system in a directory."""

    def __init__(self, directory: Path, system: str) -> None:
        self.directory = directory
        self.path = directory / f"{_slug(system)}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the state against another run; StoreError when it cannot be had."""
        lock = self.path.with_suffix(".lock")
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{lock} cannot be opened: {error.strerror}") from error
        try:
            _wait_for(descriptor, lock)
            yield
        finally:
            os.close(descriptor)

    def load(self, now: datetime, look_only: bool = False) -> tuple[State, str | None]:
        """The last state, and what to say about it. A damaged one is moved aside, and everything is new."""
        try:
            return from_dict(json.loads(self.path.read_text(encoding="utf-8"))), None
        except FileNotFoundError:
            return State(), None
        except (ValueError, RecursionError, StateError) as error:
            if look_only:
                return State(), f"{self.path} is damaged: channels may be notified again"
            aside = self.path.with_name(f"{self.path.stem}.damaged-{now:%Y%m%dT%H%M%SZ}")
            try:
                os.replace(self.path, aside)
            except OSError as refused:
                raise StoreError(f"{self.path} is damaged and cannot be moved: {refused.strerror}") from error
            return State(), f"{self.path} was damaged and is now {aside.name}: channels may be notified again"
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error

    def save(self, state: State) -> None:
        text = json.dumps(state.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        try:
            write_atomic(str(self.path), text)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error


def _wait_for(descriptor: int, lock: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise StoreError(f"another run holds {lock} for more than {_PATIENCE_SECONDS:.0f} s") from None
            time.sleep(_PAUSE_SECONDS)
        except OSError as error:
            raise StoreError(f"{lock} cannot be locked: {error.strerror}") from error
        else:
            return


def _slug(system: str) -> str:
    """A file's name; two systems never share one."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", system):
        return system
    if not system:
        return "state"
    return f"system-{hashlib.sha256(system.encode('utf-8')).hexdigest()[:16]}"
