# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back to service although nobody knows what there was before: as after a boot of the host.

Only for somebody who asks for it by force, when both files of the state are damaged. What maintenance left on the
host is found by its names: flags, and drop-ins of units, of which those start that are enabled.
"""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import Store
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.units import Units, held_units, is_enabled
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.web import Web

_ALERTS = "silences and maintenance windows of PagerDuty are left to end by themselves: nobody knows where they were"
_LIMIT = 90.0


def plan(store: Store, service: str) -> list[str]:
    """What `give_up` would do, in words."""
    units = held_units(service)
    freed = [f"start {unit}" if is_enabled(unit) else f"let {unit} start (it is not enabled)" for unit in units]
    web = ["serve users again"] if os.path.exists(store.flag(service, "web")) else []
    return [*freed, *web, _ALERTS]


def give_up(store: Store, service: str) -> list[str]:
    """Remove every trace; returns what was done. What cannot be read is kept beside. After a Day2Error: again."""
    steps = plan(store, service)
    flag = store.flag(service, "units")
    units: list[dict[str, Any]] = [
        {"name": unit, "pause": [], "resume": [], "ran": is_enabled(unit)} for unit in held_units(service)
    ]
    Web(service, store.flag(service, "web")).leave({"flag": store.flag(service, "web")})
    Units(service, flag).leave({"flag": flag, "units": units, "timeout": _LIMIT})
    return [*steps, *(f"what could not be read is in {path}" for path in store.set_aside(service))]
