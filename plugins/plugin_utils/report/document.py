# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The document of a run: what every host returned, judged and sorted. No file, no clock, no ansible.

A host's value is what `register` left: a checklist result, an unreachable or a failed task, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status, summarise, worst
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import Acknowledgement, apply, of_leases
from ansible_collections.day2.ops.plugins.plugin_utils.report.rows import read_row, seconds, synthetic
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line, plain

SCHEMA_VERSION = "1.1"
FINDINGS = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING)
RANK = {status: place for place, status in enumerate(Status)}

# What ssh and ansible say around the one thing that a person wants to know.
_NOISE = re.compile(r"^(Task failed: |Failed to connect to the host via \w+: |ssh: )+")
_KNOWN_HOSTS = re.compile(r"Warning: Permanently added .*? known hosts\.")

_DIGITS = re.compile(r"(\d+)")
_LONGEST_RUN = timedelta(days=1)


@dataclass(frozen=True)
class Run:
    """What is known before any host is looked at. `fail_on` is never, critical or warning."""

    run_id: str
    title: str
    system: str = ""
    cadence: str | None = None
    fail_on: str = "critical"
    versions: Mapping[str, str] = field(default_factory=dict)
    began: datetime | None = None
    # Which of several that together are the run; or all of them.
    part: str | None = None
    joined: bool = False

    @property
    def place(self) -> str:
        """The name of its directory."""
        return self.run_id if self.part is None else f"{self.run_id}.{self.part}"


@dataclass
class HostReport:
    """One host. `refused` says why its checklist did not run; `duration` is in seconds."""

    host: str
    results: list[Result]
    duration: float = 0.0
    reachable: bool = True
    refused: str | None = None
    empty: bool = False  # no check is defined for it, and its one line says so
    summary: dict[str, int] = field(init=False)
    acknowledged: int = field(init=False)
    status: Status = field(init=False)
    message: str = field(init=False)

    def __post_init__(self) -> None:
        quiet = [result for result in self.results if result.acknowledged is not None]
        self.summary = summarise(result.status for result in self.results if result.acknowledged is None)
        self.acknowledged = len(quiet)
        self.status = worst(Status.OK if result.acknowledged else result.status for result in self.results)
        self.results.sort(key=_urgency)
        if not self.reachable or self.refused is not None:
            self.message = self.results[0].message
        else:
            self.message = self.account()

    def account(self) -> str:
        """The counts in words, with what is acknowledged at their end."""
        words = [count_words(self.summary), f"{self.acknowledged} acknowledged" if self.acknowledged else ""]
        return ", ".join(word for word in words if word) or "no check"

    @property
    def findings(self) -> int:
        return sum(self.summary[status.value] for status in FINDINGS)

    def to_dict(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "reachable": self.reachable,
            "refused": self.refused,
            "status": self.status.value,
            "summary": self.summary,
            "acknowledged": self.acknowledged,
            "duration": self.duration,
            "message": self.message,
            "results": [result.to_dict() for result in self.results],
        }


@dataclass
class Report:
    """All hosts of a run, worst first. Times are aware, in UTC."""

    run: Run
    hosts: list[HostReport]
    started: datetime
    finished: datetime
    # The steps of all hosts in the order in which they were taken: results with the name of their host.
    steps: list[dict[str, Any]] = field(default_factory=list)
    # What went wrong beside the checks, a line each.
    notes: list[str] = field(default_factory=list)
    summary: dict[str, int] = field(init=False)
    status: Status = field(init=False)

    def __post_init__(self) -> None:
        self.hosts.sort(key=_host_order)
        self.summary = {status: sum(host.summary[status] for host in self.hosts) for status in summarise([])}
        self.status = worst(host.status for host in self.hosts)

    @property
    def duration(self) -> float:
        return round((self.finished - self.started).total_seconds(), 3)

    @property
    def acknowledged(self) -> int:
        return sum(host.acknowledged for host in self.hosts)

    @property
    def refused(self) -> dict[str, str]:
        return {host.host: host.refused for host in self.hosts if host.refused is not None}

    @property
    def failing(self) -> bool:
        """A host whose checklist did not run fails the run even with `never`: nobody looked at it."""
        alarming = {"never": (), "critical": FINDINGS[:2], "warning": FINDINGS}[self.run.fail_on]
        return bool(self.refused) or any(self.summary[status.value] for status in alarming)

    def head(self) -> dict[str, Any]:
        """Everything but the hosts, in the order of the schema."""
        run = self.run
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": run.run_id,
            "part": run.part,
            "joined": run.joined,
            "title": run.title,
            "system": run.system,
            "cadence": run.cadence,
            "started": rfc3339_ms(self.started),
            "finished": rfc3339_ms(self.finished),
            "duration": self.duration,
            "status": self.status.value,
            "fail_on": run.fail_on,
            "summary": self.summary,
            "acknowledged": self.acknowledged,
            "versions": dict(run.versions),
            "notes": self.notes,
        }


def _urgency(row: Result) -> float:
    """Acknowledged findings come after those that nobody knows yet, and before what is fine."""
    return RANK[row.status] if row.acknowledged is None else RANK[Status.OK] - 0.5


Acknowledged = Mapping[str, Sequence[Acknowledgement]]
# Applies what earlier runs found: returns the hosts as they count, and notes.
Remember = Callable[[list[HostReport]], tuple[list[HostReport], list[str]]]


def build(
    run: Run,
    values: Iterable[tuple[str, object]],
    now: datetime,
    acknowledged: Acknowledged | None = None,
    remember: Remember | None = None,
    steps: Mapping[str, Steps] | None = None,
) -> Report:
    """The report of pairs of a host and its value; None is a host where no checklist ran.

    `acknowledged` has the entries of each host, `steps` what became of the steps of one.
    """
    values, taken = list(values), steps or {}
    hosts = [read_host(name, value, now, run.cadence) for name, value in values]
    rows_of = {host.host: _step_rows(taken[host.host], host, now, run.cadence) for host in hosts if host.host in taken}
    hosts = [
        _with_steps(host, rows_of[host.host], taken[host.host]) if host.host in rows_of else host for host in hosts
    ]
    started = _started(hosts, now, run.began)
    hosts, notes = remember(hosts) if remember is not None else (hosts, [])
    for place, ((_name, value), host) in enumerate(zip(values, hosts)):
        known = [*(acknowledged or {}).get(host.host, ()), *of_leases(host.host, value)]
        if known and host.refused is None:
            rows = [apply(row, host.host, known, now) for row in host.results]
            hosts[place] = HostReport(host.host, rows, host.duration, host.reachable)
    return Report(run, hosts, started, now, _steps_in_order(rows_of), notes)


@dataclass(frozen=True)
class Steps:
    """The steps of a host: the records of those that were taken, why they ended early, and why there are none.

    `none` is well, `missing` is not: the host's checks look at what nothing was done for.
    """

    results: object = ()
    failed: str | None = None
    none: str | None = None
    missing: str | None = None


def _step_rows(steps: Steps, host: HostReport, now: datetime, cadence: str | None) -> list[Result]:
    rows = [read_row(row, now) for row in steps.results] if isinstance(steps.results, (list, tuple)) else []
    if steps.failed:
        rows.append(synthetic("steps", Status.CRITICAL, one_line(plain(steps.failed)), now, cadence))
    # A host without steps and checks has a finding that says so; this must not stand in its place.
    for why, status in ((steps.none, Status.SKIPPED), (steps.missing, Status.CRITICAL)):
        if why and not host.empty and host.reachable:
            rows.append(synthetic("steps", status, one_line(plain(why)), now, cadence))
    return rows


def _with_steps(host: HostReport, rows: list[Result], steps: Steps) -> HostReport:
    # Where steps were taken, a playbook without checks of its own has something to report.
    kept = [] if rows and host.empty else host.results
    why = steps.none or steps.missing
    if kept and host.empty and why:
        (row,) = kept
        kept = [replace(row, message=f"{one_line(plain(why))}; and {row.message}")]
    return HostReport(host.host, [*kept, *rows], host.duration, host.reachable, host.refused)


def _steps_in_order(rows_of: Mapping[str, list[Result]]) -> list[dict[str, Any]]:
    steps = [{"host": host, **row.to_dict()} for host, rows in rows_of.items() for row in rows]
    return sorted(steps, key=lambda step: str(step["started"]))


def read_host(name: str, value: object, now: datetime, cadence: str | None = None) -> HostReport:
    """A host by what it registered. `cadence` only tells a person where checks are looked for."""
    host, hint = plain(name), f" (day2_{cadence}_checks)" if cadence else ""
    if not isinstance(value, Mapping) or value.get("skipped"):
        return _without_checklist(host, Status.UNKNOWN, "no checklist ran on this host", now)
    if value.get("unreachable"):
        row = synthetic("reachable", Status.CRITICAL, _why_unreachable(value), now)
        return HostReport(host, [row], reachable=False)
    if value.get("failed"):
        message = one_line(plain(value.get("msg") or "")) or "the checklist failed and did not say why"
        said = [line for line in plain(value.get("module_stderr") or "").split("\n") if line.strip()]
        if said:
            # The module could not even start; what the host's shell or Python said first is the cause.
            if said[0].startswith("Traceback"):
                message = f"the checklist ended by itself: {one_line(said[-1])}"
            else:
                message = f"Python on this host does not work: {one_line(said[0])}"
                message += f" … {one_line(said[-1])}" if len(said) > 1 else ""
                message += " (ansible_python_interpreter says which one is used)"
        return _without_checklist(host, Status.UNKNOWN, message, now, refused=message)
    rows = value.get("results")
    if not isinstance(rows, (list, tuple)):
        return _without_checklist(host, Status.UNKNOWN, "what this host returned is not a checklist's result", now)
    rows = _of_loop(rows)
    if not rows:
        # A misspelt variable looks like this; nobody looked at the host, so it is not fine.
        none = f"no check is defined for this host{hint}"
        return replace(_without_checklist(host, Status.UNKNOWN, none, now), empty=True)
    return HostReport(host, [read_row(row, now) for row in rows], duration=seconds(value.get("duration")))


def _of_loop(rows: Iterable[Any]) -> list[Any]:
    """A checklist in a loop registers a list of its results: they are one checklist."""
    found: list[Any] = []
    for row in rows:
        inner = row.get("results") if isinstance(row, Mapping) and "ansible_loop_var" in row else None
        found += inner if isinstance(inner, (list, tuple)) else [row]
    return found


def _without_checklist(
    host: str, status: Status, message: str, now: datetime, refused: str | None = None
) -> HostReport:
    return HostReport(host, [synthetic("checklist", status, message, now)], refused=refused)


def _why_unreachable(value: Mapping[Any, Any]) -> str:
    said = _KNOWN_HOSTS.sub("", plain(value.get("msg") or ""))
    reason = _NOISE.sub("", one_line(said)).rstrip(".")
    return f"cannot be reached: {reason}" if reason else "cannot be reached"


def _host_order(host: HostReport) -> tuple[Any, ...]:
    counts = tuple(-host.summary[status.value] for status in FINDINGS)
    return RANK[host.status], host.reachable, counts, natural(host.host)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts web2 before web10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def _started(hosts: Iterable[HostReport], now: datetime, began: datetime | None) -> datetime:
    """The first check's start; without a check, ansible's own. A host whose clock is off must not date the run."""
    answered = (host for host in hosts if host.reachable and host.refused is None)
    starts = (parse_time(row.started) for host in answered for row in host.results if row.probe != "checklist")
    fallback = began if began is not None and now - _LONGEST_RUN <= began <= now else now
    return min((start for start in starts if start and now - _LONGEST_RUN <= start <= now), default=fallback)


def parse_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def count_words(summary: Mapping[str, int], statuses: Iterable[Status] = Status) -> str:
    """`2 critical, 1 unknown, 20 ok`: what there is, worst first."""
    return ", ".join(f"{summary[status.value]} {status.value}" for status in statuses if summary[status.value])


def hosts_word(number: int) -> str:
    return f"{number} host" if number == 1 else f"{number} hosts"


def verdict(report: Report) -> str:
    """The run in one sentence, without a full stop."""
    total = len(report.hosts)
    found = count_words(report.summary, FINDINGS)
    if found:
        sentence = f"{found} on {sum(bool(host.findings) for host in report.hosts)} of {hosts_word(total)}"
    else:
        sentence = f"no findings: {count_words(report.summary) or 'nothing else'} on {hosts_word(total)}"
    if report.acknowledged:
        sentence += f"; {report.acknowledged} acknowledged"
    if unreachable := sum(not host.reachable for host in report.hosts):
        sentence += f" ({unreachable} unreachable)"
    if report.refused:
        sentence += f"; the checklist did not run on {hosts_word(len(report.refused))}"
    return sentence
