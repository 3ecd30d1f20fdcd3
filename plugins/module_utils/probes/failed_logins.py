# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failed SSH password logins: how many, from where, as whom."""

from __future__ import annotations

import os
from typing import Any, cast

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.collect import Values
from ansible_collections.day2.ops.plugins.module_utils.logs.reading import Question, Reading, read_file, read_journal
from ansible_collections.day2.ops.plugins.module_utils.probes import log
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress

SPEC = ProbeSpec(
    doc="Failed SSH password logins, from auth.log or secure (rotated files too), or else from the journal. Where there"
    " is neither, that is unknown.",
    arguments={
        "since": Argument("duration", "The stretch of time.", default=86400.0),
        "path": Argument("path", "The log, where it is not /var/log/auth.log or /var/log/secure."),
    },
    metrics={
        "count": Metric("Failed logins; the addresses and names with most of them as evidence.", "logins"),
        "addresses": Metric("Different addresses that they came from.", "addresses"),
    },
    default_metric="count",
)
_LOGS = ("/var/log/auth.log", "/var/log/secure")
# OpenSSH 9.8 moved the session to a program of its own. A name is what the client sent, and may hold anything.
_SSHD = r"sshd(?:-session)?(?:\[\d+\])?: "
_FAILED = _SSHD + r"(?:message repeated \d+ times: \[ )?Failed password for "
_FROM = _FAILED + r".* from (\S+) port \d+"
_NAMES = _FAILED + r"(?:invalid user )?(.*) from \S+ port \d+"
# syslog daemons write equal lines once, and then how often they came again.
_REPEATED = _SSHD + r"message repeated (\d+) times: \[ Failed password for "
_PATTERNS = (_FROM, _NAMES, _REPEATED)
_SHOWN = 10


class _As:
    """Tells the pool that all of the questions are the one check."""

    def __init__(self, progress: Progress, index: int) -> None:
        self._progress, self._index = progress, index

    def enter(self, _item: int) -> None:
        self._progress.enter(self._index)


def source_key(check: Check) -> object:
    return check.args["path"], check.args["since"]


def open_source(checks: list[Check], progress: Progress) -> Reading:
    args = checks[0].args
    path = args["path"] or next((name for name in _LOGS if os.path.exists(name)), None)
    telling = cast(Progress, _As(progress, checks[0].index))
    if path is not None:
        return read_file(path, _questions(path, args["since"]), telling)
    fields = ["--identifier=sshd", "--identifier=sshd-session"]
    try:
        return read_journal("sshd", _questions("/", args["since"]), telling, fields)
    except Undetermined as exc:
        raise Undetermined(f"there is no {' or '.join(_LOGS)}, and {exc}") from exc


def _questions(path: str, since: float) -> list[Check]:
    wanted: list[dict[str, Any]] = [
        {"id": str(number), "title": "x", "probe": "log", "path": path, "since": since, "pattern": pattern}
        for number, pattern in enumerate(_PATTERNS)
    ]
    return parse_checks([{**each, "metric": "top_share"} for each in wanted], lambda _name: log.SPEC, ("log",), 10.0)


def observe(reading: Reading, check: Check) -> Observation:
    questions = [reading.questions[number] for number in range(len(_PATTERNS))]
    if questions[0].window.start is None:
        raise Undetermined(f"{reading.origin}: no line shows a time that can be read")
    addresses, names, repeated = (cast(Values, question.values) for question in questions)
    again = sum((int(entry.value) - 1) * entry.count for entry in repeated.found.top(1000))
    count = questions[0].search.count + again
    since = check.args["since"]
    where = f"in {reading.origin} (last {format_duration(since)}{_short(questions[0], reading, since)})"
    if check.metric.name == "addresses":
        number = addresses.found.distinct
        return Observation(number, f"{number} addresses with failed logins {where}", evidence=addresses.evidence())
    evidence = [f"{line.strip()} (address)" for line in addresses.evidence()[:_SHOWN]]
    evidence += [f"{line.strip()} (name)" for line in names.evidence()[:_SHOWN]]
    return Observation(count, f"{count} failed password logins {where}", evidence=evidence)


def _short(question: Question, reading: Reading, since: float) -> str:
    """A log that does not reach back so far says less than it seems to."""
    begins = question.window.begins
    if begins is None or reading.now - begins >= 0.9 * since:
        return ""
    return f", of which the log has {format_duration(reading.now - begins)}"
