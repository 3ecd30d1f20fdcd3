# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sealed pieces of a log against their chain, while packing and removal go on."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Mapping, Sequence, Tuple

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.rotation import chain, packing, pieces
from ansible_collections.day2.ops.plugins.module_utils.rotation.ledger import ledger_of
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import LogPolicyError, Policy
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339

if TYPE_CHECKING:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place

# Chains that grow while their files are read; a run of packing adds to it a few times an hour.
_MOST = 100
_END_OF_TIME = 1e11
# Seconds after its record by which a piece has its name, so that nothing has to change the file later.
_PUBLISHED = 10.0
_HEAD = ("number", "digest", "at")
# Digests by the file as it was then: none is read twice.
_Known = Dict[Tuple[object, ...], chain.Seen]


@dataclass
class Verdict:
    """What is wrong with the pieces and their chain (sentences), its end, and how much of it was read.

    `anchor` is the newest head that left the host earlier; what happened after it is not claimed. `unreached` says why
    the log's repository could not be asked for its heads: what is said of the host holds without them.
    """

    faults: list[str]
    head: chain.Head
    anchor: chain.Head | None
    files: int
    size: int
    unreached: list[str] = field(default_factory=list)

    def describe(self, name: str) -> str:
        """What was verified and the head, where nothing is wrong."""
        read = f"{counted(self.files, 'sealed file')} ({format_bytes(self.size)})"
        return f"{name}: {read} as sealed; record {self.head.number} is the last, {self.head.digest}"


def parse_anchor(fields: Mapping[str, Any]) -> chain.Head:
    """A head that left the host earlier. Raises ValueError, which says what is expected."""
    if not isinstance(fields, Mapping) or set(fields) != set(_HEAD):
        raise ValueError(f"an entry has {', '.join(map(repr, fields)) or 'nothing'}, and needs {', '.join(_HEAD)}")
    number, digest, at = (fields[name] for name in _HEAD)
    if isinstance(number, bool) or re.fullmatch(r"\d{1,15}", str(number)) is None:
        raise ValueError(f"number {number!r} is no number of a record")
    if re.fullmatch(r"[0-9a-f]{64}", str(digest)) is None:
        raise ValueError(f"digest {digest!r} is not one of 64 hexadecimal digits")
    is_moment = isinstance(at, (int, float)) and not isinstance(at, bool)
    moment = float(at) if is_moment else parse_rfc3339(at)
    if not 0 <= moment < _END_OF_TIME:
        raise ValueError(f"at {at!r} is no time")
    return chain.Head(int(number), str(digest), moment)


def parse_anchors(raw: Sequence[Mapping[str, Any]]) -> list[chain.Head]:
    """LogPolicyError names the entry that is none."""
    found = []
    for place, fields in enumerate(raw, start=1):
        try:
            found.append(parse_anchor(fields))
        except ValueError as exc:
            raise LogPolicyError(f"'anchors' {place}: {exc}") from None
    return found


def verify(policy: Policy, place: Place, anchors: Sequence[chain.Head] = ()) -> Verdict:
    """All sealed pieces are read. `anchors` are heads that left the host earlier.

    Then it is compared with the heads in the log's repository. A log that is not sealed has no chain: LogPolicyError.
    """
    if not policy.sealed:
        raise LogPolicyError(f"{policy.name} is of class {policy.log_class}, which has no chain: only audit is sealed")
    verdict = _verify(policy, place, anchors, None)
    if policy.copy_to:
        _compare_with_copies(policy, place, verdict)
    return verdict


def glance(policy: Policy, place: Place, verified: float) -> list[str]:
    """What is wrong with sealed pieces, of which only those are read that somebody changed since they were sealed.

    That is told by the size and the time of the last change (ctime), which also a change of the owner sets;
    `verified` is when all of them were as they were sealed (POSIX seconds). Root can set the clock: it proves nothing.
    """
    return _verify(policy, place, (), verified).faults


def _verify(policy: Policy, place: Place, anchors: Sequence[chain.Head], verified: float | None) -> Verdict:
    known: _Known = {}
    end = None
    for _attempt in range(_MOST):
        read = ledger_of(place, policy)
        seen, unread = _seen(policy, read.records, known, verified)
        faults = [*read.faults, *unread, *chain.check(read.records, seen), *chain.compare(read.records, anchors)]
        before, end = end, chain.head(read.records)
        # A piece may be packed or removed between the two looks: what is wrong is so with a chain that stays.
        if not faults or end == before:
            break
    size = sum(found.size for found in seen.values())
    return Verdict(faults, chain.head(read.records), _newest(anchors), len(seen), size)


def _newest(anchors: Sequence[chain.Head | None]) -> chain.Head | None:
    return max((each for each in anchors if each is not None), key=lambda each: each.number, default=None)


def _compare_with_copies(policy: Policy, place: Place, verdict: Verdict) -> None:
    from ansible_collections.day2.ops.plugins.module_utils.rotation import copies

    try:
        heads, faults = copies.heads(policy, place.identity(make=False))
    except (Day2Error, OSError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        verdict.unreached.append(f"the chain cannot be compared with the heads in 'copy_to': {why}")
        return
    if verdict.head.number and not heads:
        # A file system that is not mounted is an empty directory.
        verdict.unreached.append("there is no head of the chain in 'copy_to' to compare it with: is its storage there?")
    # Read after them: a head is brought there when its record is in the chain.
    found = [*faults, *chain.compare(ledger_of(place, policy).records, heads)]
    verdict.faults += [fault for fault in found if fault not in verdict.faults]
    verdict.anchor = _newest([verdict.anchor, *heads])


def _seen(
    policy: Policy, records: Sequence[chain.Record], known: _Known, verified: float | None
) -> tuple[dict[str, chain.Seen], list[str]]:
    """Sealed files by path, and those that cannot be read. What was compressed before there was a policy is none."""
    expected, last = chain.present(records), {record.path: record for record in records}
    found = {piece.path for piece in pieces.find(policy) if piece.form == pieces.ENCRYPTED}
    seen, unread = {}, []

    def look(path: str) -> chain.Seen | None:
        record = last.get(path) if verified is not None else None
        return _unchanged(path, record, verified or 0.0) or _digest(path, known)

    for path in sorted(found.union(expected)):
        try:
            digest = look(path)
            if digest is None and path in expected:
                # Put in its place meanwhile, or still under the other name: a piece is on record before.
                digest = _being_packed(expected[path]) or look(path)
        except OSError as exc:
            unread.append(f"{path} cannot be read: {exc.strerror}")
            continue
        if digest is not None:
            seen[path] = digest
    return seen, unread


def _unchanged(path: str, record: chain.Record | None, verified: float) -> chain.Seen | None:
    """What is on record of a file, where nothing was changed since."""
    if record is not None:
        with suppress(FileNotFoundError), packing.pinned(path) as (folder, name):
            status = os.lstat(os.path.join(folder, name))
            is_settled = status.st_ctime <= max(record.at + _PUBLISHED, verified)
            if stat.S_ISREG(status.st_mode) and status.st_size == record.size and is_settled:
                return chain.Seen(record.size, record.sha256)
    return None


def _digest(path: str, known: _Known) -> chain.Seen | None:
    with suppress(FileNotFoundError), packing.pinned(path) as (folder, name):
        place = os.path.join(folder, name)
        status = os.lstat(place)
        if not stat.S_ISREG(status.st_mode):
            return None
        key = (path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if key not in known:
            known[key] = packing.digest_of(place)
        return known[key]
    return None


def _being_packed(record: chain.Record) -> chain.Seen | None:
    plain = record.path[: -len(pieces.ENCRYPTED)]
    with suppress(FileNotFoundError):
        made = packing.made(pieces.Piece(plain, plain, record.rotated, "", record.plain_size))
        return made if made == chain.Seen(record.size, record.sha256) else None
    return None
