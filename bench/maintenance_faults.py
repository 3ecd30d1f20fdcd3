# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of maintenance_mode at random moments, entering and leaving, in a lab host whose own timer ends what is left.

The seed is new each time and printed; `DAY2_SEED` repeats one, and `DAY2_KILLS` says how many there are.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from bench.measure import Figure

HOST = "options-engine-1"
KILLS = 40


def run() -> list[Figure]:
    from kill_host import kill_maintenance
    from lab.environment import Lab
    from lab_host import LabHost
    from maintained_host import prepare

    seed = int(os.environ.get("DAY2_SEED") or secrets.randbits(32))
    wanted = int(os.environ.get("DAY2_KILLS") or KILLS)
    print(f"  seed {seed}", flush=True)
    lab = Lab("bench-maintenance-faults")
    lab.down()
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            host = prepare(LabHost(lab, Path(folder)))
            found = kill_maintenance(host.host, "runs", str(seed), str(wanted))
    finally:
        lab.down()
    for fault in found["faults"]:
        print(f"  {fault}", flush=True)
    victims = ", ".join(f"{name} {count}" for name, count in sorted(found["victims"].items()))
    return [
        Figure("kills of maintenance mode", found["kills"], wanted, victims, unit="", at_least=True),
        Figure("hosts that are not as before", len(found["faults"]), 0, f"seed {seed}", unit=""),
    ]
