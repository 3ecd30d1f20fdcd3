# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The systemd units of jobs: what is in them, and which of those that are there are ours. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import Job

_MARK = "# day2.ops schedule of "
_HEADER = _MARK + "{system}. What is changed here is overwritten; change schedule_jobs in the inventory.\n"
_PLAIN = re.compile(r"[A-Za-z0-9_@:./,=+-]+")


class UnitsError(Day2Error):
    """Units that cannot be put in place; the message says which and why."""


@dataclass(frozen=True)
class Node:
    """How playbooks run on the control node."""

    system: str
    inventory: str
    user: str
    directory: str
    program: str = "/usr/bin/ansible-playbook"
    environment_file: str = ""


@dataclass(frozen=True)
class Plan:
    """Units by file name: to write with their text, to remove, and those that stay. `before` has the present texts."""

    write: Mapping[str, str]
    remove: Sequence[str]
    keep: Sequence[str]
    before: Mapping[str, str] = field(default_factory=dict)


def unit_name(system: str, job: str, suffix: str) -> str:
    return f"day2-{system}-{job}.{suffix}"


def owner(text: str) -> str | None:
    """The system whose schedule wrote a unit; None when somebody else did."""
    first = text.split("\n", 1)[0]
    return first[len(_MARK) :].split(".", 1)[0] if first.startswith(_MARK) else None


def render(jobs: Sequence[Job], node: Node) -> dict[str, str]:
    """The text of each unit by its file name: a service and a timer for each job."""
    units = {}
    for job in jobs:
        units[unit_name(node.system, job.name, "service")] = _service(job, node)
        units[unit_name(node.system, job.name, "timer")] = _timer(job, node)
    return units


def plan(wanted: Mapping[str, str], present: Mapping[str, str], system: str) -> Plan:
    """What to do about the units that are there (`present`, of whatever system, by file name)."""
    for name in sorted(set(wanted) & set(present)):
        if owner(present[name]) != system:
            raise UnitsError(
                f"{name} is there already and was not written by the schedule of '{system}': rename the job, or"
                " remove that unit"
            )
    return Plan(
        write={name: text for name, text in wanted.items() if present.get(name) != text},
        remove=sorted(name for name, text in present.items() if owner(text) == system and name not in wanted),
        keep=sorted(name for name, text in wanted.items() if present.get(name) == text),
        before=present,
    )


def command(job: Job, node: Node) -> list[str]:
    """What runs a job. It is visible to everyone on the node."""
    words = [node.program, job.playbook, "-i", node.inventory]
    if job.hosts:
        words += ["-l", job.hosts]
    if job.extra_vars:
        words += ["-e", json.dumps(job.extra_vars, sort_keys=True)]
    if not job.exclusive:
        return words
    # A run waits as long as it can still end in time.
    lock = f"{node.directory}/.day2-{node.system}-{job.resource}.lock"
    wait = str(int(job.timeout - job.duration))
    return ["/usr/bin/flock", "--timeout", wait, "--conflict-exit-code", "75", lock, *words]


def _service(job: Job, node: Node) -> str:
    environment = f"EnvironmentFile={_percent(node.environment_file)}\n" if node.environment_file else ""
    return _HEADER.format(system=node.system) + (
        "[Unit]\n"
        f"Description=day2 {node.system}: {job.name} ({_percent(job.playbook)})\n"
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"User={node.user}\n"
        f"WorkingDirectory={_percent(node.directory)}\n"
        "Environment=LANG=C.UTF-8\n"
        f"{environment}"
        f"TimeoutStartSec={int(job.timeout)}\n"
        f"ExecStart={' '.join(quote(word) for word in command(job, node))}\n"
    )


def _timer(job: Job, node: Node) -> str:
    return _HEADER.format(system=node.system) + (
        "[Unit]\n"
        f"Description=day2 {node.system}: {job.name} ({job.at.on_calendar})\n"
        "\n"
        "[Timer]\n"
        f"OnCalendar={job.at.on_calendar}\n"
        "Persistent=true\n"
        "RandomizedDelaySec=0\n"
        "AccuracySec=1s\n"
        f"Unit={unit_name(node.system, job.name, 'service')}\n"
        "\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def quote(word: str) -> str:
    """One word of ExecStart=, as systemd.service(5) reads it: specifiers, variables and quotes mean themselves."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("$", "$$")
    return f'"{_percent(escaped)}"'


def diff(plan: Plan) -> list[dict[str, str]]:
    """Each unit that changes, before and after."""
    return [
        {
            "before_header": name,
            "after_header": name,
            "before": plan.before.get(name, ""),
            "after": plan.write.get(name, ""),
        }
        for name in [*plan.write, *plan.remove]
    ]
