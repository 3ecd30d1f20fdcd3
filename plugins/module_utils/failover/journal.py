# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a failover as one host keeps it, and what the host accepts. Pure.

It is a register by ballots (Lamport, "The Part-Time Parliament"). A ballot is an epoch and the run that took it. A run
claims an epoch at a majority of the hosts: none of them accepts a lower one any more, and one of them has every list
of entries that an earlier run wrote to a majority. The run takes the `latest` of what they answer and writes it again
under its own epoch before it acts: so no entry that a majority acknowledged is ever lost.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339

SCHEMA = 1
# A system's name is that of its file.
SYSTEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_FIELDS = ("n", "epoch", "run", "step", "phase", "host", "about", "at")
# Of a run and of a step: one line that stands in messages.
_LONGEST = 200


class JournalError(Day2Error):
    """A journal or a request that cannot be what it says to be."""


class Superseded(JournalError):
    """Another run has taken over: whoever asks has to stop, and to change nothing more."""


class Phase(str, Enum):
    """`overridden`: an approver has let a rule be broken, with a reason."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    OVERRIDDEN = "overridden"


@dataclass(frozen=True, order=True)
class Ballot:
    """An epoch and whose it is. Epoch 0 is nobody's."""

    epoch: int = 0
    run: str = ""


@dataclass(frozen=True)
class Entry:
    """One line. `about` is data of the step; `at` is RFC 3339, for people: order is by `n`."""

    n: int
    epoch: int
    run: str
    step: str
    phase: Phase
    host: str | None
    about: Mapping[str, Any] = field(hash=False)
    at: str


@dataclass(frozen=True)
class Record:
    """What a host has promised, under which ballot its entries were written, and those."""

    promised: Ballot = Ballot()
    written: Ballot = Ballot()
    entries: tuple[Entry, ...] = ()


def ballot(epoch: object, run: object) -> Ballot:
    """Of a request or a file; JournalError where it cannot be one."""
    if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
        raise JournalError(f"'epoch' is {epoch!r}, expected a whole number of 1 or more")
    return Ballot(epoch, _line("run", run))


def refusal(record: Record, asked: Ballot) -> str | None:
    """Why a host that has promised what is recorded takes nothing from a run any more; None where it does."""
    held = record.promised
    if asked.epoch > held.epoch or asked == held:
        return None
    if asked.epoch == held.epoch:
        return (
            f"epoch {held.epoch} belongs to run {held.run}, not to run {asked.run}, which changes nothing here: claim a"
            " higher epoch, and go on from the journal"
        )
    return (
        f"run {held.run} has taken over with epoch {held.epoch}; run {asked.run} has epoch {asked.epoch} and changes"
        " nothing more here. Look at what that run does (state: status); a new run goes on from the journal"
    )


def promise(record: Record, asked: Ballot) -> Record:
    """The host's record after a claim; Superseded where it is refused. The run's own claim changes nothing."""
    reason = refusal(record, asked)
    if reason is not None:
        raise Superseded(reason)
    return Record(asked, record.written, record.entries)


def write(record: Record, asked: Ballot, entries: Sequence[Entry]) -> Record:
    """The host's record with a run's whole list, which is a promise too; Superseded where that is refused.

    Within an epoch lists only grow. An earlier part of what is written already is a late message: it changes nothing.
    """
    promised = promise(record, asked)
    fault = _fault(entries, asked)
    if fault is not None:
        raise JournalError(fault)
    if record.written == asked:
        shared = min(len(entries), len(record.entries))
        differs = next((n for n in range(shared) if entries[n] != record.entries[n]), None)
        if differs is not None:
            raise JournalError(
                f"entry {differs + 1} is not what run {asked.run} has written in epoch {asked.epoch}: within an epoch"
                " entries are only added. Two processes work as this run: end both, and start a new one"
            )
        if len(entries) <= len(record.entries):
            return promised
    return Record(asked, asked, tuple(entries))


def latest(records: Iterable[Record]) -> Record:
    """Of a majority's answers, the one whose entries a run takes over: of the highest epoch, then the longest."""
    return max(records, key=lambda record: (record.written.epoch, len(record.entries)), default=Record())


def majority(hosts: int) -> int:
    """How many of so many hosts have to answer."""
    return hosts // 2 + 1


def render(record: Record) -> dict[str, Any]:
    """As the file and results have it."""
    return {
        "schema": SCHEMA,
        "promised": asdict(record.promised),
        "written": asdict(record.written),
        "entries": [render_entry(entry) for entry in record.entries],
    }


def render_entry(entry: Entry) -> dict[str, Any]:
    return {**asdict(entry), "phase": entry.phase.value}


def parse(found: object) -> Record:
    """What `render` made; JournalError says what else it is."""
    if not isinstance(found, Mapping):
        raise JournalError("it is no object of JSON")
    if found.get("schema") != SCHEMA:
        raise JournalError(
            f"its schema is {found.get('schema')!r}, this version of day2.ops knows {SCHEMA}: use what wrote it"
        )
    promised, written = (_parse_ballot(found.get(name), name) for name in ("promised", "written"))
    entries = parse_entries(found.get("entries"))
    if written.epoch > promised.epoch or (written.epoch == promised.epoch and written != promised):
        raise JournalError(f"it was written in epoch {written.epoch}, which it has not promised")
    fault = _fault(entries, written)
    if fault is not None:
        raise JournalError(fault)
    return Record(promised, written, entries)


def parse_entries(found: object) -> tuple[Entry, ...]:
    """A list of entries of a request or a file; JournalError names the entry and the field."""
    if not isinstance(found, list):
        raise JournalError(f"'entries' is {type(found).__name__}, expected a list")
    return tuple(_parse_entry(entry, f"entry {n}") for n, entry in enumerate(found, 1))


def _parse_ballot(found: object, name: str) -> Ballot:
    if not isinstance(found, Mapping) or set(found) != {"epoch", "run"}:
        raise JournalError(f"'{name}' is {found!r}, expected an epoch and a run")
    if found == asdict(Ballot()):
        return Ballot()
    return ballot(found["epoch"], found["run"])


def _parse_entry(found: object, where: str) -> Entry:
    if not isinstance(found, Mapping) or set(found) != set(_FIELDS):
        raise JournalError(f"{where} has to have {', '.join(_FIELDS)}, and nothing else")
    try:
        taken = ballot(found["epoch"], found["run"])
        phase = Phase(found["phase"])
        parse_rfc3339(found["at"])
        step = _line("step", found["step"])
        host = None if found["host"] is None else _line("host", found["host"])
    except (ValueError, JournalError) as exc:
        raise JournalError(f"{where}: {exc}") from exc
    if not isinstance(found["about"], Mapping) or isinstance(found["n"], bool) or not isinstance(found["n"], int):
        raise JournalError(f"{where}: 'n' has to be a whole number, 'about' a mapping")
    return Entry(found["n"], taken.epoch, taken.run, step, phase, host, dict(found["about"]), str(found["at"]))


def _line(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST:
        raise JournalError(f"'{name}' is {value!r}, expected one line of text")
    return value


def _fault(entries: Sequence[Entry], asked: Ballot) -> str | None:
    """What is wrong with a list that is written under a ballot: a gap, an epoch of two runs or of the future."""
    runs, before = {asked.epoch: asked.run}, 1
    for n, entry in enumerate(entries, 1):
        if entry.n != n:
            return f"entry {n} has the number {entry.n}: entries are numbered from 1, without a gap"
        if not before <= entry.epoch <= asked.epoch:
            return f"entry {n} is of epoch {entry.epoch}, after one of {before} and written in {asked.epoch}"
        if runs.setdefault(entry.epoch, entry.run) != entry.run:
            return f"entry {n} is of run {entry.run}, and epoch {entry.epoch} belongs to run {runs[entry.epoch]}"
        before = entry.epoch
    return None
