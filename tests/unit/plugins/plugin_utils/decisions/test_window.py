# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines and plans of role maintenance_window, and what is known of all hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import window

MODE = {"msg": "in maintenance", "steps": ["silence", "stop web"]}
BACK, KEPT = {"back": True, "why": "verified"}, {"back": False, "why": "ill", "todo": "Mend it"}
LEASE = {"owner": "maintenance", "left": 60, "until": "06:00"}


@pytest.mark.parametrize(
    ("outcomes", "failed", "why"),
    [
        ({}, {}, "another host failed"), ({"a": {"entered": True}, "b": {}, "c": None}, {}, "another host failed"),
        ({"a": {}, "b": {"failed": "no"}, "c": {"failed": ""}}, {"b": "no", "c": ""}, "no"),
    ],
)  # fmt: skip
def test_hosts_that_failed(outcomes: dict[str, Any], failed: dict[str, str], why: str) -> None:
    assert (window.failed(outcomes), window.not_run(outcomes)) == (failed, why)


def test_the_lease_of_this_maintenance() -> None:
    other = {"owner": "somebody"}
    assert window.lease({"leases": [other, LEASE]}, "maintenance") == LEASE
    for status in ({"leases": [other]}, {"leases": []}, {"unreachable": True, "msg": "gone"}, {"failed": True}):
        assert window.lease(status, "maintenance") == {}
    assert window.release({"leases": [other, LEASE]}, "shop") == (
        "day2ctl maintenance disable shop --owner 'somebody'; day2ctl maintenance disable shop --owner 'maintenance'"
    )
    assert window.release({"leases": []}, "shop") == "day2ctl maintenance status"


@pytest.mark.parametrize(
    ("leases", "held"),
    [([], False), (None, False), ([{"left": 0}], False), ([{"left": None}, {}], False), ([{"left": 0}, LEASE], True)],
)
def test_a_mode_that_is_held(leases: Any, held: bool) -> None:
    assert window.is_held({"leases": leases}) is held


def test_findings_that_are_known_are_not_asked_for() -> None:
    checks = [{"id": "a"}, {"id": "b"}, "malformed", {"title": "no id"}]
    assert window.wanted(checks, ["a"]) == checks[1:] == window.wanted(checks, "a")
    assert window.wanted(checks, []) == checks


def test_what_would_be_announced() -> None:
    assert window.announced([{"channel": "c", "subject": "s", "text": "t"}, {"channel": "d"}]) == "c: s: t; d: : "
    assert window.announced([]) == "nothing: it was announced, or no channel takes what is info"


def test_checks_that_are_not_well() -> None:
    rows = [{"id": word, "title": word.title(), "status": word, "message": "m"}
            for word in ("ok", "critical", "warning", "unknown", "skipped")]  # fmt: skip
    assert window.findings({"results": rows}) == {
        "ill": ["critical", "unknown"], "findings": ["Critical: m", "Unknown: m"],
    }  # fmt: skip
    assert window.findings({"unreachable": True}) == {"ill": [], "findings": []}


def test_the_plan() -> None:
    admission = {"msg": "at most 1 h, until 06:00", "plan": ["at most 1 h", "step: packages"]}
    assert window.plan(admission, MODE, True, [{"id": "h", "title": "Health"}]) == [
        "at most 1 h, until 06:00", "silence", "stop web", "a verified backup", "step: packages", "well again: Health",
    ]  # fmt: skip
    assert "a verified backup" not in window.plan(admission, {}, False, [])


@pytest.mark.parametrize(
    ("planning", "mode", "emergency", "message", "evidence"),
    [
        (False, MODE, "", "in maintenance", ["silence", "stop web"]),
        (True, MODE, "", "would enter until 06:00: silence; stop web", ["silence", "stop web"]),
        (True, {}, "", "would enter until 06:00", []),
        (False, MODE, "security", "in maintenance", ["silence", "stop web", "approved by M. Anager"]),
    ],
)  # fmt: skip
def test_the_line_of_a_host_that_entered(
    planning: bool, mode: dict[str, Any], emergency: str, message: str, evidence: list[str]
) -> None:
    line = window.entered(planning, "until 06:00", mode, "M. Anager", emergency)
    assert line == {"message": message, "evidence": evidence}


@pytest.mark.parametrize(
    ("planning", "found", "status", "message"),
    [
        (False, [], "ok", "m"), (False, ["x"], "critical", "m"), (True, ["x"], "skipped", "would be verified; now: m"),
    ],
)  # fmt: skip
def test_the_line_of_the_checks(planning: bool, found: list[str], status: str, message: str) -> None:
    assert window.verified(planning, {"msg": "m"}, found) == {"status": status, "message": message, "evidence": found}


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ({}, "ok", "in service"), ({"planning": True}, "ok", "would leave the mode"),
        ({"held_by": "another"}, "critical", "in service"),
        ({"ended": True}, "critical",
         "the lease ended before the maintenance did, and the host left the mode by itself: verified"),
        ({"decision": KEPT}, "critical",
         "the mode is kept until 06:00, then the host comes back by itself: ill. Mend it"),
    ],
)  # fmt: skip
def test_the_line_of_a_host_that_left(given: dict[str, Any], status: str, message: str) -> None:
    facts: dict[str, Any] = {
        "planning": False, "decision": BACK, "ended": False, "held_by": "", "lease": LEASE,
        "mode": {"msg": "in service"}, **given,
    }  # fmt: skip
    line = window.left(**facts)
    assert (line["status"], line["message"]) == (status, message)


@pytest.mark.parametrize(
    ("decisions", "outcomes", "wanted"),
    [
        ({"a": {}, "b": BACK, "c": KEPT}, {}, BACK), ({"a": {}}, {"a": {"entered": True}}, {}),
        ({}, {"a": {"entered": False}, "b": {}}, {"back": True, "why": "no host entered the mode"}),
        ({}, {}, {"back": True, "why": "no host entered the mode"}),
    ],
)  # fmt: skip
def test_the_decision_for_all_hosts(
    decisions: dict[str, Any], outcomes: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert window.decision(decisions, outcomes) == wanted


def test_hosts_that_say_nothing() -> None:
    assert window.reports({"a": {"rows": []}}, ["a", "b"]) == {"a": {"rows": []}, "b": {"stuck": True}}
    assert window.systems({"a": "shop", "b": "shop"}, ["a", "b"]) == ["shop"]
    assert window.systems({"a": "shop"}, ["a", "b"]) == ["shop", ""]
    assert window.notified([{"name": "chat"}, {}]) == "notified: chat, a channel"
    assert window.notified([]) == "notified: nobody (notify_channels)"
