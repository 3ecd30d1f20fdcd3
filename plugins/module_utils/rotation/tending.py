# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the pieces of logs: packed, sealed, and gone when their time is over. By a timer, without Ansible.

One run at a time, under a lock. What a kill interrupts, the next run finishes; what is wrong with one log keeps no
other from being tended.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Callable, Container, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.opened import writers
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.rotation import chain, packing, pieces, resting, written
from ansible_collections.day2.ops.plugins.module_utils.rotation.ledger import Ledger, LedgerError, ledger_of
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import WRITER, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.retention import Decision, Going, decide

# Seconds that a writer may take to reopen its log, and its command to end.
_REOPEN, _COMMAND = 10.0, 60.0
_POLL = 0.2
# Seconds by which time goes on between two runs at most, for what is removed.
_LEAP = 7 * 86400.0
_FORMS = (pieces.PACKED, pieces.ENCRYPTED)


@dataclass
class Outcome:
    """What was done, or (a plan) would be. `faults` are sentences, the worst of what policies could not do."""

    packed: list[packing.Packed] = field(default_factory=list)
    removed: list[Going] = field(default_factory=list)
    held: list[Going] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    # Pieces that a plan would pack.
    waiting: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.packed or self.removed or self.copied or self.waiting)


def tend(
    place: Place, only: str | None = None, planning: bool = False, clock: Callable[[], float] = time.time
) -> Outcome:
    """All logs, or the one of a name. Raises Locked where another run is at it for too long."""
    outcome = Outcome()
    if planning:
        _Run(place, outcome, clock, planning=True).all(only)
        return outcome
    with place.lock("log rotation"):
        run = _Run(place, outcome, clock)
        if only is not None:
            run.all(only)
            return outcome
        resting.forget(place)
        run.all(only)
        try:
            place.remember(clock(), outcome.faults, outcome.over, [going.piece.path for going in outcome.held])
        except OSError as exc:
            outcome.faults.append(f"{place.status} cannot be written: {exc.strerror}")
        run.rest()
    return outcome


@dataclass
class _Run:
    place: Place
    outcome: Outcome
    clock: Callable[[], float]
    planning: bool = False
    policies: list[Policy] = field(default_factory=list)

    def __post_init__(self) -> None:
        last = self.place.last_run()
        # A clock that is suddenly far ahead makes everything old. By the next run it is right again, or it is believed.
        self._age_limit = float("inf") if last is None else last + _LEAP

    def _now(self) -> float:
        """The time by which pieces grow old."""
        return min(self.clock(), self._age_limit)

    def all(self, only: str | None) -> None:
        for name in self.place.policies.names():
            with self._noted(name):
                policy = self.place.policies.load(name)
                self.policies += [policy] if policy is not None else []
        self._before = resting.signatures(self.place, self.policies)
        chosen = [policy for policy in self.policies if only in (None, policy.name)]
        if not self.planning:
            # What is too old makes room for what is packed. Whether a class is too large shows when that is done.
            self._prune(chosen, by_age_alone=True)
            for policy in chosen:
                with self._noted(policy.name):
                    self._pack_all(policy)
            for policy in chosen:
                with self._noted(policy.name):
                    self._copy_all(policy)
        else:
            for policy in chosen:
                with self._noted(policy.name):
                    self.outcome.waiting += [piece.path for piece in packing.waiting(pieces.find(policy))]
        decision = self._prune(chosen)
        self.outcome.held, self.outcome.over = decision.held, decision.over

    def rest(self) -> None:
        """What has nothing to do is seen by the next runs without a look at anything else."""
        outcome, now = self.outcome, self.clock()
        if outcome.changed or outcome.notified or outcome.faults or outcome.over or now > self._age_limit:
            return
        # It is for speed alone.
        with suppress(OSError):
            resting.write_down(self.place, self.policies, self._before, now)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        """A fault of one log is said, and ends nothing but its own turn."""
        try:
            yield
        except Day2Error as exc:
            self._fault(name, str(exc))
        except OSError as exc:
            self._fault(name, f"{exc.filename or 'a file'}: {exc.strerror}")

    def _fault(self, name: str, what: str) -> None:
        said = f"{name}: {what}"
        if said not in self.outcome.faults:
            self.outcome.faults.append(said)

    def _pack_all(self, policy: Policy) -> None:
        if policy.sealed and not policy.encrypt_to:
            raise Day2Error("its pieces stay as they were written: class audit is encrypted, and there is no recipient")
        waiting = [piece for piece in pieces.find(policy) if not piece.form]
        # A chain grows for years, and most ticks have nothing to do.
        ledger = ledger_of(self.place, policy) if policy.sealed and waiting else None
        if ledger is not None:
            self._finish_removals(ledger)
        self._sweep(policy, {piece.path for piece in waiting} if ledger is not None else set())
        is_notified = False
        for piece in waiting:
            with self._noted(policy.name):
                current = self._renamed(piece) if policy.renamed_by == WRITER else piece
                for is_last in (False, True):
                    try:
                        # It may get a name of its own by that.
                        current = self._settled(current, ledger) if current is not None else None
                        if current is not None:
                            self._pack(policy, current, ledger)
                        break
                    except written.StillWritten:
                        if current is not None and is_last:
                            self._still_written(policy, current)
                        elif current is not None and policy.reopen and not is_notified:
                            is_notified = True
                            self._notify(policy, current)

    @staticmethod
    def _sweep(policy: Policy, stays: set[str]) -> None:
        # Of this log alone: another one in the same directory may have sealed what it was interrupted with.
        for directory, pattern in pieces.places(policy.paths):

            def goes(name: str, directory: str = directory, pattern: str = pattern) -> bool:
                return pieces.is_of(name, pattern) and os.path.join(directory, name) not in stays

            packing.sweep(directory, goes)

    def _copy_all(self, policy: Policy) -> None:
        if not policy.copy_to:
            return
        # What speaks to repositories is loaded where there is one.
        from ansible_collections.day2.ops.plugins.module_utils.rotation import copies

        head = chain.head(ledger_of(self.place, policy).records) if policy.sealed else None
        copied = copies.bring(policy, pieces.find(policy), head, self._now(), self.place.identity())
        self.outcome.copied += copied.brought

    def _renamed(self, piece: Piece) -> Piece | None:
        """A file that its writer has closed, under the name of a piece; None where it still writes to it."""
        if piece.path != piece.log:
            return piece
        with packing.pinned(piece.path) as (folder, name):
            try:
                written.refuse_written_at(os.path.join(folder, name), piece.path)
            except written.StillWritten:
                return None
            return _under_own_name(piece, folder, name)

    def _pack(self, policy: Policy, piece: Piece, ledger: Ledger | None) -> None:
        packed = packing.pack(piece, policy, self.place.threads)
        if ledger is not None:
            self._seal(ledger, piece, packed)
        packing.publish(piece, packed)
        packing.remove(piece.path)
        self.outcome.packed.append(packed)

    def _seal(self, ledger: Ledger, piece: Piece, packed: packing.Packed) -> None:
        try:
            ledger.add(chain.SEALED, self.clock(), path=packed.path, sha256=packed.seen.sha256, size=packed.seen.size,
                       lines=packed.lines, plain_size=packed.plain_size, rotated=piece.rotated)  # fmt: skip
        except LedgerError:
            # It would take the room that the next record needs.
            packing.discard(piece)
            raise

    def _settled(self, piece: Piece, ledger: Ledger | None) -> Piece | None:
        """The piece under a name that no other one had; None where a killed run had packed it."""
        if ledger is not None:
            ledger.check()
        present = chain.present(ledger.records) if ledger is not None else {}
        with packing.pinned(piece.path) as (folder, name):
            if pieces.moment_of(piece.path) is None:
                # From before there was a policy: such names come again, and do not say how old it is.
                written.refuse_written_at(os.path.join(folder, name), piece.path)
                return _under_own_name(piece, folder, name, present)
            if any(piece.path + form in present and self._resumed(piece, present[piece.path + form])
                   for form in _FORMS):  # fmt: skip
                return None
            if any(piece.path + form in present for form in _FORMS) or _is_another(folder, name, ledger is not None):
                return _under_own_name(piece, folder, name, present)
        return piece

    def _resumed(self, piece: Piece, record: chain.Record) -> bool:
        """Go on where a killed run was. What is sealed stays so, whatever has its name now."""
        wanted, form = chain.Seen(record.size, record.sha256), record.path[len(piece.path) :]
        packed = packing.Packed(record.path, form, wanted, record.lines, record.plain_size)
        if not packing.is_there(record.path, wanted):
            if packing.made(piece) != wanted:
                return False
            packing.publish(piece, packed)
        if record.plain_size != piece.size or os.lstat(piece.path).st_mtime_ns != os.lstat(record.path).st_mtime_ns:
            return False
        packing.remove(piece.path)
        self.outcome.packed.append(packed)
        return True

    def _notify(self, policy: Policy, piece: Piece) -> None:
        """Have the writer reopen its log once more: whoever was to do it was killed, or it did not listen."""
        try:
            run_pipeline([Program(policy.reopen)], lambda _piece: None, timeout=_COMMAND)
        except PipelineError as exc:
            raise Day2Error(f"{piece.path} is still written to, and its writer cannot be notified: {exc}") from exc
        self.outcome.notified.append(f"{policy.name}: {' '.join(policy.reopen[:2])}")
        end = time.monotonic() + _REOPEN
        while time.monotonic() < end:
            with packing.pinned(piece.path) as (folder, name), suppress(written.StillWritten):
                written.refuse_written_at(os.path.join(folder, name), piece.path)
                return
            time.sleep(_POLL)

    def _still_written(self, policy: Policy, piece: Piece) -> None:
        who = ", ".join(writers(os.stat(piece.path))) or "a process that cannot be seen from here"
        then = "does not reopen its log when it is notified" if policy.reopen else "is not notified by this policy"
        self._fault(policy.name, f"{piece.path} is still open for writing by {who}, which {then}; it stays as it is")

    def _prune(self, chosen: Sequence[Policy], by_age_alone: bool = False) -> Decision:
        found: dict[str, Sequence[Piece]] = {}
        current: dict[str, int] = {}
        for policy in self.policies:
            with self._noted(policy.name):
                found[policy.name] = pieces.find(policy)
                known = {piece.path for piece in found[policy.name]}
                # What a writer renames by itself is among its pieces already.
                current[policy.name] = sum(n for path, n in pieces.sizes(policy).items() if path not in known)
        decision = decide(self.policies, found, current, self._now(), by_age_alone)
        by_name = {policy.name: policy for policy in chosen}
        for going in decision.going:
            if going.policy in by_name:
                with self._noted(going.policy):
                    self._remove(by_name[going.policy], going)
        return decision

    def _remove(self, policy: Policy, going: Going) -> None:
        if not self.planning:
            if policy.sealed:
                ledger = ledger_of(self.place, policy)
                record = chain.present(ledger.records).get(going.piece.path)
                if record is not None:
                    self._record_removal(ledger, record, going.why)
            packing.remove(going.piece.path)
        self.outcome.removed.append(going)

    def _record_removal(self, ledger: Ledger, record: chain.Record, why: str) -> None:
        fields = {name: getattr(record, name) for name in ("path", "sha256", "size", "lines", "plain_size", "rotated")}
        ledger.add(chain.REMOVED, self.clock(), why=why, **fields)

    @staticmethod
    def _finish_removals(ledger: Ledger) -> None:
        """Of files whose removal is on record, and that a kill has left."""
        last = {record.path: record for record in ledger.records}
        for path, record in last.items():
            if record.action == chain.REMOVED and packing.is_there(path, chain.Seen(record.size, record.sha256)):
                packing.remove(path)


def _is_another(folder: str, name: str, is_sealed: bool) -> bool:
    """Whether something packed has this name already, of another piece.

    So it comes when a log is rotated twice in a second, or when a clock was set back. What was packed has the time of
    what went in; what a kill has left beside its piece has that of the piece. Of a sealed log it is on record.
    """
    mine = os.lstat(os.path.join(folder, name)).st_mtime_ns
    for form in _FORMS:
        with suppress(FileNotFoundError):
            if os.lstat(os.path.join(folder, name + form)).st_mtime_ns != mine or is_sealed:
                return True
    return False


def _under_own_name(piece: Piece, folder: str, name: str, taken: Container[str] = ()) -> Piece:
    log, moment, directory = os.path.basename(piece.log), int(piece.rotated), os.path.dirname(piece.path)

    def is_free(target: str) -> bool:
        paths = [target + form for form in ("", *_FORMS)]
        return not any(os.path.lexists(os.path.join(folder, path)) or os.path.join(directory, path) in taken
                       for path in paths)  # fmt: skip

    while not is_free(target := pieces.piece_name(log, moment)):
        moment += 1
    os.rename(os.path.join(folder, name), os.path.join(folder, target))
    packing.sync_directory(folder)
    path = os.path.join(directory, target)
    return replace(piece, path=path, rotated=pieces.moment_of(path) or piece.rotated)
