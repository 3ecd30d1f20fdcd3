# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of all logs writes down when it has found nothing to do, so that the next ones see that in no time.

A piece comes and goes by its directory, which then changes; it grows too old at a time that is known; a class grows too
large by the files that are written to. What changes without a trace of that kind is not quiet: logs that their writers
rename, copies in a repository, directories that a pattern finds. Whatever else there may be, a whole run finds it in
six hours at the latest.
"""

from __future__ import annotations

import glob
import os
import sys
from contextlib import suppress
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.rotation import pieces, quiet
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import CLASSES, LOGROTATE, Policy

# Seconds for which nothing is taken to be due at most.
_LONGEST = 6 * 3600.0
# What changed within so many seconds may change again, and have the same times afterwards.
_FRESH = 2.0


def forget(place: Place) -> None:
    """A whole run has begun. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(place.quiet)


def signatures(place: Place, policies: Sequence[Policy]) -> dict[bytes, bytes]:
    """Policies and where they are, directories of logs, and this program: another one may find what it does not.

    Empty of what cannot be looked at, as a module of Ansible, which is a name in an archive.
    """
    paths = [place.policies.directory, *map(place.policies.path, place.policies.names()), os.path.abspath(sys.argv[0])]
    paths += [os.path.dirname(path) for policy in policies for path in policy.paths]
    return {os.fsencode(path): _signature(os.fsencode(path)) for path in paths}


def _signature(path: bytes) -> bytes:
    try:
        return quiet.signature(path)
    except OSError:
        return b""


def write_down(place: Place, policies: Sequence[Policy], before: dict[bytes, bytes], now: float) -> None:
    """After a run that has found nothing to do, and begun with these signatures. Raises OSError."""
    same = signatures(place, policies)
    if same != before or b"" in same.values() or not all(map(_is_plain, policies)) or _is_fresh(same, now):
        return
    until, limits = now + _LONGEST, []
    for log_class in CLASSES:
        members = [policy for policy in policies if policy.log_class == log_class]
        current = [os.fsencode(path) for policy in members for path in pieces.sizes(policy)]
        kept = [(policy, piece) for policy in members for piece in pieces.find(policy)]
        if any(not piece.form for _policy, piece in kept) or any(b"\n" in path for path in current):
            return
        until = min([until, *(_due(policy, piece, now) for policy, piece in kept)])
        if current:
            room = max(policy.max_size for policy in members) - sum(piece.size for _policy, piece in kept)
            limits.append((room, current))
    holds = [hold.until for policy in policies for hold in policy.holds if hold.until > now]
    write_atomic(place.quiet, quiet.written(min([until, *holds]), same, limits), 0o600)
    os.utime(place.quiet, (now, now))


def _due(policy: Policy, piece: Piece, now: float) -> float:
    """When a piece is too old. One that is so already is held."""
    due = piece.rotated + policy.max_age
    return due if due > now else now + _LONGEST


def _is_fresh(same: dict[bytes, bytes], now: float) -> bool:
    times = [int(time) for seen in same.values() for time in seen.split(b":")[2:]]
    return max(times, default=0) > (now - _FRESH) * 1e9


def _is_plain(policy: Policy) -> bool:
    """Whether all that may concern a log shows in its directories and sizes."""
    if policy.renamed_by != LOGROTATE or policy.copy_to:
        return False
    return not any(glob.has_magic(os.path.dirname(path)) or "\n" in path for path in policy.paths)
