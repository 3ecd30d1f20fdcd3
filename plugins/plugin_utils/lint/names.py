# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of variables that playbooks put together: the lists of checks, views and steps. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import nearest
from ansible_collections.day2.ops.plugins.plugin_utils.maintenance.procedure import TYPES

CADENCES = (
    "daily", "weekly", "monthly", "quarterly", "backup", "drill", "recovery", "maintenance", "dr", "failover", "rejoin",
)  # fmt: skip
# Steps of emergencies have no checks of their own.
STEPS = (*CADENCES, *(f"emergency_{kind}" for kind in TYPES))
_KINDS = ("checks", "views", "steps")
LISTS = tuple(
    dict.fromkeys(
        [
            *(f"day2_{cadence}_{kind}" for cadence in CADENCES for kind in _KINDS),
            *(f"day2_{name}_steps" for name in STEPS),
        ]
    )
)
_LISTS = re.compile(rf"(?:{'|'.join(LISTS)})(?:_.+)?")
_LIKE = re.compile(r"day2_\w*(?:check|view|step|dail|week|month|quarter)\w*")
_OTHERS = ("day2_check_timeout", "day2_check_deadline", "day2_check_workers", "day2_steps", "day2_checklist")


def is_list(name: str) -> bool:
    """Whether the playbooks join this variable with others to a list of checks, views or steps."""
    return _LISTS.fullmatch(name) is not None


def misspelt_lists(names: Iterable[str]) -> list[str]:
    """Variables that look like lists of checks, views or steps and are none, a sentence each."""
    problems = []
    for name in sorted(names):
        if _LIKE.fullmatch(name) and not is_list(name) and name not in _OTHERS:
            near = nearest(name, LISTS, 0.7)
            problems.append(f"{name} is no variable of a checklist" + (f"; did you mean {near}" if near else ""))
    return problems
