# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The procedure of maintenance on a lab host: what is refused, what is done in which order, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from chat import Chat
from lab.waiting import wait_for
from lab_host import LabHost
from maintained import ANY_TIME, NEVER, REPOSITORY, UNIT, Maintained
from pytest_httpserver import HTTPServer

APP = "/opt/options_engine/app.py"
PERSON = "M. Anager"


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    site = Maintained(lab_host, tmp_path_factory.mktemp("setup"))
    done = site.play("maintenance_setup")
    assert done.returncode == 0, site.output
    # nginx reads all that is there: a copy of a site would be a second site.
    assert sorted(lab_host.run("ls", "/etc/nginx/sites-enabled").split()) == ["options-engine", "upstream-stand-ins"]
    yield lab_host


@pytest.fixture
def site(prepared: LabHost, tmp_path: Path) -> Iterator[Maintained]:
    site = Maintained(prepared, tmp_path)
    assert site.in_service()
    yield site
    prepared.run("day2ctl", "maintenance", "disable", "options_engine", "--force")
    assert site.in_service(), site.output


def chat_at(httpserver: HTTPServer, site: Maintained) -> Chat:
    chat = Chat(httpserver)
    channel = {"name": "chat", "kind": "slack", "url": chat.server.url_for("/chat")}
    site.variables |= {"notify_channels": [channel], "notify_retries": 0, "day2_fail_on": "never"}
    return chat


def told(chat: Chat) -> tuple[str, str]:
    """That it begins, and how it ended; findings of the report are told beside them."""
    texts = chat.got()
    (begin,) = [text for text in texts if "Maintenance begins" in text]
    (end,) = [text for text in texts if "Maintenance failed" in text or "Maintenance is over" in text]
    return begin, end


def sets(site: Maintained) -> list[str]:
    return site.host.run("sh", "-c", f"ls -d {REPOSITORY}/*/*/manifest.json", check=False).split()


def test_a_window_from_its_beginning_to_its_end(site: Maintained, httpserver: HTTPServer) -> None:
    chat, before = chat_at(httpserver, site), sets(site)
    steps = [
        site.looking("first", then=f"ls -d {REPOSITORY}/*/*/manifest.json > /tmp/first-sets"),
        {**site.looking("second"), "title": "Second step", "ref": "OE-X01", "duration": "1m"},
    ]
    assert site.play("maintenance", day2_maintenance_steps=steps).returncode == 0, site.output
    for name in ("first", "second"):
        unit, status, state = site.seen(name)
        assert (unit, status) == ("inactive", "503")
        assert state["leases"]["maintenance"]["reason"] == "Scheduled maintenance (any-time)"
    # The backup is older than the first step, and there is one of each kind.
    made = set(site.host.run("cat", "/tmp/first-sets").split()) - set(before)
    assert len(made) == 4
    assert site.in_service()
    rows = site.rows()
    order = ["maintenance-on", "backup-logs", "first", "second", "maintenance-verified",
             "maintenance-off"]  # fmt: skip
    assert [name for name in rows if name in order] == order
    assert {rows[name]["status"] for name in order} == {"ok"}
    assert rows["second"]["ref"] == ["OE-X01"] and rows["second"]["title"] == "Second step"
    assert "health" in rows and "unit-options-engine" in rows
    begin, end = told(chat)
    assert "Maintenance begins: Scheduled maintenance (any-time)" in begin and "until" in begin
    assert "Maintenance is over" in end and "Second step: ok" in end and "options_engine after" in end


def test_check_mode_shows_the_plan_and_changes_nothing(site: Maintained) -> None:
    before = sets(site)
    step = site.looking("never-run")
    assert site.play("maintenance", "--check", day2_maintenance_steps=[step]).returncode == 0, site.output
    for words in ("nginx answers 503 from the next request on", f"stop {UNIT}", "a verified backup", "step: never-run"):
        assert words in site.output
    assert site.host.run("sh", "-c", "test ! -e /tmp/never-run && echo absent") == "absent"
    assert sets(site) == before and site.in_service() and site.reports() == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"day2_windows": [NEVER]}, "What cannot wait is emergency maintenance"),
        ({"day2_maintenance_steps_more": [{"id": "x"}]}, "step 'x', field 'role': is missing"),
        ({"day2_windows": []}, "options_engine has no windows of maintenance"),
        ({"day2_windows": [{**ANY_TIME, "rrule": "FREQ=SOMETIMES"}]}, "window 'any-time', field 'rrule'"),
        ({"day2_maintenance_steps": []}, "There is no step to take"),
        ({"day2_maintenance_steps": [{"id": "x"}]}, "step 'x', field 'role': is missing"),
        ({"day2_maintenance_steps": [{"id": "x", "role": "day2.ops.nothing"}]}, "step 'x', field 'role'"),
        ({"maintenance_window_duration": "-1h"}, "maintenance_window_duration: '-1h' is less than nothing"),
        ({"maintenance_window_duration": "10m"}, "15 min of them are kept for verification"),
        ({"maintenance_window_duration": "soon"}, "maintenance_window_duration: 'soon' is not a quantity"),
        ({"maintenance_window_targets": ["web", "moon"]}, "'targets' has 'moon'"),
        ({"day2_maintenance_checks": []}, "nobody would know whether the service is well"),
        ({"maintenance_window_units": ["no-such-unit"]}, "no-such-unit"),
    ],
)
def test_what_may_not_begin_is_refused(site: Maintained, variables: dict[str, Any], words: str) -> None:
    step = site.looking("refused")
    assert site.play("maintenance", **{"day2_maintenance_steps": [step], **variables}).returncode != 0
    assert words in site.output.replace("\\'", "'")
    assert site.in_service() and site.host.run("sh", "-c", "test ! -e /tmp/refused && echo absent") == "absent"


def test_hosts_that_are_not_there_are_refused(site: Maintained) -> None:
    assert site.play("maintenance", day2_hosts="nobody").returncode != 0
    assert "no host of the inventory fits day2_hosts (nobody)" in site.output


def test_a_service_that_is_ill_is_not_maintained_unless_that_is_known(site: Maintained) -> None:
    ill = {"id": "ill", "title": "Always ill", "probe": "tcp", "host": "127.0.0.1", "port": 9}
    variables = {"day2_maintenance_checks_more": [ill], "day2_maintenance_steps": [site.looking("known")],
                 "maintenance_window_backup": False}  # fmt: skip
    assert site.play("maintenance", **variables).returncode != 0
    assert "not well before the maintenance" in site.output and "Always ill" in site.output
    assert site.in_service()
    done = site.play("maintenance", **variables, maintenance_window_accept=["ill"], day2_fail_on="never")
    assert done.returncode == 0, site.output
    assert site.seen("known")[:2] == ("inactive", "503") and site.in_service()


def test_a_second_run_at_the_same_time_is_refused(site: Maintained) -> None:
    held = {"service": "options_engine", "owner": "maintenance", "reason": "another run", "duration": "10m",
            "targets": ["web"]}  # fmt: skip
    assert not site.host.task("day2.ops.maintenance_mode", held, become_user="root").get("failed")
    assert site.play("maintenance", day2_maintenance_steps=[site.looking("twice")]).returncode != 0
    assert "day2ctl maintenance disable options_engine --owner 'maintenance'" in site.output
    assert list(site.leases()) == ["maintenance"] and site.unit() == "active"


def test_two_runs_that_enter_at_the_same_time(site: Maintained) -> None:
    claim = {"service": "options_engine", "owner": "maintenance", "reason": "one", "duration": "10m", "claim": "new",
             "targets": ["web"]}  # fmt: skip
    assert not site.host.task("day2.ops.maintenance_mode", claim, become_user="root").get("failed")
    other = site.host.task("day2.ops.maintenance_mode", {**claim, "reason": "two"}, become_user="root")
    assert other["failed"] and "another run is at it, or has died" in other["msg"]
    assert site.leases()["maintenance"]["reason"] == "one"


def test_no_step_is_taken_outside_of_the_mode(site: Maintained, httpserver: HTTPServer) -> None:
    """Somebody ends the mode in mid-run: what is left of the steps is not taken, and users stay served."""
    chat = chat_at(httpserver, site)
    end = site.step("ended", "day2ctl", "maintenance", "disable", "options_engine", "--force")
    variables = {"day2_maintenance_steps": [end, site.looking("outside")], "maintenance_window_backup": False}
    site.play("maintenance", **variables)
    assert site.in_service(), site.output
    assert site.host.run("sh", "-c", "test ! -e /tmp/outside && echo absent") == "absent"
    rows = site.rows()
    assert rows["maintenance-verified"]["status"] == "critical"
    assert "holds no lease on options_engine any more" in rows["maintenance-verified"]["message"]
    assert "the lease ended before the maintenance did" in rows["maintenance-off"]["message"]
    _begin, told_end = told(chat)
    assert "outside was not begun" in told_end
    assert "users are served, and nobody verified" in told_end and "NOT back" not in told_end
    assert "day2ctl maintenance disable" not in told_end


def test_a_host_that_only_takes_steps(site: Maintained) -> None:
    step = site.step("alone", "sh", "-c", "cp /var/lib/day2/maintenance/options_engine/state.json /tmp/alone")
    variables = {"day2_maintenance_steps": [step], "maintenance_window_targets": [], "maintenance_window_backup": False}
    assert site.play("maintenance", "--check", **variables).returncode == 0, site.output
    assert site.play("maintenance", **variables).returncode == 0, site.output
    assert json.loads(site.host.run("cat", "/tmp/alone"))["leases"]["maintenance"]["targets"] == []


def test_the_plan_may_be_read_before_the_window_opens(site: Maintained) -> None:
    # Longer away than a lease may last.
    day = str((datetime.now(timezone.utc) + timedelta(days=60)).date())
    later = {"name": "later", "dates": [day], "start": "02:00", "duration": "2h"}
    steps = [{**site.looking("planned"), "duration": "1h"}, {**site.looking("longer"), "duration": "110m"}]
    assert site.play("maintenance", "--check", day2_windows=[later], day2_maintenance_steps=steps).returncode == 0
    # The times of the window, in the plan and in the row of the mode.
    period = f"from {day}T02:00:00Z until {day}T04:00:00Z"
    assert f"Scheduled maintenance (later), at most 2 h, {period}" in site.output
    # The plan of the preflight, and the row: nothing of it a third time.
    assert site.output.count("nginx answers 503") == 2 and "Would begin" not in site.output
    assert f"would enter {period}: nginx answers 503" in site.output
    assert "step: planned" in site.output and "left out: it takes 1 h 50 min, and 1 h 45 min are left" in site.output


def test_a_step_that_fails_is_told_and_the_service_comes_back(site: Maintained, httpserver: HTTPServer) -> None:
    chat = chat_at(httpserver, site)
    steps = [site.step("breaks", "sh", "-c", "echo no network >&2; exit 7"), site.looking("after")]
    variables = {"day2_maintenance_steps": steps, "maintenance_window_backup": False}
    assert site.play("maintenance", **variables, day2_fail_on="critical").returncode != 0
    assert site.in_service()
    assert site.host.run("sh", "-c", "test ! -e /tmp/after && echo absent") == "absent"
    rows = site.rows()
    assert rows["breaks"]["status"] == "critical" and "no network" in rows["breaks"]["message"]
    assert (rows["maintenance-off"]["status"], rows["maintenance-verified"]["status"]) == ("ok", "ok")
    assert "steps" not in rows
    _begin, end = told(chat)
    assert "Maintenance failed, the service is back" in end and "no network" in end


def test_what_was_broken_keeps_the_mode_and_says_what_to_do(site: Maintained, httpserver: HTTPServer) -> None:
    chat = chat_at(httpserver, site)
    spoil = site.step("spoils", "sh", "-c", f"mv {APP} {APP}.kept; echo 'raise SystemExit(3)' > {APP}")
    try:
        done = site.play("maintenance", day2_maintenance_steps=[spoil], maintenance_window_backup=False,
                         day2_fail_on="critical")  # fmt: skip
        assert done.returncode != 0
        assert site.web() == "503" and list(site.leases()) == ["maintenance"]
        off = site.rows()["maintenance-off"]
        assert off["status"] == "critical" and "the mode is kept until" in off["message"]
        assert "day2ctl maintenance disable options_engine --owner maintenance" in off["message"]
        _begin, end = told(chat)
        assert "the service is NOT back" in end and "day2ctl maintenance disable" in end
    finally:
        site.host.run("mv", f"{APP}.kept", APP)
        site.host.run("systemctl", "reset-failed", UNIT)
        site.host.run("systemctl", "restart", UNIT)
    site.host.run("day2ctl", "maintenance", "disable", "options_engine", "--owner", "maintenance")
    # As the message says.
    assert site.in_service()


def test_no_step_is_taken_where_the_backup_failed(site: Maintained) -> None:
    done = site.play("maintenance", day2_maintenance_steps=[site.looking("unsafe")],
                     postgres_backup_databases=["no_such_database"])  # fmt: skip
    assert done.returncode != 0 and site.in_service(), site.output
    assert site.host.run("sh", "-c", "test ! -e /tmp/unsafe && echo absent") == "absent"
    rows = site.rows()
    assert (
        rows["maintenance-backup"]["status"] == "critical"
        and "no_such_database" in rows["maintenance-backup"]["message"]
    )
    assert rows["maintenance-off"]["status"] == "ok"


def test_no_host_takes_a_step_where_another_did_not_enter(site: Maintained) -> None:
    site.provide("stubborn", "/bin/sh -c \"trap '' TERM; exec sleep 1000\"")
    inventory = site.two_hosts(maintenance_window_units=["stubborn"], maintenance_window_units_timeout="6s")
    try:
        step = site.looking("alone-in-it")
        assert (
            site.play("maintenance", "-i", inventory, day2_hosts="all", day2_maintenance_steps=[step]).returncode != 0
        )
        assert site.in_service(), site.output
        assert site.host.run("sh", "-c", "test ! -e /tmp/alone-in-it && echo absent") == "absent"
        assert site.rows("first")["maintenance-off"]["status"] == "ok"
        assert site.rows("second")["maintenance-on"]["status"] == "critical"
        assert "stubborn" in site.rows("second")["maintenance-on"]["message"]
        # What could not be left yet is not entered anew.
        assert (
            site.play("maintenance", "-i", inventory, day2_hosts="all", day2_maintenance_steps=[step]).returncode != 0
        )
        assert "units could not be left yet" in site.output
    finally:
        site.host.run("systemctl", "kill", "--signal=KILL", "stubborn")
        # Now the host's timer can.
        left = "/var/lib/day2/maintenance/second/state.json"
        gone = f"test -e {left} || echo gone"
        wait_for(lambda: site.host.run("sh", "-c", gone), lambda said: said == "gone", 60, "the host is back")
        site.withdraw("stubborn")


def test_two_hosts_are_maintained_together(site: Maintained) -> None:
    site.provide("obliging", "/bin/sleep 3600")
    inventory = site.two_hosts(maintenance_window_units=["obliging"])
    look = site.step("both", "sh", "-c", "ls -d /var/lib/day2/maintenance/*/state.json >> /tmp/both")
    site.host.run("rm", "-f", "/tmp/both")
    try:
        done = site.play("maintenance", "-i", inventory, day2_hosts="all", day2_maintenance_steps=[look])
        assert done.returncode == 0, site.output
        # Both were in the mode when the first of them took the step.
        seen = site.host.run("cat", "/tmp/both").split()
        assert len(seen) == 4 and len(set(seen)) == 2
        assert all(f"{name}: Preflight: ok, Maintenance mode on: ok" in site.output for name in ("first", "second"))
        assert site.host.run("systemctl", "is-active", "obliging") == "active"
    finally:
        site.withdraw("obliging")


def test_a_step_that_does_not_fit_is_left_out(site: Maintained) -> None:
    steps = [{**site.looking("fits"), "duration": "1m"}, {**site.looking("too-long"), "duration": "30d"}]
    done = site.play("maintenance", day2_maintenance_steps=steps, maintenance_window_backup=False)
    assert done.returncode == 0, site.output
    row = site.rows()["too-long"]
    assert row["status"] == "warning" and "left out: it takes 30 d" in row["message"]
    assert site.seen("fits")[1] == "503"
    assert site.host.run("sh", "-c", "test ! -e /tmp/too-long && echo absent") == "absent"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"approved_by": ""}, "approved_by is missing: one of M. Anager has to approve"),
        ({"approved_by": "S. Omebody"}, "'S. Omebody' is none of those who may approve: M. Anager"),
        ({"day2_approvers": []}, "nobody can approve"),
        ({"maintenance_window_reason": ""}, "an emergency has a reason"),
        ({"maintenance_window_emergency": "lunch"}, "one of security, database, application"),
        ({"maintenance_window_emergency": ""}, "Say what kind of emergency it is"),
    ],
)
def test_an_emergency_is_approved_by_somebody_who_may(site: Maintained, variables: dict[str, Any], words: str) -> None:
    assert emergency(site, **variables).returncode != 0
    assert words in site.output.replace("\\'", "'")
    assert site.in_service() and site.reports() == 0


def emergency(site: Maintained, **variables: Any) -> Any:
    return site.play("emergency_maintenance", **{
        "day2_windows": [NEVER], "day2_approvers": [PERSON], "approved_by": PERSON, "maintenance_window_backup": False,
        "maintenance_window_emergency": "application", "maintenance_window_reason": "it leaks memory",
        "day2_emergency_application_steps": [site.looking("mended")], **variables,
    })  # fmt: skip


def test_an_emergency_mends_what_is_ill_and_records_who_approved(site: Maintained) -> None:
    # Ill before, and well after the units were stopped and started.
    site.host.run("systemctl", "kill", "--signal=STOP", UNIT)
    assert emergency(site, maintenance_window_units_timeout="5s").returncode == 0, site.output
    _unit, status, state = site.seen("mended")
    lease = state["leases"]["emergency-maintenance"]
    assert status == "503" and lease["approved_by"] == PERSON
    assert lease["reason"] == "Emergency maintenance (application): it leaks memory"
    assert f"approved by {PERSON}" in site.rows()["maintenance-on"]["evidence"]
    assert site.in_service()
