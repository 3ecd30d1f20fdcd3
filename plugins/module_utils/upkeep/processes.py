# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the processes of this host use, by /proc."""

from __future__ import annotations

import os
from typing import Iterable

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.drop_ins import held_units, holders
from ansible_collections.day2.ops.plugins.module_utils.process.opened import GONE, as_user, pids
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.systemd.cgroups import below, cgroup_of
from ansible_collections.day2.ops.plugins.module_utils.upkeep.stale import Process, deleted


def _read(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def _maps(pid: int) -> str | None:
    """None where nobody but a more powerful root may look."""
    try:
        return _read(pid, "maps")
    except PermissionError:
        if os.geteuid() != 0:
            raise NeedsRoot(f"process {pid} cannot be looked at: root can") from None
    owner = os.stat(f"/proc/{pid}")
    try:
        with as_user(owner.st_uid, owner.st_gid):
            return _read(pid, "maps")
    except PermissionError:
        return None


def stale() -> list[Process]:
    """Processes that run programs or libraries which are gone, and those that cannot be looked at."""
    root = cgroup_of(_read(1, "cgroup"))
    found = []
    for pid in pids():
        try:
            maps = _maps(pid)
            files = deleted(maps) if maps is not None else ()
            if files or maps is None:
                path = below(cgroup_of(_read(pid, "cgroup")), root)
                found.append(Process(pid, _read(pid, "comm").strip(), path, files))
        except GONE:
            continue
    return found


class UnitError(Day2Error):
    """A unit that is not on this host, or that systemd cannot tell of."""


def states(units: Iterable[str]) -> dict[str, str]:
    """ActiveState by unit."""
    found = {}
    for unit in units:
        answer = run(["systemctl", "show", "--property=LoadState,ActiveState", "--", unit])
        if answer.code != 0:
            raise UnitError(f"systemd cannot tell of {unit}: {answer.complaint}")
        lines = answer.stdout.decode("utf-8", "replace").strip().split("\n")
        shown = dict(line.partition("=")[::2] for line in lines)
        if shown.get("LoadState") == "not-found":
            raise UnitError(f"there is no unit {unit} on this host")
        found[unit] = shown.get("ActiveState", "unknown")
    return found


def held() -> list[str]:
    """Units that a maintenance of any service keeps from starting; a drop-in that was left over keeps none."""
    return sorted(unit for unit in held_units("*") if holders(unit))
