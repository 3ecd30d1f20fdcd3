# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool of child processes, each of which can be killed at a deadline.

Whatever may hang (a file on a dead NFS server, a database that accepts and never answers, a pathological
regular expression) runs here: threads cannot be killed, processes can. Children are forked, so they know
all the work already; only numbers go down to them, and JSON lines come back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import selectors
import signal
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Protocol, Sequence

_MARK = struct.Struct("=iid")
_NUMBER = struct.Struct("=q")
_WIDTH = struct.calcsize("=q")
_OPENING, _WORKING = 0, 1
# Instead of an item: the group was handed over, and: the child has taken it.
_HANDED_OVER, _TAKEN = -1, -2
# A child whose last operation took this share of its time is stuck in that one; else it is slow as a whole.
_STUCK_SHARE = 0.5


# Children that had not ended yet when their pool was done.
_unburied: list[int] = []


class Progress:
    """What a child is busy with, in memory shared with the parent: it names the culprit after a kill.

    The mark lies between two copies of its number. The child writes number, mark, number; the parent believes what it
    reads twice with the same number at both ends, so it never judges by half a mark.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _WIDTH + _MARK.size + _WIDTH)
        self.mark(_OPENING, _HANDED_OVER)

    def mark(self, phase: int, item: int) -> None:
        (before,) = _NUMBER.unpack_from(self._memory, 0)
        number = _NUMBER.pack(before + 1)
        # Slices, because pack_into() first fills its place with zeros.
        self._memory[:_WIDTH] = number
        self._last = (phase, item, time.monotonic())
        self._memory[_WIDTH:-_WIDTH] = _MARK.pack(*self._last)
        self._memory[-_WIDTH:] = number

    def enter(self, item: int) -> None:
        """Called while a source is read for several items: from now on it is for this one."""
        self.mark(_OPENING, item)

    def start(self, item: int) -> None:
        """Called when the source is open and one item is worked on."""
        self.mark(_WORKING, item)

    def read(self) -> tuple[int, int, float]:
        """The phase, the item and since when; while a mark is being written, the one before it."""
        first, second = self._memory[:], self._memory[:]
        if first == second and first[:_WIDTH] == first[-_WIDTH:]:
            phase, item, since = _MARK.unpack_from(first, _WIDTH)
            self._last = (phase, item, since)
        return self._last

    def close(self) -> None:
        self._memory.close()


@dataclass
class Group:
    """Items that share one source, and the user they run as. It begins when the items of `after` have ended.

    `retried` says that a child ended before it took the group: another one tries once more.
    """

    items: list[int]
    user: str | None = None
    after: Sequence[int] = ()
    retried: bool = False


@dataclass
class Outcome:
    """What became of an item: `done` with a record, `refused` with a reason, or `timeout`, `crashed`, `deadline`."""

    kind: str
    started: float
    duration: float = 0.0
    record: dict[str, Any] = field(default_factory=dict)


Emit = Callable[[int, dict[str, Any]], None]
Become = Callable[[str], None]


class Perform(Protocol):
    """The work itself, done in a child."""

    def prepare(self, items: Sequence[int]) -> None:
        """Load what the items need while the child may still read it, before it becomes another user."""

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        """Answer the items of one group in turn; emit a record with 'started' and 'duration' for each."""


class _Worker:
    """One child and the parent's ends of its pipes."""

    def __init__(
        self, perform: Perform, become: Become, groups: Sequence[Group], user: str | None, strangers: Iterable[int]
    ) -> None:
        self.user = user
        self.progress = Progress()
        self.buffer = b""
        self.items: list[int] = []
        self.retried = False
        self.started_at = 0.0
        self.started_wall = 0.0
        jobs_out, self.jobs = os.pipe()
        self.results, results_in = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            for descriptor in (jobs_out, self.jobs, self.results, results_in):
                os.close(descriptor)
            raise
        if self.pid == 0:
            try:
                for descriptor in (*strangers, self.jobs, self.results):
                    os.close(descriptor)
                if user is not None:
                    for group in groups:
                        perform.prepare(group.items)
                    become(user)
                _child(jobs_out, results_in, perform, self.progress)
            finally:
                os._exit(70)
        os.close(jobs_out)
        os.close(results_in)
        fcntl.fcntl(self.results, fcntl.F_SETFL, os.O_NONBLOCK)

    def give(self, group: Group, budget: float) -> None:
        self.items, self.retried = list(group.items), group.retried
        self.progress.mark(_OPENING, _HANDED_OVER)
        self.started_at, self.started_wall = time.monotonic(), time.time()
        # A child that has ended meanwhile is noticed by the end of its results.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.jobs, json.dumps([budget, self.items]).encode() + b"\n")

    @property
    def has_taken(self) -> bool:
        """Whether the child has begun with what was given to it; before that, it is busy with what came before."""
        return self.progress.read()[1] != _HANDED_OVER

    def receive(self) -> tuple[list[tuple[int, dict[str, Any]]], bool]:
        """Finished records, and whether the child has ended."""
        ended = False
        while True:
            try:
                data = os.read(self.results, 65536)
            except BlockingIOError:
                break
            if not data:
                ended = True
                break
            self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        records: list[tuple[int, dict[str, Any]]] = list(map(json.loads, lines))
        return records, ended

    def limit(self, timeouts: Sequence[float]) -> float:
        """The monotonic time at which this child has had its time."""
        if not self.items:
            return float("inf")
        phase, item, since = self.progress.read()
        if phase == _WORKING and item in self.items:
            return since + timeouts[item]
        return self.started_at + min(timeouts[item] for item in self.items)

    def kill(self) -> None:
        for target in (-self.pid, self.pid):
            try:
                os.kill(target, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.close()

    def close(self) -> None:
        os.close(self.jobs)
        os.close(self.results)
        self.progress.close()


def _child(jobs: int, results: int, perform: Perform, progress: Progress) -> None:
    """The child's whole life: take groups of items until the pipe closes."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)

    def emit(item: int, record: dict[str, Any]) -> None:
        data = memoryview(json.dumps([item, record]).encode() + b"\n")
        while data:
            data = data[os.write(results, data) :]

    with os.fdopen(jobs, "rb", buffering=0) as lines:
        for line in iter(lines.readline, b""):
            budget, items = json.loads(line)
            # Should the parent die, nobody would kill this child: the kernel does.
            signal.setitimer(signal.ITIMER_REAL, budget + 5.0)
            progress.mark(_OPENING, _TAKEN)
            perform(items, progress, emit)
    os._exit(0)


class Pool:
    """Runs groups of items in at most `workers` children, none of them longer than its items may take."""

    def __init__(self, perform: Perform, become: Become, timeouts: Sequence[float], workers: int) -> None:
        self._perform, self._become = perform, become
        self._timeouts = timeouts
        self._size = workers
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._groups: Sequence[Group] = ()
        self._waiting: list[Group] = []
        self._outcomes: dict[int, Outcome] = {}
        self._begun: dict[int, float] = {}
        self._dead: list[int] = []

    def run(self, groups: Sequence[Group], deadline: float) -> dict[int, Outcome]:
        """An outcome for each item of each group; `deadline` in seconds from now bounds it all."""
        start, start_wall = time.monotonic(), time.time()
        end = start + deadline
        self._groups = groups
        self._waiting = list(groups)
        try:
            while self._waiting or any(worker.items for worker in self._workers):
                now = time.monotonic()
                if now >= end:
                    break
                self._assign(end - now)
                limit = min((worker.limit(self._timeouts) for worker in self._workers), default=end)
                for key, _events in self._selector.select(max(0.0, min(limit, end) - now)):
                    self._collect(key.data)
                self._reap_overdue()
        finally:
            late = [item for group in self._waiting for item in group.items]
            late += [item for worker in self._workers for item in worker.items]
            for worker in list(self._workers):
                self._retire(worker, kill=bool(worker.items))
            self._selector.close()
            self._bury()
        for item in late:
            self._outcomes[item] = Outcome("deadline", self._begun.get(item, start_wall), time.monotonic() - start)
        return self._outcomes

    def _assign(self, budget: float) -> None:
        idle = [worker for worker in self._workers if not worker.items]
        while self._waiting:
            group = self._waiting[0]
            if any(item not in self._outcomes for item in group.after):
                return
            worker = next((free for free in idle if free.user == group.user), None)
            if worker is None:
                if len(self._workers) >= self._size:
                    if not idle:
                        return
                    self._retire(idle.pop(), kill=False)
                worker = self._hire(group)
                if worker is None and self._workers:
                    return
                if worker is None:
                    continue
            else:
                idle.remove(worker)
            self._waiting.pop(0)
            worker.give(group, budget)
            for item in group.items:
                self._begun[item] = worker.started_wall

    def _hire(self, group: Group) -> _Worker | None:
        """A new child for the user of a group; None when the host has no room for one more process."""
        strangers = [descriptor for other in self._workers for descriptor in (other.jobs, other.results)]
        mine = [known for known in self._groups if known.user == group.user]
        try:
            worker = _Worker(self._perform, self._become, mine, group.user, strangers)
        except OSError as exc:
            if self._workers:
                # Those that there are will do.
                self._size = len(self._workers)
                return None
            self._waiting.remove(group)
            reason = {"reason": exc.strerror}
            self._outcomes.update((item, Outcome("refused", time.time(), 0.0, reason)) for item in group.items)
            return None
        self._workers.append(worker)
        self._selector.register(worker.results, selectors.EVENT_READ, worker)
        return worker

    def _retire(self, worker: _Worker, kill: bool) -> None:
        self._selector.unregister(worker.results)
        self._workers.remove(worker)
        self._dead.append(worker.pid)
        if kill:
            worker.kill()
        else:
            worker.close()

    def _collect(self, worker: _Worker) -> None:
        remaining = worker.items
        records, ended = worker.receive()
        for item, record in records:
            remaining = [left for left in remaining if left != item]
            self._outcomes[item] = Outcome("done", record.pop("started"), record.pop("duration"), record)
        # With nothing left the child is free; what it still has to close, it closes before it takes the next group.
        worker.items = remaining
        if ended:
            self._crashed(worker)

    def _crashed(self, worker: _Worker) -> None:
        """The child ended by itself: the item it was busy with is to blame, the others get another child."""
        _phase, item, _since = worker.progress.read()
        items, is_innocent = worker.items, not (worker.has_taken or worker.retried)
        self._retire(worker, kill=True)
        if is_innocent:
            self._try_again(worker)
        else:
            self._blame([item] if item in items else items, items, worker.user, "crashed", worker)

    def _try_again(self, worker: _Worker) -> None:
        """The child had not taken the group: what went wrong is of the one before."""
        if worker.items:
            self._waiting.insert(0, Group(worker.items, worker.user, retried=True))

    def _reap_overdue(self) -> None:
        now = time.monotonic()
        for worker in [late for late in self._workers if late.limit(self._timeouts) <= now]:
            phase, item, since = worker.progress.read()
            items = worker.items
            if not (worker.has_taken or worker.retried):
                self._retire(worker, kill=True)
                self._try_again(worker)
                continue
            if (phase == _WORKING and item in items) or (
                item in items and now - since > _STUCK_SHARE * (now - worker.started_at)
            ):
                guilty = [item]
            else:
                limit = min(self._timeouts[item] for item in items)
                guilty = [item for item in items if self._timeouts[item] <= limit]
            self._retire(worker, kill=True)
            self._blame(guilty, items, worker.user, "timeout", worker)

    def _blame(self, guilty: list[int], items: list[int], user: str | None, kind: str, worker: _Worker) -> None:
        spent = time.monotonic() - worker.started_at
        for item in guilty:
            self._outcomes[item] = Outcome(kind, worker.started_wall, spent)
        rest = [item for item in items if item not in guilty]
        if rest:
            self._waiting.insert(0, Group(rest, user))

    def _bury(self) -> None:
        """Collect the children that have ended, of runs before this one too.

        Nobody waits for one that even SIGKILL cannot end (a dead NFS server).
        """
        _unburied.extend(self._dead)
        for pid in list(_unburied):
            try:
                ended, _status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended = pid
            if ended:
                _unburied.remove(pid)
