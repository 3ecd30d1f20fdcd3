# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log rotated now: renamed, packed, and counted before and after, so that no line is missing."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.rotation import packing, pieces, written
from ansible_collections.day2.ops.plugins.module_utils.rotation.logrotate import LogrotateError, Runner
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import LOGROTATE, LogPolicyError, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import Outcome, tend

_CHUNK = 1 << 20
_COMMAND = 60.0


@dataclass
class Rotated:
    """Pieces that were made or packed, lines by log before and after, and what tending did."""

    pieces: list[str]
    before: dict[str, int]
    after: dict[str, int]
    outcome: Outcome
    missing: list[str] = field(default_factory=list)


def rotate(policy: Policy, path: str, place: Place, runner: Runner) -> Rotated:
    """Rotate, tend and count. LogrotateError where logrotate fails; what is wrong afterwards is in the result.

    A writer goes on meanwhile, so that there may be more lines afterwards, and never fewer. Counted are the files that
    are written to, and pieces that were not packed before; of those that were packed since, the lines that came out
    when they were compared.
    """
    earlier = {piece.plain: piece.form for piece in pieces.find(policy)}
    before = _lines(policy)
    if policy.renamed_by == LOGROTATE:
        if not os.path.exists(path):
            raise LogPolicyError(f"there is no {path}: have 'state: present' of this log first")
        runner.force(path)
    elif policy.reopen:
        _notify(policy)
    outcome = tend(place, policy.name)
    counts = {packed.path: packed.lines for packed in outcome.packed}
    after, found = _lines(policy), pieces.find(policy)
    for piece in found:
        if piece.is_packed and not earlier.get(piece.plain):
            after[piece.log] += counts[piece.path] if piece.path in counts else _unpacked_lines(piece.path)
    for going in outcome.removed:
        after[going.piece.log] += counts.get(going.piece.path, 0)
    # The new file of a writer that renames by itself is none yet.
    there = {piece.path for piece in (*packing.waiting(found), *(piece for piece in found if piece.form))}
    made = [piece.path for piece in found if piece.path in there and earlier.get(piece.plain) != piece.form]
    return Rotated(made, dict(before), dict(after), outcome, _missing(before, after))


def is_due(policy: Policy) -> bool:
    """Whether something was written since."""
    return any(pieces.sizes(policy).values())


def _missing(before: Counter[str], after: Counter[str]) -> list[str]:
    """What there was, against what there is, of each log; a log of another name takes no part in it."""
    return [
        f"{log} had {count} lines, and {after[log]} are left" for log, count in before.items() if after[log] < count
    ]


def _lines(policy: Policy) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in pieces.logs(policy):
        counts[path] += count_lines(path)
    for piece in pieces.find(policy):
        if not piece.form and piece.path != piece.log:
            counts[piece.log] += count_lines(piece.path)
    return counts


def count_lines(path: str) -> int:
    """Line ends in a file; none where it was packed meanwhile."""
    try:
        with written.opened(path) as stream:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_CHUNK), b""))
    except FileNotFoundError:
        return 0


def _unpacked_lines(path: str) -> int:
    """Of a piece that another run packed. What is encrypted cannot be read here."""
    if path.endswith(pieces.ENCRYPTED):
        raise LogrotateError(f"{path} was packed by another run meanwhile, and cannot be counted: run this once more")
    count = 0

    def sink(piece: bytes) -> None:
        nonlocal count
        count += piece.count(b"\n")

    with written.opened(path) as stream:
        run_pipeline([Program(["zstd", "-q", "-d", "-c"])], sink, stream)
    return count


def _notify(policy: Policy) -> None:
    try:
        run_pipeline([Program(policy.reopen)], lambda _piece: None, timeout=_COMMAND)
    except PipelineError as exc:
        raise LogrotateError(f"the writer of {policy.name} does not begin a new file: {exc}") from exc
