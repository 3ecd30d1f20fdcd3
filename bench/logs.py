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
from typing import Any

from bench.measure import Figure, alternate, timed

SIZE = 2 << 30
MESSAGES = [b"INFO  [worker-%d] request %d served in %d ms"] * 90
MESSAGES += [b"WARN  [worker-%d] slow query %d took %d ms"] * 7
MESSAGES += [b"ERROR [worker-%d] order %d failed: upstream timeout after %d ms"] * 3

DAYS = 7
# Lines of about 75 bytes come in blocks of this many with one time.
BLOCK = 8000

# A pattern for the probe, and what gives the same count with grep.
PATTERNS: dict[str, tuple[str | None, list[str]]] = {
    "a word": ("ERROR", ["-c", "ERROR"]),
    "a choice of words": ("ERROR|FATAL", ["-cE", "ERROR|FATAL"]),
    "a word in any case": ("(?i)error", ["-ci", "error"]),
    "a word and a gap": ("ERROR.*timeout", ["-cE", "ERROR.*timeout"]),
    "a number": (r"took \d{4} ms", ["-cP", r"took \d{4} ms"]),
    "every line": (None, ["-c", ""]),
}


def write_log(path: Path) -> None:
    """The last week, in 2 GiB."""
    chance = random.Random(1)
    begin = time.time() - DAYS * 86400
    with path.open("wb") as log:
        while log.tell() < SIZE:
            moment = begin + DAYS * 86400 * log.tell() / SIZE
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)).encode()
            numbers = ((chance.randrange(64), chance.randrange(10**9), chance.randrange(5000)) for _line in range(1000))
            block = b"".join(stamp + b"Z " + chance.choice(MESSAGES) % number + b"\n" for number in numbers)
            log.write(block * (BLOCK // 1000))


def ask(path: Path, **arguments: object) -> dict[str, Any]:
    from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

    check = {"id": "log", "title": "T", "probe": "log", "path": str(path), "timeout": 120, **arguments}
    result: dict[str, Any] = run_checklist([check], deadline=130)["results"][0]
    return result


def compare(path: Path, pattern: str | None, arguments: list[str]) -> tuple[float, float]:
    """Seconds of the probe and of grep, which must count the same."""
    counts: dict[str, object] = {}

    def ours() -> None:
        counts["ours"] = ask(path, pattern=pattern)["value"]

    def grep() -> None:
        done = subprocess.run(["grep", *arguments, os.fspath(path)], capture_output=True, check=True)
        counts["grep"] = int(done.stdout)

    mine, theirs = alternate(3, lambda: timed(ours), lambda: timed(grep))
    if counts["ours"] != counts["grep"]:
        raise RuntimeError(f"{pattern}: counted {counts['ours']}, grep {counts['grep']}")
    return mine, theirs


def reach_back(path: Path) -> list[Figure]:
    """The last day of a week is found by seeking: it costs its own part of the file, and next to nothing to find."""
    figures = []
    for since, limit in (("24h", 0.5), ("30min", 0.2)):
        found: dict[str, Any] = {}
        mine, theirs = alternate(
            3,
            lambda since=since, found=found: timed(lambda: found.update(ask(path, pattern="ERROR", since=since))),
            lambda: timed(lambda: subprocess.run(["grep", "-c", "ERROR", path], capture_output=True, check=True)),
        )
        if not found["value"]:
            raise RuntimeError(found["message"])
        detail = f"{mine:.3f} s / grep of the whole file {theirs:.2f} s"
        figures.append(Figure(f"2 GB log, a word in the last {since}", mine / theirs, limit, detail))
    return figures


def run() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.log"
        write_log(path)
        for name, (pattern, arguments) in PATTERNS.items():
            mine, theirs = compare(path, pattern, arguments)
            figures.append(Figure(f"2 GB log, {name}", mine / theirs, 3, f"{mine:.2f} s / grep {theirs:.2f} s"))
        figures += reach_back(path)
        # A million different messages and values: memory, not time.
        ask(path, pattern=r"order (\d+)", metric="top_share")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [*figures, Figure("memory of the largest child", peak, 100, "grep included", "MB")]
