# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sets go: examples, and ten thousand random histories that may never lose what must stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import (
    CLASSES,
    Policy,
    PolicyError,
    SetFacts,
    decide,
    parse_policy,
)
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=timezone.utc)
HOUR, DAY = 3600.0, 86400.0


def nightly(count: int, **about: Any) -> list[SetFacts]:
    """One set a night, the last of them an hour ago; the first made is number 1."""
    newest = (NOW - timedelta(hours=1)).timestamp()
    return [
        SetFacts(f"n{place}", newest - DAY * place, count - place, about.get("verified", True))
        for place in range(count)
    ]


def kept(sets: list[SetFacts], now: float = NOW.timestamp(), **keep: Any) -> set[str]:
    return set(decide(sets, parse_policy(keep), now).keep)


def test_days_weeks_and_months() -> None:
    decision = decide(
        nightly(400), parse_policy({"daily": 3, "weekly": 2, "monthly": 12, "min_verified": 0}), NOW.timestamp()
    )
    # 2026-11-21 is a Saturday: the newest of its ISO week, and of November, is the newest of all.
    days = {"n0", "n1", "n2"} | {"n6"} | {"n21", "n52", "n82"}
    assert days <= set(decision.keep) and len(decision.keep) == 3 + 1 + 11
    assert decision.keep["n0"] == ["the newest", "daily 1 of 3", "weekly 1 of 2", "monthly 1 of 12"]
    assert decision.keep["n21"] == ["monthly 2 of 12"] and decision.prune[0] == "n399"
    assert len(decision.keep) + len(decision.prune) == 400


def test_a_bucket_without_a_set_counts_for_nothing() -> None:
    sets = [each for each in nightly(60) if each.id in ("n0", "n20", "n40", "n59")]
    assert kept(sets, daily=3, min_verified=0) == {"n0", "n20", "n40"}


def test_of_several_sets_a_day_the_newest_stays() -> None:
    sets = [SetFacts(f"h{place}", NOW.timestamp() - HOUR * place, 100 - place, True) for place in range(30)]
    assert kept(sets, daily=2, min_verified=0) == {"h0", "h4"}
    assert kept(sets, hourly=3, min_verified=0) == {"h0", "h1", "h2"}


def test_last_and_age() -> None:
    assert kept(nightly(9), last=2, min_verified=0) == {"n0", "n1"}
    assert kept(nightly(9), age="3d", min_verified=0) == {"n0", "n1", "n2"}
    assert kept(nightly(9), last=4, age="1d", min_verified=0) == {"n0", "n1", "n2", "n3"}


def test_without_a_rule_everything_stays() -> None:
    assert len(kept(nightly(9))) == 9 and len(kept(nightly(9), min_verified=0)) == 9


def test_the_floor_is_over_every_rule() -> None:
    sets = [SetFacts(each.id, each.time, each.sequence, int(each.id[1:]) >= 5) for each in nightly(9)]
    decision = decide(sets, parse_policy({"last": 1, "min_verified": 2}), NOW.timestamp())
    assert set(decision.keep) == {"n0", "n5", "n6"} and decision.keep["n5"] == ["one of the newest 2 verified"]


def test_below_the_floor_nothing_goes() -> None:
    for verified in (("n3",), ()):
        sets = [SetFacts(each.id, each.time, each.sequence, each.id in verified) for each in nightly(5)]
        decision = decide(sets, parse_policy({"last": 1}), NOW.timestamp())
        assert decision.prune == []
        assert decision.held == "nothing is pruned before there are 2 verified sets (min_verified)"


def test_a_damaged_set_takes_nobodys_place() -> None:
    sets = [SetFacts(each.id, each.time, each.sequence, True, damaged=each.id == "n0") for each in nightly(5)]
    assert kept(sets, last=2, min_verified=1) == {"n1", "n2"}


def test_the_newest_proven_set_outlives_younger_ones_that_were_only_read() -> None:
    sets = [replace(each, proven=each.id in ("n6", "n7")) for each in nightly(9)]
    decision = decide(sets, parse_policy({"last": 2, "min_verified": 2}), NOW.timestamp())
    assert set(decision.keep) == {"n0", "n1", "n6"} and decision.keep["n6"] == ["the newest proven set"]
    # A proof is worth nothing once the set is damaged: the one before it is the newest.
    sets = [replace(each, damaged=each.id == "n6") for each in sets]
    assert kept(sets, last=2, min_verified=0) == {"n0", "n1", "n7"}


def test_a_clock_that_was_set_back_prunes_nothing() -> None:
    decision = decide(nightly(9), parse_policy({"last": 1, "min_verified": 1}), NOW.timestamp() - 3 * DAY)
    assert decision.prune == [] and "the clock was set back" in str(decision.held)


def test_one_set_of_the_future_does_not_hold_the_others_for_ever() -> None:
    sets = [SetFacts("2099", NOW.timestamp() + 9999 * DAY, 4, True), *nightly(9)]
    sets = [SetFacts(each.id, each.time, each.sequence * 2 if each.id != "2099" else 5, True) for each in sets]
    decision = decide(sets, parse_policy({"last": 1, "min_verified": 1}), NOW.timestamp())
    assert set(decision.keep) == {"2099", "n0"} and decision.keep["2099"] == ["dated in the future"]


def of(*names: str, everything: bool = False) -> Contents:
    return Contents(frozenset(names), everything)


def by_turns(nights: int, *contents: Contents) -> list[SetFacts]:
    """Every night one of each, in this order, an hour apart: `3-a` is of three nights before the last."""
    last = NOW.timestamp() - HOUR * len(contents) - HOUR
    return [
        SetFacts(
            f"{night}-{each}",
            last - night * DAY + place * HOUR,
            9999 - night * len(contents) + place,
            True,
            contents=each,
        )
        for night in range(nights)
        for place, each in enumerate(contents)
    ]


def test_sets_of_other_databases_take_nobodys_place() -> None:
    decision = decide(by_turns(9, of("a"), of("b")), parse_policy({"daily": 3}), NOW.timestamp())
    assert set(decision.keep) == {f"{night}-{name}" for night in range(3) for name in "ab"}
    assert "counted among those with b" in decision.keep["2-b"] and decision.prune[0] == "8-a"


def test_sets_that_have_more_take_the_place_of_those_that_have_less() -> None:
    everything = of("a", "b", everything=True)
    assert {f"{night}-all databases" for night in range(3)} <= kept(by_turns(9, everything, of("a")), daily=3)
    assert kept(by_turns(9, of("a"), of("a", "b")), daily=3, min_verified=1) == {"0-a, b", "1-a, b", "2-a, b"}


def test_a_database_that_came_or_went_changes_nothing_for_all_of_them() -> None:
    nights = by_turns(9, of("a", everything=True))
    sets = [replace(each, contents=of("a", f"scratch{each.id}", everything=True)) for each in nights]
    assert kept(sets, daily=3) == kept(nights, daily=3) == {"0-all databases", "1-all databases", "2-all databases"}


def test_what_nothing_newer_has_stays() -> None:
    sets = [replace(each, contents=of("a") if place < 5 else of("a", "b")) for place, each in enumerate(nightly(9))]
    assert kept(sets, last=2) == {"n0", "n1", "n5", "n6"}


def test_below_the_floor_of_one_database_those_of_the_other_go() -> None:
    sets = [replace(each, verified=each.contents == of("a")) for each in by_turns(9, of("a"), of("b"))]
    decision = decide(sets, parse_policy({"last": 3}), NOW.timestamp())
    assert {name for name in decision.keep if name.endswith("a")} == {"0-a", "1-a", "2-a"} and decision.held is None
    assert sum(name.endswith("b") for name in decision.keep) == 9
    assert "nothing is pruned before there are 2 verified sets" in " ".join(decision.keep["8-b"])


def test_names_decide_nothing() -> None:
    sets = [
        SetFacts(name, NOW.timestamp() - place * DAY, 9 - place, True) for place, name in enumerate(("a", "z", "m"))
    ]
    assert kept(sets, last=1, min_verified=1) == {"a"}


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"dayly": 3}, "'dayly' is no rule"), ({"daily": -1}, "daily is -1"), ({"daily": 1.5}, "daily is 1.5"),
        ({"daily": True}, "daily is True"), ({"last": "many"}, "last is 'many'"), ({"age": "90"}, "age"),
        ({"age": "0d"}, "age is 0d"), ({"min_verified": "x"}, "min_verified is 'x'"),
    ],
)  # fmt: skip
def test_malformed_rules_are_refused_by_name(keep: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(keep)


counts = st.one_of(st.none(), st.integers(0, 8))
policies = st.builds(
    Policy,
    last=counts,
    age=st.one_of(st.none(), st.floats(1.0, 400 * DAY)),
    classes=st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 8), max_size=3),
    min_verified=st.integers(0, 4),
)
runs = st.lists(
    st.tuples(
        # Hours since the run before: now and then the clock goes back, or far ahead.
        st.one_of(st.floats(0.1, 72.0), st.sampled_from([-1.0, -50.0, -9000.0, 9000.0])),
        st.booleans(), st.integers(0, 9), st.integers(0, 4), st.integers(0, 5),
        st.sampled_from([of("a"), of("a"), of("b"), of("a", "b"), of("a", "b", everything=True), of(everything=True)]),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=examples(1000), deadline=None)
@given(policy=policies, runs=runs)
def test_no_history_loses_what_must_stay(
    policy: Policy, runs: list[tuple[float, bool, int, int, int, Contents]]
) -> None:
    """Each run makes a set (or fails), may find an old one damaged or prove it, then prunes, as the module does."""
    sets: list[SetFacts] = []
    clock, made = NOW.timestamp(), 0
    for hours, verified, failing, damaging, proving, contents in runs:
        clock += hours * HOUR
        if failing == 0:
            continue
        made += 1
        sets.append(SetFacts(f"s{made}", clock, made, verified, contents=contents))
        if damaging == 0 and len(sets) > 1:
            spoilt = sets[-2]
            sets[-2] = replace(spoilt, damaged=True)
        if proving == 0:
            drilled = sets[made % len(sets)]
            sets[made % len(sets)] = replace(drilled, verified=True, damaged=False, proven=True)
        decision = decide(sets, policy, clock)
        assert set(decision.keep) | set(decision.prune) == {each.id for each in sets}
        assert not set(decision.keep) & set(decision.prune)
        assert f"s{made}" in decision.keep, "the set that was just made"
        for scope in {each.contents for each in sets}:
            # Those that may be restored in place of such a set.
            rivals = [each for each in sets if each.contents.replaces(scope)]
            good = [each for each in rivals if each.verified and not each.damaged]
            left = [each for each in good if each.id in decision.keep]
            assert len(left) >= min(len(good), policy.min_verified)
            assert left[len(left) - policy.min_verified :] == good[len(good) - policy.min_verified :]
            proven = [each for each in rivals if each.proven and not each.damaged]
            assert not proven or proven[-1].id in decision.keep, "the last proof that there is"
            newest = [each for each in rivals if not each.damaged][-1:]
            assert all(each.id in decision.keep for each in newest)
        sets = [each for each in sets if each.id in decision.keep]
