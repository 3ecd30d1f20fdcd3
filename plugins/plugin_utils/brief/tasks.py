# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the callback `brief` has to know of a task: its name and place, and who handles its failure."""

from __future__ import annotations

import os
from typing import Any

from ansible.playbook.block import Block

# They run on the controller and end at once: nobody waits for them, so that they begin no heading.
_AT_ONCE = frozenset(
    ("set_fact", "assert", "debug", "meta", "fail", "add_host", "group_by", "set_stats", "include_tasks",
     "include_role", "include_vars", "import_tasks", "import_role", "validate_argument_spec")
)  # fmt: skip
_OWN = "day2.ops."
_OWN_AT_ONCE = frozenset(("step", "report", "report_merge", "maintenance_procedure", "notifications"))
# Their message, where they have one, is what a run was for, though nothing was changed.
_ANSWERS = frozenset(("inventory_lint", "log_rotation"))


def action_of(task: Any) -> str:
    """`day2.ops.step`, `command`: the resolved name, that of ansible-core's own without their collection."""
    name = str(getattr(task, "resolved_action", None) or task.action)
    return name.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")


def ends_at_once(task: Any) -> bool:
    name = action_of(task)
    return name in _AT_ONCE or name.removeprefix(_OWN) in _OWN_AT_ONCE


def is_own(task: Any) -> bool:
    """Whether its module is of this collection, whose messages are sentences."""
    return action_of(task).startswith(_OWN)


def only_plans(task: Any, planning: bool) -> bool:
    """Whether its own `check_mode` says so: what follows it says what it planned, also where all of the run plans."""
    return bool(task.check_mode) and (not planning or "check_mode" in (task.get_ds() or {}))


def is_answer(task: Any) -> bool:
    return is_own(task) and action_of(task).removeprefix(_OWN) in _ANSWERS


def name_of(task: Any) -> str:
    """The task's name after that of its role, without its collection."""
    name = " ".join(str(task.get_name()).split())
    role, colon, rest = name.partition(" : ")
    return f"{role.rpartition('.')[2]}: {rest}" if colon else name


def place_of(task: Any) -> str:
    """`roles/backup/tasks/main.yml:12`, relative to the working directory where it is in it."""
    path = str(task.get_path() or "")
    here = os.getcwd() + os.sep
    return path.removeprefix(here)


def is_rescued(task: Any) -> bool:
    """Whether a `rescue` around it takes over when it fails (not one whose own tasks it is of)."""
    child, parent = task, task._parent
    while parent is not None:
        if isinstance(parent, Block) and parent.rescue and any(entry._uuid == child._uuid for entry in parent.block):
            return True
        child, parent = parent, parent._parent
    return False
