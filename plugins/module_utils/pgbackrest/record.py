# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations of earlier restores, from which the next one is estimated. Pure, except reading and writing the file."""

from __future__ import annotations

import json
import os
import statistics
from dataclasses import asdict, dataclass
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic

_KEPT = 50
FILE = "day2-restores.json"


@dataclass(frozen=True)
class Past:
    """One restore: bytes and seconds of the files, segments and seconds of the recovery. `time` is POSIX seconds."""

    time: float
    stanza: str
    backup: str
    size: int
    restore_seconds: float
    segments: int
    recovery_seconds: float


def expected(past: Sequence[Past], stanza: str, size: int, segments: int) -> float | None:
    """Expected seconds, from the median of earlier rates; None before the first restore."""
    own = [run for run in past if run.stanza == stanza and run.size > 0]
    if not own:
        return None
    files = statistics.median(run.restore_seconds / run.size for run in own) * size
    replay = statistics.median(run.recovery_seconds / max(1, run.segments) for run in own) * max(1, segments)
    return round(files + replay, 1)


def load(folder: str) -> list[Past]:
    """Read the records; a file that cannot be read counts as empty."""
    try:
        with open(os.path.join(folder, FILE), encoding="utf-8") as stream:
            return [Past(**entry) for entry in json.load(stream)]
    except (OSError, ValueError, TypeError):
        return []


def remember(folder: str, past: Past) -> str | None:
    """Add a record. Returns a warning if that fails: the restore itself is done."""
    try:
        text = json.dumps([asdict(run) for run in [*load(folder), past][-_KEPT:]], indent=1)
        write_atomic(os.path.join(folder, FILE), text + "\n", 0o644)
    except OSError as exc:
        return f"what this restore took was not recorded in {folder}: {exc.strerror}"
    return None
