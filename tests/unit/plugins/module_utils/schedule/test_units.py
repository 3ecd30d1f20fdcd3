# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of jobs: what is in them, and which of those that are there are written, left and removed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import parse_jobs
from ansible_collections.day2.ops.plugins.module_utils.schedule.units import (
    Node,
    UnitsError,
    diff,
    owner,
    plan,
    quote,
    render,
)

NODE = Node("shop", "/etc/day2/shop", "ansible", "/var/lib/day2")
BACKUP = {"name": "backup", "at": "02:00 daily", "playbook": "day2.ops.backup"}


def units(*entries: dict[str, Any], node: Node = NODE) -> dict[str, str]:
    return render(parse_jobs(list(entries)), node)


def test_a_service_and_a_timer_of_a_job() -> None:
    texts = units({**BACKUP, "duration": "30m", "hosts": "db"})
    assert list(texts) == ["day2-shop-backup.service", "day2-shop-backup.timer"]
    service, timer = texts["day2-shop-backup.service"], texts["day2-shop-backup.timer"]
    assert service.endswith(
        "TimeoutStartSec=3600\n"
        "ExecStart=/usr/bin/flock --timeout 1800 --conflict-exit-code 75 /var/lib/day2/.day2-shop-system.lock"
        " /usr/bin/ansible-playbook day2.ops.backup -i /etc/day2/shop -l db\n"
    )
    assert "OnCalendar=*-*-* 02:00:00 UTC\nPersistent=true\n" in timer and "EnvironmentFile" not in service


def test_a_job_that_goes_with_all_takes_no_lock() -> None:
    assert "flock" not in units({**BACKUP, "exclusive": False})["day2-shop-backup.service"]


def test_environment() -> None:
    node = Node("shop", "/i", "ansible", "/var/lib/day2", environment_file="/etc/day2/env")
    assert "EnvironmentFile=/etc/day2/env\n" in units(BACKUP, node=node)["day2-shop-backup.service"]


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/etc/day2-x", "/etc/day2-x"),
        ("a b", '"a b"'),
        ("%n", '"%%n"'),
        ("$HOME", '"$$HOME"'),
        ('{"a": "\\"}', '"{\\"a\\": \\"\\\\\\"}"'),
        (";", '";"'),
        ("", '""'),
    ],
)
def test_words_mean_themselves(word: str, written: str) -> None:
    assert quote(word) == written


def test_what_is_written_left_and_removed() -> None:
    present = units(BACKUP, {**BACKUP, "name": "gone"})
    wanted = units({**BACKUP, "at": "03:00 daily"}, {**BACKUP, "name": "new"})
    found = plan(wanted, present, "shop")
    assert sorted(found.write) == ["day2-shop-backup.timer", "day2-shop-new.service", "day2-shop-new.timer"]
    assert found.remove == ["day2-shop-gone.service", "day2-shop-gone.timer"]
    assert found.keep == ["day2-shop-backup.service"]
    shown = {each["before_header"]: each for each in diff(found)}
    assert len(shown) == 5 and shown["day2-shop-gone.timer"]["after"] == ""
    assert "02:00:00" in shown["day2-shop-backup.timer"]["before"]


def test_units_of_others_are_left() -> None:
    foreign = {"day2-shop-mine.timer": "[Timer]\n", "day2-shop-x-backup.timer": ""}
    other = units(BACKUP, node=Node("shop-x", "/i", "ansible", "/d"))
    assert plan({}, {**foreign, **other}, "shop").remove == []
    assert owner(other["day2-shop-x-backup.timer"]) == "shop-x" and owner("[Timer]\n") is None


@pytest.mark.parametrize("text", ["", "[Timer]\n", units(BACKUP, node=Node("shop-x", "/i", "u", "/d")).popitem()[1]])
def test_a_unit_of_others_is_not_overwritten(text: str) -> None:
    with pytest.raises(UnitsError, match="written by the schedule of 'shop'"):
        plan(units(BACKUP), {"day2-shop-backup.timer": text}, "shop")
