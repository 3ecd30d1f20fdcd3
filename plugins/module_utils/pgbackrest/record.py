# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What earlier restores took: the measure of how long the next one will. Pure, but for reading and writing the file."""

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
    """Seconds by the median of earlier rates; None when nothing was restored here yet."""
    own = [each for each in past if each.stanza == stanza and each.size > 0]
    if not own:
        return None
    files = statistics.median(each.restore_seconds / each.size for each in own) * size
    replay = statistics.median(each.recovery_seconds / max(1, each.segments) for each in own) * max(1, segments)
    return round(files + replay, 1)


def load(folder: str) -> list[Past]:
    """What is known; a file that cannot be read is as good as none."""
    try:
        with open(os.path.join(folder, FILE), encoding="utf-8") as stream:
            return [Past(**each) for each in json.load(stream)]
    except (OSError, ValueError, TypeError):
        return []


def remember(folder: str, past: Past) -> str | None:
    """Add one; what went wrong is a word for a warning, the restore is done all the same."""
    try:
        text = json.dumps([asdict(each) for each in [*load(folder), past][-_KEPT:]], indent=1)
        write_atomic(os.path.join(folder, FILE), text + "\n", 0o644)
    except OSError as exc:
        return f"what this restore took was not recorded in {folder}: {exc.strerror}"
    return None
