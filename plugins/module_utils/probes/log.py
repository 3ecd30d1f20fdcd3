# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a log that match, counted in bytes: nothing is skipped because it is no UTF-8. One log is read once."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import MAX_BYTES
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.reading import Question, Reading, read_file, read_journal
from ansible_collections.day2.ops.plugins.module_utils.logs.scan import Search
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration, format_number

# A log that begins this much later than asked for is worth a word.
_SHORT = 0.9


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if args["unit"] is not None and args["unit"].startswith("-"):
        raise FieldError("unit", "is no unit")
    if metric in ("percent", "top_share") and args["pattern"] is None:
        raise FieldError("pattern", f"is missing; metric '{metric}' needs it")
    if metric == "top_share":
        if re.compile(args["pattern"]).groups < 1:
            raise FieldError("pattern", "has no capture group, such as (\\S+), for metric 'top_share' to compare")
        if args["group"]:
            raise FieldError("group", "does not go with metric 'top_share', which shows values instead of messages")
    if metric == "rate" and args["since"] is None:
        raise FieldError("since", "is missing; metric 'rate' needs it")


SPEC = ProbeSpec(
    doc="Counts the lines of a log file or of a unit's journal that match. Without a pattern every line counts.",
    arguments={
        "path": Argument("path", "The log file, as an absolute path."),
        "unit": Argument("str", "The systemd unit whose journal is read (as journalctl's short-iso shows it)."),
        "pattern": Argument("regex", "A regular expression; matched against the bytes of each line."),
        "since": Argument(
            "duration", "Only lines of this last stretch of time, such as `24h`, by the times they show."
        ),
        "last_lines": Argument("count", "Only so many lines at the end of the log file, without its rotated files."),
        "group": Argument(
            "bool",
            "Show the lines by message, the most frequent first. Times, numbers, ids, addresses and quoted values "
            "count as the same.",
            default=False,
        ),
        "rotated": Argument(
            "bool",
            "Where `since` reaches back before the file begins, read its rotated files too (`.1`, `-20261120`; plain, "
            "gz, bz2, xz, zst). One that is encrypted and may have lines of that time makes the answer unknown.",
            default=True,
        ),
    },
    metrics={
        "count": Metric("Lines that match.", "lines"),
        "percent": Metric("Lines that match, as a share of all lines of the range.", "%"),
        "rate": Metric("Lines that match, for each second of `since`.", "/s"),
        "groups": Metric("Different messages among the lines that match, as `group` tells them apart.", "messages"),
        "top_share": Metric(
            "The most frequent value of the pattern's capture group: its share of the lines that match. Shows the ten "
            "most frequent.",
            "%",
        ),
    },
    default_metric="count",
    one_of=("path", "unit"),
    validate=_validate,
)


def source_key(check: Check) -> object:
    args = check.args
    if args["path"] is not None:
        return args["path"]
    return (args["unit"], args["since"], args["last_lines"])


def open_source(checks: list[Check], progress: Progress) -> Reading:
    args = checks[0].args
    if args["path"] is not None:
        return read_file(args["path"], checks, progress)
    return read_journal(args["unit"], checks, progress)


def observe(reading: Reading, check: Check) -> Observation:
    question = reading.questions[check.index]
    if question.window.trouble is not None:
        raise question.window.trouble
    where = _where(reading, question)
    value, text = _METRICS[check.metric.name](check, question, where)
    shown = question.messages or question.values
    return Observation(value, text, evidence=shown.evidence() if shown is not None else _last_lines(question.search))


def _where(reading: Reading, question: Question) -> str:
    """Which lines were looked at: ' in /var/log/app.log and 2 rotated files (last 24 h)'."""
    window = question.window
    limits = [f"last {counted(window.last_lines, 'line')}"] if window.last_lines is not None else []
    limits += [f"last {format_duration(window.since)}"] if window.since is not None else []
    number = len(window.parts)
    rotated = f" and {counted(number, 'rotated file')}" if number else ""
    note = reading.note
    if window.begins is not None and window.since is not None:
        age = reading.now - window.begins
        note += f"; the log begins only {format_duration(max(age, 0))} ago" if age < _SHORT * window.since else ""
    stretch = f" ({', '.join(limits)})" if limits else ""
    return f" in {reading.origin}{rotated}{stretch}{note}"


def _lines(check: Check, question: Question) -> str:
    return counted(question.search.count, "line" if check.args["pattern"] is None else "matching line")


def _count(check: Check, question: Question, where: str) -> tuple[float, str]:
    messages = f", {_messages(question)[1]}" if question.messages is not None else ""
    return question.search.count, f"{_lines(check, question)}{where}{messages}"


def _groups(check: Check, question: Question, where: str) -> tuple[float, str]:
    distinct, words = _messages(question)
    return distinct, f"{words} in {_lines(check, question)}{where}"


def _messages(question: Question) -> tuple[int, str]:
    if question.messages is None:
        return 0, "no message"
    found = question.messages.found
    about = "" if found.exact else "about "
    return found.distinct, f"{about}{counted(found.distinct, 'different message')}"


def _percent(_check: Check, question: Question, where: str) -> tuple[float, str]:
    count, lines = question.search.count, question.window.lines
    if lines is None or lines.count == 0:
        raise Undetermined(f"there are no lines{where}, so there is no share of them")
    share = 100 * count / lines.count
    return share, f"{count} of {counted(lines.count, 'line')} match ({format_number(share)} %){where}"


def _rate(check: Check, question: Question, where: str) -> tuple[float, str]:
    rate = question.search.count / (question.window.since or 1)
    return rate, f"{_lines(check, question)}{where}, {format_number(rate)}/s"


def _top_share(_check: Check, question: Question, where: str) -> tuple[float, str]:
    values, count = question.values, question.search.count
    top = values.found.top(1) if values is not None else []
    if values is None or not top:
        raise Undetermined(f"there are no matching lines with a value{where}, so there is no share of them")
    share = 100 * top[0].count / count
    # Beyond what is kept exactly, the figure may be too low, by so little that only the word tells.
    least = "" if values.found.is_certain(top[0]) else "at least "
    part = f"{least}{top[0].count} of {counted(count, 'matching line')} ({format_number(share)} %)"
    return share, f"{values.name(top[0])}: {part}{where}"


_METRICS = {"count": _count, "percent": _percent, "rate": _rate, "groups": _groups, "top_share": _top_share}


def _last_lines(search: Search) -> list[str]:
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
