# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What short steps of role maintenance_steps returned. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import Result, items


def down(asked: Result) -> list[str]:
    """Units that do not run: `asked` is the loop of `systemctl is-active`, of which check mode asks nothing."""
    return [str(entry.get("item")) for entry in items(asked) if entry.get("rc") != 0]


def logs(removed: Result, vacuumed: Result) -> dict[str, Any]:
    """The line of step logs: what the module removed, and what journalctl said if it ran."""
    outcome = dict(removed.get("outcome") or {})
    said = [line for line in str(vacuumed.get("stderr") or "").splitlines() if line.startswith("Vacuuming done")]
    return {**outcome, "evidence": [*said, *(outcome.get("evidence") or [])]}
