# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a log once for all checks that ask about it."""

from __future__ import annotations

import glob
import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Mapping, Sequence, cast

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.files import LogFile, earlier_files
from ansible_collections.day2.ops.plugins.module_utils.logs.place import (
    UnreadableTime,
    count_lines,
    start_of_last_lines,
    start_of_time,
)
from ansible_collections.day2.ops.plugins.module_utils.logs.scan import KEEP, Collect, Search, scan
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress

if TYPE_CHECKING:
    from ansible_collections.day2.ops.plugins.module_utils.logs.collect import Messages, Values

# From this size on a program that counts lines is started: it does so several times as fast as Python before 3.13.
_LARGE = 16 << 20
_JOURNALS = ("/var/log/journal/*/*.journal", "/run/log/journal/*/*.journal")


@dataclass
class Window:
    """A range of a log that checks ask for."""

    since: float | None
    last_lines: int | None
    rotated: bool
    # Where it begins in the log itself; None when no line shows a time.
    start: int | None = 0
    # The rotated files that reach into it, newest first, and where it begins in each.
    parts: list[tuple[LogFile, int]] = field(default_factory=list)
    # All its lines, counted when a check needs that.
    lines: Search | None = None
    # What kept its rotated files from being read: then it has no answer, and other windows still have theirs.
    trouble: Day2Error | None = None
    # The time of the oldest line there is, when that is younger than the window.
    begins: float | None = None


@dataclass
class Question:
    """What one check wants of a log: its range, its lines, and what is made of them."""

    index: int
    window: Window
    search: Search
    messages: Messages | None = None
    values: Values | None = None


class Reading:
    """What one reading of a log found for each of its checks, by the check's index."""

    def __init__(self, origin: str, checks: Sequence[Check], collect: Collect | None = None) -> None:
        self.origin = origin
        self._collect = collect
        self.note = ""
        self.now = time.time()
        self.windows: dict[object, Window] = {}
        self.questions = {check.index: self._question(check) for check in checks}

    def _question(self, check: Check) -> Question:
        args, metric = check.args, check.metric.name
        since, last_lines = args["since"], args["last_lines"]
        rotated = args["rotated"] and since is not None and last_lines is None
        window = self.windows.setdefault((since, last_lines, rotated), Window(since, last_lines, rotated))
        if self._collect is not None:
            return Question(check.index, window, Search(args["pattern"], collect=self._collect))
        if metric == "percent" and window.lines is None:
            window.lines = Search(None)
        if metric != "top_share" and metric != "groups" and not args["group"]:
            return Question(check.index, window, Search(args["pattern"]))
        # Most checks only count: they do not pay for loading this.
        from ansible_collections.day2.ops.plugins.module_utils.logs.collect import Messages, Values

        if metric == "top_share":
            values = Values(args["pattern"])
            search = Search(args["pattern"], collect=values.add, take=values.take)
            return Question(check.index, window, search, values=values)
        messages = Messages()
        return Question(check.index, window, Search(args["pattern"], collect=messages.add), messages=messages)

    def scan(
        self,
        stream: BinaryIO,
        starts: Mapping[int, int],
        progress: Progress,
        base: int = 0,
        size: int | None = None,
    ) -> int:
        """Search a part of the log for the checks whose window (by its id) has a start there."""
        indexes, searches = self._due(starts)
        return scan(stream, searches, base, size, lambda number: progress.enter(indexes[number]))

    def count_all(self, file: LogFile, starts: Mapping[int, int], progress: Progress) -> int | None:
        """Where nothing but the number of lines is asked for: the end of what was counted. None: it is to be read."""
        indexes, searches = self._due(starts)
        begin, last = min(starts.values()), searches[0]
        if len(searches) != 1 or not last.counts_all or (file.size or 0) - begin < _LARGE:
            return None
        progress.enter(indexes[0])
        counted = count_lines(file.stream, begin)
        if counted is None:
            return None
        lines, end = counted
        lines += last.count
        last.start = max(begin, start_of_last_lines(file.stream, end, KEEP))
        file.stream.seek(last.start)
        scan(file.stream, searches, last.start, end)
        last.count = lines
        return end

    def _due(self, starts: Mapping[int, int]) -> tuple[list[int], list[Search]]:
        """The searches whose window has a start, set to it, and the checks they are for."""
        indexes, searches = [], []
        counted: set[int] = set()
        for question in self.questions.values():
            key = id(question.window)
            if key not in starts:
                continue
            for search in (question.search, None if key in counted else question.window.lines):
                if search is not None:
                    search.start = starts[key]
                    indexes.append(question.index)
                    searches.append(search)
            counted.add(key)
        return indexes, searches


# No line begins so far behind.
_BEYOND = 1 << 62


def read_file(path: str, checks: Sequence[Check], progress: Progress, collect: Collect | None = None) -> Reading:
    """Read a log, and what was rotated away of it as far as the checks reach back.

    `collect` is handed each line that matches, in their order, instead of what the checks' metrics need.
    """
    reading = Reading(path, checks, collect)
    opened = [LogFile(path, packed=True)]
    try:
        _find_starts(reading, opened[0], progress)
        opened += _reach_back(reading, opened[0])
        for file in reversed(opened[1:]):
            _scan_rotated(reading, file, progress)
        starts = {id(window): window.start for window in reading.windows.values() if window.start is not None}
        if starts and _scan_file(reading, opened[0], starts, progress) < (opened[0].size or 0):
            reading.note = "; the file was cut while it was read"
    finally:
        for file in opened:
            file.close()
    return reading


def _find_starts(reading: Reading, file: LogFile, progress: Progress) -> None:
    for question in reading.questions.values():
        progress.enter(question.index)
        window = question.window
        if window.start != 0:
            continue
        if file.size is None and window.last_lines is not None:
            window.start = None
            # It would have to be read twice.
            window.trouble = Undetermined(
                f"{file.path} {file.form}: 'last_lines' is for a log that can be read from its end"
            )
            continue
        try:
            with file.reading():
                window.start = _start(file, window, reading.now)
            if window.start is None:
                window.trouble = file.undated(reading.now)
        except UnreadableTime as exc:
            window.start, window.trouble = None, exc


def _start(file: LogFile, window: Window, now: float) -> int | None:
    """Where a window begins in the log itself; None when its lines show no time."""
    if file.size is None:
        return _start_in_packed(file, window, now)
    start = 0 if window.last_lines is None else start_of_last_lines(file.stream, file.size, window.last_lines)
    if window.since is None:
        return start
    place = start_of_time(file.stream, file.size, now - window.since, now)
    return None if place is None else max(start, place)


def _start_in_packed(file: LogFile, window: Window, now: float) -> int | None:
    if window.since is None:
        return 0
    file.look(now)
    if file.head is None:
        return None
    start = file.start(now - window.since, now)
    return _BEYOND if start is None else start


def _reach_back(reading: Reading, current: LogFile) -> list[LogFile]:
    """Find the rotated files for the windows that begin before the log itself does."""
    if any(window.rotated and window.start is not None for window in reading.windows.values()):
        current.look(reading.now)
    files: dict[tuple[int, int], LogFile] = {}
    for window in reading.windows.values():
        if not window.rotated or window.start is None or window.since is None:
            continue
        cutoff = reading.now - window.since
        if current.head is not None and current.head.moment < cutoff:
            continue
        try:
            found = earlier_files(current, cutoff, reading.now)
            # One file is read once, however many windows reach into it.
            shared = [files.setdefault(file.identity, file) for file in found]
            for file in found:
                if files[file.identity] is not file:
                    file.close()
            _reach(window, cutoff, current, shared, reading.now)
        except (NeedsRoot, Undetermined) as exc:
            window.trouble = exc
    return sorted(files.values(), key=lambda file: -file.head.moment if file.head is not None else 0)


def _reach(window: Window, cutoff: float, current: LogFile, files: Sequence[LogFile], now: float) -> None:
    head = current.head
    for file in files:
        start = file.start(cutoff, now)
        head = file.head
        if start is not None:
            # What comes before the first time of a newer file goes on where this one ends.
            if window.parts:
                window.parts[-1] = (window.parts[-1][0], 0)
            else:
                window.start = 0
            window.parts.append((file, start))
        if head is not None and head.moment < cutoff:
            break
    else:
        window.begins = head.moment if head is not None else None
    if not window.parts:
        return
    first, start = window.parts[-1]
    if first.head is not None and first.head.unread is not None and start == first.head.place:
        raise UnreadableTime(f"{first.path}: {first.head.unread}")


def _scan_rotated(reading: Reading, file: LogFile, progress: Progress) -> None:
    windows = [
        (window, start)
        for window in reading.windows.values()
        for part, start in window.parts
        if part is file and window.trouble is None
    ]
    try:
        _scan_file(reading, file, {id(window): start for window, start in windows}, progress)
    except Undetermined as exc:
        for window, _start in windows:
            window.trouble = exc


def _scan_file(reading: Reading, file: LogFile, starts: Mapping[int, int], progress: Progress) -> int:
    if not starts:
        return 0
    with file.reading():
        stream = file.rewind()
        if file.size is None:
            end = reading.scan(stream, starts, progress)
            file.check_whole()
            return end
        counted = reading.count_all(file, starts, progress)
        if counted is not None:
            return counted
        begin = min(starts.values())
        stream.seek(begin)
        return reading.scan(stream, starts, progress, begin, file.size)


def read_journal(
    name: str,
    checks: Sequence[Check],
    progress: Progress,
    fields: Sequence[str] | None = None,
    collect: Collect | None = None,
) -> Reading:
    """Read the journal of a unit, or what journalctl's `fields` choose; all checks want the same range."""
    files = [name for pattern in _JOURNALS for name in glob.glob(pattern)]
    if os.geteuid() != 0 and not any(os.access(name, os.R_OK) for name in files if name.endswith("system.journal")):
        raise NeedsRoot("the journal cannot be read")
    if not files:
        raise Undetermined("there is no journal on this host")
    reading = Reading(f"the journal of {name}", checks, collect)
    command = ["journalctl", "--quiet", "--no-pager", "--all", "--output=short-iso"]
    command += [f"--unit={name}"] if fields is None else fields
    args = checks[0].args
    if args["since"] is not None:
        command.append(f"--since=@{int(reading.now - args['since'])}")
    if args["last_lines"] is not None:
        command.append(f"--lines={args['last_lines']}")
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as exc:
        raise Undetermined(f"journalctl cannot be started: {exc.strerror}") from exc
    starts = {id(window): 0 for window in reading.windows.values()}
    with cast(BinaryIO, process.stdout) as stream:
        reading.scan(stream, starts, progress)
    if process.wait() != 0:
        raise Undetermined(f"journalctl exited with {process.returncode}")
    return reading
