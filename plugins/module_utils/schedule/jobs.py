# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs of a system as its inventory lists them: read, with every fault named. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import Entries, EntriesError
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import has_secret
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import ExpressionError, Schedule, parse

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_HOUR = 3600.0


class JobsError(EntriesError):
    """Jobs that are malformed: which of them, which field, and what is wrong with it."""


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
_ENTRIES = Entries("job", _READERS, required=("name", "at", "playbook"))


def parse_jobs(raw: object) -> list[Job]:
    """Jobs in the order of `raw`; the same one twice counts once. JobsError names every fault."""
    return _ENTRIES.read(raw, _job, JobsError)


def _job(_entry: Mapping[str, Any], values: dict[str, Any], report: Callable[[str, str], None]) -> Job:
    values.setdefault("timeout", 2 * values.get("duration", _HOUR))
    if values["timeout"] < values.get("duration", _HOUR):
        report("timeout", "is shorter than the duration, so every run would be ended early")
    return Job(**values)
