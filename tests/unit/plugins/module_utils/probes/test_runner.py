# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.action.checklist import part_secrets
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes import log, registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist, run_until_well


def one(check: dict[str, Any], **options: Any) -> dict[str, Any]:
    (result,) = run_checklist([{"id": "a", "title": "A", **check}], **options)["results"]
    assert isinstance(result, dict)
    return result


def test_results_keep_the_order_and_the_shape(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    checks = [
        {"id": f"c{n}", "title": "T", "probe": "file", "path": str(tmp_path / "f"), "ref": "R"} for n in range(30)
    ]
    outcome = run_checklist(checks)
    assert [result["id"] for result in outcome["results"]] == [check["id"] for check in checks]
    assert outcome["summary"] == {"ok": 30, "warning": 0, "critical": 0, "unknown": 0, "skipped": 0}
    assert outcome["status"] == "ok" and isinstance(outcome["duration"], float)
    head = ["id", "title", "probe", "status", "value", "unit", "message", "warning", "critical"]
    fields = [*head, "evidence", "ref", "started", "duration"]
    assert list(outcome["results"][0]) == fields


def test_planned_checks_are_validated_and_run_no_probe(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    check = {
        "id": "a",
        "title": "A",
        "probe": "command",
        "argv": ["touch", str(trace)],
        "ref": "R",
        "run_as": "nobody-here",
    }
    outcome = run_checklist([check, {**check, "id": "b", "enabled": False}], planned=True)
    assert [(row["status"], row["message"]) for row in outcome["results"]] == [
        ("skipped", "would be run afterwards"),
        ("skipped", "disabled"),
    ]
    assert outcome["status"] == "skipped" and outcome["results"][0]["ref"] == ["R"] and not trace.exists()
    with pytest.raises(CheckError, match="'b'"):
        run_checklist([check, {"id": "b", "title": "B", "probe": "comand"}], planned=True)


def test_nothing_runs_when_one_check_is_malformed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(CheckError, match="'b'"):
        run_checklist(
            [
                {"id": "a", "title": "A", "probe": "command", "argv": ["touch", str(trace)]},
                {"id": "b", "title": "B", "probe": "disk"},
            ]
        )
    assert not trace.exists()


def test_disabled_checks_are_skipped() -> None:
    result = one({"probe": "disk", "path": "/", "enabled": False})
    assert (result["status"], result["message"]) == ("skipped", "disabled")


def test_a_user_that_does_not_exist_is_unknown() -> None:
    assert one({"probe": "disk", "path": "/", "run_as": "nobody-of-this-name"})["status"] == "unknown"


def test_without_root_another_user_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    result = one({"probe": "disk", "path": "/", "run_as": "nobody"})
    assert result["status"] == "skipped" and "needs root" in result["message"]


def test_a_log_is_read_once_for_all_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "app.log", tmp_path / "opened"
    path.write_text("ERROR a\nWARN b\n")
    real = log.open_source

    def counted(checks: Any, progress: Any) -> Any:
        with opened.open("a") as trace:
            trace.write("x")
        return real(checks, progress)

    monkeypatch.setattr(log, "open_source", counted)
    patterns = ["ERROR", "WARN", "a|b", "nothing"]
    checks = [{"id": p, "title": "T", "probe": "log", "path": str(path), "pattern": p} for p in patterns]
    assert [result["value"] for result in run_checklist(checks)["results"]] == [1, 1, 2, 0]
    assert opened.read_text() == "x"


def test_a_probe_that_fails_by_itself_is_unknown_and_the_others_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.day2.ops.plugins.module_utils.probes import file

    monkeypatch.setattr(file, "observe", lambda _source, _check: 1 / 0)
    outcome = run_checklist(
        [
            {"id": "a", "title": "A", "probe": "file", "path": "/etc/passwd"},
            {"id": "b", "title": "B", "probe": "disk", "path": "/"},
        ]
    )
    assert [result["status"] for result in outcome["results"]] == ["unknown", "ok"]
    assert "ZeroDivisionError" in outcome["results"][0]["message"]


def test_secrets_are_used_and_not_shown(tmp_path: Path) -> None:
    script = tmp_path / "say"
    script.write_text('#!/bin/sh\necho "got $1"\nexit 1\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    argv = [str(script), "--password=correct-horse"]
    result = one({"probe": "command"}, secrets={0: {"argv": argv}})
    assert "got" in str(result) and "correct-horse" not in str(result)


def test_a_crash_of_the_probe_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.day2.ops.plugins.module_utils.probes import file

    monkeypatch.setattr(file, "observe", lambda _source, _check: os._exit(1))
    assert one({"probe": "file", "path": "/"})["status"] == "unknown"


def test_secrets_of_a_command_line_are_masked_in_what_it_says() -> None:
    argv = ["sh", "-c", "echo it is leakpw8 or urlpw9; exit 1", "--password", "leakpw8", "x://u:urlpw9@h/"]
    check = {"id": "a", "title": "A", "probe": "command"}
    outcome = run_checklist([check], secrets={0: {"argv": argv}})
    assert outcome["results"][0]["status"] == "critical"
    assert "leakpw8" not in str(outcome) and "urlpw9" not in str(outcome)


@pytest.mark.parametrize(("critical", "status"), [("> 500ms", "critical"), ("> 5s", "unknown"), (None, "unknown")])
def test_no_answer_in_time_is_at_least_that_slow(critical: str | None, status: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        result = one({"probe": "http", "url": url, "timeout": 1, "critical": critical})
    assert result["status"] == status and "no answer within 1 s" in result["message"]


def test_the_processors_are_measured_before_the_other_checks_work() -> None:
    busy = {
        "id": "b",
        "title": "B",
        "probe": "command",
        "argv": ["sh", "-c", "i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done"],
    }
    results = run_checklist([busy, {"id": "c", "title": "C", "probe": "cpu"}])["results"]
    assert results[1]["started"] < results[0]["started"] and results[1]["status"] == "ok"


def test_what_only_waits_waits_meanwhile() -> None:
    """And no more than half of the children do, lest the others wait for the end of a ping."""
    pings = [{"id": f"p{n}", "title": "P", "probe": "network_io", "interval": f"{800 + n}ms"} for n in range(3)]
    cpu = {"id": "cpu", "title": "CPU", "probe": "cpu", "interval": "0.2s"}
    disk = {"id": "disk", "title": "Disk", "probe": "disk", "path": "/"}
    outcome = run_checklist([disk, cpu, *pings], workers=4)
    begun = {row["id"]: datetime.fromisoformat(row["started"].replace("Z", "+00:00")) for row in outcome["results"]}
    later = min(begun["p2"], begun["disk"])
    assert later >= begun["cpu"] + timedelta(seconds=0.19) and max(begun["p0"], begun["p1"]) < later
    assert {row["status"] for row in outcome["results"]} == {"ok"}


def test_answers_come_from_a_child_process() -> None:
    result = one({"probe": "command", "argv": ["sh", "-c", "echo $PPID"], "format": "regex", "pattern": r"\d+"})
    assert result["value"] != os.getpid()


@pytest.mark.parametrize(
    ("check", "hidden"),
    [
        ({"id": "a", "password": "x"}, {"password": "x"}),
        ({"id": "a", "probe": "postgres", "pasword": "x"}, {"pasword": "x"}),
        ({"id": "a", "probe": "no-such", "auth": ["x"]}, {"auth": ["x"]}),
        ({"id": "a", "headers": {"X-Key": "1"}}, {"headers": {"X-Key": "1"}}),
        ({"id": "a", "url": "http://u:pw@host/"}, {"url": "http://u:pw@host/"}),
        ({"id": "a", "argv": ["x", "--token", "abcdef"]}, {"argv": ["x", "--token", "abcdef"]}),
        ({"id": "a", "probe": "backup", "secret_key": "x", "region": "y"}, {"secret_key": "x"}),
        ({"id": "a", "probe": "backup", "session_token": "x"}, {"session_token": "x"}),
        (
            {"id": "a", "probe": "backup", "s3": {"region": "y", "secret_key": "x"}},
            {"s3": {"region": "y", "secret_key": "x"}},
        ),
        ({"id": "a", "probe": "backup", "s3": {"region": "y", "timeout": "1m"}}, {}),
        ({"id": "a", "probe": "backup", "s3": {"regoin": "y"}}, {"s3": {"regoin": "y"}}),
        ({"id": "a", "probe": "backup", "repository": {"url": "s3://b", "region": "y"}}, {}),
        (
            {"id": "a", "probe": "backup", "repository": {"url": "s3://b", "secret_key": "x"}},
            {"repository": {"url": "s3://b", "secret_key": "x"}},
        ),
        ({"id": "a", "probe": "baseline", "of": {"probe": "redis"}}, {}),
        (
            {"id": "a", "probe": "baseline", "of": {"probe": "redis", "password": "x"}},
            {"of": {"probe": "redis", "password": "x"}},
        ),
        (
            {"id": "a", "probe": "baseline", "of": {"probe": "command", "argv": ["true"]}},
            {"of": {"probe": "command", "argv": ["true"]}},
        ),
        (
            {"id": "a", "probe": "baseline", "of": {"probe": "redis", "pasword": "x"}},
            {"of": {"probe": "redis", "pasword": "x"}},
        ),
        ({"id": "a", "probe": "file", "path": "/etc/passwd", "password": None}, {}),
    ],
)
def test_secrets_leave_the_checks(check: dict[str, Any], hidden: dict[str, Any]) -> None:
    shown, secrets = part_secrets([check])
    assert secrets == ({0: hidden} if hidden else {})
    assert shown == [{name: value for name, value in check.items() if name not in hidden}]


def test_what_a_probe_declares_as_a_secret_leaves_its_checks() -> None:
    declared = [
        (probe, name)
        for probe in registry.PROBES
        for name, argument in registry.load(probe).SPEC.arguments.items()
        if (argument.secret or argument.may_hold) and argument.entries is None
    ]
    assert {("http", "headers"), ("http", "password"), ("command", "argv"), ("backup", "secret_key")} <= {*declared}
    for probe, name in declared:
        assert part_secrets([{"id": "a", "probe": probe, name: 1}]) == ([{"id": "a", "probe": probe}], {0: {name: 1}})


def test_what_is_no_list_of_mappings_is_left_to_the_module() -> None:
    assert part_secrets("x") == ("x", {})
    assert part_secrets([1]) == ([1], {})


def test_asking_again_until_all_is_well() -> None:
    answers = iter(["critical", "unknown", "warning", "critical"])
    assert run_until_well(lambda: {"status": next(answers)}, 30.0) == {"status": "warning"}
    assert next(answers) == "critical"


def test_asking_once_and_giving_up() -> None:
    asked: list[int] = []

    def ask() -> dict[str, object]:
        asked.append(1)
        return {"status": "critical"}

    assert run_until_well(ask, 0.0) == {"status": "critical"} and len(asked) == 1
    assert run_until_well(ask, 1.5) == {"status": "critical"} and len(asked) >= 2
