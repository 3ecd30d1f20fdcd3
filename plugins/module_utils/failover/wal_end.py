# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the WAL of a primary that is gone ends: what a failover lost is counted from there."""

from __future__ import annotations

import os
import re
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.local import QUESTION, Member
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn, parse_lsn

_RECORD = re.compile(rb"^rmgr: .*?len \(rec/tot\): +\d+/ *(\d+), .*?lsn: ([0-9A-F]+/[0-9A-F]+)")
_END = re.compile(r"error in WAL record at [0-9A-F]+/[0-9A-F]+: .*? at ([0-9A-F]+/[0-9A-F]+)")
_ALIGNED = 8


class LastRecord:
    """The end of the last record in the output of pg_waldump, whose last words name the place exactly. Pure."""

    def __init__(self) -> None:
        self._rest, self._last, self._end = b"", b"", ""

    def take(self, piece: bytes) -> None:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        self._last = next((line for line in reversed(whole) if line.startswith(b"rmgr:")), self._last)

    def end(self, remarks: Sequence[str]) -> None:
        self._end = next((match[1] for match in map(_END.search, reversed(remarks)) if match), "")

    @property
    def lsn(self) -> str | None:
        if self._end:
            return self._end
        match = _RECORD.match(self._last)
        if match is None:
            return None
        end = parse_lsn(match[2].decode()) + int(match[1])
        return format_lsn(-(-end // _ALIGNED) * _ALIGNED)


def wal_end(member: Member, timeline: int, since: str, limit: float = QUESTION) -> str | None:
    """Where the last whole record of a timeline ends in a member's own WAL, read from `since` (where one begins) on.

    None where there is none, or it cannot be read.
    """
    cluster, records = member.cluster, LastRecord()
    argv = [os.path.join(cluster.bin_dir, "pg_waldump"), "-p", os.path.join(cluster.data, "pg_wal")]
    try:
        # It ends with 1 at the first place that is no record.
        program = Program(
            [*cluster.prefix, *argv, "-t", str(timeline), "-s", since], name="pg_waldump", accepted=(0, 1)
        )
        run_pipeline([program], records.take, timeout=limit, remarks=records.end)
    except PipelineError:
        return None
    return records.lsn
