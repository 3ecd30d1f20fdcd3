# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd units: stopped or paused in order, kept from starting, and back in the other order to what they were.

Paused ones are kept from starting as well: after a reboot they would run without their pause.
"""

from __future__ import annotations

import glob
import json
import os
import re
from contextlib import suppress
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import execute
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import RUNNING, Record, TargetError
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic

_NAME = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*")
_DROP_IN = "/etc/systemd/system/{unit}.d/50-day2-maintenance-{service}.conf"
BOOT_UNIT = "day2-maintenance-boot.service"
_PATIENCE = 90.0
# `static` ones are not among them, although `systemctl is-enabled` succeeds for those.
_AT_BOOT = ("enabled", "enabled-runtime", "generated")
_RESUME = "Resume="


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
            each["ran"] = shown["ActiveState"] in RUNNING
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
        for each in record["units"]:
            _write(self._drop_in(each["name"]), _drop_in_text(record["flag"], each["resume"]))
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
                if each["ran"]:
                    self._back(each, record["timeout"])
            except TargetError as exc:
                # One that does not come back keeps no other from it.
                wrong.append(str(exc))
        if wrong:
            raise TargetError("; ".join(wrong))

    def _back(self, unit: Mapping[str, Any], limit: float) -> None:
        shown = _show(unit["name"])
        if shown["LoadState"] == "not-found":
            # What somebody has removed meanwhile cannot come back.
            return
        # A paused one may have been restarted, or the host: then it was kept from starting.
        if not unit["resume"] or shown["ActiveState"] not in RUNNING:
            execute(["systemctl", "start", unit["name"]], "units", unit["name"], limit)
        if unit["resume"]:
            # Also of one that has started afresh: a pause may outlive it.
            execute(unit["resume"], "units", unit["name"], limit)

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


def held_units(service: str) -> dict[str, list[str] | None]:
    """Units that a maintenance of the service keeps from starting, as their drop-ins say, and what resumes them.

    Nothing resumes one that was stopped; None: a drop-in that was damaged does not say it any more.
    """
    found = sorted(glob.glob(_DROP_IN.format(unit="*", service=service)))
    return {os.path.basename(os.path.dirname(path))[: -len(".d")]: _resume_in(path) for path in found}


def is_running(unit: str) -> bool:
    return _show(unit)["ActiveState"] in RUNNING


def is_enabled(unit: str) -> bool:
    """Whether it would start at boot."""
    return _show(unit)["UnitFileState"] in _AT_BOOT


def release(flag: str) -> None:
    """Let the units start again; it starts none."""
    with suppress(FileNotFoundError):
        os.unlink(flag)


def _drop_in_text(flag: str, resume: list[str]) -> str:
    # systemd skips sections that begin with X-; this one is for when the state is lost.
    marker = f"[X-Day2]\n{_RESUME}{json.dumps(resume)}\n" if resume else ""
    return (
        "# Maintenance of day2.ops: `day2ctl maintenance status` says whose. It goes with the maintenance.\n"
        # At boot leases are looked at first: one that has ended keeps nothing from starting.
        f"[Unit]\nAfter={BOOT_UNIT}\nConditionPathExists=!{flag}\n{marker}"
    )


def _resume_in(path: str) -> list[str] | None:
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line[len(_RESUME) :] for line in stream if line.startswith(_RESUME)]
        return [str(word) for line in lines for word in json.loads(line)]
    except (OSError, ValueError, TypeError):
        return None


def _write(path: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_atomic(path, text, 0o644)
    except OSError as exc:
        raise TargetError(f"units: {path}: {exc.strerror}") from exc


def _show(unit: str) -> dict[str, str]:
    argv = ["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", "--", unit]
    answer = execute(argv, "units", unit, _PATIENCE)
    lines = answer.decode("utf-8", "replace").strip().split("\n")
    return dict(line.partition("=")[::2] for line in lines)
