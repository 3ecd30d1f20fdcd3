# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chain of digests over the packed pieces of a log: an edit, a removal or another order of them shows. Pure.

Each record has the digest of the one before it, so that the last one, the head, stands for all. Whoever may write to
the host can write the whole chain anew; a head that left the host earlier shows that. What happened after the newest
such head, and was done by root, shows nowhere.

Linked time-stamping: S. Haber, W. S. Stornetta, "How to time-stamp a digital document", Journal of Cryptology 3 (1991).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Iterable, Mapping, Sequence

SEALED, REMOVED = "sealed", "removed"
_FIRST = "0" * 64
_KINDS: Mapping[Any, Any] = {"int": int, "float": (int, float), "str": str}


@dataclass(frozen=True)
class Record:
    """One link. `sha256` and `size` are of the packed file, `lines` and `plain_size` of what went in.

    `at` is when the record was made, `rotated` when the piece was renamed (POSIX seconds). `why` is of a removal.
    """

    number: int
    action: str
    path: str
    sha256: str
    size: int
    lines: int
    plain_size: int
    rotated: float
    at: float
    before: str
    why: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The end of a chain, as it may be kept elsewhere. An empty chain has number 0."""

    number: int
    digest: str
    at: float


@dataclass(frozen=True)
class Seen:
    """A file as it is on the disk."""

    size: int
    sha256: str


def head(records: Sequence[Record]) -> Head:
    return Head(records[-1].number, records[-1].digest, records[-1].at) if records else Head(0, _FIRST, 0.0)


def link(records: Sequence[Record], action: str, at: float, **fields: Any) -> Record:
    """The record that comes next."""
    end = head(records)
    return Record(number=end.number + 1, action=action, at=at, before=end.digest, **fields)


def render(record: Record) -> str:
    return json.dumps({**asdict(record), "digest": record.digest}, sort_keys=True) + "\n"


def parse(text: str) -> tuple[list[Record], list[str], int]:
    """Records, what is wrong with them, and how many characters are whole lines.

    A last line without an end was being written when its writer was killed: it is no fault, and no record.
    """
    records: list[Record] = []
    faults: list[str] = []
    whole = text.rfind("\n") + 1
    for place, line in enumerate(text[:whole].splitlines(), start=1):
        try:
            values = json.loads(line)
            digest = values.pop("digest")
            record = _record(values)
        except (ValueError, TypeError, KeyError, AttributeError):
            faults.append(f"line {place} of the chain is no record")
            continue
        if record.digest != digest:
            faults.append(f"record {record.number} ({record.path}) was edited")
        end = head(records)
        if record.number != end.number + 1:
            faults.append(f"record {record.number} comes after record {end.number}: records are missing or in disorder")
        elif record.before != end.digest:
            faults.append(f"record {record.number} does not follow from record {end.number}: one of them was replaced")
        records.append(record)
    return records, faults, whole


def _record(values: Mapping[str, Any]) -> Record:
    record = Record(**values)
    for each in fields(record):
        if not isinstance(getattr(record, each.name), _KINDS[each.type]):
            raise TypeError(each.name)
    return record


def present(records: Iterable[Record]) -> dict[str, Record]:
    """The pieces that have to be there, by path."""
    found: dict[str, Record] = {}
    for record in records:
        if record.action == SEALED:
            found[record.path] = record
        else:
            found.pop(record.path, None)
    return found


def check(records: Sequence[Record], seen: Mapping[str, Seen]) -> list[str]:
    """What is wrong with the files. `seen` are all packed pieces on the disk, by path."""
    faults = []
    expected = present(records)
    for path, record in expected.items():
        there = seen.get(path)
        if there is None:
            faults.append(f"{path} (record {record.number}) is gone, and no record says that it was removed")
        elif there.size != record.size:
            faults.append(f"{path} (record {record.number}) has {there.size} bytes and had {record.size}")
        elif there.sha256 != record.sha256:
            faults.append(f"{path} (record {record.number}) has other bytes than were sealed")
    # A removal is on record before it is made, and a kill may have come in between.
    removed = {record.path: Seen(record.size, record.sha256) for record in records if record.action == REMOVED}
    faults += [f"{path} is in no record: it was put there, or its record was removed" for path, found in seen.items()
               if path not in expected and removed.get(path) != found]  # fmt: skip
    return faults


def compare(records: Sequence[Record], anchors: Sequence[Head]) -> list[str]:
    """What is wrong with the chain by `anchors`, heads that left the host earlier."""
    faults = []
    by_number = {record.number: record for record in records}
    for anchor in anchors:
        if anchor.number == 0:
            continue
        known = by_number.get(anchor.number)
        if known is None:
            faults.append(f"the chain ends at record {head(records).number}, and record {anchor.number} was known"
                          " elsewhere: its end was cut off")  # fmt: skip
        elif known.digest != anchor.digest:
            faults.append(f"record {anchor.number} is another one than was known elsewhere: the chain was written anew")
    return faults
