# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the timer runs that has pieces of logs packed and removed when Ansible does not run."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

TIMER = "day2-logs.timer"


def why_untended() -> list[str]:
    """A sentence where nobody packs and removes pieces. Where systemd cannot be asked, nobody knows."""
    try:
        state = run(["systemctl", "is-active", TIMER]).stdout.decode("utf-8", "replace").strip()
    except Undetermined:
        return []
    if state in ("active", "activating", "reloading"):
        return []
    return [
        f"{TIMER} does not run ({state or 'there is no systemd'}), so that nobody packs, seals and removes pieces of"
        f" logs: `systemctl enable --now {TIMER}`; role day2.ops.log_management installs it"
    ]
