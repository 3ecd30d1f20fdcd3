# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far long work is: kept in a small file on the host, which the controller reads while the module runs.

The module runs as every other does; nothing waits for the file, and nothing depends on it. It is there only where the
action half of the module names one (the environment variable `DAY2_PROGRESS`), has mode 0600, is replaced by renaming
and goes with the module. This is state of the process, like a log: streams count in several threads, five calls away
from whoever knows what they are part of.
"""

from __future__ import annotations

import atexit
import glob
import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Callable

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration

ENVIRONMENT = "DAY2_PROGRESS"
# How the names of the files begin.
NAME = ".day2-progress-"
_OLD = 86400.0
# Seconds between two writes of the file.
_PAUSE = 1.0


@dataclass(frozen=True)
class Record:
    """One phase of the work. Bytes and seconds; `total` None: unknown, and about so much unless it is `exact`.

    Of work whose bytes nobody counts, `share` is how much is done (0 to 1) where its program says so, and `usual` how
    long it took the last time.
    """

    what: str
    done: int = 0
    total: int | None = None
    exact: bool = True
    seconds: float = 0.0
    usual: float | None = None
    share: float | None = None


class Progress:
    """Writes records. Counting is cheap: the file is written once a second at most. Errors of the file end it."""

    def __init__(self, path: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._later: threading.Timer | None = None
        self._record = Record("")
        self._begun = self._written = clock()

    def phase(self, what: str, total: int | None = None, exact: bool = True, usual: float | None = None) -> None:
        """What begins now (`backup of postgresql`), and how many bytes it is of."""
        if self._path is None:
            return
        with self._lock:
            self._begun = self._clock()
            self._record = Record(what, 0, total, exact, 0.0, usual)
            self._write()

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        if self._path is None:
            return
        with self._lock:
            now = self._clock()
            self._record = replace(self._record, done=self._record.done + count)
            if now - self._written >= _PAUSE:
                self._write()
            elif self._later is None:
                self._write_later()

    def reach(self, share: float) -> None:
        """So much of the phase is done, from 0 to 1."""
        if self._path is None:
            return
        with self._lock:
            self._record = replace(self._record, share=share)
            self._write()

    @property
    def is_kept(self) -> bool:
        """Whether somebody may read it: what is asked for the sake of a record alone need not be asked otherwise."""
        return self._path is not None

    def end(self) -> None:
        with self._lock:
            if self._later is not None:
                self._later.cancel()
            if self._path is not None:
                for path in (self._path, f"{self._path}.new"):
                    with suppress(OSError):
                        os.unlink(path)
            self._path = None

    def _write_later(self) -> None:
        """What is counted just before a stream stands still is what people want to see then."""
        later = threading.Timer(_PAUSE, self._catch_up)
        later.daemon = True
        try:
            later.start()
        except RuntimeError:
            # No thread is to be had (a limit of tasks, the interpreter ends): the next count writes it, and the backup
            # goes on.
            return
        self._later = later

    def _catch_up(self) -> None:
        with self._lock:
            self._later = None
            if self._path is not None:
                self._write()

    def _write(self) -> None:
        self._written = self._clock()
        record = {**asdict(self._record), "seconds": round(self._written - self._begun, 3)}
        path = str(self._path)
        try:
            with suppress(FileNotFoundError):
                os.unlink(f"{path}.new")
            # The directory may be everybody's: what is there already is not followed and not written into.
            descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(record, stream)
            os.rename(f"{path}.new", path)
        except OSError:
            # A full disk must not end a backup for the sake of a line on the terminal.
            self._path = None


def sweep(path: str, now: float) -> None:
    """Remove what killed modules left beside `path`: files of this user, a day old at `now` (POSIX seconds)."""
    for left in glob.glob(os.path.join(glob.escape(os.path.dirname(path)), f"{NAME}*")):
        with suppress(OSError):
            about = os.lstat(left)
            if about.st_uid == os.geteuid() and now - about.st_mtime > _OLD:
                os.unlink(left)


def _of_environment() -> Progress:
    # Programs that the module starts have nothing to do with it.
    path = os.environ.pop(ENVIRONMENT, None)
    progress = Progress(path)
    if path is not None:
        sweep(path, time.time())
        atexit.register(progress.end)
    return progress


_PROGRESS = _of_environment()
phase, add, reach = _PROGRESS.phase, _PROGRESS.add, _PROGRESS.reach


def is_kept() -> bool:
    return _PROGRESS.is_kept


def parse(text: str) -> Record | None:
    """The record of a file's text (a terminal may have put lines around it); None where there is none."""
    for line in reversed(text.splitlines()):
        if line.strip().startswith("{"):
            try:
                return _record(json.loads(line))
            except ValueError:
                return None
    return None


def _record(raw: Any) -> Record | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("what"), str) or not raw["what"]:
        return None

    def number(name: str) -> float | None:
        value = raw.get(name)
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
        return value if usable else None

    total = number("total")
    return Record(
        what=raw["what"],
        done=int(number("done") or 0),
        total=None if total is None else int(total),
        exact=raw.get("exact") is not False,
        seconds=float(number("seconds") or 0.0),
        usual=number("usual"),
        share=number("share"),
    )


def line(record: Record, before: Record | None = None, idle: float = 0.0) -> str:
    """`backup of postgresql: 1.2 GiB of about 4 GiB (30%), 85 MiB/s, 33 s left`.

    `before` is the record of the last line, from which the rate is taken. `idle` are the seconds for which the record
    has not changed.
    """
    if not record.done:
        # A rate, a share and the time left would all be nothing.
        ahead = f", nothing yet of {_total(record)}" if record.total else ""
        return f"{record.what}: {_elapsed(record, record.seconds + idle)}{ahead}"
    parts = [f"{record.what}: {_amount(record)}"]
    same = before is not None and before.what == record.what and before.done <= record.done
    begin = before if same and before is not None and before.seconds < record.seconds else Record(record.what)
    if idle:
        parts.append(f"nothing for {format_duration(round(idle))}")
    elif record.seconds > begin.seconds:
        parts.append(f"{format_bytes(round((record.done - begin.done) / (record.seconds - begin.seconds)))}/s")
    if record.total is not None and 0 < record.done < record.total and record.seconds and not idle:
        left = (record.total - record.done) * record.seconds / record.done
        parts.append(f"{'' if record.exact else 'about '}{format_duration(max(1, round(left)))} left")
    return ", ".join(parts)


def _elapsed(record: Record, seconds: float) -> str:
    """Of work without bytes."""
    if seconds < 1:
        return "begun"
    usual = f" (the last time {format_duration(record.usual)})" if record.usual else ""
    so_far = format_duration(round(seconds))
    if not record.share:
        return f"{so_far} so far{usual}"
    share = min(1.0, record.share)
    # The share is as old as the record.
    left = record.seconds / share - seconds
    words = f"{int(100 * share)}% in {so_far}{usual}"
    return f"{words}, about {format_duration(round(left))} left" if share < 1 and left >= 1 else words


def _amount(record: Record) -> str:
    done = format_bytes(record.done)
    if not record.total:
        return done
    if record.done > record.total and not record.exact:
        return f"{done} (the last time {format_bytes(record.total)})"
    share = min(100, int(100 * record.done / record.total))
    return f"{done} of {_total(record)} ({share}%)"


def _total(record: Record) -> str:
    return f"{'' if record.exact else 'about '}{format_bytes(record.total or 0)}"
