# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What jobs collide and what a schedule may lose: examples, and both against brute force."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.schedule import words
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import Job, JobsError, parse_jobs
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import (
    Collision,
    Kind,
    Track,
    clashes,
    collisions,
    horizon,
    worst_loss,
)
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

# A Saturday.
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc).timestamp()
HOUR, DAY = 3600.0, 86400.0


def jobs(*entries: dict[str, Any]) -> list[Job]:
    return parse_jobs([{"playbook": "day2.ops.daily", **entry} for entry in entries])


def job(name: str, at: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "at": at, **more}


def names(*entries: dict[str, Any]) -> list[tuple[str, ...]]:
    return [each.names for each in collisions(jobs(*entries), NOW)]


def test_the_manuals_own_collision() -> None:
    full, increment = job("full", "Sundays 01:00", duration="2h"), job("increment", "01:00 daily")
    (found,) = collisions(jobs(full, increment), NOW)
    assert found == Collision("full", "increment", NOW + DAY + HOUR, 53)


def test_the_later_one_is_named_second() -> None:
    assert names(job("b", "02:30 daily"), job("a", "02:00 daily")) == [("a", "b")]
    assert names(job("b", "03:00 daily"), job("a", "02:00 daily")) == []
    assert names(job("b", "03:00 daily"), job("a", "02:00 daily", duration="61m")) == [("a", "b")]


def test_a_job_that_is_not_over_when_it_is_due_again() -> None:
    assert names(job("five", "every 5 min", duration="5m")) == []
    assert names(job("five", "every 5 min", duration="6m")) == [("five",)]
    assert names(job("five", "every 5 min", duration="6m", exclusive=False)) == [("five",)]


def test_only_what_excludes_each_other_collides() -> None:
    both = job("a", "02:00 daily"), job("b", "02:00 daily")
    assert names(*both) == [("a", "b")]
    assert names(both[0], {**both[1], "exclusive": False}) == []
    assert names({**both[0], "resource": "disk"}, both[1]) == []


def test_a_collision_of_summer_only() -> None:
    utc = job("utc", "Sundays 02:00")
    assert names(job("local", "05:00 daily Europe/Berlin", duration="30m"), utc) == []
    # 03:00 UTC now; 02:00 UTC from the night on in which the clocks change.
    (found,) = collisions(jobs(job("local", "04:00 daily Europe/Berlin", duration="30m"), utc), NOW)
    assert datetime.fromtimestamp(found.first, timezone.utc).strftime("%a %m-%d %H:%M") == "Sun 03-28 02:00"
    assert found.count == 31


def test_windows_meet_backups_and_each_other_and_nothing_else() -> None:
    def window(name: str, start: float) -> Track:
        return Track(name, [(start, start + 4 * HOUR)], "window", Kind.WINDOW)

    backup = job("backup", "02:00 daily", backup=True, exclusive=False)
    looks = [job("drill", "03:00 daily"), job("look", "02:30 daily", exclusive=False)]
    one, other = window("backup", NOW + DAY), window("late", NOW + DAY + 3.5 * HOUR)
    found = collisions(jobs(backup, *looks), NOW, windows=[one, other])
    assert [(each.earlier, each.later, each.first - NOW - DAY, each.count) for each in found] == [
        ("backup", "backup", 2 * HOUR, 1),
        ("backup", "late", 3.5 * HOUR, 1),
    ]
    assert words.collision(found[0]).startswith("job backup is due while window backup is open: first Sun 2026-11-22")
    assert words.collision(found[1]).startswith("window late begins while backup is open: first Sun 2026-11-22 03:30")
    assert collisions(jobs(*looks), NOW, windows=[one]) == []
    (itself,) = collisions([], NOW, windows=[Track("w", [(NOW, NOW + 3), (NOW + 2, NOW + 5)], "window", Kind.WINDOW)])
    assert words.collision(itself).startswith("window w is not over when it begins again")


def test_many_starts_shorten_the_horizon() -> None:
    assert horizon(jobs(job("d", "02:00 daily"), job("m", "every 5 min")), NOW) == NOW + 346 * DAY
    assert horizon(jobs(job("d", "02:00 daily")), NOW) == NOW + 366 * DAY
    assert horizon(jobs(*(job(f"m{place}", "every 1 min") for place in range(10))), NOW) == NOW + 35 * DAY


spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda span: (float(span[0]), float(sum(span)))),
    max_size=8,
).map(sorted)


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(st.tuples(spans, st.sampled_from([None, "a", "b"])), min_size=1, max_size=4))
def test_clashes_are_those_of_every_pair(raw: list[tuple[list[tuple[float, float]], str | None]]) -> None:
    tracks = [Track(str(place), runs, resource) for place, (runs, resource) in enumerate(raw)]
    expected = set()
    for one, first in enumerate(tracks):
        for other, second in enumerate(tracks[one:], start=one):
            if one != other and (first.resource is None or first.resource != second.resource):
                continue
            pairs = [
                (max(a[0], b[0]))
                for i, a in enumerate(first.spans)
                for j, b in enumerate(second.spans)
                if (one != other or i < j) and max(a[0], b[0]) < min(a[1], b[1])
            ]
            if pairs:
                expected.add((frozenset((str(one), str(other))), min(pairs)))
    assert {(frozenset(each.names), each.first) for each in clashes(tracks)} == expected


def loss(*entries: dict[str, Any]) -> float | None:
    found = worst_loss(jobs(*({"backup": True, **entry} for entry in entries)), NOW)
    return found.seconds if found is not None else None


def test_what_a_backup_a_day_may_lose() -> None:
    assert loss(job("b", "02:00 daily")) == 25 * HOUR
    assert loss(job("b", "02:00 daily", duration="10m")) == DAY + 600
    assert loss(job("b", "Mon-Fri 02:00")) == 3 * DAY + HOUR
    assert loss(job("full", "02:00 daily"), job("increment", "every 6 h", duration="15m")) == 6 * HOUR + 900


def test_the_night_that_skips_a_backup_counts() -> None:
    assert loss(job("b", "02:30 daily Europe/Berlin")) == 47 * HOUR + HOUR


def test_what_starts_later_and_is_complete_earlier_protects() -> None:
    # While the long one runs, short ones begin and end: they are what is left.
    assert loss(job("long", "00:00 daily", duration="20h"), job("short", "every 2 h", duration="10m")) == 2 * HOUR + 600


def test_no_backups_lose_everything() -> None:
    assert loss(job("b", "02:00 daily", backup=False)) is None
    assert loss() is None


runs = st.lists(st.tuples(st.integers(0, 23), st.integers(1, 30)), min_size=1, max_size=4, unique_by=lambda run: run[0])


@settings(max_examples=examples(200), deadline=None)
@given(runs)
@example([(0, 1), (23, 8)])
def test_the_loss_is_that_of_a_walk_over_all_minutes(daily: list[tuple[int, int]]) -> None:
    """At each minute: how old is what the newest complete backup holds?"""
    entries = [job(f"b{at}", f"{at:02d}:00 daily", duration=f"{length * 10}m") for at, length in daily]
    done = [(at * 60 + length * 10, at * 60) for at, length in daily]
    ends = sorted((end + day * 1440, start + day * 1440) for end, start in done for day in range(6))
    worst = 0
    for minute in range(2 * 1440, 5 * 1440):
        # Just before this minute's backups are complete.
        worst = max(worst, minute - max(start for end, start in ends if end < minute))
    assert loss(*entries) == worst * 60.0


def test_jobs_are_typed() -> None:
    (read,) = jobs(job("b", "02:00 daily", duration="30m", hosts="a:!b", extra_vars={"x": [1]}, backup="yes"))
    assert (read.duration, read.timeout, read.hosts, read.backup, read.exclusive) == (1800, 3600, "a:!b", True, True)
    assert read.extra_vars == {"x": [1]} and read.resource == "system"


WRONG: list[tuple[Any, str]] = [
    ("02:00", "is not a list of jobs"),
    (["x"], "job 1: 'x' is not a mapping"),
    ([{}], "job 1, field 'name': is missing"),
    ([job("b", "daily")], "job 'b', field 'at': 'daily': says no time"),
    ([job("b", "02:00 daily", playbook=None)], "job 'b', field 'playbook': is missing"),
    ([job("B b", "02:00 daily")], "job 'B b', field 'name': 'B b' is no name"),
    ([job("../b", "02:00 daily")], "is no name"),
    ([job("b", "02:00 daily", timout="2h")], "job 'b', field 'timout': is no field of a job"),
    ([job("b", "02:00 daily", duration="-1h")], "field 'duration'"),
    ([job("b", "02:00 daily", duration="2h", timeout="1h")], "field 'timeout': is shorter than the duration"),
    ([job("b", "02:00 daily", hosts="--become")], "field 'hosts'"),
    ([job("b", "02:00 daily", playbook="x\nUser=root")], "field 'playbook'"),
    ([job("b", "02:00 daily", extra_vars=["x"])], "field 'extra_vars'"),
    ([job("b", "02:00 daily", extra_vars={"db_password": "geheim-77"})], "field 'extra_vars': holds what looks like"),
    ([job("b", "02:00 daily"), job("b", "03:00 daily")], "job 'b', field 'name': two different jobs have it"),
]


@pytest.mark.parametrize(("raw", "words"), WRONG)
def test_a_malformed_job_is_named(raw: Any, words: str) -> None:
    entries = raw
    if isinstance(raw, list):
        entries = [{"playbook": "p", **entry} if entry and isinstance(entry, dict) else entry for entry in raw]
    with pytest.raises(JobsError) as caught:
        parse_jobs(entries)
    assert words in str(caught.value) and "geheim" not in str(caught.value)


def test_the_same_job_of_two_hosts_is_one() -> None:
    assert len(jobs(job("b", "02:00 daily"), job("b", "02:00 daily"))) == 1


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(JobsError) as caught:
        jobs(job("a", "x 02:00"), job("b", "y 02:00"))
    assert len(caught.value.problems) == 2
