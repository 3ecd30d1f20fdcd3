# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in an inventory that can be told without asking a host."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.lint.inventory import Failover, look

MEMORY = {"id": "m", "title": "M", "probe": "memory"}
HTTP = {"id": "h", "title": "H", "probe": "http", "url": "http://127.0.0.1/"}
UNIT = {"id": "u", "title": "U", "probe": "service", "name": "nginx"}


def problems(*checks: dict[str, Any], **more: Any) -> list[str]:
    """Of one daily check and others, one a cadence."""
    lists = dict(zip(("daily", "weekly", "monthly"), ([check] for check in checks), strict=False))
    return look(lists, more.get("views", {}), more.get("acknowledged")).problems


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"warning": "> 80%"}, {"critical": "> 90%"}, "99 % is warning in the one and critical in the other"),
        (
            {"warning": "> 80%", "critical": "> 95%"},
            {"warning": "> 80%", "critical": "> 90%"},
            "95 % is warning in the",
        ),
    ],
)
def test_contradictions_are_named(one: dict[str, Any], other: dict[str, Any], said: str) -> None:
    (problem,) = problems({**MEMORY, **one}, {**MEMORY, "id": "ram", **other})
    assert problem.startswith("daily check 'm' and weekly check 'ram' read the same value and contradict each other: ")
    assert said in problem


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"warning": "> 80%"}, {"warning": "> 80%"}), ({"warning": "> 80%"}, {}),
        ({"warning": "> 80%"}, {"warning": "> 70%"}),
        ({"warning": "> 80%"}, {"metric": "available", "critical": "< 1GB"}),
        ({"critical": "< 10"}, {"critical": "> 90", "warning": "> 80"}),
        ({"critical": "> 90%"}, {"warning": "> 80%", "enabled": False}), ({"critical": "> 90"}, {"critical": "> 90%"}),
    ],
)  # fmt: skip
def test_what_agrees_or_asks_something_else_is_left_alone(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert problems({**MEMORY, **one}, {**MEMORY, "id": "ram", **other}) == []


def test_units_are_compared_by_what_they_mean() -> None:
    assert problems({**HTTP, "critical": "> 1s"}, {**HTTP, "critical": "> 1000ms"}) == []
    assert problems({**HTTP, "critical": "> 1s"}, {**HTTP, "unit": "ms", "critical": "> 1000"}) == []
    (problem,) = problems({**HTTP, "critical": "> 1s"}, {**HTTP, "warning": "> 500ms", "critical": "> 2s"})
    assert "is critical in the one and warning in the other" in problem


def test_words_contradict_too() -> None:
    (problem,) = problems({**UNIT, "warning": "!= active"}, {**UNIT, "critical": "== failed"})
    assert "failed is warning in the one and critical in the other" in problem


def test_a_malformed_check_is_named_with_its_cadence() -> None:
    assert problems(MEMORY, {**MEMORY, "warning": "80"})[0].startswith("weekly check 'm', field 'warning'")


def test_views_show_checks_that_there_are() -> None:
    view = {"id": "v", "title": "V", "checks": ["m", "gone"]}
    assert problems(MEMORY, views={"weekly": [view]}) == [
        "weekly view 'v' shows 'gone', which is no check of this host"
    ]
    assert problems(MEMORY, views={"weekly": [{**view, "checks": "x*"}]}) == [
        "weekly view 'v' shows 'x*', which is no check of this host"
    ]
    assert problems(MEMORY, views={"weekly": [{**view, "checks": ["m*", "m"]}]}) == []
    assert "weekly views: view 1 ('v'): 'days'" in problems(MEMORY, views={"weekly": [{**view, "days": 0}]})[0]


def test_acknowledgements_are_read() -> None:
    entry = {"id": "m*", "owner": "o", "reason": "r", "until": "2199-01-01"}
    assert "'until' is missing" in "".join(problems(MEMORY, acknowledged=[{**entry, "until": None}]))
    assert problems(MEMORY, acknowledged=[entry, {**entry, "id": "reachable"}]) == []
    assert problems(MEMORY, acknowledged=[{**entry, "id": "x"}]) == [
        "acknowledged finding 'x' is no check of this host"
    ]


def test_one_name_has_one_question() -> None:
    assert problems(MEMORY, {**MEMORY, "warning": "> 80%"}) == []
    assert problems(MEMORY, {**HTTP, "id": "m"}) == ["id 'm' is in daily and in weekly and asks something else there"]
    view = {"id": "m", "title": "V", "checks": "m"}
    assert problems(MEMORY, views={"daily": [view]}) == ["daily view 'm' has the id of a check"]


def test_days_are_text_as_on_the_host() -> None:
    duty = {
        "id": "d",
        "title": "D",
        "probe": "attestation",
        "every": "30d",
        "done_on": date(2026, 10, 1),
        "by": "A. Person",
    }
    assert problems(duty) == []


def test_names_that_are_no_variables_are_named() -> None:
    names = [
        "day2_daily_check",
        "day2_weakly_checks",
        "day2_daily_checks_more",
        "day2_check_timeout",
        "day2_backup_dir",
    ]
    assert look({}, {}, variables=dict.fromkeys(names)).problems == [
        "day2_daily_check is no variable of a checklist; did you mean day2_daily_checks",
        "day2_weakly_checks is no variable of a checklist; did you mean day2_weekly_checks",
    ]


def test_channels_are_read() -> None:
    (problem,) = look({}, {}, channels=[{"name": "chat", "kind": "slack"}]).problems
    assert problem.startswith("notify_channels: ") and "url" in problem


def test_windows_are_read() -> None:
    night = {"name": "night", "start": "02:00", "duration": "2h", "rrule": "FREQ=DAILY"}
    assert look({}, {}, windows=[night]).problems == []
    (problem,) = look({}, {}, windows=[{**night, "durration": "2h"}]).problems
    assert problem.startswith("window 'night', field 'durration': is no field") and "mean 'duration'?" in problem


_PLAN = {
    "database": "shop", "members": ["db1", "db2"], "vantage_points": ["db2", "app1", "controller", "db1"],
    "journal_hosts": ["db1", "db2", "app1"], "fence": [{"kind": "service"}], "traffic": [],
    "targets": {"rto": "30m", "rpo": "5m"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"members": ["db1", "dbb2"]}, ["'dbb2' is no host", "needs a primary and at least one standby"]),
        ({"fence": [], "targets": None}, ["field 'targets': is missing", "field 'fence': is empty"]),
    ],
)
def test_all_that_is_wrong_with_a_plan_of_a_failover(changed: dict[str, Any], said: list[str]) -> None:
    plan = Failover({**_PLAN, **changed}, {host: host for host in ("db1", "db2", "app1")}, "shop")
    found = look({}, {}, failover=plan).problems
    assert all(any(words in problem for problem in found) for words in said), found
    assert bool(found) == bool(said)
