# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a lease ends, whatever happens to the clocks, and what cannot be a lease."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import (
    LONGEST,
    Entered,
    LeaseError,
    Phase,
    Reading,
    State,
    Wish,
    extended,
    granted,
    released,
    ticked,
)

START = Reading(wall=1_800_000_000.0, uptime=5_000.0, boot="first")
HOUR = 3600.0
WISH = Wish("window", "Weekly maintenance", 2 * HOUR, ("web", "units"))
HELD = granted(State("shop"), WISH, START)


def later(seconds: float, clock_set_by: float = 0.0) -> Reading:
    return Reading(START.wall + seconds + clock_set_by, START.uptime + seconds, START.boot)


def rebooted(seconds: float, clock_set_by: float = 0.0) -> Reading:
    """So many seconds later by a true clock; the host has just come up."""
    return Reading(START.wall + seconds + clock_set_by, 10.0, "second")


@pytest.mark.parametrize("clock_set_by", [0.0, -3 * HOUR, 3 * HOUR, -40 * 365 * 86400.0])
def test_a_clock_that_is_set_moves_no_end(clock_set_by: float) -> None:
    assert HELD.leases["window"].left(later(HOUR, clock_set_by)) == HOUR
    assert ticked(HELD, later(2 * HOUR - 1, clock_set_by)).leases
    assert not ticked(HELD, later(2 * HOUR, clock_set_by)).leases


def test_after_a_reboot_the_wall_clock_counts() -> None:
    assert HELD.leases["window"].left(rebooted(HOUR)) == HOUR
    assert not ticked(HELD, rebooted(2 * HOUR)).leases


@pytest.mark.parametrize("clock_set_by", [-HOUR * 24, -40 * 365 * 86400.0])
def test_a_reboot_with_a_clock_that_is_behind_makes_it_no_longer_than_granted(clock_set_by: float) -> None:
    came_up = rebooted(HOUR, clock_set_by)
    held = ticked(HELD, came_up)
    assert held.leases["window"].left(came_up) == 2 * HOUR
    # From then on it counts by the time since boot, also when the clock is put right.
    right = Reading(START.wall + 2 * HOUR, came_up.uptime + HOUR, "second")
    assert held.leases["window"].left(right) == HOUR
    assert not ticked(held, replace(right, uptime=came_up.uptime + 2 * HOUR)).leases


def test_a_reboot_with_a_clock_that_is_ahead_ends_it() -> None:
    assert not ticked(HELD, rebooted(60, clock_set_by=24 * HOUR)).leases


def test_many_reboots_add_nothing() -> None:
    state, moment = HELD, START
    for number in range(1, 5):
        moment = Reading(START.wall + number * 600, 10.0, f"boot {number}")
        state = ticked(state, moment)
    assert state.leases["window"].left(moment) == 2 * HOUR - 4 * 600
    assert state.leases["window"].until == START.wall + 2 * HOUR


def test_a_second_wish_moves_no_end() -> None:
    again = granted(HELD, replace(WISH, duration=5 * HOUR), later(HOUR))
    assert again == HELD


def test_an_extension_counts_from_now_and_never_shortens() -> None:
    assert extended(HELD, "window", HOUR / 2, later(HOUR)) == HELD
    assert extended(HELD, "window", 2 * HOUR, later(HOUR)).leases["window"].left(later(HOUR)) == 2 * HOUR


def test_what_is_over_cannot_be_extended() -> None:
    with pytest.raises(LeaseError, match="window holds no lease on shop"):
        extended(ticked(HELD, later(3 * HOUR)), "window", HOUR, later(3 * HOUR))


@pytest.mark.parametrize("duration", [None, 0.0, -1.0, LONGEST + 1, float("inf"), float("nan")])
def test_durations_that_cannot_be_meant(duration: float | None) -> None:
    with pytest.raises(LeaseError, match="'duration'"):
        granted(State("shop"), replace(WISH, duration=duration), START)
    with pytest.raises(LeaseError, match="'duration'"):
        extended(HELD, "window", duration, START)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (replace(WISH, owner=" "), "'owner' is empty"),
        (replace(WISH, owner="a\nb"), "'owner' is 'a"),
        (replace(WISH, reason=""), "'reason' is missing"),
        (replace(WISH, targets=()), "'targets' is empty"),
    ],
)
def test_wishes_that_are_refused(wish: Wish, words: str) -> None:
    with pytest.raises(LeaseError, match=words):
        granted(State("shop"), wish, START)


def test_targets_follow_from_all_leases() -> None:
    both = granted(HELD, Wish("second", "Another", HOUR, ("alerts", "web")), START)
    entered = replace(both, targets={name: Entered(Phase.ENTERED, {}) for name in ("alerts", "web", "units")})
    assert both.wanted() == {"alerts", "web", "units"} and both.to_enter() == {"alerts", "web", "units"}
    assert entered.to_enter() == set() and entered.to_leave() == set()
    assert released(entered, "window").to_leave() == {"units"}
    assert released(entered, "second").to_leave() == {"alerts"}
    assert released(entered, None).to_leave() == {"units", "web", "alerts"}
    assert both.until("web", START) == START.wall + 2 * HOUR and both.until("alerts", START) == START.wall + HOUR


def test_what_was_interrupted_is_entered_again_or_left() -> None:
    half = replace(HELD, targets={"web": Entered(Phase.ENTERING, {}), "units": Entered(Phase.LEAVING, {})})
    assert half.to_enter() == {"web", "units"}
    assert released(half, None).to_leave() == {"units", "web"}


def test_a_claim_to_a_new_lease_meets_none_of_the_owner() -> None:
    new = replace(WISH, claim="new")
    assert granted(State("shop"), new, START).leases["window"].left(START) == 2 * HOUR
    with pytest.raises(LeaseError, match=r"window holds shop already .* another run is at it, or has died"):
        granted(HELD, new, START)
    assert set(granted(HELD, replace(new, owner="second"), START).leases) == {"window", "second"}


def test_a_claim_to_a_lease_that_is_held_revives_none() -> None:
    held = replace(WISH, claim="held", targets=("web",))
    assert granted(HELD, held, START).leases["window"].targets == ("web",)
    for state in (State("shop"), ticked(HELD, later(3 * HOUR))):
        with pytest.raises(LeaseError, match="window holds no lease on shop any more"):
            granted(state, held, START)


def test_a_claim_may_want_no_target() -> None:
    assert granted(State("shop"), replace(WISH, claim="new", targets=()), START).leases["window"].targets == ()
    assert granted(HELD, replace(WISH, claim="held", targets=()), START).wanted() == set()
