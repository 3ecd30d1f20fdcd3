# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back to service although nobody knows what there was before: as after a boot of the host.

Only for somebody who asks for it by force, when both files of the state are damaged. What maintenance left on the
host is found by its names: flags, and drop-ins of units, of which those start that are enabled. A drop-in also says
how a unit is resumed that was paused.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import Store
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.units import (
    Units,
    held_units,
    is_enabled,
    is_running,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.web import Web

_ALERTS = "silences and maintenance windows of PagerDuty are left to end by themselves: nobody knows where they were"
_LIMIT = 90.0


class Unresumed(Day2Error):
    """Units that did not come back. Nothing of the maintenance is left, so that somebody has to look after them."""


def plan(store: Store, service: str) -> list[str]:
    """What `give_up` would do, in words."""
    freed = [_freed(unit, resume) for unit, resume in held_units(service).items()]
    web = ["serve users again"] if os.path.exists(store.flag(service, "web")) else []
    return [*freed, *web, _ALERTS]


def _freed(unit: str, resume: list[str] | None) -> str:
    if resume is None:
        return f"let {unit} start (its drop-in is damaged: resume it by hand if it was paused)"
    then = f" by {shlex.join(resume)}" if resume else ""
    if _is_paused(unit, resume):
        return f"resume {unit}{then}"
    if is_enabled(unit):
        return f"start {unit}" + (f" and resume it{then}" if resume else "")
    return f"let {unit} start (it is not enabled" + (f"; once it runs, resume it{then})" if resume else ")")


def give_up(store: Store, service: str) -> list[str]:
    """Remove every trace; returns what was done. What cannot be read is kept beside.

    After Unresumed there is nothing to do again, after any other Day2Error there is.
    """
    steps = plan(store, service)
    flag = store.flag(service, "units")
    held = held_units(service)
    units: list[dict[str, Any]] = [
        {"name": unit, "pause": [], "resume": resume or [], "ran": is_enabled(unit) or _is_paused(unit, resume)}
        for unit, resume in held.items()
    ]
    Web(service, store.flag(service, "web")).leave({"flag": store.flag(service, "web")})
    failed = [f"nobody knows how {unit} is resumed" for unit, resume in held.items() if resume is None]
    try:
        Units(service, flag).leave({"flag": flag, "units": units, "timeout": _LIMIT})
    except TargetError as exc:
        if held_units(service):
            raise
        failed.append(str(exc))
    kept = [f"what could not be read is in {path}" for path in store.set_aside(service)]
    if failed:
        raise Unresumed(
            f"{service} is out of maintenance, but not all of its units came back: {'; '.join(failed)}."
            f" Nothing tries again: what was to be done is {'; '.join([*steps, *kept])}"
        )
    return [*steps, *kept]


def _is_paused(unit: str, resume: list[str] | None) -> bool:
    return bool(resume) and is_running(unit)
