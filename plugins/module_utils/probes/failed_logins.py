# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failed SSH logins with a password: how many, from where, as whom."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.frequent import Frequent
from ansible_collections.day2.ops.plugins.module_utils.logs.reading import Question, Reading, read_file, read_journal
from ansible_collections.day2.ops.plugins.module_utils.probes import log
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration

SPEC = ProbeSpec(
    doc="Failed SSH logins with a password (methods `password` and `keyboard-interactive`), from auth.log or secure"
    " (rotated files too), or else from the journal. Lines that syslog folded (`message repeated 5 times`) count as"
    " often as they came. Where there is neither log nor journal, that is unknown.",
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
# OpenSSH 9.8 moved the session to a program of its own, 10.0 the authentication.
_SSHD = r"sshd(?:-session|-auth)?(?:\(\w+\))?(?:\[\d+\])?: "
_REPEATED = r"(?:message repeated \d+ times: \[ )?"
# What the search looks for. A client's name may hold all of it, so each line is then read from its tag on.
_PATTERN = _SSHD + _REPEATED + r"(?:Failed (?:password|keyboard-interactive)|error: PAM: )"
_TAG = re.compile(rb"sshd(?:-session|-auth)?(?:\(\w+\))?(?:\[(\d+)\])?: (?:message repeated (\d+) times: \[ )?")
# auth.c, auth_log(): `Failed %s%s%s for %s%.100s from %.200s port %d ssh2`
_FAILED = re.compile(
    rb"Failed (password|keyboard-interactive)(?:/[\w-]+)* for (?:(?:invalid|illegal) user )?(.*) from (\S+) port \d+"
)
# auth-pam.c, sshpam_query(): `PAM: %s for %s%.100s from %.100s`
_PAM = re.compile(
    rb"error: PAM: .*? for (?:(?:invalid|illegal) user )?(.*) from (\S+?)(?: via \S+)?(?: \[preauth\])?\]?\s*$"
)
_SHOWN = 10
# Sessions at the same time of which it is remembered what PAM said.
_SESSIONS = 1000


@dataclass
class Failure:
    """One line of a failed login, and how often it came."""

    session: bytes
    name: bytes
    address: bytes
    times: int
    said_by_pam: bool
    is_interactive: bool


def read_failure(line: bytes) -> Failure | None:
    """What a line says about a failed login; None when it says something else."""
    tag = _TAG.search(line)
    if tag is None:
        return None
    session, times = tag[1] or b"", int(tag[2] or 1)
    failed = _FAILED.match(line, tag.end())
    if failed is not None:
        return Failure(session, failed[2], failed[3], times, False, failed[1] != b"password")
    pam = _PAM.match(line, tag.end())
    return Failure(session, pam[1], pam[2], times, True, True) if pam is not None else None


class Failures:
    """Failed logins by address and by name.

    Of a keyboard-interactive one, sshd writes what PAM says, and below a half of the tries that are allowed nothing
    else; from then on a line of its own as well. Both are the one login.
    """

    def __init__(self) -> None:
        self.count = 0
        self.addresses, self.names = Frequent(), Frequent()
        self._said_by_pam: OrderedDict[bytes, int] = OrderedDict()

    def add(self, line: bytes) -> None:
        failure = read_failure(line)
        if failure is None:
            return
        times = failure.times
        if failure.said_by_pam:
            self._said_by_pam[failure.session] = self._said_by_pam.pop(failure.session, 0) + times
            if len(self._said_by_pam) > _SESSIONS:
                self._said_by_pam.popitem(last=False)
        elif failure.is_interactive:
            known = min(times, self._said_by_pam.get(failure.session, 0))
            if known:
                self._said_by_pam[failure.session] -= known
            times -= known
        if times:
            self.count += times
            self.addresses.add(failure.address, times=times)
            self.names.add(failure.name, times=times)


@dataclass
class Source:
    """A log that was read, and what was found in it."""

    reading: Reading
    found: Failures

    @property
    def question(self) -> Question:
        return self.reading.questions[0]


class _As:
    """Says to the pool that all of the questions are the one check."""

    def __init__(self, progress: Progress, index: int) -> None:
        self._progress, self._index = progress, index

    def enter(self, _item: int) -> None:
        self._progress.enter(self._index)


def source_key(check: Check) -> object:
    return check.args["path"], check.args["since"]


def open_source(checks: list[Check], progress: Progress) -> Source:
    args, found = checks[0].args, Failures()
    path = args["path"] or next((name for name in _LOGS if os.path.exists(name)), None)
    telling = cast(Progress, _As(progress, checks[0].index))
    if path is not None:
        return Source(read_file(path, _search(path, args["since"]), telling, found.add), found)
    fields = ["--identifier=sshd", "--identifier=sshd-session", "--identifier=sshd-auth"]
    try:
        return Source(read_journal("sshd", _search("/", args["since"]), telling, fields, found.add), found)
    except Undetermined as exc:
        raise Undetermined(f"there is no {' or '.join(_LOGS)}, and {exc}") from exc


def _search(path: str, since: float) -> list[Check]:
    """The check of probe log that finds the lines."""
    search = {"id": "0", "title": "x", "probe": "log", "path": path, "since": since, "pattern": _PATTERN}
    return parse_checks([search], lambda _name: log.SPEC, ("log",), 10.0)


def observe(source: Source, check: Check) -> Observation:
    if source.question.window.trouble is not None:
        raise source.question.window.trouble
    found, reading, since = source.found, source.reading, check.args["since"]
    where = f"in {reading.origin} (last {format_duration(since)}{_short(source.question, reading, since)})"
    if check.metric.name == "addresses":
        number = found.addresses.distinct
        text = f"{counted(number, 'address')} with failed logins {where}"
        return Observation(number, text, evidence=_most(found.addresses))
    evidence = [f"{line} (address)" for line in _most(found.addresses)]
    evidence += [f"{line} (name)" for line in _most(found.names)]
    return Observation(found.count, f"{counted(found.count, 'failed password login')} {where}", evidence=evidence)


def _most(values: Frequent) -> list[str]:
    return [
        f"{entry.count}{' or more' if entry.missed else ''} \u00d7 {entry.value.decode('utf-8', 'backslashreplace')}"
        for entry in values.top(_SHOWN)
    ]


def _short(question: Question, reading: Reading, since: float) -> str:
    """A log that does not reach back so far says less than it seems to."""
    begins = question.window.begins
    if begins is None or reading.now - begins >= 0.9 * since:
        return ""
    return f", of which the log has {format_duration(reading.now - begins)}"
