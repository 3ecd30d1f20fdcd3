# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host keeps of the last time that a system's primary was seen at work: evidence for when it is gone.

It is no part of the journal: no run promises or claims anything by it, and one that is lost costs an approval. Its time
is of the host's own clock, read before the primary was observed, so that its age needs no other one.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import JournalError
from ansible_collections.day2.ops.plugins.module_utils.failover.store import JournalFile
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import read_text
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import LsnError, parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339

SCHEMA = 1
# Of the whole file; a member takes about a hundred bytes.
LARGEST = 32 * 1024
_FIELDS = ("at", "primary", "system_identifier", "timeline", "lsn", "standbys")


@dataclass(frozen=True)
class Kept:
    """An observation, and what this host's clock said before it was made (POSIX seconds)."""

    observed: Mapping[str, Any]
    clock: float


def parse_observed(found: object) -> dict[str, Any]:
    """An observation of a request or a file; JournalError says what is wrong with it."""
    if not isinstance(found, Mapping) or set(found) != set(_FIELDS):
        raise JournalError(f"'observed' has to have {', '.join(_FIELDS)}, and nothing else")
    try:
        parse_rfc3339(found["at"])
        parse_lsn(str(found["lsn"]))
    except (ValueError, LsnError) as exc:
        raise JournalError(f"'observed': {exc}") from exc
    timeline, names = found["timeline"], (found["primary"], found["system_identifier"])
    if isinstance(timeline, bool) or not isinstance(timeline, int) or timeline < 1:
        raise JournalError(f"'observed': 'timeline' is {timeline!r}, expected a whole number of 1 or more")
    if not all(isinstance(name, str) and name for name in names) or not isinstance(found["standbys"], Mapping):
        raise JournalError("'observed': 'primary' and 'system_identifier' have to be texts, 'standbys' a mapping")
    return dict(found)


class ObservedFile:
    """Beside the journal of its system; a journal's name ends in .json."""

    def __init__(self, journal: JournalFile) -> None:
        self._journal = journal
        self.path = os.path.join(journal.root, f"{journal.system}.observed")

    def load(self) -> tuple[Kept | None, str]:
        """What is kept, or why that cannot be read: it proves nothing then, and the next one replaces it."""
        try:
            raw = json.loads(read_text(self.path, self._journal.trust))
            if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
                raise JournalError(f"its schema is not {SCHEMA}")
            return Kept(parse_observed(raw.get("observed")), _moment(raw.get("clock"))), ""
        except FileNotFoundError:
            return None, ""
        except (OSError, ValueError, Day2Error) as exc:
            return None, f"what was observed last cannot be read ({self.path}: {exc})"

    def keep(self, kept: Kept, now: float, wait: float, check_mode: bool = False) -> dict[str, Any]:
        """Keep it, unless what is there is newer. `now` is this host's clock. On disk when this returns."""
        text = json.dumps({"schema": SCHEMA, "clock": _moment(kept.clock), "observed": kept.observed}) + "\n"
        if len(text.encode()) > LARGEST:
            raise JournalError(f"'observed' takes {len(text.encode())} bytes, and at most {LARGEST} are kept")
        if kept.clock > now:
            return _answer(False, "it was observed in the future of this host: its clock was set back meanwhile")
        if check_mode:
            return self._put(text, kept, now, False)
        with self._journal.lock(wait, "an observation"):
            return self._put(text, kept, now, True)

    def _put(self, text: str, kept: Kept, now: float, writes: bool) -> dict[str, Any]:
        has, _why = self.load()
        # One of the future is of a clock that was set back: it would be kept for ever.
        if has is not None and kept.clock <= has.clock <= now:
            same = has == kept
            return _answer(same, "it is kept" if same else "what is kept is as new, or newer")
        if writes:
            try:
                sweep(self.path)
                write_atomic(self.path, text, 0o600)
            except OSError as exc:
                raise JournalError(f"{self.path} cannot be written: {exc.strerror}") from exc
        return {**_answer(True, "it is kept"), "changed": True}


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise JournalError(f"'clock' is {value!r}, expected seconds since 1970")
    return float(value)


def _answer(accepted: bool, text: str) -> dict[str, Any]:
    return {"changed": False, "accepted": accepted, "msg": text}


def told(journal: JournalFile, now: float) -> dict[str, Any]:
    """What `state: read` answers of it."""
    kept, why = ObservedFile(journal).load()
    found = {**kept.observed, "clock": kept.clock} if kept is not None else None
    return {"observed": found, "observed_error": why, "clock": now}
