# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a restore in place, written before each step, and the state that a killed restore has left. Pure.

The journal lies beside the data directory, so that the next run knows which directory is whose. It names directories
by their last part only: whoever may write there cannot have another one moved or removed.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

_VERSION = 1
_STAMP = r"\d{8}T\d{6}(?:\.\d+)?"


class JournalError(Day2Error):
    """A file that is not a valid journal."""


class Step(str, Enum):
    """The step that is about to be done; after a kill it may be done or not."""

    STOP = "stop the server"
    PUT_ASIDE = "put the old files aside"
    RESTORE = "restore the files"
    RECOVER = "start and recover"


@dataclass(frozen=True)
class Journal:
    """`kept` is the name that the old files get, None where there are none or they are overwritten (`delta`);
    `archives` whether the restored cluster archives; `request` describes the options, equal for equal requests."""

    step: Step
    request: str
    identifier: str
    kept: str | None
    delta: bool
    was_running: bool
    archives: bool
    began: str

    def at(self, step: Step) -> Journal:
        return replace(self, step=step)

    def render(self) -> str:
        return json.dumps({"version": _VERSION, **asdict(self), "step": self.step.name.lower()}, indent=1) + "\n"


class Standing(Enum):
    """State of the data directory."""

    # A cluster that is not an unfinished restore: the old one, or one that was opened since.
    WHOLE = "whole"
    # Partly restored files, to which nobody has written: they may be removed.
    PARTIAL = "partial"
    # All files restored: the recovery can continue.
    RESTORED = "restored"
    # Old files, some of which were overwritten: only another restore makes them complete.
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True)
class Facts:
    """What exists: the directory, its pg_control, its recovery.signal, the kept directory."""

    data: bool
    control: bool
    signal: bool
    kept: bool


def standing(journal: Journal, facts: Facts) -> Standing:
    """pgBackRest writes pg_control last, and the server removes recovery.signal when it is opened."""
    unopened = facts.control and facts.signal
    if journal.delta:
        if journal.step is Step.RECOVER and unopened:
            return Standing.RESTORED
        begun = journal.step in (Step.RESTORE, Step.RECOVER)
        return Standing.OVERWRITTEN if begun and (not facts.control or facts.signal) else Standing.WHOLE
    in_place = journal.step in (Step.RESTORE, Step.RECOVER)
    ours = facts.kept if journal.kept is not None else in_place and facts.data
    if not ours or (facts.control and not facts.signal):
        return Standing.WHOLE
    return Standing.RESTORED if unopened and in_place else Standing.PARTIAL


def journal_path(data: str) -> str:
    folder, name = os.path.split(data.rstrip("/"))
    return os.path.join(folder, f".{name}.day2-restore.json")


def lock_path(data: str) -> str:
    folder, name = os.path.split(data.rstrip("/"))
    return os.path.join(folder, f".{name}.day2-restore.lock")


def discarded_path(data: str) -> str:
    """Where restored files are moved before they are removed, because removing takes longer than a rename."""
    folder, name = os.path.split(data.rstrip("/"))
    return os.path.join(folder, f".{name}.day2-discarded")


def is_kept(data: str, name: str) -> bool:
    """Whether a name beside a data directory is that of kept old files."""
    return bool(re.fullmatch(re.escape(os.path.basename(data.rstrip("/"))) + r"\." + _STAMP, name))


def parse_journal(text: str, data: str) -> Journal:
    """Parse a journal; JournalError if no run of this module wrote it."""
    try:
        said = _of_this_version(json.loads(text))
        kept = _kept(said["kept"], data)
        return Journal(
            step=Step[str(said["step"]).upper()],
            request=str(said["request"]),
            identifier=str(said["identifier"]),
            kept=kept,
            delta=_truth(said, "delta"),
            was_running=_truth(said, "was_running"),
            archives=_truth(said, "archives"),
            began=str(said["began"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise JournalError(
            f"{journal_path(data)} is no journal of a restore ({exc}): look at {data} and what lies beside it, and"
            " remove the journal when the data directory is as it should be"
        ) from exc


def _of_this_version(said: Any) -> Mapping[str, Any]:
    if not isinstance(said, dict) or said.get("version") != _VERSION:
        raise ValueError("it is of another version")
    return said


def _kept(name: Any, data: str) -> str | None:
    if name is not None and not is_kept(data, str(name)):
        raise ValueError(f"{name!r} is no name of kept files")
    return None if name is None else str(name)


def _truth(said: Mapping[str, Any], name: str) -> bool:
    if not isinstance(said[name], bool):
        raise ValueError(f"{name} is {said[name]!r}")
    return bool(said[name])


def describe(journal: Journal, stands: Standing, data: str, kept: str | None) -> str:
    """Message with the state of an interrupted restore and what to do. `kept` is the path of the old files, if any."""
    begun = f"a restore of {data} that began {journal.began} ({journal.request}) was interrupted"
    again = "run the same restore again to finish it"
    if stands is Standing.OVERWRITTEN:
        return f"{begun} while it overwrote the files: only another restore with 'keep_data' false makes them whole"
    if stands is Standing.WHOLE:
        where = f"was opened since; the old files are in {kept}" if kept else "has its old files, whole"
        return f"{begun}; {data} {where}"
    if kept:
        return f"{begun}; the old files are in {kept}: {again}, or go back to them with 'state' reverted"
    return f"{begun}; there is nothing to go back to: {again}"
