# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores of 0.1, 1.5 and 5 GB into the place of a live database, in one lab host.

How long an application that queries every 50 ms gets no answer, and the load phase against the manual's way. Sizes for
which the disk has no room are left out, and said; `DAY2_SIZES` (GB, with commas) chooses among them.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.backup import TICKS
from bench.measure import Figure

HOST = "options-engine-1"
PLACE = "/var/lib/postgresql/bench"
# GB of the database: pgbench's scale, rows of ticks.
SIZES = {0.1: (4, 300_000), 1.5: (70, 4_000_000), 5.0: (235, 13_000_000)}
# The one at which loading is compared, and how often.
COMPARED, RUNS = 1.5, 2
# Live, restored, the manual's copy and its unpacked dump; WAL beside.
ROOM = 5 * 2**30
MANUAL = f"""set -eu; cd {PLACE}; dropdb --if-exists manual; createdb -T template0 manual
gunzip -c manual.dump.gz > manual.dump; pg_restore -d manual manual.dump; rm manual.dump"""
CLIENT = """
import json, os, sys, time, psycopg2
longest, answered, connection = 0.0, time.monotonic(), None
while not os.path.exists(sys.argv[1]):
    try:
        if connection is None:
            connection = psycopg2.connect(dbname='big')
            connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute('SELECT abalance FROM pgbench_accounts WHERE aid = 1')
            cursor.fetchone()
        now = time.monotonic()
        longest, answered = max(longest, now - answered), now
    except psycopg2.Error:
        connection = None
    time.sleep(0.05)
print(json.dumps(longest))
"""


@dataclass
class Measured:
    """Of one size: seconds."""

    size: int = 0
    unanswered: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    verify: list[float] = field(default_factory=list)
    manual: list[float] = field(default_factory=list)


def run() -> list[Figure]:
    from lab.environment import Lab
    from lab_host import LabHost

    lab = Lab("bench-restore")
    lab.down()
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            lab_host = LabHost(lab, Path(folder))
            return _figures({size: _measure(lab_host, size) for size in _sizes()})
    finally:
        lab.down()


def _sizes() -> list[float]:
    chosen = [float(each) for each in os.environ.get("DAY2_SIZES", "").split(",") if each] or list(SIZES)
    free = shutil.disk_usage("/var/lib").free
    fitting = [size for size in chosen if size * ROOM < free]
    for size in set(chosen) - set(fitting):
        print(f"  {size} GB left out: {free / 2**30:.0f} GB are free", flush=True)
    return fitting


def _in_host(lab_host: Any, script: str) -> float:
    begun = time.monotonic()
    lab_host.run("runuser", "-u", "postgres", "--", "bash", "-o", "pipefail", "-euc", script)
    return time.monotonic() - begun


def _measure(lab_host: Any, size: float) -> Measured:
    scale, rows = SIZES[size]
    _in_host(lab_host, f"rm -rf {PLACE}; mkdir -p {PLACE}; dropdb --if-exists -f big; createdb big")
    _in_host(lab_host, f"pgbench -iq -s {scale} big 2> /dev/null")
    lab_host.sql(TICKS.replace("4000000", str(rows)), "big")
    lab_host.sql("CREATE INDEX ON ticks (symbol, at)", "big")
    lab_host.sql("VACUUM ANALYZE", "big")
    measured = Measured(int(lab_host.sql("SELECT pg_database_size('big')", "postgres")))
    _task(lab_host, "day2.ops.pg_backup", databases=["big"], verify="none")
    compared = size == COMPARED
    if compared:
        _in_host(lab_host, f"cd {PLACE}; pg_dump -Fc big > manual.dump; gzip -1 manual.dump")
    for _run in range(RUNS if compared else 1):
        if compared:
            measured.manual.append(_in_host(lab_host, MANUAL))
            _in_host(lab_host, "dropdb manual; psql -Xqc CHECKPOINT")
        _replace(lab_host, measured)
    _in_host(lab_host, "dropdb -f big; psql -Xqc CHECKPOINT")
    return measured


def _replace(lab_host: Any, measured: Measured) -> None:
    stop = f"{PLACE}/stop"
    client = lab_host.start("runuser", "-u", "postgres", "--", "python3", "-c", CLIENT, stop)
    try:
        outcome = _task(lab_host, "day2.ops.pg_restore", database="big", mode="replace", scratch=PLACE)
    finally:
        _in_host(lab_host, f"touch {stop}")
        said, _nothing = client.communicate(timeout=60)
        _in_host(lab_host, f"rm {stop}")
    measured.unanswered.append(float(said))
    measured.load.append(outcome["phases"]["load"])
    measured.verify.append(outcome["phases"]["verify"])
    print(f"  {measured.size / 2**30:.2f} GB: {json.dumps(outcome['phases'])}", flush=True)
    _in_host(lab_host, f"dropdb -f '{outcome['old']}'; psql -Xqc CHECKPOINT")


def _task(lab_host: Any, name: str, **arguments: Any) -> Any:
    outcome = lab_host.task(name, {"repository": f"{PLACE}/sets", **arguments}, become_user="postgres")
    if outcome.get("failed"):
        raise RuntimeError(json.dumps(outcome))
    return outcome


def _figures(found: dict[float, Measured]) -> list[Figure]:
    figures = [
        Figure(f"unanswered, {size:g} GB", max(each.unanswered), 2.0, f"{each.size / 2**30:.2f} GB database", unit="s")
        for size, each in found.items()
    ]
    if len(found) > 1:
        sizes = sorted(found)
        grown = max(found[sizes[-1]].unanswered) - min(found[sizes[0]].unanswered)
        about = f"{sizes[-1]:g} GB less {sizes[0]:g} GB"
        figures.append(Figure("it does not grow", max(0.0, grown), 0.5, about, unit="s"))
    if COMPARED in found:
        each = found[COMPARED]
        manual, load, verify = (statistics.median(times) for times in (each.manual, each.load, each.verify))
        detail = f"{manual:.1f} s / {load:.1f} s; verified in {verify:.1f} s"
        figures.append(Figure("load against the manual's", manual / load, 1.15, detail, at_least=True))
    return figures
