# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes by name, command line or user: how many, how much memory, how old."""

from __future__ import annotations

import os
import pwd
import re
import time
from dataclasses import dataclass

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    counted,
    format_duration,
    format_quantity,
)

SPEC = ProbeSpec(
    doc="Processes of the host, or those that match. Where a name, pattern or user is given and nothing matches,"
    " that is critical.",
    arguments={
        "name": Argument("str", "The program's name as the kernel shows it (its first 15 characters count)."),
        "pattern": Argument("regex", "A regular expression that the command line has to match somewhere."),
        "user": Argument("str", "The user it runs as."),
    },
    metrics={
        "count": Metric("Processes.", "processes"),
        "memory": Metric("Resident memory of all of them; what they share counts for each.", "B"),
        "threads": Metric("Threads of all of them.", "threads"),
        "open_files": Metric("Open files of all of them. Needs root for other users' processes.", "files"),
        "age": Metric("Time since the youngest was started: short after a crash and a restart.", "s"),
        "zombies": Metric("Processes that have ended and that nobody waits for.", "processes"),
    },
    default_metric="count",
)
_FILTERS = ("name", "pattern", "user")
_SHOWN = 10


@dataclass(frozen=True)
class Process:
    """One process. `memory` is in bytes, `started` in seconds after the host's start."""

    pid: int
    parent: int
    name: str
    state: str
    user: str
    command: str
    threads: int
    memory: int
    started: float


def source_key(_check: Check) -> object:
    return "processes"


def open_source(_checks: list[Check], _progress: object) -> list[Process]:
    found = (_read(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return without_us([process for process in found if process is not None], os.getppid())


def without_us(processes: list[Process], module: int) -> list[Process]:
    """All but the module that asks, its children, and the shells that Ansible started it by."""
    by_pid = {process.pid: process for process in processes}
    ours, above = {module}, by_pid.get(module)
    while above is not None and above.parent in by_pid:
        above = by_pid[above.parent]
        if "ansible" not in above.command.lower():
            break
        ours.add(above.pid)
    return [process for process in processes if process.pid not in ours and process.parent != module]


def _read(pid: int) -> Process | None:
    """None when the process has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            text = stream.read()
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read().rstrip(b"\0").split(b"\0")
        owner = os.stat(f"/proc/{pid}").st_uid
    except (OSError, ValueError):
        return None
    # The name is in brackets, and may hold brackets and spaces itself.
    name = text[text.index(b"(") + 1 : text.rindex(b")")].decode("utf-8", "replace")
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        name=name,
        state=fields[0].decode("ascii"),
        user=_user(owner),
        command=b" ".join(words).decode("utf-8", "replace"),
        threads=int(fields[17]),
        memory=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        started=int(fields[19]) / os.sysconf("SC_CLK_TCK"),
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def select(processes: list[Process], name: str | None, pattern: str | None, user: str | None) -> list[Process]:
    """Those that match all that is given."""
    expression = re.compile(pattern) if pattern is not None else None
    return [
        process
        for process in processes
        if (name is None or process.name == name[:15])
        and (user is None or process.user == user)
        and (expression is None or expression.search(process.command or process.name) is not None)
    ]


def observe(processes: list[Process], check: Check) -> Observation:
    args, metric = check.args, check.metric.name
    chosen = select(processes, args["name"], args["pattern"], args["user"])
    given = [f"{name} {args[name]}" for name in _FILTERS if args[name] is not None]
    which = f" with {' and '.join(given)}" if given else ""
    if metric == "zombies":
        chosen = [process for process in chosen if process.state == "Z"]
        return Observation(len(chosen), f"{counted(len(chosen), 'zombie')}{which}", evidence=_lines(chosen))
    count = f"{counted(len(chosen), 'process')}{which}"
    if not chosen and metric != "count":
        raise Undetermined(f"there is no process{which}")
    if metric == "count":
        missing = bool(given) and not chosen
        return Observation(
            len(chosen), count, evidence=_lines(chosen), unexpected="there should be one" if missing else None
        )
    if metric == "memory":
        memory = sum(process.memory for process in chosen)
        return Observation(
            memory, f"{count}: {format_quantity(memory, Unit('B', BYTES))} resident", evidence=_lines(chosen)
        )
    if metric == "threads":
        threads = sum(process.threads for process in chosen)
        return Observation(threads, f"{count}: {counted(threads, 'thread')}")
    if metric == "open_files":
        files = sum(_open_files(process) for process in chosen)
        return Observation(files, f"{count}: {counted(files, 'open file')}")
    age = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - max(process.started for process in chosen))
    return Observation(round(age, 1), f"{count}: the youngest runs for {format_duration(age)}")


def _open_files(process: Process) -> int:
    try:
        return len(os.listdir(f"/proc/{process.pid}/fd"))
    except PermissionError:
        raise NeedsRoot(f"the open files of pid {process.pid} cannot be counted") from None
    except OSError:
        return 0


def _lines(processes: list[Process]) -> list[str]:
    biggest = sorted(processes, key=lambda process: -process.memory)[:_SHOWN]
    return [
        f"{process.pid} {process.user} {format_quantity(process.memory, Unit('B', BYTES))}: "
        f"{(process.command or process.name)[:160]}"
        for process in biggest
    ]
