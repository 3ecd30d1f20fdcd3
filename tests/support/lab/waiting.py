# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting is a predicate and a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class WaitTimeout(Exception):
    """The limit passed; the message carries the last state seen."""


def wait_for(state: Callable[[], T], until: Callable[[T], bool], limit: float, what: str, pause: float = 0.1) -> T:
    """Ask for the state until it satisfies, for at most `limit` seconds; return the state."""
    end = time.monotonic() + limit
    while True:
        seen = state()
        if until(seen):
            return seen
        if time.monotonic() >= end:
            raise WaitTimeout(f"{what}: not within {limit:g} s, last seen: {seen}")
        time.sleep(pause)


def wait_for_end(pid: int, limit: float, what: str) -> None:
    """Wait until the process is gone, or is a zombie of whoever should collect it."""
    wait_for(lambda: _runs(pid), lambda runs: not runs, limit, what)


def _runs(pid: int) -> bool:
    # A process that ends between opening and reading is ESRCH, not a missing file.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
