# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes of the system, its network and its files; the host itself is asked what is right."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

BACKUPS = "/var/backups/options_engine"
CERTIFICATE = "/etc/ssl/certs/options-engine.pem"


@pytest.fixture(scope="module")
def backups(lab_host: Any) -> Iterator[str]:
    """Backups as scripts leave them: good, cut, empty, with a digest, and one that is still written."""
    folder = "/root/backups"
    lab_host.run("mkdir", "-p", folder)
    script = f"""set -e; cd {folder}
    cp $(ls {BACKUPS}/*.dump | head -1) whole.dump
    head -c 60000 whole.dump > cut.dump
    runuser -u postgres -- pg_dump options_engine | gzip > plain.sql.gz
    head -c 50000 plain.sql.gz > cut.sql.gz
    gunzip -c plain.sql.gz | head -n 500 > stopped.sql
    tar cf - /etc/options_engine 2>/dev/null | zstd -q > files.tar.zst
    head -c 300 files.tar.zst > cut.tar.zst
    sha256sum whole.dump > whole.dump.sha256
    cp whole.dump digest.dump; echo "0000 digest.dump" > digest.dump.sha256
    : > empty.dump; : > coming.dump.tmp"""
    lab_host.run("bash", "-c", script)
    yield folder
    lab_host.run("rm", "-r", folder)


@pytest.fixture(scope="module")
def seen(lab_host: Any) -> dict[str, dict[str, Any]]:
    network = lab_host.run("hostname", "-I").split()[0].rpartition(".")[0]
    results: dict[str, dict[str, Any]] = lab_host.checks(
        {"id": "load", "probe": "load", "metric": "load15"},
        {"id": "load-each", "probe": "load", "metric": "per_processor", "critical": "> 1000"},
        {"id": "net", "probe": "network_io"},
        {"id": "net-dropped", "probe": "network_io", "interface": "lo", "metric": "dropped"},
        {"id": "net-none", "probe": "network_io", "interface": "eth77"},
        {"id": "nginx", "probe": "process", "name": "nginx", "user": "www-data"},
        {"id": "nginx-memory", "probe": "process", "name": "nginx", "metric": "memory", "critical": "> 100GB"},
        {"id": "app", "probe": "process", "pattern": "options_engine/app[.]py"},
        {"id": "app-age", "probe": "process", "pattern": "options_engine/app[.]py", "metric": "age"},
        {"id": "no-process", "probe": "process", "name": "no-such"},
        {"id": "ansible", "probe": "process", "pattern": "AnsiballZ", "critical": "> 0"},
        {"id": "ping", "probe": "ping", "host": "127.0.0.1", "count": 3},
        {"id": "ping-loss", "probe": "ping", "host": "127.0.0.1", "count": 3, "metric": "loss", "critical": "> 0%"},
        # An address of the host's own network that nobody has.
        {"id": "ping-nobody", "probe": "ping", "host": f"{network}.250", "count": 2, "timeout": 3},
        {"id": "ping-name", "probe": "ping", "host": "no.such.invalid"},
        {"id": "name", "probe": "dns", "name": "localhost", "expect": ["127.0.0.1"]},
        {"id": "name-wrong", "probe": "dns", "name": "localhost", "expect": ["127.9.9.9"]},
        {"id": "name-none", "probe": "dns", "name": "no.such.invalid"},
        {"id": "name-server-down", "probe": "dns", "name": "x.example", "server": "127.0.0.1", "timeout": 3},
        {"id": "modes", "probe": "directory", "path": "/etc/options_engine", "pattern": "*.yaml", "mode": "0600"},
        {"id": "modes-good", "probe": "directory", "path": "/opt/options_engine", "pattern": "*.py", "mode": "0644"},
        {"id": "owner", "probe": "directory", "path": "/opt/options_engine", "owner": "nobody"},
        {"id": "size", "probe": "directory", "path": "/var/lib/options_engine/history"},
        {"id": "size-none", "probe": "directory", "path": "/nowhere"},
        {"id": "backup", "probe": "backup", "path": f"{BACKUPS}/*.dump", "critical": "> 26h"},
        {"id": "backup-size", "probe": "backup", "path": f"{BACKUPS}/*.dump", "metric": "size_percent"},
        {"id": "backup-week", "probe": "backup", "path": f"{BACKUPS}/*.dump", "metric": "count", "since": "7d"},
        {"id": "backup-none", "probe": "backup", "path": f"{BACKUPS}/*.nothing"},
        {"id": "backup-reads", "probe": "backup", "path": f"{BACKUPS}/*.dump", "metric": "unreadable", "last": 3},
        {"id": "cert", "probe": "certificate", "path": CERTIFICATE, "warning": "< 90d", "critical": "< 14d"},
        {"id": "cert-server", "probe": "certificate", "host": "localhost", "critical": "< 1d"},
        {
            "id": "cert-trusted",
            "probe": "certificate",
            "host": "localhost",
            "ca_path": "/etc/ssl/certs/options-engine-ca.pem",
        },
        {
            "id": "cert-other",
            "probe": "certificate",
            "host": "localhost",
            "server_name": "other.example",
            "ca_path": "/etc/ssl/certs/options-engine-ca.pem",
        },
        {
            "id": "cert-postgres",
            "probe": "certificate",
            "host": "localhost",
            "port": 5432,
            "starttls": "postgres",
            "validate_certs": False,
        },
        {"id": "cert-not-tls", "probe": "certificate", "host": "localhost", "port": 8080},
        {"id": "cert-text", "probe": "certificate", "path": "/etc/passwd"},
        {"id": "timer", "probe": "timer", "name": "options-backup", "metric": "next"},
        {"id": "timer-result", "probe": "timer", "name": "logrotate"},
        {"id": "timer-none", "probe": "timer", "name": "no-such"},
        {"id": "timer-off", "probe": "timer", "name": "fstrim"},
        {"id": "duty", "probe": "attestation", "done_on": "2020-01-31", "by": "Security", "every": "90d"},
    )
    return results


STATUS = {
    "ok": "load load-each net nginx nginx-memory app app-age ping ping-loss name modes-good size backup backup-size"
    " backup-week backup-reads cert-trusted cert-postgres timer timer-result ansible net-dropped",
    "warning": "cert",
    "critical": "no-process ping-nobody name-wrong name-none modes owner backup-none cert-server cert-other"
    " cert-not-tls timer-none timer-off duty",
    "unknown": "net-none ping-name name-server-down size-none cert-text",
}
MESSAGES = {
    "modes": "1 of 5 files below /etc/options_engine differ from mode 0600",
    "name-wrong": "without 127.9.9.9",
    "cert-server": "does not trust it",
    "cert-other": "ostname mismatch",
    "cert-not-tls": "does not speak TLS",
    "net-none": "there is no interface eth77",
    "timer-none": "not installed",
    "timer-off": "masked",
    "duty": "overdue",
    "backup-reads": "3 of 3 backups read to their end",
}


@pytest.mark.parametrize(
    ("check", "status"), [(check, status) for status in STATUS for check in STATUS[status].split()]
)
def test_status(seen: dict[str, dict[str, Any]], check: str, status: str) -> None:
    assert seen[check]["status"] == status, seen[check]


@pytest.mark.parametrize(("check", "words"), MESSAGES.items())
def test_message(seen: dict[str, dict[str, Any]], check: str, words: str) -> None:
    assert words in seen[check]["message"]


def test_values_are_those_of_the_host(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    assert seen["nginx"]["value"] == int(lab_host.run("pgrep", "-c", "-u", "www-data", "nginx"))
    assert seen["app"]["value"] == 1
    folder = "/var/lib/options_engine/history"
    sizes = lab_host.run("find", folder, "-type", "f", "-printf", "%s\n").split()
    assert seen["size"]["value"] == sum(map(int, sizes))
    week = lab_host.run("find", BACKUPS, "-name", "*.dump", "-mmin", f"-{7 * 24 * 60}").split()
    assert seen["backup-week"]["value"] == len(week)
    newest = lab_host.run("bash", "-c", f"ls -t {BACKUPS}/*.dump | head -1")
    age = time.time() - int(lab_host.run("stat", "-c", "%Y", newest))
    assert abs(seen["backup"]["value"] - age) < 120
    assert "features.yaml: mode 0644" in seen["modes"]["evidence"][0]


def test_certificate_ends_when_openssl_says(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    said = lab_host.run("openssl", "x509", "-in", CERTIFICATE, "-noout", "-enddate", "-serial", "-subject")
    end = datetime.strptime(re.search("notAfter=(.*)", said)[1], "%b %d %H:%M:%S %Y GMT")  # type: ignore[index]
    left = (end.replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)) / timedelta(days=1)
    assert abs(seen["cert"]["value"] - left) < 0.01
    assert seen["cert"]["unit"] == "d"
    serial = re.search("serial=(.*)", said)[1].lower()  # type: ignore[index]
    assert f"serial {serial.lstrip('0')}" in seen["cert"]["evidence"][0]


def test_timers_next_run_is_systemds(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    unit = "/org/freedesktop/systemd1/unit/options_2dbackup_2etimer"
    what = ("org.freedesktop.systemd1", unit, "org.freedesktop.systemd1.Timer", "NextElapseUSecRealtime")
    said = lab_host.run("busctl", "get-property", *what)
    assert abs(time.time() + seen["timer"]["value"] - int(said.split()[1]) / 1e6) < 120


def test_timers_in_another_time_zone(lab_host: Any) -> None:
    check = {"id": "x", "probe": "timer", "name": "options-backup", "metric": "age"}
    unit = "/org/freedesktop/systemd1/unit/options_2dbackup_2etimer"
    what = ("org.freedesktop.systemd1", unit, "org.freedesktop.systemd1.Timer", "LastTriggerUSec")
    zone = "/usr/share/zoneinfo/Asia/Tokyo"
    lab_host.run("bash", "-c", f"cp -P /etc/localtime /root/localtime; ln -sf {zone} /etc/localtime")
    try:
        there = lab_host.checks(check)["x"]["value"]
    finally:
        lab_host.run("mv", "-f", "/root/localtime", "/etc/localtime")
    # Another zone may have made it due: systemd is asked again.
    assert abs(time.time() - there - int(lab_host.run("busctl", "get-property", *what).split()[1]) / 1e6) < 120


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "cut.dump": "pg_restore failed (exit status 1: pg_restore: error: could not read from input file: end of file)",
        "cut.sql.gz": "cannot be read whole",
        "stopped.sql": "without its last line",
        "cut.tar.zst": "zstd failed (exit status 1: ",
        "digest.dump": "differs from its sha256 digest",
        "empty.dump": "is empty",
        "whole.dump": None,
        "plain.sql.gz": None,
        "files.tar.zst": None,
    }.items(),
)
def test_backups_are_read_whole(lab_host: Any, backups: str, name: str, words: str | None) -> None:
    check = {"id": "x", "probe": "backup", "path": f"{backups}/{name}", "metric": "unreadable"}
    result = lab_host.checks(check)["x"]
    assert result["status"] == ("ok" if words is None else "critical"), result
    assert words is None or words in result["evidence"][0]


def test_what_is_still_written_is_no_backup(lab_host: Any, backups: str) -> None:
    result = lab_host.checks({"id": "x", "probe": "backup", "path": f"{backups}/coming*"})["x"]
    assert result["status"] == "critical"


def test_small_backup_shows(lab_host: Any, backups: str) -> None:
    lab_host.run(
        "bash",
        "-c",
        f"cd {backups} && mkdir -p n && for i in 1 2 3; do head -c 900000 /dev/urandom > n/$i;"
        ' touch -d "$i days ago" n/$i; done; head -c 90000 n/1 > n/0',
    )
    check = {"id": "x", "probe": "backup", "path": f"{backups}/n/*", "metric": "size_percent", "critical": "< 50%"}
    result = lab_host.checks(check)["x"]
    assert (result["status"], result["value"]) == ("critical", 10.0)


def test_failed_timer(lab_host: Any) -> None:
    unit = "[Service]\nType=oneshot\nExecStart=/bin/false\n"
    timer = "[Timer]\nOnActiveSec=10ms\nOnCalendar=yearly\nAccuracySec=1ms\n"
    lab_host.run(
        "bash",
        "-c",
        f"printf '{unit}' > /run/systemd/system/breaks.service;"
        f" printf '{timer}' > /run/systemd/system/breaks.timer; systemctl daemon-reload;"
        " systemctl start breaks.timer; until systemctl is-failed -q breaks.service; do sleep 0.1; done",
    )
    try:
        result = lab_host.checks({"id": "x", "probe": "timer", "name": "breaks"})["x"]
        assert (result["status"], result["value"]) == ("critical", "exit-code")
        assert "exit-code 1" in result["message"]
    finally:
        lab_host.run(
            "bash",
            "-c",
            "systemctl stop breaks.timer; systemctl reset-failed breaks.service;"
            " rm /run/systemd/system/breaks.*; systemctl daemon-reload",
        )


def test_directory_that_may_not_be_read_is_skipped(lab_host: Any) -> None:
    outcome = lab_host.module(
        [
            {"id": "dir", "title": "x", "probe": "directory", "path": "/root"},
            {"id": "backup", "title": "x", "probe": "backup", "path": f"{BACKUPS}/*.dump"},
        ],
        become_user="nobody",
    )
    assert [result["status"] for result in outcome["results"]] == ["skipped", "skipped"], outcome
