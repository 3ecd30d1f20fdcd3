# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every item of every manual is answered, or it is written down why it is not."""

from __future__ import annotations

from typing import Any

import generate_map
import pytest

ITEMS = [(manual["system"], item) for manual in generate_map.manuals() for item in manual["items"]]
LOOKS = ("check", "view")
CADENCES = ("daily", "weekly", "monthly", "quarterly")


def test_the_page_is_current() -> None:
    page = (generate_map.ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    assert page == generate_map.render(), "run `make docs`"


def test_all_manuals_are_there() -> None:
    assert len(ITEMS) == 234 and len({item["id"] for _system, item in ITEMS}) == 234


@pytest.mark.parametrize(("system", "item"), ITEMS, ids=[item["id"] for _system, item in ITEMS])
def test_item_is_answered_or_open_with_a_reason(system: str, item: dict[str, Any]) -> None:
    name = item["id"]
    answers = generate_map.answered(system).get(name) or name in generate_map.done()
    assert answers or generate_map.why_open(name)


@pytest.mark.parametrize("system", ["options_engine", "snowflake_analytics"])
def test_read_only_items_of_the_systemd_manuals_are_answered(system: str) -> None:
    answers = generate_map.answered(system)
    wanted = {
        item["id"] for of, item in ITEMS if of == system and item["kind"] in LOOKS and item["cadence"] in CADENCES
    }
    assert {name for name in wanted if name not in answers and name not in generate_map.done()} == set()


def test_nothing_is_said_of_items_that_are_not_there() -> None:
    known = {item["id"] for _system, item in ITEMS}
    refs = {ref for system in ("options_engine", "snowflake_analytics") for ref in generate_map.answered(system)}
    assert refs | set(generate_map.done()) <= known


def test_every_reason_is_still_needed() -> None:
    for pattern, reason in generate_map.open_rules():
        assert any(pattern.fullmatch(item["id"]) for _system, item in ITEMS), reason
