# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that use files which are gone, and the units whose restart ends that. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Collection, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.graph import RUNNING
from ansible_collections.day2.ops.plugins.module_utils.systemd.cgroups import unit_of

# 7f..-7f.. r-xp 00000000 08:01 1234   /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
_EXECUTABLE = re.compile(r"^\S+ ..x. \S+ \S+ \d+\s+(/.*) \(deleted\)$")
# Memory and scratch files with code in them were never a package's.
_NOT_INSTALLED = re.compile(r"/(?:memfd:|dev/|SYSV|(?:var/)?tmp/|run/|proc/|\[aio\])")


@dataclass(frozen=True)
class Process:
    """One process: `cgroup` is its path below the host's root, `files` what it runs and is gone.

    Without files it is one that could not be looked at.
    """

    pid: int
    name: str
    cgroup: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Units to restart, units that are left alone, each with why, and processes that belong to neither.

    `resting` are due too, but do not run or are kept from starting: a restart would start what somebody stopped.
    """

    restart: dict[str, str]
    left: dict[str, str]
    others: list[str]
    resting: dict[str, str] = field(default_factory=dict)


class NeverError(Day2Error):
    """A unit that a step was told to restart, and that no step may; the message names both."""


def deleted(maps: str) -> tuple[str, ...]:
    """Programs and libraries in `/proc/<pid>/maps` that an update has replaced."""
    found = (match[1] for match in map(_EXECUTABLE.match, maps.split("\n")) if match is not None)
    return tuple(dict.fromkeys(path for path in found if not _NOT_INSTALLED.match(path)))


def plan(processes: Iterable[Process], never: Sequence[str], also: Sequence[str] = ()) -> Plan:
    """What to restart: `never` are patterns of units that are left alone, `also` are restarted in any case."""
    found: dict[str, list[Process]] = {}
    others = []
    unseen = {}
    for process in processes:
        unit = unit_of(process.cgroup)
        if not process.files:
            # Of a unit that nobody restarts it makes no difference.
            known = unit is None or _matches(unit, never)
            unseen.update({} if known else {str(unit): f"process {process.pid} ({process.name}) cannot be looked at"})
        elif unit is None:
            others.append(f"process {process.pid} ({process.name}): {process.files[0]}")
        else:
            found.setdefault(unit, []).append(process)
    reasons = {unit: _why(members) for unit, members in sorted(found.items())}
    left = {unit: why for unit, why in reasons.items() if _matches(unit, never)}
    restart = {unit: why for unit, why in reasons.items() if unit not in left}
    left.update({unit: why for unit, why in unseen.items() if unit not in restart})
    refuse(also, never)
    for name in also:
        restart.setdefault(full(name), "named by the inventory")
    return Plan(restart, left, sorted(others))


def full(name: str) -> str:
    """A unit's name with its type."""
    return name if "." in name else f"{name}.service"


def refuse(units: Iterable[str], never: Sequence[str]) -> None:
    """NeverError for a unit that has one of the patterns of those that nobody restarts."""
    for unit in units:
        pattern = next((candidate for candidate in never if _matches(full(unit), [candidate])), None)
        if pattern is not None:
            raise NeverError(
                f"{unit} is to be restarted, and is one of those that no step restarts: {pattern}"
                " (maintenance_steps_never_restart)"
            )


def awake(made: Plan, states: Mapping[str, str], held: Collection[str]) -> Plan:
    """The plan without units that a maintenance holds, or that do not run: `states` are ActiveState by unit."""
    resting = {}
    for unit in made.restart:
        if unit in held:
            resting[unit] = "held by maintenance mode, which starts it at its end"
        elif states[unit] not in RUNNING:
            resting[unit] = f"it is {states[unit]}, and stays so"
    restart = {unit: why for unit, why in made.restart.items() if unit not in resting}
    return Plan(restart, made.left, made.others, resting)


def _why(processes: Sequence[Process]) -> str:
    files = list(dict.fromkeys(path for process in processes for path in process.files))
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{len(processes)} processes use {files[0]}{more}, which is gone"


def _matches(unit: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(unit, full(pattern)) for pattern in patterns)


def outcome(done: Plan, planning: bool) -> dict[str, Any]:
    """What the step tells. A unit that is left alone goes on with the old code: somebody has to know."""
    status = Status.WARNING if done.left else Status.SKIPPED if planning else Status.OK
    word = "would restart" if planning else "restarted"
    message = f"{word} {', '.join(done.restart)}" if done.restart else "nothing has to be restarted"
    message += f"; not restarted, though due: {', '.join(done.left)} (a reboot does it)" if done.left else ""
    message += f"; not restarted, because they do not run: {', '.join(done.resting)}" if done.resting else ""
    message += (
        f"; {len(done.others)} processes of sessions or containers use files that are gone" if done.others else ""
    )
    lines = [f"{unit} left alone: {why}" for unit, why in done.left.items()]
    lines += [f"{unit} not restarted: {why}" for unit, why in done.resting.items()]
    lines += [f"{unit}: {why}" for unit, why in done.restart.items()]
    return {"status": status.value, "message": message, "evidence": lines + done.others}
