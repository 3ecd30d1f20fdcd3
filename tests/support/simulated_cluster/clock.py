# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual time: events in order, and processes (generators) that sleep, wait for one another, and are killed or paused.

A process yields seconds to sleep, or a `Wait`. Nothing here sleeps in real time; the seed alone says what happens.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any, Callable, Generator, Optional

Steps = Generator[Any, Any, Any]


@dataclass
class Future:
    """An answer that comes once, or never."""

    done: bool = False
    value: Any = None
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def give(self, value: Any) -> None:
        if self.done:
            return
        self.done, self.value = True, value
        for wake in self.waiting:
            wake()


@dataclass
class Wait:
    """Wait for an answer, `limit` seconds at most; then the process gets None."""

    future: Future
    limit: float


class Process:
    def __init__(self, clock: Clock, steps: Steps, place: str) -> None:
        self.clock, self.steps, self.place = clock, steps, place
        self.result = Future()
        self.dead = False
        self.asleep_until = 0.0
        self._turn = 0

    def advance(self, turn: int, value: Any) -> None:
        if self.dead or turn != self._turn:
            return
        if self.clock.now < self.asleep_until:
            self.clock.at(self.asleep_until, lambda: self.advance(turn, value))
            return
        self._turn += 1
        try:
            asked = self.steps.send(value)
        except StopIteration as end:
            self.dead = True
            self.result.give(end.value)
            return
        self._wait(asked)

    def _wait(self, asked: Any) -> None:
        if self.dead:
            return
        turn = self._turn
        if isinstance(asked, Wait):
            future = asked.future
            if future.done:
                self.clock.after(0.0, lambda: self.advance(turn, future.value))
                return
            future.waiting.append(lambda: self.advance(turn, future.value))
            self.clock.after(asked.limit, lambda: self.advance(turn, None))
            return
        self.clock.after(asked, lambda: self.advance(turn, None))

    def kill(self) -> None:
        if not self.dead:
            self.dead = True
            if not self.steps.gi_running:
                self.steps.close()


class Clock:
    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.processes: list[Process] = []
        self.after_each: Callable[[], None] = lambda: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.now + seconds, act)

    def spawn(self, steps: Steps, place: str) -> Process:
        process = Process(self, steps, place)
        self.processes.append(process)
        self.at(self.now, lambda: process.advance(0, None))
        return process

    def kill_place(self, place: str) -> None:
        for process in self.processes:
            if process.place == place:
                process.kill()
        self.processes = [each for each in self.processes if not each.dead]

    def run(self, until: float, stop: Optional[Callable[[], bool]] = None) -> None:
        events = self._events
        while events and events[0][0] <= until:
            if stop is not None and stop():
                return
            self.now, _order, act = heapq.heappop(events)
            act()
            self.after_each()
        self.now = max(self.now, until) if stop is None else self.now
