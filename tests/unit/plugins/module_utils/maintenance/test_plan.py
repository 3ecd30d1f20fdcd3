# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan (check mode) says: never that something was done, was verified or is over."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.action import maintenance_procedure as action
from ansible_collections.day2.ops.plugins.plugin_utils.maintenance.procedure import (
    Outcome,
    Report,
    decide_plan,
    summarise_plan,
)

ENTERED = Outcome(entered=True)
ILL = Outcome(entered=True, healthy=False, findings=["Health: 503"])
DONE = ("is over", "was verified", "everything", "failed,", "NOT back", "is back", " after ")


@pytest.mark.parametrize("outcomes", [{}, {"a": ENTERED}, {"a": ENTERED, "b": ILL}, {"a": Outcome(failed="no nginx")}])
def test_a_plan_decides_nothing(outcomes: dict[str, Outcome]) -> None:
    decision = decide_plan(outcomes)
    assert decision.back and decision.why.endswith("nothing was changed, and nothing was verified")
    assert ("a: no nginx" in decision.why) == (outcomes.get("a", ENTERED).failed is not None)


@pytest.mark.parametrize(
    ("reports", "title", "severity", "words"),
    [
        ({"a": Report([{"title": "Updates", "status": "skipped"}])}, "Plan of the maintenance: w", "info",
         "planned: Updates"),
        ({"a": Report(), "b": Report([{"title": "Logs"}])}, "Plan of the maintenance: w", "info", "b, planned: Logs"),
        ({"a": Report(failed="nginx is broken")}, "The maintenance would fail: w", "warning", "nginx is broken"),
        ({"a": Report(), "b": Report(failed="no disk")}, "The maintenance would fail: w", "warning", "b: no disk"),
        ({}, "Plan of the maintenance: w", "info", "nothing was changed"),
    ],
)  # fmt: skip
def test_the_end_of_a_plan(reports: dict[str, Report], title: str, severity: str, words: str) -> None:
    said = summarise_plan("w", "shop", decide_plan({}), reports)
    assert (said.title, said.severity) == (title, severity) and words in said.text
    assert not [word for word in DONE if word in said.title + said.text.replace("nothing was verified", "")]


# Friday 2026-12-04 12:00:00Z; the windows are on Sunday.
FRIDAY = 1796385600.0
SUNDAY = {"name": "weekly", "rrule": "FREQ=WEEKLY;BYDAY=SU", "start": "04:00", "duration": "2h"}
BERLIN = {**SUNDAY, "timezone": "Europe/Berlin"}
FAR = {"name": "far", "dates": ["2027-12-04"], "start": "04:00", "duration": "3h"}


def admitted(now: float, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "planning": True, "system": "shop", "emergency": None, "steps": [{"id": "x", "role": "r"}], "reserve": "15m",
        "duration": None, "windows": [SUNDAY], "reason": "", "approved_by": "", "approvers": [], **changes,
    }  # fmt: skip
    return action._admitted(arguments, now)


@pytest.mark.parametrize(
    ("changes", "period", "seconds"),
    [
        ({}, "from 2026-12-06T04:00:00Z until 2026-12-06T06:00:00Z", 7200.0),
        ({"duration": "45m"}, "from 2026-12-06T04:00:00Z until 2026-12-06T04:45:00Z", 2700.0),
        ({"duration": "9h"}, "from 2026-12-06T04:00:00Z until 2026-12-06T06:00:00Z", 7200.0),
        ({"windows": [BERLIN]}, "from 2026-12-06T03:00:00Z until 2026-12-06T05:00:00Z", 7200.0),
        # Longer away than a lease may last.
        ({"windows": [FAR]}, "from 2027-12-04T04:00:00Z until 2027-12-04T07:00:00Z", 10800.0),
        ({"windows": [FAR, SUNDAY]}, "from 2026-12-06T04:00:00Z until 2026-12-06T06:00:00Z", 7200.0),
    ],
)
def test_a_plan_outside_a_window_has_the_times_of_the_window(
    changes: dict[str, Any], period: str, seconds: float
) -> None:
    said = admitted(FRIDAY + 0.25, **changes)
    assert (said["period"], said["seconds"], said["deadline"] - said["begins"]) == (period, seconds, seconds)
    assert said["until"] == period.partition(" until ")[2]
    # It reaches the host seconds later, whose timer comes every five: the service is back when the window ends.
    assert said["lease_until"] == said["deadline"] - 10
    # The lease's reason is the one that the run will have.
    assert said["reason"] in ("Scheduled maintenance (weekly)", "Scheduled maintenance (far)")
    assert period in said["msg"] and "no window is open; the next one is" in said["msg"]


@pytest.mark.parametrize("planning", [True, False])
def test_within_a_window_the_plan_and_the_run_begin_now(planning: bool) -> None:
    now = FRIDAY + 1.75 * 86400 - 3600
    said = admitted(now, planning=planning)
    assert (said["begins"], said["period"]) == (now, "until 2026-12-06T06:00:00Z")
    assert said["msg"].endswith("at most 1 h, until 2026-12-06T06:00:00Z")


def test_an_emergency_begins_now() -> None:
    who = {"approved_by": "M. Anager", "approvers": ["M. Anager"], "reason": "CVE", "duration": "1h"}
    said = admitted(FRIDAY, emergency="security", windows=[SUNDAY], **who)
    assert (said["begins"], said["period"]) == (FRIDAY, "until 2026-12-04T13:00:00Z")


@pytest.mark.parametrize("planning", [True, False])
def test_the_action_knows_the_mode(planning: bool) -> None:
    arguments: dict[str, Any] = {
        "planning": planning, "outcomes": {"a": {"entered": True, "healthy": True}}, "service": "shop", "owner": "m",
        "reason": "w", "seconds": 60.0, "reports": {"a": {"rows": [], "stuck": "False", "ended": False}},
    }  # fmt: skip
    arguments["decision"] = action._decided(arguments, 0.0)
    said = action._summarized(arguments, 0.0)
    assert said["title"] == ("Plan of the maintenance: w" if planning else "Maintenance is over: w")


@pytest.mark.parametrize("word", ["False", False])
def test_a_boolean_of_a_template_is_one(word: object) -> None:
    """ansible-core before 2.19 may hand it over as a word, and every word is true."""
    reports = action._by_host({"a": {"stuck": word, "failed": "", "held_by": ""}}, "reports", Report)
    assert reports["a"].stuck is False
