# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the roles of steps are there, as include_role would look for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.playbook.role.definition import RoleDefinition
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step


def role_problems(steps: Sequence[Step], loader: Any) -> list[str]:
    """Roles and entry points that are not there, a sentence each. `loader` is an action plugin's."""
    problems = []
    for step in steps:
        definition = RoleDefinition(loader=loader)
        try:
            definition.preprocess_data(step.role)
        except AnsibleError as error:
            problems.append(f"step '{step.id}', field 'role': {str(error).splitlines()[0]}")
            continue
        folder = Path(os.fsdecode(definition.get_role_path())) / "tasks"
        places = [folder / f"{step.entry_point}{end}" for end in (".yml", ".yaml", "")]
        # A role without tasks of its own may have none in `main`.
        if step.entry_point != "main" and not any(place.is_file() for place in places):
            problems.append(
                f"step '{step.id}', field 'entry_point': role {step.role} has no tasks '{step.entry_point}'"
            )
    return problems
