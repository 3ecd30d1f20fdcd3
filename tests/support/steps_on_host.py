# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes steps of role maintenance_steps on the lab's host, as the playbooks do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab.waiting import wait_for
from lab_host import ROOT

Row = dict[str, Any]


class Steps:
    """Takes steps on the lab's host, as the playbooks do."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.environment: dict[str, str] = {}

    def take(self, entry_point: str, *options: str, **variables: Any) -> Row:
        """The row of one step."""
        step = {"id": entry_point, "role": "day2.ops.maintenance_steps", "entry_point": entry_point, "ref": "X-1"}
        out, play = (self.host.workdir / f"step.{end}" for end in ("out.json", "play.json"))
        take = {
            "block": [
                {"ansible.builtin.include_tasks": str(ROOT / "playbooks" / "tasks" / "take_step.yml"),
                 "vars": {"day2_step": step}}
            ],
            "always": [
                {"ansible.builtin.copy": {"content": "{{ day2_step_results | to_json }}", "dest": str(out)},
                 "delegate_to": "localhost", "changed_when": False, "check_mode": False,
                 "vars": {"ansible_connection": "local"}}
            ],
        }  # fmt: skip
        play.write_text(json.dumps([{
            "hosts": self.host.name, "gather_facts": False, "environment": self.environment, "tasks": [take],
        }]))  # fmt: skip
        out.unlink(missing_ok=True)
        settings = {f"maintenance_steps_{name}": value for name, value in variables.items()}
        done = self.host.playbook(str(play), *options, in_full=True, **settings)
        self.said = done.stdout + done.stderr
        assert out.exists(), self.said
        (row,) = json.loads(out.read_text())
        assert (row["status"] == "critical") == (done.returncode != 0), self.said
        return dict(row)

    def sh(self, script: str, text: str | None = None) -> str:
        return str(self.host.run("sh", "-euc", script, text=text))

    def until(self, wanted: Callable[[], bool], limit: float = 20.0) -> None:
        wait_for(wanted, bool, limit, "what the step was to do", pause=0.2)
