# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drop-ins that keep units from starting while a flag is there, and say how a unit is resumed that was paused."""

from __future__ import annotations

import glob
import json
import os
from contextlib import suppress
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic

# The newest name first, and that is what is written: the last one of its directory, since an empty ConditionPathExists=
# in a later one (override.conf) would undo it. The others are of earlier releases, which may have entered the mode.
_NAMED = ("zzz-day2-maintenance-", "50-day2-maintenance-")
_DROP_IN = "/etc/systemd/system/{unit}.d/{named}{service}.conf"
_HELD_BY = "ConditionPathExists=!"
_BOOT_UNIT = "day2-maintenance-boot.service"
_RESUME = "Resume="


def hold(service: str, flag: str, unit: Mapping[str, object]) -> None:
    """Keep a unit from starting while the flag is there; systemd has to read it still."""
    resume = unit.get("resume") or []
    # systemd skips sections that begin with X-; this one is for when the state is lost.
    marker = f"[X-Day2]\n{_RESUME}{json.dumps(resume)}\n" if resume else ""
    # At boot leases are looked at first: one that has ended keeps nothing from starting.
    after = "" if unit.get("early") else f"After={_BOOT_UNIT}\n"
    text = (
        "# Maintenance of day2.ops: `day2ctl maintenance status` says whose. It goes with the maintenance.\n"
        f"[Unit]\n{after}{_HELD_BY}{flag}\n{marker}"
    )
    # A command may hold a secret; what holds none, everybody may read.
    write(_DROP_IN.format(unit=unit["name"], named=_NAMED[0], service=service), text, 0o600 if resume else 0o644)


def write(path: str, text: str, mode: int) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_atomic(path, text, mode)
    except OSError as exc:
        raise TargetError(f"units: {path}: {exc.strerror}") from exc


def remove(service: str, unit: str) -> None:
    """Those of every release. Raises OSError."""
    paths = [_DROP_IN.format(unit=unit, named=named, service=service) for named in _NAMED]
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)
        sweep(path)
    with suppress(OSError):
        # Only where nobody else has a drop-in for the unit.
        os.rmdir(os.path.dirname(paths[0]))


def held_units(service: str) -> dict[str, list[str] | None]:
    """Units that a maintenance of the service keeps from starting, as their drop-ins say, and what resumes them.

    Nothing resumes one that was stopped; None: a drop-in that was damaged does not say it any more.
    """
    found: dict[str, str] = {}
    for path in _drop_ins("*", service):
        found.setdefault(os.path.basename(os.path.dirname(path))[: -len(".d")], path)
    return {unit: _resume_in(path) for unit, path in sorted(found.items())}


def holders(unit: str) -> list[str]:
    """The services whose maintenance keeps a unit from starting, by drop-ins whose flag is there."""
    found = [os.path.basename(path) for path in _drop_ins(glob.escape(unit), "*") if _holds(path)]
    return sorted({name[len(named) : -len(".conf")] for name in found for named in _NAMED if name.startswith(named)})


def _drop_ins(unit: str, service: str) -> list[str]:
    """Those of every release that fit the patterns, the newest release's first."""
    patterns = [_DROP_IN.format(unit=unit, named=named, service=service) for named in _NAMED]
    return [path for pattern in patterns for path in sorted(glob.glob(pattern))]


def _holds(path: str) -> bool:
    """Whether the condition of a drop-in keeps its unit from starting: where one is left over, its flag is gone."""
    try:
        with open(path, encoding="utf-8") as stream:
            return any(os.path.exists(line[len(_HELD_BY) :].strip()) for line in stream if line.startswith(_HELD_BY))
    except (OSError, ValueError):
        return False


def _resume_in(path: str) -> list[str] | None:
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line[len(_RESUME) :] for line in stream if line.startswith(_RESUME)]
        return [str(word) for line in lines for word in json.loads(line)]
    except (OSError, ValueError, TypeError):
        return None
