# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of restores that replace a database, 200 times, in a lab host; a client asks the live name all the time.

The seed is new each time and printed; `DAY2_SEED` repeats one, and `DAY2_KILLS` says how many there are.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from bench.measure import Figure

HOST = "options-engine-1"
KILLS = 200


def run() -> list[Figure]:
    from kill_host import kill_restores
    from lab.environment import Lab
    from lab_host import LabHost

    seed = int(os.environ.get("DAY2_SEED") or secrets.randbits(32))
    wanted = int(os.environ.get("DAY2_KILLS") or KILLS)
    print(f"  seed {seed}", flush=True)
    lab = Lab("bench-restore-faults")
    lab.down()
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            found = kill_restores(LabHost(lab, Path(folder)), seed, wanted)
    finally:
        lab.down()
    for fault in found["faults"]:
        print(f"  {fault}", flush=True)
    victims = ", ".join(f"{name} {count}" for name, count in sorted(found["victims"].items()))
    answers = f"{sum(found['answers'].values())} answers, {found['refused']} refused meanwhile"
    return [
        Figure("kills of restores", found["kills"], wanted, victims, unit="", at_least=True),
        Figure("names gone, leftovers, lost runs", len(found["faults"]), 0, f"seed {seed}; {answers}", unit=""),
    ]
