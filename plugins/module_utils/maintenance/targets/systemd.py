# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking systemd: the units of a host, and whether some of them go on running."""

from __future__ import annotations

import glob
import os
import time
from contextlib import suppress
from typing import Callable, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import graph
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import execute
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.graph import PROPERTIES, Unit, parse
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# Where units are (systemd.unit(5)); the last one is where /usr is not merged.
_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system", "/lib/systemd/system")  # fmt: skip
_PATIENCE = 90.0
_POLL = 0.25
# Also in the middle of it: the program has ended, and its control group is not empty yet.
_ENDS = ("inactive", "deactivating")


def show(names: Sequence[str]) -> list[Unit]:
    """In the order of the names; one that is an alias has the name of its unit."""
    if not names:
        return []
    argv = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *names]
    return parse(execute(argv, "units", "systemd", _PATIENCE).decode("utf-8", "replace"))


def jobs() -> dict[str, str]:
    """What systemd is about to do with units, such as `restart`, by their names."""
    said = execute(["systemctl", "list-jobs", "--no-legend"], "units", "systemd", _PATIENCE).decode("utf-8", "replace")
    rows = [line.split() for line in said.split("\n")]
    return {row[1]: row[2] for row in rows if len(row) > 2 and row[0].isdigit()}


def neighbourhood(units: Iterable[Unit]) -> dict[str, Unit]:
    """Those, and all that may stop with them, start them or be started with them, by their names.

    systemd knows what names a unit only of those units that it has loaded. One that does not run may be unloaded, and
    be started in the mode: those are found by their files.
    """
    found = {unit.name: unit for unit in units}
    fresh = list(found.values())
    texts = _unit_files()
    while fresh:
        names = {name for unit in fresh for name in unit.all_names}
        named_by = {name for name, text in texts.items() if graph.mentions(text, names)}
        same = {f"{name.rpartition('.')[0]}{kind}" for name in names for kind in graph.TRIGGERS}
        asked = set().union(named_by, same & set(texts), *(graph.near(unit) for unit in fresh))
        fresh = [unit for unit in show(sorted(asked - set(found))) if unit.name not in found]
        found.update({unit.name: unit for unit in fresh})
    return found


def _unit_files() -> dict[str, str]:
    """The text of each unit's files, drop-ins among them, by the unit's name; templates are nobody's."""
    texts: dict[str, str] = {}
    for folder in _FOLDERS:
        for path in glob.glob(f"{folder}/*.*") + glob.glob(f"{folder}/*.d/*.conf"):
            name = os.path.basename(os.path.dirname(path))[: -len(".d")] if path.endswith(".conf") else ""
            name = name or os.path.basename(path)
            if name.endswith(graph.KINDS) and "@." not in name:
                # One that goes meanwhile, a link to nowhere, a directory of links.
                with suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
                    texts[name] = f"{texts.get(name, '')}{stream.read()}\n"
        for path in glob.glob(f"{folder}/*.requires/*"):
            # What `systemctl enable` makes of RequiredBy=.
            name = os.path.basename(os.path.dirname(path))[: -len(".requires")]
            if name.endswith(graph.KINDS) and "@." not in name:
                texts[name] = f"{texts.get(name, '')}Requires={os.path.basename(path)}\n"
    return texts


def watch(
    started: Mapping[str, str],
    seconds: float,
    look: Callable[[Sequence[str]], list[Unit]] = show,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Watch units go on running for so long; those that do not, and what they do instead.

    `started` has each unit's invocation right after its start: systemd gives a new one to each start (InvocationID).
    """
    begun, wrong = clock(), dict[str, str]()
    while True:
        for unit in look([name for name in started if name not in wrong]):
            fault = _fault(unit, started.get(unit.name, ""))
            if fault:
                wrong[unit.name] = f"{fault} {format_duration(max(clock() - begun, 0.1))} after its start"
        if len(wrong) == len(started) or clock() - begun >= seconds:
            return wrong
        pause(_POLL)


def _fault(unit: Unit, invocation: str) -> str | None:
    about = unit.properties
    state = about.get("ActiveState", "")
    if about.get("LoadState") == "not-found":
        return None
    # Those end by themselves, and start again when somebody asks for them.
    by_demand = bool(about.get("BusName") or unit.names("TriggeredBy"))
    is_other = invocation and about.get("InvocationID") not in (invocation, "", None)
    if unit.runs and is_other and not (by_demand and about.get("NRestarts", "0") == "0"):
        return "was started again by systemd"
    if state in ("active", "reloading", "refreshing"):
        return None
    if state in _ENDS and about.get("Result") == "success" and (by_demand or about.get("Type") == "oneshot"):
        return None
    if state == "activating" and not unit.is_restarting and about.get("Type") in ("oneshot", "notify", "dbus"):
        return None
    return f"is {state} ({about.get('SubState')}, {about.get('Result')})"


def faults(wrong: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name} {fault}: journalctl -u {name}" for name, fault in wrong]
