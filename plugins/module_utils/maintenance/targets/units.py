# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd units: stopped in order, kept from starting, and back in the other order to the state they had."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Record, TargetError
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+")
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
        return {"name": full, "pause": list(entry.get("pause") or ()), "resume": list(entry.get("resume") or ())}

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
            _command(["systemctl", "daemon-reload"], "systemctl daemon-reload", record["timeout"])
        for each in record["units"]:
            if each["ran"]:
                argv = each["pause"] or ["systemctl", "stop", each["name"]]
                _command(argv, each["name"], record["timeout"])

    def prolong(self, record: Record, until: float) -> bool:
        return False

    def leave(self, record: Record) -> None:
        release(record["flag"])
        for each in record["units"]:
            path = self._drop_in(each["name"])
            with suppress(FileNotFoundError):
                os.unlink(path)
            with suppress(OSError):
                # Only where nobody else has a drop-in for the unit.
                os.rmdir(os.path.dirname(path))
        _command(["systemctl", "daemon-reload"], "systemctl daemon-reload", record["timeout"])
        wrong = []
        for each in reversed(record["units"]):
            # What somebody has removed meanwhile cannot come back.
            if each["ran"] and _show(each["name"])["LoadState"] != "not-found":
                argv = each["resume"] or ["systemctl", "start", each["name"]]
                try:
                    _command(argv, each["name"], record["timeout"])
                except TargetError as exc:
                    # One that does not come back keeps no other from it.
                    wrong.append(str(exc))
        if wrong:
            raise TargetError("; ".join(wrong))

    def _drop_in(self, unit: str) -> str:
        return _DROP_IN.format(unit=unit, service=self._service)


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
    answer = run(["systemctl", "show", "--property=LoadState,ActiveState", "--", unit])
    if answer.code != 0:
        raise TargetError(f"units: systemctl cannot tell about {unit}: {answer.complaint}")
    lines = answer.stdout.decode("utf-8", "replace").strip().split("\n")
    return dict(line.partition("=")[::2] for line in lines)


def _command(argv: Sequence[str], called: str, limit: float) -> None:
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise TargetError(f"units: {called}: {' '.join(argv[:2])} took longer than {format_duration(limit)}") from None
    except OSError as exc:
        raise TargetError(f"units: {called}: {argv[0]} cannot be started: {exc.strerror}") from exc
    if done.returncode != 0:
        words = [line.strip() for line in done.stderr.split("\n") if line.strip()]
        said = words[0] if words else f"exit status {done.returncode}"
        raise TargetError(f"units: {called}: {' '.join(argv[:2])} failed: {said}")
