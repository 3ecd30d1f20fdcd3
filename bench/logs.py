# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A 2 GB log against `grep -c`."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from bench.measure import Figure, alternate, timed

SIZE = 2 << 30
MESSAGES = [b"INFO  [worker-%d] request %d served in %d ms"] * 90
MESSAGES += [b"WARN  [worker-%d] slow query %d took %d ms"] * 7
MESSAGES += [b"ERROR [worker-%d] order %d failed: upstream timeout after %d ms"] * 3

# A pattern for the probe, and what gives the same count with grep.
PATTERNS = {
    "a word": ("ERROR", ["-c", "ERROR"]),
    "a choice of words": ("ERROR|FATAL", ["-cE", "ERROR|FATAL"]),
    "a word in any case": ("(?i)error", ["-ci", "error"]),
    "a word and a gap": ("ERROR.*timeout", ["-cE", "ERROR.*timeout"]),
    "a number": (r"took \d{4} ms", ["-cP", r"took \d{4} ms"]),
}


def write_log(path: Path) -> None:
    chance = random.Random(1)
    moment = time.time() - 7 * 86400
    with path.open("wb") as log:
        while log.tell() < SIZE:
            moment += 27
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)).encode()
            numbers = ((chance.randrange(64), chance.randrange(10**9), chance.randrange(5000)) for _line in range(1000))
            block = b"".join(stamp + b"Z " + chance.choice(MESSAGES) % number + b"\n" for number in numbers)
            log.write(block * 8)


def compare(path: Path, pattern: str, arguments: list[str]) -> tuple[float, float]:
    """Seconds of the probe and of grep, which must count the same."""
    from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

    check = {"id": "log", "title": "T", "probe": "log", "path": str(path), "pattern": pattern, "timeout": 120}
    counts: dict[str, object] = {}

    def ours() -> None:
        counts["ours"] = run_checklist([check], deadline=130)["results"][0]["value"]

    def grep() -> None:
        done = subprocess.run(["grep", *arguments, os.fspath(path)], capture_output=True, check=True)
        counts["grep"] = int(done.stdout)

    mine, theirs = alternate(3, lambda: timed(ours), lambda: timed(grep))
    if counts["ours"] != counts["grep"]:
        raise RuntimeError(f"{pattern}: counted {counts['ours']}, grep {counts['grep']}")
    return mine, theirs


def run() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.log"
        write_log(path)
        for name, (pattern, arguments) in PATTERNS.items():
            mine, theirs = compare(path, pattern, arguments)
            figures.append(Figure(f"2 GB log, {name}", mine / theirs, 3, f"{mine:.2f} s / grep {theirs:.2f} s"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [*figures, Figure("memory of the largest child", peak, 100, "grep included", "MB")]
