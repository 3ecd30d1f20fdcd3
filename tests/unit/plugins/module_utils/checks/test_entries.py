# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every list that people write in an inventory names a misspelt field, and the one that was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant, nearest
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import parse_jobs
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.plugin_utils.history import views
from ansible_collections.day2.ops.plugins.plugin_utils.notify import channels
from ansible_collections.day2.ops.plugins.plugin_utils.report import acknowledge
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import parse_steps

WINDOW = {"name": "night", "start": "02:00", "duration": "2h", "rrule": "FREQ=DAILY"}
JOB = {"name": "daily", "at": "02:00 daily", "playbook": "day2.ops.daily"}


def checks(entries: Sequence[object]) -> Any:
    return parse_checks(entries, find_spec, registry.PROBES, 10.0)


LISTS: list[tuple[Callable[[Any], Any], dict[str, Any], str, str]] = [
    (checks, {"id": "a", "title": "A", "probe": "disk", "path": "/"}, "warnign", "warning"),
    (parse_windows, WINDOW, "durration", "duration"),
    (parse_windows, WINDOW, "rule", "rrule"),
    (parse_jobs, JOB, "exta_vars", "extra_vars"),
    (parse_steps, {"id": "a", "role": "day2.ops.maintenance_steps"}, "entrypoint", "entry_point"),
    (channels.parse, {"name": "chat", "kind": "slack", "url": "https://x/"}, "severitys", "severities"),
    (acknowledge.parse, {"id": "a", "owner": "o", "reason": "r", "until": "2026-01-31"}, "hots", "host"),
    (views.parse, {"id": "a", "title": "A", "checks": "cpu", "days": 7}, "chekcs", "checks"),
]


@pytest.mark.parametrize(("read", "entry", "typed", "wanted"), LISTS)
def test_a_misspelt_field_is_named_with_the_one_that_was_meant(
    read: Callable[[Any], Any], entry: dict[str, Any], typed: str, wanted: str
) -> None:
    with pytest.raises(Day2Error) as fault:
        read([{**entry, typed: "x"}])
    assert f"'{typed}'" in str(fault.value) and f"did you mean '{wanted}'?" in str(fault.value)


@pytest.mark.parametrize(("read", "entry"), [(parse_windows, WINDOW), (parse_jobs, JOB)])
def test_the_same_one_twice_counts_once_and_all_faults_are_named(
    read: Callable[[Any], Any], entry: dict[str, Any]
) -> None:
    assert len(read([entry, dict(entry)])) == 1
    with pytest.raises(Day2Error) as fault:
        read([{**entry, "name": "A b"}, 5, {"name": "x"}, entry, {**entry, "duration": "3h"}])
    words = str(fault.value)
    assert "'A b'" in words and "2: 5 is not a mapping" in words and "'x', field" in words and "two different" in words
    for wrong in (None, "text", {"name": "x"}):
        with pytest.raises(Day2Error, match="is not a list of"):
            read(wrong)


def test_what_nobody_can_have_meant() -> None:
    assert meant("zzz", ["name", "start"]) == "there are name, start"
    assert nearest(5, ["name"]) is None and nearest("nam", ["name"], 0.95) is None
