# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Physical backups and restores of 300 MB: the modules against bare pgBackRest, in turns on one lab host.

What a module does beside (the plan before a restore, the proof after it) is part of its time; Ansible and SSH are not.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import Figure

HOST = "options-engine-1"
SCALE = 20
RUNS = 3
# What a module may take beside, in seconds.
ALLOWED = 1.0


def run() -> list[Figure]:
    from lab.environment import Lab
    from lab_host import LabHost
    from pitr_cluster import PORT, Pitr

    lab = Lab("bench-pitr")
    lab.down()
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            pitr = Pitr(LabHost(lab, Path(folder)))
            pitr.make()
            pitr.empty()
            pitr.shell(f"pgbench -iq -p {PORT} -s {SCALE} postgres 2> /dev/null")
            return _measure(pitr)
    finally:
        lab.down()


def _measure(pitr: Any) -> list[Figure]:
    from pitr_cluster import CONFIG, DATA, PORT, UNIT

    bare_backup = f"pgbackrest --config={CONFIG} --stanza=pitr --type=full backup"
    bare_restore = (
        f"systemctl stop {UNIT}; runuser -u postgres -- pgbackrest --config={CONFIG} --stanza=pitr --delta restore;"
        f" systemctl start {UNIT}; until runuser -u postgres -- psql -p {PORT} -XAtqc 'SELECT pg_is_in_recovery()'"
        " | grep -q f; do sleep 0.1; done"
    )
    taken: dict[str, list[float]] = {"backup": [], "bare backup": [], "restore": [], "bare restore": []}
    for _run in range(RUNS):
        taken["bare backup"].append(_timed(pitr, "runuser", "-u", "postgres", "--", "sh", "-euc", bare_backup))
        outcome = _good(pitr.backup(type="full", verify="none"))
        taken["backup"].append(outcome["seconds"])
        pitr.archive()
        taken["bare restore"].append(_timed(pitr, "sh", "-euc", bare_restore))
        pitr.archive()
        taken["restore"].append(_good(pitr.restore("latest", force=True, keep_data=False))["seconds"])
    size = int(pitr.shell(f"du -sb {DATA} | cut -f1"))
    return [
        _figure("physical backup, less 1 s", taken["backup"], taken["bare backup"], f"{size / 2**20:.0f} MB cluster"),
        _figure("delta restore, less 1 s", taken["restore"], taken["bare restore"], "stop to open"),
    ]


def _timed(pitr: Any, *argv: str) -> float:
    begun = time.monotonic()
    pitr.host.run(*argv)
    return time.monotonic() - begun


def _good(outcome: dict[str, Any]) -> dict[str, Any]:
    if not outcome.get("changed") or outcome.get("failed"):
        raise RuntimeError(json.dumps(outcome))
    return outcome


def _figure(name: str, own: list[float], bare: list[float], about: str) -> Figure:
    ours, alone = statistics.median(own), statistics.median(bare)
    return Figure(name, max(0.0, ours - ALLOWED) / alone, 1.05, f"{ours:.1f} s / {alone:.1f} s; {about}")
