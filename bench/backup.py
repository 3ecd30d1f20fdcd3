# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup of 1.5 GB: the module against the manual's script, and against bare pg_dump and zstd with a digest.

All of it runs in one lab host, by turns. Then the same into an S3 (moto, on this machine) beside plain uploads of the
same bytes, and the memory of the module's own processes for a small database and for this one; for one of 5 GB too,
when `DAY2_SIZES` (GB, with commas) has it.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import boto3

from bench.measure import Figure, alternate

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
# The files of the newest set at once, as the module does, without anything else.
PLAIN = """
import boto3, glob, sys, time
from concurrent.futures import ThreadPoolExecutor
endpoint, place = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="testing",
                      aws_secret_access_key="testing")
newest = max(glob.glob(place + "/sets/postgresql/2*"))
contents = [open(path, "rb").read() for path in glob.glob(newest + "/db001/*")]
begun = time.monotonic()
with ThreadPoolExecutor(2) as pool:
    for number, content in enumerate(contents):
        pool.submit(client.put_object, Bucket="bench", Key=f"plain{number}", Body=content)
print(time.monotonic() - begun)
"""
RUNS = 2
BARE = f"set -eu; cd {PLACE}; pg_dump -Fc -Z0 big | zstd -q -1 -T0 | tee bare.zst | sha256sum; stat -c %s bare.zst"


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
            _made(lab_host, "big", 70, 4_000_000)
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

    def plain() -> float:
        return float(lab_host.run("runuser", "-u", "postgres", "--", "python3", "-c", PLAIN, endpoint, PLACE))

    local, remote, server = alternate(
        RUNS,
        lambda: float(_backup(lab_host, verify="none")["seconds"]),
        lambda: float(_backup(lab_host, verify="none", **there)["seconds"]),
        plain,
    )
    about = f"{remote:.1f} s / {local:.1f} s"
    return [
        Figure("to S3 against the local time", remote / local, 1.2, about),
        Figure("the same less plain uploads", (remote - server) / local, 1.2, f"{about}, {server:.1f} s of it plain"),
    ]


def _memory(lab_host: Any) -> list[Figure]:
    found = {"1.5 GB": _most_memory(lab_host, "big")}
    _made(lab_host, "small", 7, 0)
    found["0.1 GB"] = _most_memory(lab_host, "small")
    if "5" in os.environ.get("DAY2_SIZES", "").split(","):
        lab_host.sql("DROP DATABASE big", "postgres")
        _made(lab_host, "large", 235, 13_000_000)
        found["5 GB"] = _most_memory(lab_host, "large")
    together = {name: whole for name, (_largest, whole) in found.items()}
    largest = {name: one for name, (one, _whole) in found.items()}
    return [
        Figure("memory of the module's processes", max(together.values()), 200, _describe(together), unit="MB"),
        Figure(
            "the largest against a small database's", max(largest.values()) / largest["0.1 GB"], 1.2, _describe(largest)
        ),
    ]


def _describe(found: dict[str, float]) -> str:
    return ", ".join(f"{megabytes:.0f} MB for {name}" for name, megabytes in found.items())


def _made(lab_host: Any, name: str, scale: int, ticks: int) -> None:
    lab_host.sql(f"CREATE DATABASE {name}", "postgres")
    lab_host.run("runuser", "-u", "postgres", "--", "pgbench", "-iq", "-s", str(scale), name)
    lab_host.sql(TICKS.replace("4000000", str(ticks)), name)
    lab_host.sql("VACUUM ANALYZE", name)


def _most_memory(lab_host: Any, database: str) -> tuple[float, float]:
    """In MB, of the largest Python process and of all together (shared pages count in both), while they work."""
    done, seen = threading.Event(), [0.0, 0.0]

    def sample() -> None:
        while not done.wait(0.1):
            lines = [line.split() for line in lab_host.run("ps", "-u", "postgres", "-o", "rss=,comm=").split("\n")]
            own = [int(words[0]) / 1024 for words in lines if len(words) > 1 and words[1].startswith("python")]
            seen[:] = [max(seen[0], *own, 0.0), max(seen[1], sum(own))]

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        _backup(lab_host, databases=[database], repository=f"{PLACE}/sets-{database}")
    finally:
        done.set()
        thread.join()
    return seen[0], seen[1]


def _measure(lab_host: Any, size: int) -> list[Figure]:
    own_seconds, verify, sizes = [], [], [0, 0]

    def script() -> float:
        seconds, said = _in_host(lab_host, SCRIPT)
        sizes[0] = int(said.split()[-1])
        return seconds

    def ours() -> float:
        outcome = _backup(lab_host)
        own_seconds.append(outcome["seconds"])
        verify.append(outcome["verify_seconds"])
        sizes[1] = outcome["set"]["size"]
        return float(outcome["seconds"] + outcome["verify_seconds"])

    manual, alone, whole = alternate(RUNS, script, lambda: _in_host(lab_host, BARE)[0], ours)
    own, proof = statistics.median(own_seconds), statistics.median(verify)
    detail = f"{size / 2**30:.2f} GB database"
    return [
        Figure(
            "faster than the manual's script",
            manual / whole,
            2.0,
            f"{manual:.1f} s / {whole:.1f} s, verified; {detail}",
            at_least=True,
        ),
        Figure("against bare pg_dump | zstd", own / alone, 1.15, f"{own:.1f} s / {alone:.1f} s"),
        Figure("verify: read against the dump", proof / own, 0.5, f"{proof:.1f} s / {own:.1f} s"),
        Figure(
            "size against the script's",
            sizes[1] / sizes[0],
            1.25,
            f"{sizes[1] / 1e6:.1f} MB / {sizes[0] / 1e6:.1f} MB",
        ),
    ]
