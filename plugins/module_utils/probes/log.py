# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a log that match, counted in bytes: nothing is skipped because it is no UTF-8. One log is read once."""

from __future__ import annotations

import glob
import os
import stat
import subprocess
import time
from typing import Any, BinaryIO, cast

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import MAX_BYTES
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.place import size_of, start_of_last_lines, start_of_time
from ansible_collections.day2.ops.plugins.module_utils.logs.scan import Search, scan
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress

_JOURNALS = ("/var/log/journal/*/*.journal", "/run/log/journal/*/*.journal")


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    if args["unit"] is not None and args["unit"].startswith("-"):
        raise FieldError("unit", "is no unit")


SPEC = ProbeSpec(
    doc="Counts the lines of a log file or of a unit's journal that match. Without a pattern every line counts.",
    arguments={
        "path": Argument("path", "The file."),
        "unit": Argument("str", "The systemd unit whose journal is read (as journalctl's short-iso shows it)."),
        "pattern": Argument("regex", "A regular expression; matched against the bytes of each line."),
        "since": Argument("duration", "Only lines of this last stretch of time, such as `24h`."),
        "last_lines": Argument("count", "Only so many lines at the end."),
    },
    metrics={"count": Metric("Lines that match.", "lines")},
    default_metric="count",
    one_of=("path", "unit"),
    validate=_validate,
)


class Reading:
    """What one reading of a log found for each of its checks, by the check's index."""

    def __init__(self) -> None:
        self.searches: dict[int, Search] = {}
        self.origin = ""
        self.note = ""
        self.undated: set[int] = set()


def source_key(check: Check) -> object:
    args = check.args
    if args["path"] is not None:
        return args["path"]
    return (args["unit"], args["since"], args["last_lines"])


def open_source(checks: list[Check], progress: Progress) -> Reading:
    return _read_file(checks, progress) if checks[0].args["path"] is not None else _read_journal(checks, progress)


def _read_file(checks: list[Check], progress: Progress) -> Reading:
    path = checks[0].args["path"]
    reading = Reading()
    reading.origin = path
    now = time.time()
    try:
        # Not blocking: a named pipe would wait for its writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be read") from None
    except FileNotFoundError:
        raise Undetermined(f"{path} does not exist") from None
    except (OSError, ValueError) as exc:
        raise Undetermined(f"{path}: {exc}") from exc
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Undetermined(f"{path} is not a regular file")
        try:
            size = size_of(stream)
            for check in checks:
                progress.enter(check.index)
                start = _start(stream, size, check.args, now)
                if start is None:
                    reading.undated.add(check.index)
                    start = size
                reading.searches[check.index] = Search(check.args["pattern"], start)
            indexes, searches = list(reading.searches), list(reading.searches.values())
            begin = min(search.start for search in searches)
            stream.seek(begin)
            end = scan(stream, searches, begin, size, lambda number: progress.enter(indexes[number]))
        except OSError as exc:
            raise Undetermined(f"{path}: {exc.strerror}") from exc
    if end < size:
        reading.note = "; the file was cut while it was read"
    return reading


def _start(stream: Any, size: int, args: Any, now: float) -> int | None:
    start: int | None = 0
    if args["last_lines"] is not None:
        start = start_of_last_lines(stream, size, args["last_lines"])
    if args["since"] is not None:
        since = start_of_time(stream, size, now - args["since"], now)
        start = None if since is None else max(start or 0, since)
    return start


def _read_journal(checks: list[Check], progress: Progress) -> Reading:
    args = checks[0].args
    files = [name for pattern in _JOURNALS for name in glob.glob(pattern)]
    if os.geteuid() != 0 and not any(os.access(name, os.R_OK) for name in files if name.endswith("system.journal")):
        raise NeedsRoot("the journal cannot be read")
    if not files:
        raise Undetermined("there is no journal on this host")
    command = ["journalctl", "--quiet", "--no-pager", "--all", "--output=short-iso", f"--unit={args['unit']}"]
    if args["since"] is not None:
        command.append(f"--since=@{int(time.time() - args['since'])}")
    if args["last_lines"] is not None:
        command.append(f"--lines={args['last_lines']}")
    reading = Reading()
    reading.origin = f"the journal of {args['unit']}"
    reading.searches = {check.index: Search(check.args["pattern"]) for check in checks}
    indexes, searches = list(reading.searches), list(reading.searches.values())
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as exc:
        raise Undetermined(f"journalctl cannot be started: {exc.strerror}") from exc
    with cast(BinaryIO, process.stdout) as stream:
        scan(stream, searches, on_search=lambda number: progress.enter(indexes[number]))
    if process.wait() != 0:
        raise Undetermined(f"journalctl exited with {process.returncode}")
    return reading


def observe(reading: Reading, check: Check) -> Observation:
    args = check.args
    if check.index in reading.undated:
        raise Undetermined(f"{reading.origin}: no line shows a time that can be read, 'since' cannot be answered")
    search = reading.searches[check.index]
    word = "line" if search.count == 1 else "lines"
    what = f"matching {word}" if args["pattern"] is not None else word
    limits = [f"last {args['last_lines']} lines"] if args["last_lines"] is not None else []
    limits += [f"last {format_duration(args['since'])}"] if args["since"] is not None else []
    stretch = f" ({', '.join(limits)})" if limits else ""
    text = f"{search.count} {what} in {reading.origin}{stretch}{reading.note}"
    return Observation(search.count, text, evidence=_evidence(search))


def _evidence(search: Search) -> list[str]:
    """The last lines that fit; bytes that are no UTF-8 are shown as \\xNN."""
    lines: list[str] = []
    room = MAX_BYTES
    for raw in reversed(search.last):
        line = raw.decode("utf-8", "backslashreplace").rstrip()
        room -= len(line.encode("utf-8")) + 3
        if room < 0 and lines:
            break
        lines.append(line)
    return lines[::-1]
