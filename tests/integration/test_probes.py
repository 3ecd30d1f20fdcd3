# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every probe on a real host; the host itself is asked what is right."""

from __future__ import annotations

import time
from typing import Any

import pytest

APP = "http://localhost:8080"
APP_LOG = "/var/log/options_engine/app.log"
PG: dict[str, Any] = {"probe": "postgres", "database": "options_engine", "run_as": "postgres"}


@pytest.fixture(scope="module")
def seen(lab_host: Any) -> dict[str, dict[str, Any]]:
    """One call for everything that needs no arrangement."""
    results: dict[str, dict[str, Any]] = lab_host.checks(
        {"id": "unit", "probe": "service", "name": "options-engine"},
        {"id": "unit-down", "probe": "service", "name": "options-report"},
        {"id": "unit-none", "probe": "service", "name": "no-such-unit"},
        {"id": "unit-uptime", "probe": "service", "name": "nginx", "metric": "uptime"},
        {"id": "cpu", "probe": "cpu"},
        {"id": "cpus", "probe": "cpu", "metric": "count"},
        {"id": "memory", "probe": "memory", "metric": "total"},
        {"id": "disk", "probe": "disk", "path": "/"},
        {"id": "disk-free", "probe": "disk", "path": "/", "metric": "free", "unit": "GiB"},
        {"id": "file-size", "probe": "file", "path": "/etc/passwd", "metric": "size"},
        {"id": "file-mode", "probe": "file", "path": "/etc/shadow", "metric": "mode", "critical": "!= 0640"},
        {"id": "file-owner", "probe": "file", "path": "/etc/shadow", "metric": "owner"},
        {"id": "file-age", "probe": "file", "path": "/etc/hostname", "warning": "> 1h"},
        {"id": "file-none", "probe": "file", "path": "/nowhere", "metric": "state", "critical": "== absent"},
        {"id": "tcp", "probe": "tcp", "port": 5432},
        {"id": "tcp-closed", "probe": "tcp", "port": 1},
        {"id": "http", "probe": "http", "url": f"{APP}/health", "body": '"status"', "critical": "> 9s"},
        {"id": "http-status", "probe": "http", "url": f"{APP}/nowhere", "metric": "status"},
        {"id": "http-404", "probe": "http", "url": f"{APP}/nowhere"},
        {"id": "http-body", "probe": "http", "url": f"{APP}/health", "body": "all is lost"},
        {
            "id": "json",
            "probe": "http",
            "url": f"{APP}/health",
            "query": "status",
            "critical": "!= healthy",
        },
        {"id": "jmespath", "probe": "http", "url": f"{APP}/metrics", "query": "length(performance)"},
        {"id": "tls", "probe": "http", "url": "https://localhost/health"},
        {"id": "tls-off", "probe": "http", "url": "https://localhost/health", "validate_certs": False},
        {"id": "peer", **PG},
        {"id": "size", **PG, "metric": "database_size"},
        {"id": "connections", **PG, "metric": "connections_percent"},
        {"id": "cache", **PG, "metric": "cache_hit_percent"},
        {"id": "lag", **PG, "metric": "replication_lag"},
        {"id": "query", **PG, "query": "SELECT 42, 'x'", "unit": "orders", "warning": "> 40"},
        {"id": "interval", **PG, "query": "SELECT interval '90 minutes'", "unit": "s", "critical": "> 1h"},
        {"id": "slow", **PG, "query": "SELECT pg_sleep(30)", "timeout": 2},
        {"id": "errors", "probe": "log", "path": APP_LOG, "pattern": "ERROR"},
        {"id": "lines", "probe": "log", "path": APP_LOG},
        {"id": "tail", "probe": "log", "path": APP_LOG, "pattern": "INFO", "last_lines": 50},
        {"id": "day", "probe": "log", "path": APP_LOG, "since": "24h"},
        {"id": "journal", "probe": "log", "unit": "options-report", "pattern": "Failed"},
        {"id": "exit", "probe": "command", "argv": ["sh", "-c", "exit 3"]},
        {
            "id": "regex",
            "probe": "command",
            "argv": ["echo", "queue: 17 jobs"],
            "format": "regex",
            "pattern": r"(\d+) jobs",
        },
        {"id": "cjson", "probe": "command", "argv": ["echo", '{"a": {"b": 0.5}}'], "format": "json", "query": "a.b"},
        {
            "id": "nagios",
            "probe": "command",
            "argv": ["sh", "-c", "echo 'LOAD WARN|load1=5.5;5;9 t=0.2s'; exit 1"],
            "format": "nagios",
        },
        {
            "id": "perf",
            "probe": "command",
            "argv": ["sh", "-c", "echo 'X OK|t=0.2s'"],
            "format": "nagios",
            "metric": "t",
            "critical": "> 100ms",
        },
        {"id": "no-program", "probe": "command", "argv": ["/no/such/plugin"]},
    )
    return results


STATUS = {
    "ok": "unit tcp http json tls-off peer cache connections file-mode file-age",
    "warning": "query nagios",
    "critical": "unit-down unit-none tcp-closed http-status http-404 http-body tls interval exit perf file-none",
    "unknown": "lag slow no-program",
}
MESSAGES = {
    "unit-down": "exit-code",
    "unit-none": "not installed",
    "tls": "certificate is not trusted",
    "slow": "server ended the statement",
    "http-404": "HTTP 404",
    "no-program": "not installed",
    "nagios": "LOAD WARN",
    "lag": "no standby",
}


@pytest.mark.parametrize(
    ("check", "status"), [(check, status) for status in STATUS for check in STATUS[status].split()]
)
def test_status(seen: dict[str, dict[str, Any]], check: str, status: str) -> None:
    assert seen[check]["status"] == status, seen[check]


@pytest.mark.parametrize(("check", "words"), MESSAGES.items())
def test_message(seen: dict[str, dict[str, Any]], check: str, words: str) -> None:
    assert words in seen[check]["message"]


def test_figures_agree_with_the_host(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    value = {name: result["value"] for name, result in seen.items()}
    assert value["cpus"] == int(lab_host.run("nproc", "--all"))
    assert 0 <= value["cpu"] <= 100
    meminfo = lab_host.run("awk", "/MemTotal/ {print $2}", "/proc/meminfo")
    assert value["memory"] == int(meminfo) * 1024
    percent, free = lab_host.run("df", "--output=pcent,avail", "-B1", "/").split()[-2:]
    assert abs(value["disk"] - int(percent.rstrip("%"))) <= 1.5
    assert seen["disk-free"]["unit"] == "GiB" and value["disk-free"] == pytest.approx(int(free) / 2**30, rel=0.05)
    assert value["file-size"] == int(lab_host.run("stat", "-c", "%s", "/etc/passwd"))
    assert value["file-mode"] == "0" + lab_host.run("stat", "-c", "%a", "/etc/shadow")
    assert value["file-owner"] == lab_host.run("stat", "-c", "%U", "/etc/shadow")
    assert value["size"] == pytest.approx(int(lab_host.sql("SELECT pg_database_size('options_engine')")), rel=0.05)
    assert value["connections"] <= 20
    assert (value["regex"], value["cjson"], value["nagios"], value["perf"]) == (17, 0.5, 5.5, 0.2)
    assert (value["query"], value["interval"], value["http-status"], value["json"]) == (42, 5400, 404, "healthy")


def test_logs_agree_with_grep(lab_host: Any) -> None:
    # The application goes on logging: both look at the same moment.
    lab_host.run("cp", APP_LOG, "/tmp/frozen.log")
    results = lab_host.checks(
        {"id": "errors", "probe": "log", "path": "/tmp/frozen.log", "pattern": r"\bERROR\b"},
        {"id": "slow", "probe": "log", "path": "/tmp/frozen.log", "pattern": "(?i)warn.*(slow|timeout|memory)"},
        {"id": "lines", "probe": "log", "path": "/tmp/frozen.log"},
        {"id": "tail", "probe": "log", "path": "/tmp/frozen.log", "pattern": "INFO", "last_lines": 50},
        {"id": "day", "probe": "log", "path": "/tmp/frozen.log", "since": "24h", "pattern": r"^\d{4}-"},
    )
    grep = {
        "errors": ["grep", "-acw", "ERROR", "/tmp/frozen.log"],
        "slow": ["grep", "-aciE", "warn.*(slow|timeout|memory)", "/tmp/frozen.log"],
        "lines": ["grep", "-ac", "", "/tmp/frozen.log"],
        "tail": ["sh", "-c", "tail -n 50 /tmp/frozen.log | grep -ac INFO"],
    }
    for name, command in grep.items():
        assert results[name]["value"] == int(lab_host.run(*command)), name
    assert 0 < results["day"]["value"] < results["lines"]["value"]
    assert results["errors"]["evidence"][-1] in lab_host.run("sh", "-c", "grep -aw ERROR /tmp/frozen.log | tail -n 1")


def test_the_journal_of_a_unit(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    count = lab_host.run("sh", "-c", "journalctl -q -u options-report -o short-iso | grep -c Failed")
    assert seen["journal"]["value"] == int(count) > 0


def test_debians_postgresql_unit_is_as_active_as_its_cluster(lab_host: Any) -> None:
    lab_host.run("systemctl", "stop", "postgresql@15-main")
    try:
        assert lab_host.run("systemctl", "is-active", "postgresql") == "active"
        results = lab_host.checks(
            {"id": "unit", "probe": "service", "name": "postgresql"},
            {"id": "login", **PG},
            {"id": "size", **PG, "metric": "database_size"},
        )
    finally:
        lab_host.run("systemctl", "start", "postgresql@15-main")
    assert results["unit"]["status"] == "critical" and "postgresql@15-main" in results["unit"]["message"]
    assert (results["login"]["status"], results["size"]["status"]) == ("critical", "unknown")


def test_an_open_transaction_is_seen(lab_host: Any) -> None:
    hold = "(echo 'BEGIN; SELECT 1;'; sleep 20; echo 'ROLLBACK;') | runuser -u postgres -- psql -Xq options_engine"
    lab_host.run("systemd-run", "-p", "KillSignal=SIGKILL", "--unit=day2-hold", "--collect", "sh", "-c", hold)
    try:
        limit = time.monotonic() + 15
        query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        while lab_host.sql(query) == "0":
            assert time.monotonic() < limit, "the transaction did not begin"
        (result,) = lab_host.checks({"id": "x", **PG, "metric": "longest_transaction", "warning": "> 10ms"}).values()
    finally:
        lab_host.run("systemctl", "stop", "--no-block", "day2-hold")
    assert result["status"] == "warning" and "postgres@options_engine" in result["message"]
    assert "idle in transaction" in result["evidence"][0]


def test_what_a_role_may_not_see_is_unknown(lab_host: Any) -> None:
    hidden = {"probe": "postgres", "database": "options_engine", "host": "localhost", "user": "options_engine_user"}
    hold = "(echo 'BEGIN; SELECT 1;'; sleep 20) | runuser -u postgres -- psql -Xq options_engine"
    lab_host.run("systemd-run", "-p", "KillSignal=SIGKILL", "--unit=day2-hide", "--collect", "sh", "-c", hold)
    try:
        limit = time.monotonic() + 15
        while lab_host.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == "0":
            assert time.monotonic() < limit, "the transaction did not begin"
        (result,) = lab_host.checks({"id": "x", **hidden, "metric": "longest_transaction"}).values()
    finally:
        lab_host.run("systemctl", "stop", "--no-block", "day2-hide")
    assert result["status"] == "unknown" and "pg_read_all_stats" in result["message"]


def test_a_query_that_writes_in_hiding_is_refused_by_the_server(lab_host: Any) -> None:
    insert = "INSERT INTO accounts (id, name, margin) VALUES (999999, 'x', 0) RETURNING id"
    lab_host.sql(f"CREATE FUNCTION day2_sneak() RETURNS int LANGUAGE sql AS $$ {insert} $$")
    try:
        (result,) = lab_host.checks({"id": "x", **PG, "query": "SELECT day2_sneak()"}).values()
        rows = lab_host.sql("SELECT count(*) FROM accounts WHERE id = 999999")
    finally:
        lab_host.sql("DROP FUNCTION day2_sneak()")
    assert result["status"] == "unknown" and "read-only transaction" in result["message"]
    assert rows == "0"
