# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemctl says (captured from systemd 252), and what becomes of it without a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import registry, service, timer
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.module_utils.systemd.runs import moment, span
from ansible_collections.day2.ops.plugins.module_utils.systemd.units import full_name, parse, refusal, unit_names

# 2026-11-30 08:00:00 UTC, an hour after the host was started.
NOW, CLOCK = 1796025600.0, 3600.0


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("nginx", "nginx.service"), ("nginx.service", "nginx.service"), ("my.app", "my.app.service"),
        ("inst@1.2", "inst@1.2.service"), ("ssh.socket", "ssh.socket"), ("/srv/data", "/srv/data"),
        ("srv-data.mount", "srv-data.mount"), ("service", "service.service"), ("my app", "my app.service"),
    ],
)  # fmt: skip
def test_names(name: str, whole: str) -> None:
    assert full_name(name) == whole


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("app*.service", "pattern"), ("a?.service", "pattern"), ("a[12].service", "pattern"),
        ("inst@.service", "template"), ("inst@.timer", "inst@main.timer"),
        ("inst@a.service", None), ("app.service", None), (r"my\x20app.service", None), ("a@b@c.service", None),
    ],
)  # fmt: skip
def test_names_that_stand_for_no_unit(name: str, words: str | None) -> None:
    said = refusal(name)
    assert said is None if words is None else words in (said or "")


def test_blocks_and_names() -> None:
    # The order of the answers is not that of the question.
    blocks = parse(
        "Id=app1.service\nNames=app1.service alias1.service\nNRestarts=0\n\n"
        'Id=my\\x20app.service\nNames="my\\\\x20app.service"\n'
    )
    assert [unit_names(block) for block in blocks] == [["app1.service", "alias1.service"], [r"my\x20app.service"]]
    assert parse("") == [] and parse('Id=x\nLoadError=org.Bad "a = b"\n')[0]["LoadError"] == 'org.Bad "a = b"'


UNIT = {
    "Id": "x.service", "Names": "x.service", "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
    "Result": "success", "NRestarts": "0", "ExecMainStatus": "0", "UnitFileState": "static", "TriggeredBy": "",
    "ActiveEnterTimestampMonotonic": "60000000", "ConditionResult": "yes", "ConditionTimestampMonotonic": "1",
}  # fmt: skip
DEAD = {"ActiveState": "inactive", "SubState": "dead"}


def state_of(changes: dict[str, str], others: dict[str, Any] | None = None, **check: Any) -> tuple[str, Any, str]:
    (asked,) = parse_checks(
        [{"id": "x", "title": "x", "probe": "service", "name": "x", **check}], find_spec, registry.PROBES, 10
    )
    host = service.Host({"x.service": {**UNIT, **changes}, **(others or {})}, {}, CLOCK)
    result = judge(asked, service.observe(host, asked), started=NOW, duration=0)
    return result.status.value, result.value, result.message


@pytest.mark.parametrize(
    ("changes", "others", "status", "value", "words"),
    [
        ({}, {}, "ok", "active", "x.service is active (running)"),
        ({"SubState": "exited"}, {}, "ok", "active", "active (exited)"),
        ({"Id": "y.service", "Names": "y.service x.service"}, {}, "ok", "active", "x.service (alias of y.service)"),
        ({"NRestarts": "1"}, {}, "ok", "active", "restarted 1 time by systemd"),
        (
            {"NRestarts": "7", "ActiveEnterTimestampMonotonic": "3598000000"},
            {},
            "warning",
            "active",
            "7 times by systemd, the last time 2 s ago",
        ),
        ({"ActiveEnterTimestampMonotonic": "3598000000"}, {}, "ok", "active", "active (running)"),
        (
            {
                "ActiveState": "activating",
                "SubState": "auto-restart",
                "Result": "exit-code",
                "ExecMainStatus": "1",
                "NRestarts": "9",
            },
            {},
            "critical",
            "activating",
            "(auto-restart) (exit-code 1), restarted 9 times so far",
        ),
        ({"ActiveState": "activating", "SubState": "start"}, {}, "critical", "activating", "it should be active"),
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "signal"},
            {},
            "critical",
            "failed",
            "failed (signal)",
        ),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "oom-kill"}, {}, "critical", "failed", "oom-kill"),
        (DEAD, {}, "critical", "inactive", "it should be active"),
        ({**DEAD, "ConditionResult": "no"}, {}, "critical", "inactive", "a condition of its start was not met"),
        (
            {**DEAD, "ConditionResult": "no", "ConditionTimestampMonotonic": "0"},
            {},
            "critical",
            "inactive",
            "inactive (dead), it should",
        ),
        ({**DEAD, "LoadState": "not-found"}, {}, "critical", "not-found", "not installed"),
        ({"LoadState": "not-found"}, {}, "ok", "active", "its unit file is gone"),
        ({**DEAD, "LoadState": "masked"}, {}, "critical", "masked", "masked"),
        ({"LoadState": "masked"}, {}, "ok", "active", "active (running)"),
        (
            {
                **DEAD,
                "LoadState": "bad-setting",
                "LoadError": 'org.x.BadUnitSetting "Unit x.service has a bad unit file setting."',
            },
            {},
            "critical",
            "bad-setting",
            "has a bad unit file setting",
        ),
        ({**DEAD, "LoadState": "error"}, {}, "critical", "error", "not usable (error)"),
        (
            {**DEAD, "TriggeredBy": "x.socket"},
            {"x.socket": {"ActiveState": "active"}},
            "ok",
            "inactive",
            "x.socket will start it",
        ),
        (
            {**DEAD, "TriggeredBy": "x.timer"},
            {"x.timer": {"ActiveState": "active"}},
            "ok",
            "inactive",
            "x.timer will start it",
        ),
        (
            {**DEAD, "TriggeredBy": "x.socket"},
            {"x.socket": {"ActiveState": "inactive"}},
            "critical",
            "inactive",
            "should be active",
        ),
        (
            {**DEAD, "TriggeredBy": "x.socket", "UnitFileState": "enabled"},
            {"x.socket": {"ActiveState": "active"}},
            "critical",
            "inactive",
            "should be active",
        ),
        (
            {**DEAD, "ActiveState": "failed", "TriggeredBy": "x.socket"},
            {"x.socket": {"ActiveState": "active"}},
            "critical",
            "failed",
            "should be active",
        ),
        (
            {"SubState": "exited", "ConsistsOf": "a.service b.service"},
            {"a.service": UNIT, "b.service": {**UNIT, **DEAD, "Id": "b.service"}},
            "critical",
            "inactive",
            "b.service is inactive",
        ),
    ],
)
def test_states(changes: dict[str, str], others: dict[str, Any], status: str, value: str, words: str) -> None:
    found = state_of(changes, others)
    assert found[:2] == (status, value) and words in found[2], found


def test_restarts_are_counted_in_words() -> None:
    assert state_of({"NRestarts": "1"}, metric="restarts")[2] == "x.service was restarted 1 time by systemd"
    with pytest.raises(Undetermined, match="not a unit that restarts"):
        state_of({"NRestarts": ""}, metric="restarts")


def test_a_name_that_systemctl_refuses_says_why() -> None:
    (asked,) = parse_checks(
        [{"id": "x", "title": "x", "probe": "service", "name": "y@"}], find_spec, registry.PROBES, 10
    )
    with pytest.raises(Undetermined, match="is a template"):
        service.observe(service.Host({}, {"y@.service": "y@.service is a template"}), asked)


# Ten minutes ago the timer elapsed; in ten minutes it will again.
TIMER = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "waiting", "Result": "success", "Unit": "job.service",
    "TimersCalendar": "{ OnCalendar=*-*-* *:00/20:00 ; next_elapse=Mon 2026-11-30 08:10:00 UTC }",
    "LastTriggerUSec": "Mon 2026-11-30 07:50:00 UTC", "LastTriggerUSecMonotonic": "50min 28.161us",
    "NextElapseUSecRealtime": "Mon 2026-11-30 08:10:00 UTC", "NextElapseUSecMonotonic": "0",
}  # fmt: skip
JOB = {
    "LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "Result": "success", "ExecMainStatus": "0",
    "Job": "", "ConditionResult": "yes", "AssertResult": "yes", "ConditionTimestampMonotonic": "3000000100",
    "AssertTimestampMonotonic": "3000000100", "InactiveExitTimestampMonotonic": "3000000200",
    "InactiveEnterTimestampMonotonic": "3005000000",
}  # fmt: skip
NEVER = {"InactiveExitTimestampMonotonic": "0", "InactiveEnterTimestampMonotonic": "0"}
EARLIER = {"InactiveExitTimestampMonotonic": "1800000000", "InactiveEnterTimestampMonotonic": "1801000000"}
UNARMED = {"NextElapseUSecRealtime": "", "NextElapseUSecMonotonic": "infinity"}
RUNNING = {"ActiveState": "activating", "SubState": "start", "InactiveEnterTimestampMonotonic": "0"}
ONCE = {"TimersCalendar": "", "TimersMonotonic": "{ OnBootUSec=1min ; next_elapse=1min }", "SubState": "elapsed"}


def timer_says(changes: dict[str, str], job: dict[str, str], **check: Any) -> tuple[str, Any, str]:
    (asked,) = parse_checks(
        [{"id": "x", "title": "x", "probe": "timer", "name": "job", **check}], find_spec, registry.PROBES, 10
    )
    seen = timer.judge_timer("job.timer", {**TIMER, **changes}, {**JOB, **job}, asked.metric.name, NOW, CLOCK)
    result = judge(asked, seen, started=NOW, duration=0)
    return result.status.value, result.value, result.message


@pytest.mark.parametrize(
    ("changes", "job", "status", "value", "words"),
    [
        ({}, {}, "ok", "success", "elapsed 10 min ago, next in 10 min; job.service succeeded"),
        (
            {},
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "1"},
            "critical",
            "exit-code",
            "failed (exit-code 1)",
        ),
        ({}, {"ActiveState": "failed", "Result": "timeout"}, "critical", "timeout", "failed (timeout)"),
        ({}, {"Result": "exec-condition"}, "critical", "exec-condition", "failed (exec-condition)"),
        # What a unit that never ran says of itself is success.
        ({}, NEVER, "critical", "not-run", "did not start: a unit that it needs failed"),
        ({}, EARLIER, "critical", "not-run", "did not start"),
        ({}, {**NEVER, "ConditionResult": "no"}, "critical", "not-run", "a condition of the unit was not met"),
        ({}, {**EARLIER, "AssertResult": "no"}, "critical", "not-run", "an assertion of the unit was not met"),
        (
            {},
            {**EARLIER, "ConditionResult": "no", "ConditionTimestampMonotonic": "1"},
            "critical",
            "not-run",
            "a unit that it needs",
        ),
        ({}, {**EARLIER, "Job": "4711"}, "ok", "none", "is queued to start"),
        # It was running when the timer elapsed, and ended after that.
        ({}, {**EARLIER, "InactiveEnterTimestampMonotonic": "3300000000"}, "ok", "success", "succeeded"),
        ({"LastTriggerUSec": "", "LastTriggerUSecMonotonic": "0"}, NEVER, "ok", "none", "has not elapsed yet"),
        # A persistent timer knows when it elapsed before the host was started, and not how that ended.
        ({"LastTriggerUSecMonotonic": "0"}, NEVER, "ok", "none", "before this host was: how that ended is not known"),
        ({"LastTriggerUSecMonotonic": "0"}, {}, "ok", "success", "succeeded"),
        (
            {**UNARMED, "SubState": "running"},
            RUNNING,
            "ok",
            "running",
            "is running since 2026-11-30 07:50:00 UTC, for 9 min 59 s",
        ),
        (
            {**UNARMED, "SubState": "running"},
            {**RUNNING, "ActiveState": "active", "SubState": "running"},
            "ok",
            "running",
            "running since",
        ),
        (
            {**UNARMED, "SubState": "running"},
            {**RUNNING, "ActiveState": "deactivating", "SubState": "stop-sigterm"},
            "ok",
            "running",
            "running since",
        ),
        ({}, {**RUNNING, "InactiveExitTimestampMonotonic": "3599000000"}, "ok", "running", "for 1 s"),
        (
            {**UNARMED, "SubState": "running"},
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "ExecMainStatus": "2"},
            "critical",
            "exit-code",
            "is to be restarted",
        ),
        (
            {},
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "ExecMainStatus": "2"},
            "critical",
            "exit-code",
            "failed (exit-code 2) and is to be restarted",
        ),
        (
            {**UNARMED, "SubState": "running"},
            {"ActiveState": "active", "SubState": "exited"},
            "critical",
            None,
            "stays active after its run (RemainAfterExit)",
        ),
        ({**ONCE, **UNARMED}, {}, "ok", "success", "no next run; job.service succeeded"),
        ({**ONCE, **UNARMED}, {"ActiveState": "active", "SubState": "exited"}, "ok", "success", "succeeded"),
        ({**ONCE, **UNARMED}, {"ActiveState": "failed", "Result": "signal"}, "critical", "signal", "failed (signal)"),
        (
            {**ONCE, **UNARMED, "LastTriggerUSec": "", "LastTriggerUSecMonotonic": "0"},
            NEVER,
            "critical",
            None,
            "not armed",
        ),
        ({**UNARMED, "SubState": "elapsed"}, {}, "critical", None, "active, but not armed"),
        (
            {**UNARMED, "TimersCalendar": "", "TimersMonotonic": "{ OnUnitActiveUSec=1h ; next_elapse=0 }"},
            {},
            "critical",
            None,
            "not armed",
        ),
        (
            {**UNARMED, "ActiveState": "inactive", "SubState": "dead"},
            {},
            "critical",
            None,
            "the timer is inactive, not armed",
        ),
        (
            {**UNARMED, "ActiveState": "failed", "Result": "resources"},
            {},
            "critical",
            None,
            "failed, not armed (resources)",
        ),
        ({}, {"LoadState": "not-found"}, "critical", None, "job.service is not installed"),
        ({}, {"LoadState": "masked"}, "critical", None, "job.service is masked"),
    ],
)
def test_timers(changes: dict[str, str], job: dict[str, str], status: str, value: str | None, words: str) -> None:
    found = timer_says(changes, job)
    assert found[:2] == (status, value) and words in found[2], found


@pytest.mark.parametrize(
    ("changes", "job", "metric", "status", "value"),
    [
        ({}, {}, "age", "ok", 600.0),
        ({}, NEVER, "age", "critical", 600.0),
        ({**UNARMED}, RUNNING, "age", "ok", 600.0),
        ({}, {}, "next", "ok", 600.0),
        ({**UNARMED}, RUNNING, "next", "ok", 0.0),
        ({**UNARMED}, {}, "next", "critical", None),
        ({"NextElapseUSecRealtime": "", "NextElapseUSecMonotonic": "1h 5min"}, {}, "next", "ok", 300.0),
        ({"NextElapseUSecMonotonic": "1h 5min"}, {}, "next", "ok", 300.0),
        ({"NextElapseUSecMonotonic": "2h"}, {}, "next", "ok", 600.0),
        ({"NextElapseUSecRealtime": "Mon 2026-11-30 07:59:00 UTC"}, {}, "next", "ok", 0.0),
    ],
)  # fmt: skip
def test_times_of_timers(changes: dict[str, str], job: dict[str, str], metric: str, status: str, value: Any) -> None:
    assert timer_says(changes, job, metric=metric)[:2] == (status, value)


def test_a_timer_that_never_elapsed_has_no_age() -> None:
    with pytest.raises(Undetermined, match="has not elapsed yet"):
        timer_says({"LastTriggerUSec": ""}, NEVER, metric="age")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h 4min 30.5s", 3870.5), ("2w 1d", 1296000.0), ("500ms", 0.5), ("infinity", None), ("", None),
        ("3 moons", None), ("23min 35.028161s", 1415.028161), ("1month 2d", 30.44 * 86400 + 172800), ("0", None),
    ],
)  # fmt: skip
def test_time_spans_of_systemd(text: str, seconds: float | None) -> None:
    assert span(text) == pytest.approx(seconds) if seconds is not None else span(text) is None


def test_moments_of_systemd() -> None:
    assert moment("Mon 2026-11-30 08:00:00 UTC") == NOW
    assert moment("n/a") is None and moment("") is None
