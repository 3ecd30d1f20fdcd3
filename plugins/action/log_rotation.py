# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.log_rotation: heads of chains are kept here, where root of the host cannot write.

What the module verifies is compared with the head that was kept at last, and the new one takes its place when nothing
is wrong. One that is older, or another one of the same number, never does.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.rotation.arguments import parse_log
from ansible_collections.day2.ops.plugins.module_utils.rotation.chain import Head
from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import parse_anchor
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain
from ansible_collections.day2.ops.plugins.plugin_utils.secret_keys import WithoutSecretKeys


class ActionModule(WithoutSecretKeys):
    """Run the module; with `state: verified`, with the head that is kept here."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        if self._task.args.get("state") != "verified":
            return dict(super().run(tmp, task_vars))
        path = self._file_of(task_vars or {})
        kept = _read(path)
        given = list(self._task.args.get("anchors") or [])
        self._task.args["anchors"] = [*given, *([vars(kept)] if kept is not None else [])]
        result = dict(super().run(tmp, task_vars))
        if not result.get("failed") and result.get("head") and not self._task.check_mode:
            result["kept_head"] = _keep(path, parse_anchor(result["head"]))
        return result

    def _file_of(self, task_vars: dict[str, Any]) -> str:
        reports = self._variable(task_vars, "day2_report_dir") or "day2-reports"
        folder = self._variable(task_vars, "day2_anchor_dir") or os.path.join(reports, "anchors")
        try:
            name = parse_log(str(self._task.args.get("name")))
        except Day2Error as exc:
            raise AnsibleActionFail(str(exc)) from None
        host = str(task_vars.get("inventory_hostname", "")).replace("/", "_")
        return os.path.join(os.path.abspath(os.path.expanduser(folder)), host, f"{name}.json")

    def _variable(self, task_vars: dict[str, Any], name: str) -> str:
        value = task_vars.get(name)
        return str(plain(self._templar.template(value))) if value else ""


def _read(path: str) -> Head | None:
    try:
        with open(path, encoding="utf-8") as stream:
            return parse_anchor(json.load(stream))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, Day2Error) as exc:
        raise AnsibleActionFail(
            f"{path} cannot be read ({exc}), and has the head with which the host's chain is compared: bring it back"
            " from a backup, or look at the chain and remove the file"
        ) from None


def _keep(path: str, head: Head) -> str:
    """Keep a head that the module found to be right. The path, or nothing where there is no chain yet."""
    before = _read(path)
    if head.number == 0 or (before is not None and before.number >= head.number):
        # Another run may have kept a newer one meanwhile.
        return path if before is not None else ""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_atomic(path, json.dumps(vars(head), sort_keys=True) + "\n")
    except OSError as exc:
        raise AnsibleActionFail(f"the head of the chain cannot be kept in {path}: {exc.strerror}") from exc
    return path
