# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of the host itself: databases, rights, drivers, name servers."""

from __future__ import annotations

from typing import Any

import pytest

LOGIN: dict[str, Any] = {"probe": "postgres", "host": "localhost", "user": "options_engine_user"}
SECRET = "correct-horse-battery"


def test_logins_that_fail_are_clear(lab_host: Any) -> None:
    results = lab_host.checks(
        {"id": "password", **LOGIN, "database": "options_engine", "password": SECRET},
        {"id": "password-metric", **LOGIN, "database": "options_engine", "password": SECRET, "metric": "database_size"},
        {"id": "database", "probe": "postgres", "database": "nowhere", "run_as": "postgres"},
        {"id": "peer", "probe": "postgres", "database": "options_engine", "run_as": "postgres"},
    )
    assert (results["password"]["status"], results["password-metric"]["status"]) == ("critical", "unknown")
    assert "password authentication failed" in results["password"]["message"]
    assert results["database"]["status"] == "critical" and "does not exist" in results["database"]["message"]
    assert results["peer"]["status"] == "ok"


def test_a_stopped_server_process_costs_one_time_out(lab_host: Any) -> None:
    checks = [
        {"id": f"m{n}", "probe": "postgres", "run_as": "postgres", "metric": "database_size", "timeout": 1.5}
        for n in range(20)
    ]
    pid = lab_host.run("systemctl", "show", "-p", "MainPID", "--value", "postgresql@15-main")
    lab_host.run("kill", "-STOP", pid)
    try:
        outcome = lab_host.module([{"title": check["id"], **check} for check in checks])
    finally:
        lab_host.run("kill", "-CONT", pid)
    assert outcome["summary"]["unknown"] == 20
    assert outcome["duration"] < 15


def test_slow_name_resolution_costs_its_own_time(lab_host: Any) -> None:
    before = lab_host.run("cat", "/etc/resolv.conf")
    # Nobody has this address of the host's own network: the question is never answered.
    address = lab_host.run("sh", "-c", "hostname -I | cut -d. -f1-3") + ".254"
    lab_host.run("sh", "-c", "cat > /etc/resolv.conf", text=f"nameserver {address}\noptions timeout:30 attempts:1\n")
    try:
        results = lab_host.checks(
            {"id": "http", "probe": "http", "url": "http://name.invalid.test/", "timeout": 1},
            {"id": "tcp", "probe": "tcp", "host": "name.invalid.test", "port": 80, "timeout": 1},
            {"id": "disk", "probe": "disk", "path": "/"},
        )
    finally:
        lab_host.run("sh", "-c", "cat > /etc/resolv.conf", text=before + "\n")
    assert [results[name]["status"] for name in ("http", "tcp", "disk")] == ["unknown", "unknown", "ok"]


def test_without_root_what_needs_it_is_skipped(lab_host: Any) -> None:
    results = lab_host.checks(
        {"id": "shadow", "probe": "log", "path": "/etc/shadow"},
        {"id": "ssl", "probe": "file", "path": "/root/.ssh/authorized_keys"},
        {"id": "peer", "probe": "postgres", "run_as": "postgres"},
        {"id": "journal", "probe": "log", "unit": "options-report"},
        {"id": "disk", "probe": "disk", "path": "/"},
        become_user="nobody",
    )
    for name in ("shadow", "ssl", "peer", "journal"):
        assert results[name]["status"] == "skipped" and "needs root" in results[name]["message"], results[name]
    assert results["disk"]["status"] == "ok"


def test_a_target_without_the_driver_says_what_to_install(lab_host: Any) -> None:
    path = lab_host.run("python3", "-c", "import psycopg2; print(psycopg2.__path__[0])")
    lab_host.run("mv", path, path + ".away")
    try:
        results = lab_host.checks(
            {"id": "pg", "probe": "postgres", "run_as": "postgres"},
            {"id": "disk", "probe": "disk", "path": "/"},
        )
    finally:
        lab_host.run("mv", path + ".away", path)
    assert results["pg"]["status"] == "unknown" and "python3-psycopg2" in results["pg"]["message"]
    assert results["disk"]["status"] == "ok"


def test_a_path_needs_no_jmespath_and_an_expression_says_so(lab_host: Any) -> None:
    path = lab_host.run("python3", "-c", "import jmespath; print(jmespath.__path__[0])")
    lab_host.run("mv", path, path + ".away")
    url = "http://localhost:8080/health"
    try:
        results = lab_host.checks(
            {"id": "dotted", "probe": "http", "url": url, "query": "status"},
            {"id": "expression", "probe": "http", "url": url, "query": "length(status)"},
        )
    finally:
        lab_host.run("mv", path + ".away", path)
    assert results["dotted"]["value"] == "healthy"
    assert results["expression"]["status"] == "unknown" and "python3-jmespath" in results["expression"]["message"]


@pytest.mark.parametrize(
    ("check", "named"),
    [
        ({"probe": "dsik", "path": "/"}, "field 'probe': 'dsik' is unknown; did you mean 'disk'"),
        ({"probe": "disk", "path": "/", "warning": ""}, "field 'warning': is empty"),
    ],
)
def test_the_module_refuses_by_name(lab_host: Any, check: dict[str, Any], named: str) -> None:
    trace = {"id": "trace", "title": "T", "probe": "command", "argv": ["touch", "/tmp/day2-trace"]}
    outcome = lab_host.module([trace, {"id": "wrong", "title": "W", **check}])
    assert "results" not in outcome and f"check 'wrong', {named}" in outcome["msg"]
    assert lab_host.run("ls", "/tmp/day2-trace", check=False) == ""


def test_secrets_are_nowhere(lab_host: Any) -> None:
    checks = [
        {"id": "pg", "title": "T", **LOGIN, "database": "options_engine", "password": SECRET},
        {"id": "url", "title": "T", "probe": "http", "url": f"http://bob:{SECRET}@localhost:8080/health"},
        {"id": "head", "title": "T", "probe": "http", "url": "http://localhost:8080/", "headers": {"X-Key": SECRET}},
        {"id": "argv", "title": "T", "probe": "command", "argv": ["echo", f"--password={SECRET}"]},
        {"id": "user", "title": "T", "probe": "command", "argv": ["curl", "-u", f"me:{SECRET}", "http://localhost:1/"]},
        {
            "id": "variable",
            "title": "T",
            "probe": "command",
            "argv": ["sh", "-c", "echo $PGPASSWORD; exit 1"],
            "environment": {"PGPASSWORD": SECRET},
        },
    ]
    outcome = lab_host.module(checks, "-vvv")
    assert outcome["results"][1]["status"] == "ok"
    assert SECRET not in str(outcome)
    assert SECRET not in lab_host.said and "day2.ops.checklist" in lab_host.said
    journal = lab_host.run("journalctl", "--no-pager", "--since", "-5min")
    # Ansible logs the module under the name of the file that it sent.
    assert "day2_ops_checklist_" in journal and SECRET not in journal


def test_check_mode_gives_the_same_and_changes_nothing(lab_host: Any) -> None:
    checks = [
        {"id": "unit", "title": "T", "probe": "service", "name": "options-report"},
        {"id": "peer", "title": "T", "probe": "postgres", "run_as": "postgres"},
        {"id": "disk", "title": "T", "probe": "disk", "path": "/"},
    ]
    real, dry = lab_host.module(checks), lab_host.module(checks, "--check")
    assert [result["status"] for result in real["results"]] == [result["status"] for result in dry["results"]]
    assert real["changed"] is dry["changed"] is False
