# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a unit is kept from starting for good, by what systemd says of it. Pure."""

from __future__ import annotations

from typing import Mapping

# What has to be asked of systemd for that.
PROPERTIES = ("LoadState", "UnitFileState", "DropInPaths", "NeedDaemonReload")
# For a unit's file below /etc, which cannot be masked. The last of its directory; `!/` never holds.
DROP_IN = "/etc/systemd/system/{unit}.d/zzz-day2-fenced.conf"
NEVER = "# Fenced by day2.ops dr_fence. Remove this file once the host is a standby.\n[Unit]\nAssertPathExists=!/\n"


def is_masked(unit: str, fields: Mapping[str, str]) -> bool:
    """A mask in /run goes with the next boot, and a drop-in counts once systemd has read it."""
    masked = fields.get("LoadState") == "masked" and fields.get("UnitFileState") == "masked"
    held = DROP_IN.format(unit=unit) in fields.get("DropInPaths", "").split()
    return masked or (held and fields.get("NeedDaemonReload") == "no")
