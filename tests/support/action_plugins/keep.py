# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a value to a file of the controller, without the process that a module would be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """`value` into `file`, as JSON."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        text = json.dumps(self._task.args["value"], cls=AnsibleJSONEncoder)
        Path(self._task.args["file"]).write_text(text, encoding="utf-8")
        return {**result, "changed": False}
