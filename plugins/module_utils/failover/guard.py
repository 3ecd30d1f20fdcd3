# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first act of whatever changes something in a failover: a run that was superseded changes nothing on this host."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import (
    JournalError,
    Superseded,
    ballot,
    promise,
    refusal,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.store import ROOT, JournalFile
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import ROOT_ONLY, Trust

# The options of fragment `failover`, for the argument spec of a module that changes something.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "system": {"type": "str"},
    "epoch": {"type": "int"},
    "run": {"type": "str"},
}
TOGETHER = [("system", "epoch", "run")]


@contextmanager
def acting(
    system: str | None,
    epoch: int | None,
    run: str | None,
    limit: float,
    check_mode: bool = False,
    root: str = ROOT,
    trust: Trust = ROOT_ONLY,
) -> Iterator[None]:
    """Hold the host's lock while a run acts here. Superseded where a higher epoch, or this one's owner, is another run.

    A higher epoch than the host knows is promised, on disk, before anything is done. `limit` is seconds that another
    run's act is waited for. Check mode refuses the same and writes nothing. Without system, epoch and run a person acts
    by hand, and nobody is asked.
    """
    if system is None and epoch is None and run is None:
        yield
        return
    if system is None or epoch is None or run is None:
        raise JournalError("'system', 'epoch' and 'run' belong together: give all of them or none")
    asked, journal = ballot(epoch, run), JournalFile(system, root, trust)
    if check_mode:
        reason = refusal(journal.load(), asked)
        if reason is not None:
            raise Superseded(reason)
        yield
        return
    with journal.lock(limit, f"run {run}, epoch {epoch}"):
        record = journal.load()
        promised = promise(record, asked)
        if promised != record:
            journal.save(promised)
        yield
