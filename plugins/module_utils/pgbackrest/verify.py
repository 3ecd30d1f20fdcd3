# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of `pgbackrest verify`, from its output: its exit status is 0 whatever it finds. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import ANSWER, Line

_STATUS = re.compile(r"^status: (\w+)", re.MULTILINE)
_FAULTS = (
    (re.compile(r"^invalid checksum '?([^\s']+)"), "{0} has another checksum"),
    (re.compile(r"^invalid size '?([^\s']+)"), "{0} has another size"),
    (re.compile(r"^file missing '?([^\s']+)"), "{0} is missing"),
    (re.compile(r"^invalid result '?([^\s':]+)[':]*\s*(?:\[\d+\] )?(?:raised from \S+ protocol: )?(.*)"), "{0}: {1}"),
)
_COUNTS = re.compile(
    r"(archiveId|backup): ([^,\s]+)(?:, status: (\w+))?,"
    r" total (?:WAL|files) checked: (\d+), total valid (?:WAL|files): (\d+)"
)


@dataclass(frozen=True)
class Verdict:
    """`faults` names damaged files; without faults every file was read and matches its manifest."""

    faults: Sequence[str]
    files: int
    wal: int


def judge(lines: Sequence[Line]) -> Verdict:
    """Judge the log at level info and the verbose output. Without a summary with status ok nothing was verified."""
    faults = [fault for line in lines for fault in [_fault(line)] if fault]
    text = "\n".join(line.text for line in lines if line.level == ANSWER)
    files = wal = 0
    for kind, name, status, checked, valid in _COUNTS.findall(text):
        if kind == "backup":
            files += int(checked)
            if status not in ("valid", ""):
                faults.append(f"backup {name} is {status} ({valid} of {checked} files are valid)")
        else:
            wal += int(checked)
            if checked != valid:
                faults.append(f"WAL of {name}: {valid} of {checked} segments are valid")
    status = _STATUS.search(text)
    if status is None:
        faults.append("pgbackrest verify gave no summary")
    elif status[1] != "ok" and not faults:
        faults.append(f"pgbackrest verify says '{status[1]}'")
    faults += [line.text.split("\n")[0] for line in lines if line.level == "ERROR"]
    return Verdict(faults, files, wal)


def _fault(line: Line) -> str | None:
    first = line.text.split("\n")[0]
    for pattern, words in _FAULTS:
        match = pattern.match(first)
        if match:
            return words.format(*match.groups())
    return None
