# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines are shortened for a person at a terminal only, and standard output that is a document stays one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.report.speak import is_for_people, width_for_a_person


def unknown() -> int:
    raise OSError("not a terminal")


@pytest.mark.parametrize(
    ("environment", "is_terminal", "ask", "width"),
    [
        ({"TERM": "xterm"}, True, lambda: 132, 132),
        ({}, True, lambda: 132, 132),
        ({"COLUMNS": "200"}, True, lambda: 132, 200),
        ({"COLUMNS": "0"}, True, lambda: 132, 132),
        ({"COLUMNS": "wide"}, True, lambda: 132, 132),
        ({"COLUMNS": "\u00b2"}, True, lambda: 132, 132),
        # A pipe, a file, cron, a timer.
        ({}, False, lambda: 132, None),
        ({"COLUMNS": "80"}, False, lambda: 80, None),
        # A terminal that does not know how wide it is.
        ({}, True, lambda: 0, None),
        ({}, True, unknown, None),
        ({"TERM": "dumb"}, True, lambda: 80, None),
        # Runners give their jobs a terminal of 80 columns.
        ({"AWX_HOST": "https://awx.example.com", "TERM": "xterm"}, True, lambda: 80, None),
        ({"RUNNER_OMIT_EVENTS": "False"}, True, lambda: 80, None),
    ],
)
def test_width(environment: dict[str, str], is_terminal: bool, ask: Callable[[], int], width: int | None) -> None:
    assert width_for_a_person(environment, is_terminal, ask) == width


def test_width_under_a_runner_s_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible import constants

    monkeypatch.setattr(constants, "DEFAULT_STDOUT_CALLBACK", "awx_display", raising=False)
    assert width_for_a_person({}, True, lambda: 80) is None


@pytest.mark.parametrize(
    ("callback", "for_people"),
    [
        ("default", True),
        ("ansible.builtin.default", True),
        ("day2.ops.brief", True),
        ("awx_display", True),
        ("community.general.yaml", True),
        ("json", False),
        ("ansible.posix.json", False),
        ("ansible.posix.jsonl", False),
        ("community.general.null", False),
        ("site.own.something", False),
    ],
)
def test_callbacks(callback: str, for_people: bool) -> None:
    assert is_for_people(callback) is for_people
