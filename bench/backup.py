# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup of 1.5 GB: the module against the manual's script, and against bare pg_dump and zstd with a digest.

All of it runs in one lab host, one after the other. Then the same into an S3 (moto, on this machine), and the memory of
the module's own process for a small database and for this one.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import boto3

from bench.measure import Figure

HOST = "options-engine-1"
PLACE = "/var/lib/postgresql/bench"
TICKS = """
CREATE TABLE ticks (at timestamptz NOT NULL, symbol text NOT NULL, bid numeric(12,4), ask numeric(12,4), size int,
  venue text, condition text, note text);
INSERT INTO ticks SELECT timestamptz '2026-01-01' + n * interval '1 second', 'SYM' || n % 500,
  (random() * 500)::numeric(12,4), (random() * 500)::numeric(12,4), (random() * 10000)::int,
  (ARRAY['NYSE','ARCA','CBOE'])[1 + n % 3], 'ORD-' || n, repeat(chr(97 + n % 26), 20)
  FROM generate_series(1, 4000000) n;
"""
SCRIPT = f"""set -eu; cd {PLACE}; rm -rf script copy; mkdir script copy
pg_dump -Fc big > script/big.dump; gzip script/big.dump; cp script/big.dump.gz copy/
gunzip -c copy/big.dump.gz > copy/big.dump; pg_restore --list copy/big.dump > /dev/null
stat -c %s script/big.dump.gz"""
BARE = f"set -eu; cd {PLACE}; pg_dump -Fc -Z0 big | zstd -q -3 -T0 | tee bare.zst | sha256sum; stat -c %s bare.zst"


def _in_host(lab_host: Any, script: str) -> tuple[float, str]:
    begun = time.monotonic()
    said = lab_host.run("runuser", "-u", "postgres", "--", "bash", "-o", "pipefail", "-c", script)
    return time.monotonic() - begun, said


def run() -> list[Figure]:
    from lab.environment import Lab
    from lab_host import LabHost

    lab = Lab("bench")
    lab.down()
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            lab_host = LabHost(lab, Path(folder))
            lab_host.sql("CREATE DATABASE big", "postgres")
            lab_host.run("runuser", "-u", "postgres", "--", "pgbench", "-iq", "-s", "70", "big")
            lab_host.sql(TICKS, "big")
            lab_host.sql("VACUUM ANALYZE", "big")
            lab_host.run("runuser", "-u", "postgres", "--", "mkdir", "-p", PLACE)
            size = int(lab_host.sql("SELECT pg_database_size('big')", "postgres"))
            return _measure(lab_host, size) + _s3(lab_host, lab.s3()) + _memory(lab_host)
    finally:
        lab.down()


def _backup(lab_host: Any, **arguments: Any) -> Any:
    call = {"databases": ["big"], "repository": f"{PLACE}/sets", "count_rows": False, "keep": {"last": 1}, **arguments}
    outcome = lab_host.task("day2.ops.pg_backup", call, become_user="postgres")
    if not outcome.get("made"):
        raise RuntimeError(json.dumps(outcome))
    return outcome


def _s3(lab_host: Any, endpoint: str) -> list[Figure]:
    """moto keeps objects in the memory of one Python process on the same two processors: a slow S3."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="bench")
    there = {"repository": "s3://bench/sets", "s3_endpoint_url": endpoint, "s3_access_key": "testing",
             "s3_secret_key": "testing"}  # fmt: skip
    local = statistics.median(_backup(lab_host, verify="none")["seconds"] for _time in range(2))
    remote = statistics.median(_backup(lab_host, verify="none", **there)["seconds"] for _time in range(2))
    return [Figure("to S3 against the local time", remote / local, 1.2, f"{remote:.1f} s / {local:.1f} s")]


def _memory(lab_host: Any) -> list[Figure]:
    lab_host.sql("CREATE DATABASE small", "postgres")
    lab_host.run("runuser", "-u", "postgres", "--", "pgbench", "-iq", "-s", "7", "small")
    small, large = (_most_memory(lab_host, name) for name in ("small", "big"))
    return [
        Figure("memory of the module's process", large, 200, f"{small:.0f} MB for 0.1 GB", unit="MB"),
        Figure("the same against a small database's", large / small, 1.2, f"{large:.0f} MB / {small:.0f} MB"),
    ]


def _most_memory(lab_host: Any, database: str) -> float:
    """Of the Python process that works, in MB, sampled while it does."""
    done, seen = threading.Event(), [0.0]

    def sample() -> None:
        while not done.wait(0.1):
            for line in lab_host.run("ps", "-u", "postgres", "-o", "rss=,comm=").split("\n"):
                rss, _space, name = line.strip().partition(" ")
                if name.strip().startswith("python"):
                    seen[0] = max(seen[0], int(rss) / 1024)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        _backup(lab_host, databases=[database], repository=f"{PLACE}/sets-{database}")
    finally:
        done.set()
        thread.join()
    return seen[0]


def _measure(lab_host: Any, size: int) -> list[Figure]:
    script, said = _in_host(lab_host, SCRIPT)
    script_size = int(said.split()[-1])
    ours, bare, verify, sizes = [], [], [], []
    for _time in range(2):
        bare.append(_in_host(lab_host, BARE)[0])
        outcome = _backup(lab_host)
        ours.append(outcome["seconds"])
        verify.append(outcome["verify_seconds"])
        sizes.append(outcome["set"]["size"])
    own, alone, proof = statistics.median(ours), statistics.median(bare), statistics.median(verify)
    detail = f"{size / 2**30:.2f} GB database"
    return [
        Figure(
            "faster than the manual's script",
            script / (own + proof),
            2.8,
            f"{script:.1f} s / {own + proof:.1f} s, verified; {detail}",
            at_least=True,
        ),
        Figure("against bare pg_dump | zstd", own / alone, 1.15, f"{own:.1f} s / {alone:.1f} s"),
        Figure("verify: read against the dump", proof / own, 0.5, f"{proof:.1f} s / {own:.1f} s"),
        Figure(
            "size against the script's",
            sizes[-1] / script_size,
            1.0,
            f"{sizes[-1] / 2**20:.0f} MB / {script_size / 2**20:.0f} MB",
        ),
    ]
