# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.maintenance.procedure import (
    Decision,
    Outcome,
    ProcedureError,
    Report,
    Request,
    Window,
    admit,
    decide,
    no_time,
    summarise,
)
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import parse_steps

STEPS = [{"id": "packages", "role": "day2.ops.maintenance_steps", "entry_point": "packages", "duration": "20m"}]
OPEN = Window("weekly", 7200.0, "weekly is open until 06:00")
SCHEDULED = Request("shop", None, STEPS, 900.0, window=OPEN)
EMERGENCY = Request(
    "shop", "security", STEPS, 900.0, duration=3600.0, reason="CVE", approved_by="M. Anager", approvers=["M. Anager"]
)


def refused(request: Request) -> list[str]:
    with pytest.raises(ProcedureError) as caught:
        admit(request)
    return caught.value.problems


def test_scheduled_maintenance_ends_with_its_window() -> None:
    admission = admit(SCHEDULED)
    assert (admission.seconds, admission.owner) == (7200.0, "maintenance")
    assert admission.reason == "Scheduled maintenance (weekly)"
    assert admit(replace(SCHEDULED, duration=3600.0)).seconds == 3600.0
    assert admit(replace(SCHEDULED, duration=9e9)).seconds == 7200.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": Window(None, 0.0, "the next one is monthly")}, "the next one is monthly. What cannot wait"),
        ({"window": None}, "shop has no windows of maintenance (day2_windows)"),
        ({"window": Window("weekly", 600.0, "open")}, "15 min of them are kept for verification"),
        ({"duration": -1.0}, "more than nothing"),
        ({"duration": 0.0}, "more than nothing"),
        ({"reserve": -1.0}, "less than nothing"),
        ({"system": " "}, "day2_system"),
        ({"steps": ["packages"]}, "'packages' is not a mapping"),
        ({"steps": [{"id": "x"}]}, "step 'x', field 'role': is missing"),
        ({"steps": [{"id": "x", "role": "r", "after": "y"}]}, "field 'after': is unknown"),
        ({"steps": [{"id": "x", "role": "r", "duration": "soon"}]}, "step 'x', field 'duration'"),
        ({"steps": [{"id": "x", "role": "r", "duration": -1}]}, "step 'x', field 'duration'"),
    ],
)
def test_scheduled_maintenance_is_refused(change: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in refused(replace(SCHEDULED, **change)))


def test_an_emergency_needs_no_window_and_somebody_who_approves() -> None:
    admission = admit(EMERGENCY)
    assert (admission.seconds, admission.owner) == (3600.0, "emergency-maintenance")
    assert admission.reason == "Emergency maintenance (security): CVE"
    assert "approved by M. Anager" in admission.lines


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"emergency": "lunch"}, "one of security, database, application"),
        ({"reason": " "}, "an emergency has a reason: add -e \"maintenance_window_reason='…'\""),
        (
            {"approved_by": ""},
            "approved_by is missing: one of M. Anager has to approve: add -e \"approved_by='M. Anager'\"",
        ),
        (
            {"approved_by": "", "approvers": ["N. Ight", "lead"]},
            "N. Ight, lead has to approve: add -e \"approved_by='N. Ight'\" or -e \"approved_by='lead'\"",
        ),
        # As a shell takes it, and then Ansible.
        ({"approved_by": "", "approvers": ["O'Brien"]}, """add -e '{"approved_by": "O'"'"'Brien"}'"""),
        ({"approved_by": "", "approvers": ["$HOME"]}, """add -e '{"approved_by": "$HOME"}'"""),
        ({"approved_by": "M."}, "(a name with spaces is quoted twice: -e \"approved_by='M. Anager'\")"),
        ({"approved_by": "S. Omebody"}, "'S. Omebody' is none of those who may approve: M. Anager"),
        ({"approved_by": "M."}, "none of those who may approve"),
        ({"approvers": []}, "nobody can approve: shop has no day2_approvers"),
    ],
)
def test_an_emergency_is_refused(change: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in refused(replace(EMERGENCY, **change)))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert len(refused(replace(EMERGENCY, emergency="lunch", reason="", approved_by="nobody", steps=[3]))) == 4


def test_steps_that_do_not_fit_are_told_ahead_and_left_out() -> None:
    many = [{**STEPS[0], "id": f"s{number}"} for number in range(7)]
    assert "those that do not fit are left out" in admit(replace(SCHEDULED, steps=many)).lines[-1]
    packages, quick = parse_steps([*STEPS, {"id": "quick", "role": "r"}])
    assert no_time(packages, 1200 + 900, 900) is None
    assert no_time(packages, 1199 + 900, 900) == (
        "left out: it takes 20 min, and 19 min 59 s are left before verification"
    )
    assert no_time(quick, 901, 900) is None
    assert no_time(quick, 900, 900) is not None


WELL = Outcome(entered=True, touched=True, healthy=True)
ILL = Outcome(entered=True, touched=True, healthy=False, findings=["Health: 502"])


def test_the_service_comes_back_when_every_host_is_well() -> None:
    assert decide({"a": WELL, "b": WELL}, "shop", "maintenance").back
    after_a_fault = decide({"a": replace(WELL, failed="packages: no network"), "b": WELL}, "shop", "maintenance")
    assert after_a_fault.back
    assert "a: packages: no network" in after_a_fault.why


def test_the_mode_is_kept_when_something_was_changed_and_a_host_is_not_well() -> None:
    decision = decide({"a": WELL, "b": ILL}, "shop", "maintenance")
    assert not decision.back
    assert "b: Health: 502" in decision.why
    assert "on b: day2ctl maintenance disable shop --owner maintenance" in decision.todo


def test_a_host_that_nobody_could_look_at_is_not_well() -> None:
    decision = decide({"a": WELL, "b": replace(ILL, findings=[])}, "shop", "maintenance")
    assert not decision.back
    assert "b: nobody could look" in decision.why


def test_what_changed_nothing_goes_back_in_any_case() -> None:
    untouched = replace(ILL, touched=False, failed="backup: disk is full")
    decision = decide({"a": untouched, "b": replace(WELL, touched=False)}, "shop", "maintenance")
    assert decision.back
    assert "nothing was changed, but the service is not well" in decision.why


def test_who_let_users_in_by_itself_is_not_told_to_be_let_in() -> None:
    early = replace(ILL, ended=True, failed="no lease any more", findings=[])
    alone = decide({"a": early, "b": WELL}, "shop", "maintenance")
    assert alone.back and "a let users in by itself" in alone.why and "disable" not in alone.todo
    with_another = decide({"a": early, "b": ILL}, "shop", "maintenance")
    assert not with_another.back and "then on b: day2ctl maintenance disable" in with_another.todo
    too_late = decide({"a": replace(ILL, ended=True)}, "shop", "maintenance")
    assert too_late.back and "not verified; a: Health: 502" in too_late.why
    in_time = decide({"a": replace(WELL, ended=True)}, "shop", "maintenance")
    assert in_time.back and in_time.why == "everything was verified"


def test_a_host_that_did_not_enter_keeps_nobody_in_the_mode() -> None:
    refused_one = Outcome(failed="nginx is broken")
    assert decide({"a": refused_one, "b": replace(WELL, touched=False)}, "shop", "maintenance").back


BACK, KEPT = Decision(True, "everything was verified"), Decision(False, "the service is not well", "Mend it.")
ROWS = [{"title": "Updates", "status": "ok"}]


def test_the_end_is_told_with_each_steps_result() -> None:
    said = summarise("weekly", "shop", 754.0, BACK, {"a": Report(ROWS)})
    assert (said.title, said.severity) == ("Maintenance is over: weekly", "info")
    assert said.text == "shop after 12 min 34 s: everything was verified. Updates: ok"


def test_hosts_are_named_where_there_are_several() -> None:
    reports = {"a": Report(ROWS), "b": Report(ROWS, failed="no network")}
    said = summarise("weekly", "shop", 60.0, BACK, reports)
    assert (said.title, said.severity) == ("Maintenance failed, the service is back: weekly", "warning")
    assert "b: no network" in said.text and "a: Updates: ok. b: Updates: ok" in said.text


def test_users_who_were_let_in_unverified_are_told_of() -> None:
    for report in (Report(ROWS, failed="no lease any more", ended=True), Report(ROWS, ended=True)):
        said = summarise("weekly", "shop", 60.0, BACK, {"a": report})
        assert "users are served, and nobody verified" in said.title and said.severity == "critical"


@pytest.mark.parametrize(
    ("decision", "report", "words"),
    [
        (KEPT, Report(ROWS), "the service is not well. Mend it."),
        (BACK, Report(ROWS, stuck=True), "nobody knows how a is: look there"),
        (BACK, Report(ROWS, held_by="shop is in maintenance: bob"), "a: shop is in maintenance: bob"),
    ],
)
def test_what_is_not_back_is_never_told_as_over(decision: Decision, report: Report, words: str) -> None:
    said = summarise("weekly", "shop", 60.0, decision, {"a": report})
    assert "NOT back" in said.title and said.severity == "critical" and words in said.text


def test_an_emergency_without_a_length_takes_an_hour() -> None:
    assert admit(replace(EMERGENCY, duration=None)).seconds == 3600.0
