# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs of a system as its inventory lists them: read, with every fault named. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import has_secret
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import ExpressionError, Schedule, parse

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_HOUR = 3600.0


class JobsError(Day2Error):
    """Jobs that are malformed: which of them, which field, and what is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class Job:
    """A playbook that runs at its times.

    `duration` is the longest that a run is expected to take, `timeout` when it is ended; both are seconds, and the time
    that it waits for others counts. Jobs of one `resource` that are `exclusive` never run at the same time; one that is
    not runs beside any. A `backup` protects what was there when it started, once it is complete.
    """

    name: str
    at: Schedule
    playbook: str
    duration: float = _HOUR
    timeout: float = 2 * _HOUR
    hosts: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    backup: bool = False
    exclusive: bool = True
    resource: str = "system"


def parse_name(value: object) -> str:
    """A name that is a part of a unit's name; ArgumentError says what it may be."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > 64:
        raise ArgumentError(f"{value!r} is no name: small letters and digits, joined by - or _, at most 64")
    return value


def _at(value: object) -> Schedule:
    try:
        return parse(value)
    except ExpressionError as exc:
        raise ArgumentError(str(exc)) from exc


def _word(value: object) -> str:
    text: str = Argument("str", "").read(value)
    if not text.isprintable() or text.startswith("-"):
        raise ArgumentError(f"{value!r} begins with - or holds what cannot be printed")
    return text


def _variables(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise ArgumentError(f"{value!r} is not a mapping of variables")
    try:
        text = json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        raise ArgumentError("holds what JSON cannot say") from None
    if has_secret(text):
        raise ArgumentError(
            "holds what looks like a secret, and everyone on the control node can read it: leave it to a vault"
        )
    return value


_READERS: dict[str, Callable[[object], Any]] = {
    "name": parse_name,
    "at": _at,
    "playbook": _word,
    "duration": Argument("duration", "").read,
    "timeout": Argument("duration", "").read,
    "hosts": _word,
    "extra_vars": _variables,
    "backup": Argument("bool", "").read,
    "exclusive": Argument("bool", "").read,
    "resource": parse_name,
}
_REQUIRED = ("name", "at", "playbook")


def parse_jobs(raw: object) -> list[Job]:
    """Jobs in the order of `raw`; the same one twice counts once. JobsError names every fault."""
    if not isinstance(raw, (list, tuple)):
        raise JobsError([f"{raw!r} is not a list of jobs"])
    problems: list[str] = []
    jobs: dict[str, Job] = {}
    for place, entry in enumerate(raw, start=1):
        job = _parse_job(place, entry, problems)
        if job is not None and jobs.setdefault(job.name, job) != job:
            problems.append(f"job '{job.name}', field 'name': two different jobs have it")
    if problems:
        raise JobsError(problems)
    return list(jobs.values())


def _parse_job(place: int, entry: object, problems: list[str]) -> Job | None:
    if not isinstance(entry, dict):
        problems.append(f"job {place}: {entry!r} is not a mapping")
        return None
    name = entry.get("name")
    label = f"job '{name}'" if isinstance(name, str) and name else f"job {place}"
    before = len(problems)
    problems += [
        f"{label}, field '{key}': is no field of a job; it has {', '.join(_READERS)}"
        for key in entry
        if key not in _READERS
    ]
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        if entry.get(key) is None:
            if key in _REQUIRED:
                problems.append(f"{label}, field '{key}': is missing")
            continue
        try:
            values[key] = read(entry[key])
        except ArgumentError as exc:
            problems.append(f"{label}, field '{key}': {exc}")
    values.setdefault("timeout", 2 * values.get("duration", _HOUR))
    if values["timeout"] < values.get("duration", _HOUR):
        problems.append(f"{label}, field 'timeout': is shorter than the duration, so every run would be ended early")
    return Job(**values) if len(problems) == before else None
