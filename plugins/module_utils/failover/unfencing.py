# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a unit start again that dr_fence has kept from it: once its data directory can only become a standby."""

from __future__ import annotations

import os
from contextlib import suppress

from ansible_collections.day2.ops.plugins.module_utils.failover.local import MemberError
from ansible_collections.day2.ops.plugins.module_utils.failover.masking import DROP_IN, PROPERTIES, is_masked
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.systemd.units import show


def unfence(unit: str) -> bool:
    """Remove the mask and the drop-in of a fence; whether there was one."""
    fields = show([unit], PROPERTIES)[0].get(unit, {})
    if not is_masked(unit, fields):
        return False
    with suppress(FileNotFoundError):
        os.unlink(DROP_IN.format(unit=unit))
    for words in (("unmask", unit), ("daemon-reload",)):
        done = run(["systemctl", *words])
        if done.code != 0:
            raise MemberError(f"systemctl {' '.join(words)} failed: {done.complaint}")
    fields = show([unit], PROPERTIES)[0].get(unit, {})
    if is_masked(unit, fields) or fields.get("LoadState") == "masked":
        raise MemberError(
            f"{unit} is masked still ({fields.get('UnitFileState')}): systemctl unmask {unit} lets it start"
        )
    return True
