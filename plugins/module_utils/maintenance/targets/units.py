# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd units: stopped in order, kept from starting, and back in the other order to the state they had."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import execute
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Record, TargetError
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_NAME = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*")
_DROP_IN = "/etc/systemd/system/{unit}.d/50-day2-maintenance-{service}.conf"
BOOT_UNIT = "day2-maintenance-boot.service"
_PATIENCE = 90.0
_RUNNING = ("active", "activating", "reloading", "refreshing")


class Units:
    """`flag` is the file whose presence keeps the units from starting, at boot too."""

    def __init__(self, service: str, flag: str) -> None:
        self._service, self._flag = service, flag

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        entries = [self._entry(each) for each in config.get("units") or ()]
        if not entries:
            raise TargetError("units: no unit is named ('units')")
        if len({each["name"] for each in entries}) != len(entries):
            raise TargetError("units: a unit is named twice")
        for each in entries:
            shown = _show(each["name"])
            if shown["LoadState"] != "loaded":
                raise TargetError(f"units: {each['name']} is {shown['LoadState']} on this host")
            each["ran"] = shown["ActiveState"] in _RUNNING
        return {"flag": self._flag, "units": entries, "timeout": float(config.get("timeout") or _PATIENCE)}

    def _entry(self, raw: str | Mapping[str, Any]) -> dict[str, Any]:
        entry = {"name": raw} if isinstance(raw, str) else dict(raw)
        name = str(entry.get("name") or "")
        if not _NAME.fullmatch(name):
            raise TargetError(f"units: {name!r} is no name of a unit")
        if bool(entry.get("pause")) != bool(entry.get("resume")):
            raise TargetError(f"units: {name}: 'pause' and 'resume' go together")
        full = name if "." in name else f"{name}.service"
        return {"name": full, **{way: [str(word) for word in entry.get(way) or ()] for way in ("pause", "resume")}}

    def steps(self, record: Record) -> list[str]:
        return [
            f"run {' '.join(each['pause'])}" if each["pause"] else f"stop {each['name']}"
            for each in record["units"]
            if each["ran"]
        ] or ["keep the units stopped, which do not run"]

    def enter(self, record: Record) -> None:
        stopped = [each["name"] for each in record["units"] if not each["pause"]]
        for name in stopped:
            _write(self._drop_in(name), _condition(record["flag"]))
        if stopped:
            _write(record["flag"], f"{self._service} is in maintenance: day2ctl maintenance status\n")
            execute(["systemctl", "daemon-reload"], "units", "systemd", record["timeout"])
        for each in record["units"]:
            if each["ran"]:
                argv = each["pause"] or ["systemctl", "stop", each["name"]]
                execute(argv, "units", each["name"], record["timeout"])

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        held = {each["name"] for each in record["units"]}
        others = [each["name"] for each in map(self._entry, config.get("units") or ()) if each["name"] not in held]
        return f"units: {', '.join(others)} would go on running (held: {', '.join(sorted(held))})" if others else None

    def prolong(self, record: Record, until: float) -> bool:
        return False

    def leave(self, record: Record) -> None:
        try:
            release(record["flag"])
            for each in record["units"]:
                self._remove_drop_in(each["name"])
            sweep(record["flag"])
        except OSError as exc:
            raise TargetError(f"units: {exc.filename}: {exc.strerror}") from exc
        execute(["systemctl", "daemon-reload"], "units", "systemd", record["timeout"])
        wrong = []
        for each in reversed(record["units"]):
            try:
                # What somebody has removed meanwhile cannot come back.
                if each["ran"] and _show(each["name"])["LoadState"] != "not-found":
                    argv = each["resume"] or ["systemctl", "start", each["name"]]
                    execute(argv, "units", each["name"], record["timeout"])
            except TargetError as exc:
                # One that does not come back keeps no other from it.
                wrong.append(str(exc))
        if wrong:
            raise TargetError("; ".join(wrong))

    def _remove_drop_in(self, unit: str) -> None:
        path = self._drop_in(unit)
        with suppress(FileNotFoundError):
            os.unlink(path)
        sweep(path)
        with suppress(OSError):
            # Only where nobody else has a drop-in for the unit.
            os.rmdir(os.path.dirname(path))

    def _drop_in(self, unit: str) -> str:
        return _DROP_IN.format(unit=unit, service=self._service)


def held_units(service: str) -> list[str]:
    """Units that a maintenance of the service keeps from starting, as their drop-ins say."""
    found = glob.glob(_DROP_IN.format(unit="*", service=service))
    return sorted(os.path.basename(os.path.dirname(path))[: -len(".d")] for path in found)


def is_enabled(unit: str) -> bool:
    """Whether it would start at boot."""
    return run(["systemctl", "is-enabled", "--quiet", "--", unit]).code == 0


def release(flag: str) -> None:
    """Let the units start again; it starts none."""
    with suppress(FileNotFoundError):
        os.unlink(flag)


def _condition(flag: str) -> str:
    return (
        "# Maintenance of day2.ops: `day2ctl maintenance status` says whose. It goes with the maintenance.\n"
        # At boot leases are looked at first: one that has ended keeps nothing from starting.
        f"[Unit]\nAfter={BOOT_UNIT}\nConditionPathExists=!{flag}\n"
    )


def _write(path: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_atomic(path, text, 0o644)
    except OSError as exc:
        raise TargetError(f"units: {path}: {exc.strerror}") from exc


def _show(unit: str) -> dict[str, str]:
    argv = ["systemctl", "show", "--property=LoadState,ActiveState", "--", unit]
    answer = execute(argv, "units", unit, _PATIENCE)
    lines = answer.decode("utf-8", "replace").strip().split("\n")
    return dict(line.partition("=")[::2] for line in lines)
