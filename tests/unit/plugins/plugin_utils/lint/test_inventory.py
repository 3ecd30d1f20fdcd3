# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in an inventory that can be told without asking a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.lint.inventory import look

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
    assert problem.startswith("daily check 'm' and weekly check 'ram' ask the same and contradict each other: ")
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
    assert "'until' is missing" in "".join(problems(MEMORY, acknowledged=[{"id": "m", "owner": "o", "reason": "r"}]))
