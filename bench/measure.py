# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a benchmark measures: figures, each beside its baseline of the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for _place in (ROOT / ".collections", ROOT / "tests" / "support"):
    if str(_place) not in sys.path:
        sys.path.insert(0, str(_place))


@dataclass
class Figure:
    """`value` against `limit`: at most it, or with `at_least` no less. `detail` says what was divided by what."""

    name: str
    value: float
    limit: float
    detail: str
    unit: str = "x"
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def timed(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def command(argv: Sequence[str], good: tuple[int, ...] = (0,)) -> float:
    """Seconds of a whole process; it must end with one of these statuses."""
    begun = time.monotonic()
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in good:
        raise RuntimeError(f"{argv[0]} exited with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.monotonic() - begun


def processor(argv: Sequence[str]) -> float:
    """Seconds of processor time (user and system) of a process and of the children that it waited for."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            said = output.read().decode(errors="replace")[-3000:]
            raise RuntimeError(f"{argv[0]} exited with {process.returncode}:\n{said}")
    return usage.ru_utime + usage.ru_stime


def alternate(runs: int, *works: Callable[[], float]) -> list[float]:
    """Medians of works that take turns, so that a noisy moment hits all of them."""
    taken: list[list[float]] = [[] for _work in works]
    for _run in range(runs):
        for seconds, work in zip(taken, works):
            seconds.append(work())
    return [statistics.median(seconds) for seconds in taken]
