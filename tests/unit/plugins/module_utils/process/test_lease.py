# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lease in memory, with clocks that tests set: who gets it, how it is renewed, and that its loss is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process import lease
from ansible_collections.day2.ops.plugins.module_utils.process.lease import SECONDS, LeaseLost, hold
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked

# Of a renewal, which is a thread's: it comes when it comes, and this is only the end of a test that hangs.
SOON = 30.0
# A quarter of it is the time between two renewals.
QUICK = 0.04


class Time:
    """This host's clock, which only sleeping moves, and the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.wakes: Callable[[], None] = lambda: None
        self._ticks = 0

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        self._ticks += 1
        return self._ticks

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.wakes()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(lease, "time", made)
    return made


class Slot:
    """A place of a lease. Its own clock tells the age."""

    name = "slot"

    def __init__(self) -> None:
        self.clock = 0.0
        self.content: bytes | None = None
        self.version, self.since = "", 0.0
        self.written: list[bytes] = []
        self.wanted: list[str | None] = []
        self.changed = threading.Condition()
        self.fails: Callable[[str], None] = lambda _deed: None

    def read(self) -> tuple[bytes, str, float] | None:
        self.fails("read")
        return None if self.content is None else (self.content, self.version, self.clock - self.since)

    def write(self, content: bytes, version: str | None) -> str | None:
        with self.changed:
            self.wanted.append(version)
            self.changed.notify_all()
            self.fails("write")
            if version != (None if self.content is None else self.version):
                return None
            self.content, self.version, self.since = content, f"v{len(self.written)}", self.clock
            self.written.append(content)
            return self.version

    def remove(self) -> None:
        self.fails("remove")
        self.content = None

    def held_by(self, content: bytes, version: str = "theirs") -> None:
        self.content, self.version, self.since = content, version, self.clock

    def wait_for(self, writes: int) -> None:
        """Until so many were tried."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.wanted) >= writes, SOON)


@pytest.fixture
def slot() -> Slot:
    return Slot()


THEIRS = json.dumps({"host": "db-2", "pid": 7, "for": "a backup", "seconds": 60.0}).encode()


def test_a_free_place(clock: Time, slot: Slot) -> None:
    with hold(slot, 0.0, "a drill") as held:
        held()
        assert json.loads(slot.content or b"")["for"] == "a drill" and slot.wanted == [None]
    assert slot.content is None


@pytest.mark.parametrize(
    ("content", "age", "is_over"),
    [
        (THEIRS, 0.0, False),
        (THEIRS, 60.0, False),
        (THEIRS, 60.1, True),
        # Nobody knows how long it was meant to live.
        (b"no JSON", SECONDS, False),
        (b"[]", SECONDS + 1, True),
        (b'{"seconds": "x"}', SECONDS, False),
        (b'{"seconds": 600}', SECONDS + 1, False),
    ],
)
def test_a_place_that_somebody_holds(clock: Time, slot: Slot, content: bytes, age: float, is_over: bool) -> None:
    slot.held_by(content)
    slot.clock = age
    if is_over:
        with hold(slot, 0.0, "me"):
            # Only what was read is replaced.
            assert slot.wanted == ["theirs"] and b'"me"' in (slot.content or b"")
    else:
        with pytest.raises(Locked, match="slot is held by"), hold(slot, 0.0, "me"):
            pass
        assert slot.content == content and slot.wanted == []


@pytest.mark.parametrize(
    ("content", "who"),
    [
        (THEIRS, r"process 7 on db-2 \(a backup\); it ends in 40 s unless it is renewed"),
        (b'{"host": "db-2", "pid": 7, "seconds": 60}', r"process 7 on db-2; it ends in 40 s"),
        (b"{", "another process"),
        (b'{"pid": "x", "host": "db-2", "seconds": 60}', "another process"),
    ],
)
def test_who_holds_it(clock: Time, slot: Slot, content: bytes, who: str) -> None:
    slot.held_by(content)
    slot.clock = 20.0
    with pytest.raises(Locked, match=who), hold(slot, 0.0, "me"):
        pass


def test_somebody_was_quicker(clock: Time, slot: Slot) -> None:
    """Between the look and the write."""

    def quicker(deed: str) -> None:
        if deed == "write" and slot.content is None:
            slot.held_by(THEIRS)

    slot.fails = quicker
    with pytest.raises(Locked), hold(slot, 0.0, "me"):
        pass
    assert slot.content == THEIRS


def test_somebody_else_took_what_was_over(clock: Time, slot: Slot) -> None:
    slot.held_by(THEIRS)
    slot.clock = 61.0

    def quicker(deed: str) -> None:
        if deed == "write":
            slot.held_by(THEIRS, "of a third")

    slot.fails = quicker
    with pytest.raises(Locked), hold(slot, 0.0, "me"):
        pass
    assert slot.version == "of a third"


def test_waiting_until_it_is_free(clock: Time, slot: Slot) -> None:
    slot.held_by(THEIRS)

    def wakes() -> None:
        if len(clock.slept) == 3:
            slot.content = None

    clock.wakes = wakes
    with hold(slot, 10.0, "me", poll=2.0):
        assert clock.slept == [2.0, 2.0, 2.0]


def test_waiting_in_vain(clock: Time, slot: Slot) -> None:
    slot.held_by(THEIRS)
    with pytest.raises(Locked), hold(slot, 5.0, "me", poll=2.0):
        pass
    assert clock.slept == [2.0, 2.0, 1.0] and slot.content == THEIRS


def test_it_lives_from_before_the_write(clock: Time, slot: Slot) -> None:
    """What a slow place takes for an answer is no time in which the lease is held."""

    def slow(deed: str) -> None:
        clock.now += 7.0 if deed == "write" else 0.0

    slot.fails = slow
    with suppress(LeaseLost), hold(slot, 0.0, "me", seconds=60.0) as held:
        clock.now += 52.0
        held()
        clock.now += 1.0
        with pytest.raises(LeaseLost):
            held()


def test_a_renewal_replaces_the_version_before_it(clock: Time, slot: Slot) -> None:
    with hold(slot, 0.0, "me", seconds=QUICK) as held:
        slot.wait_for(4)
        held()
    # A version may be no more than a digest of the content, so that no two may be the same.
    assert slot.wanted[:4] == [None, "v0", "v1", "v2"] and len({*slot.written}) == len(slot.written)
    assert slot.content is None


def test_a_renewal_makes_it_live_on(clock: Time, slot: Slot) -> None:
    with hold(slot, 0.0, "me", seconds=QUICK) as held:
        clock.now += 0.75 * QUICK
        tried = len(slot.wanted)
        # The second that begins from now on has the new time, and the first has come to its end by then.
        slot.wait_for(tried + 3)
        clock.now += 0.75 * QUICK
        held()


def test_a_place_that_is_away_for_a_while(clock: Time, slot: Slot) -> None:
    def away(deed: str) -> None:
        if deed == "write" and 1 < len(slot.wanted) < 4:
            raise Day2Error("no answer")

    slot.fails = away
    with hold(slot, 0.0, "me", seconds=QUICK) as held:
        slot.wait_for(6)
        held()
    assert slot.wanted[:5] == [None, "v0", "v0", "v0", "v1"]


def test_a_place_that_stays_away(clock: Time, slot: Slot) -> None:
    def away(deed: str) -> None:
        if deed == "write" and len(slot.wanted) > 1:
            raise Day2Error("no answer")

    slot.fails = away
    with (
        pytest.raises(LeaseLost, match="slot was lost while it was held"),
        hold(slot, 0.0, "me", seconds=QUICK) as held,
    ):
        slot.wait_for(3)
        held()
        clock.now += 1.0
        held()


def test_somebody_else_has_it_now(clock: Time, slot: Slot) -> None:
    with pytest.raises(LeaseLost), hold(slot, 0.0, "me", seconds=QUICK):
        with slot.changed:
            slot.held_by(THEIRS)
            tried = len(slot.wanted)
        slot.wait_for(tried + 1)
    # It is theirs, and stays.
    assert slot.content == THEIRS


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_renewal_that_breaks_is_a_loss(clock: Time, slot: Slot) -> None:
    def breaks(deed: str) -> None:
        if deed == "write" and len(slot.wanted) > 1:
            raise SystemExit

    slot.fails = breaks
    with pytest.raises(LeaseLost), hold(slot, 0.0, "me", seconds=QUICK):
        slot.wait_for(2)


@pytest.mark.parametrize("deed", ["read", "remove"])
def test_a_place_that_is_away_at_the_end(clock: Time, slot: Slot, deed: str) -> None:
    """Then it ends by itself."""

    def away(what: str) -> None:
        if what == deed:
            raise Day2Error("no answer")

    with hold(slot, 0.0, "me"):
        slot.fails = away
    assert b'"me"' in (slot.content or b"")


def test_it_is_given_back_by_whoever_fails(clock: Time, slot: Slot) -> None:
    with pytest.raises(ZeroDivisionError), hold(slot, 0.0, "me"):
        raise ZeroDivisionError
    assert slot.content is None
