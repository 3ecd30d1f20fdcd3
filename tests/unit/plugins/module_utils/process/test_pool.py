# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Children that hang, crash or die cost their own check only."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable, Sequence

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Emit, Group, Outcome, Pool, Progress
from lab.waiting import wait_for, wait_for_end

Act = Callable[[int, Progress], None]


class Work:
    """Answers every item with its number, after doing what the test asks for."""

    def __init__(self, on_open: Act | None = None, on_item: Act | None = None) -> None:
        self.on_open, self.on_item = on_open, on_item
        self.prepared: list[int] = []

    def prepare(self, items: Sequence[int]) -> None:
        self.prepared += items

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        for item in items if self.on_open else ():
            progress.enter(item)
            self.on_open(item, progress)  # type: ignore[misc]
        for item in items:
            progress.start(item)
            if self.on_item:
                self.on_item(item, progress)
            emit(item, {"started": 1.0, "duration": 0.0, "pid": os.getpid(), "home": os.environ.get("DAY2_WHO")})


def run(
    work: Work, groups: list[Group], timeouts: list[float], workers: int = 4, deadline: float = 20.0
) -> dict[int, Outcome]:
    return Pool(work, lambda user: os.environ.update(DAY2_WHO=user), timeouts, workers).run(groups, deadline)


def hang_on(*items: int) -> Act:
    return lambda item, _progress: time.sleep(60) if item in items else None


def kinds(outcomes: dict[int, Outcome]) -> dict[int, str]:
    return {item: outcome.kind for item, outcome in sorted(outcomes.items())}


def test_many_items_share_few_children() -> None:
    outcomes = run(Work(), [Group([item]) for item in range(1000)], [5.0] * 1000)
    assert set(kinds(outcomes).values()) == {"done"} and len(outcomes) == 1000
    assert len({outcome.record["pid"] for outcome in outcomes.values()}) <= 4


def test_a_hanging_item_costs_its_own_time_only() -> None:
    outcomes = run(Work(on_item=hang_on(1)), [Group([0, 1, 2]), Group([3])], [0.3] * 4)
    assert kinds(outcomes) == {0: "done", 1: "timeout", 2: "done", 3: "done"}


def test_who_hangs_while_a_source_is_read_is_blamed_and_the_others_are_asked_again() -> None:
    outcomes = run(Work(on_open=hang_on(1)), [Group([0, 1, 2])], [0.4] * 3)
    assert kinds(outcomes) == {0: "done", 1: "timeout", 2: "done"}


def test_a_source_that_is_slow_as_a_whole_costs_all_who_have_no_more_time() -> None:
    slow: Act = lambda _item, _progress: time.sleep(0.2)  # noqa: E731
    outcomes = run(Work(on_open=slow), [Group([0, 1, 2, 3])], [0.5, 0.5, 0.5, 5.0])
    assert kinds(outcomes) == {0: "timeout", 1: "timeout", 2: "timeout", 3: "done"}


@pytest.mark.parametrize("end", [lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_a_crash_is_the_crashing_items_alone(end: Callable[[], None]) -> None:
    outcomes = run(Work(on_item=lambda item, _progress: end() if item == 1 else None), [Group([0, 1, 2])], [5.0] * 3)
    assert kinds(outcomes) == {0: "done", 1: "crashed", 2: "done"}


def test_the_deadline_ends_everything() -> None:
    begun = time.monotonic()
    outcomes = run(
        Work(on_item=hang_on(0, 1, 2)), [Group([item]) for item in range(4)], [50.0] * 4, workers=1, deadline=0.5
    )
    assert kinds(outcomes) == {0: "deadline", 1: "deadline", 2: "deadline", 3: "deadline"}
    assert time.monotonic() - begun < 20


def test_children_of_a_child_are_killed_too(tmp_path: Any) -> None:
    def spawn(_item: int, _progress: Progress) -> None:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        (tmp_path / "pid").write_text(str(pid))
        time.sleep(60)

    run(Work(on_item=spawn), [Group([0])], [0.4])
    grandchild = int((tmp_path / "pid").read_text())
    wait_for_end(grandchild, 10, "the child of a killed child")


def test_another_user_has_a_child_of_its_own() -> None:
    outcomes = run(
        Work(), [Group([0]), Group([1], "alice"), Group([2], "bob"), Group([3], "alice")], [5.0] * 4, workers=2
    )
    assert [outcomes[item].record["home"] for item in range(4)] == [None, "alice", "bob", "alice"]


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    run(Work(on_item=hang_on(1)), [Group([item]) for item in range(10)], [0.3] * 10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_marks_are_never_read_by_half() -> None:
    progress = Progress()
    progress.start(0)
    child = os.fork()
    if child == 0:
        while True:
            progress.start(3)
            progress.enter(4)
    try:
        begun = time.monotonic()
        read = {progress.read() for _time in range(200_000)}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert {(phase, item) for phase, item, _since in read} <= {(1, 0), (1, 3), (0, 4)}
    assert len(read) > 1 and min(since for _phase, _item, since in read) > begun - 60


def test_host_without_room_for_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = os.fork, []

    def fork() -> int:
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(True)
        return real()

    monkeypatch.setattr(os, "fork", fork)
    assert set(kinds(run(Work(), [Group([item]) for item in range(5)], [5.0] * 5)).values()) == {"done"}
    outcomes = run(Work(), [Group([0]), Group([1])], [5.0] * 2, deadline=0.5)
    assert kinds(outcomes) == {0: "refused", 1: "refused"}
    assert outcomes[0].record == {"reason": "Resource temporarily unavailable"}


def test_no_child_is_left_behind() -> None:
    before = _children()
    for _time in range(5):
        run(Work(), [Group([item]) for item in range(3)], [5.0] * 3)

    def left() -> set[str]:
        # Each run collects those of the runs before it that have ended meanwhile.
        run(Work(), [Group([0])], [5.0])
        return _children() - before

    wait_for(left, lambda children: len(children) <= 1, 10, "the children of earlier runs are collected")


def _children() -> set[str]:
    return {name for name in os.listdir("/proc") if name.isdigit() and _parent(name) == os.getpid()}


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return int(stream.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("first", ["answers", "hangs", "dies"])
def test_a_group_waits_for_those_that_it_comes_after(first: str) -> None:
    def act(item: int, _progress: Progress) -> None:
        if item == 0:
            time.sleep({"answers": 0.3, "hangs": 60.0, "dies": 0.1}[first])
            os._exit(1) if first == "dies" else None

    class Timed(Work):
        def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
            begun = time.monotonic()
            super().__call__(items, progress, lambda item, record: emit(item, {**record, "begun": begun}))

    start = time.monotonic()
    outcomes = run(
        Timed(on_item=act), [Group([3]), Group([0]), Group([1], None, [0]), Group([2], None, [0])], [1.0] * 4
    )
    ended = {"answers": "done", "hangs": "timeout", "dies": "crashed"}[first]
    assert kinds(outcomes) == {0: ended, 1: "done", 2: "done", 3: "done"}
    later = min(outcomes[item].record["begun"] for item in (1, 2))
    assert later >= start + {"answers": 0.3, "hangs": 1.0, "dies": 0.1}[first] and outcomes[3].record["begun"] < later


class Ending(Work):
    """Does something after its last record, as a source that is closed badly does."""

    def __init__(self, end: Callable[[], object], wait: float, of: Sequence[int]) -> None:
        super().__init__()
        self.end, self.wait, self.of = end, wait, of

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        super().__call__(items, progress, emit)
        if items[0] in self.of:
            time.sleep(self.wait)
            self.end()


_ENDS = {
    "exits": lambda: os._exit(3),
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "raises": lambda: 1 / 0,
    "hangs": lambda: time.sleep(60),
}


@pytest.mark.parametrize("wait", [0.0, 0.002, 0.05])
@pytest.mark.parametrize("end", _ENDS)
def test_a_group_is_not_blamed_for_the_end_of_the_child_before(end: str, wait: float) -> None:
    for _time in range(3 if end == "hangs" else 10):
        groups = [Group([0, 1]), Group([2]), Group([3, 4]), Group([5])]
        outcomes = run(Ending(_ENDS[end], wait, (0, 3)), groups, [0.3 if end == "hangs" else 5.0] * 6, workers=1)
        assert set(kinds(outcomes).values()) == {"done"}


def test_a_group_whose_child_dies_before_each_beginning_is_given_up() -> None:
    class Dying(Work):
        def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
            os._exit(3)

    assert kinds(run(Dying(), [Group([0, 1]), Group([2])], [5.0] * 3)) == {0: "crashed", 1: "crashed", 2: "crashed"}

    def refuse(_user: str) -> None:
        os._exit(3)

    outcomes = Pool(Work(), refuse, [5.0] * 2, 1).run([Group([0], "alice"), Group([1])], 20.0)
    assert kinds(outcomes) == {0: "crashed", 1: "done"}
