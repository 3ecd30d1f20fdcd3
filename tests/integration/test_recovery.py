# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks restore and recover on a lab host: the plan, the confirmation, and the way back from every failure."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from chat import Chat
from lab_host import ROOT, ansible
from pytest_httpserver import HTTPServer

REPOSITORY = "/var/backups/options_engine-sets"
LIMIT = ("-l", "options-engine-1")
UNIT = "options-engine"
# Whole seconds, or minutes with seconds: a recovery takes no milliseconds, and a test of one no hour.
RESTORED_IN = re.compile(r"was restored in (?:[1-9]\d? s|[1-9]\d? min(?: [1-9]\d? s)?)(?![\w.]| \d)")


@pytest.fixture(scope="module")
def backed_up(lab_host: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    lab_host.run("rm", "-rf", REPOSITORY)
    folder = tmp_path_factory.mktemp("backup")
    done = lab_host.playbook(
        "day2.ops.backup", *LIMIT, day2_report_dir=str(folder), postgres_backup_install=False, day2_run_id="night"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield lab_host
    names = lab_host.sql("SELECT quote_ident(datname) FROM pg_database WHERE datname ~ '_(old|undone)_2'", "postgres")
    for name in filter(None, names.split("\n")):
        lab_host.sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")
    lab_host.run("sh", "-c", f"rm -rf {REPOSITORY} /etc/.options_engine*day2* /opt/.options_engine*day2*")


@pytest.fixture
def host(backed_up: Any) -> Any:
    """With a row and a file that the backup does not have: whoever goes back has them again."""
    backed_up.sql("DROP TABLE IF EXISTS later; CREATE TABLE later AS SELECT 1 AS a")
    backed_up.run("touch", "/etc/options_engine/later")
    assert backed_up.run("systemctl", "is-active", UNIT) == "active"
    return backed_up


def recover(host: Any, folder: Path, *options: str, **variables: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    done = host.playbook(
        "day2.ops.recover", *LIMIT, *options, day2_report_dir=str(folder), day2_fail_on="critical", **variables
    )
    path = folder / "latest" / "report.json"
    rows = json.loads(path.read_text())["hosts"][0]["results"] if path.exists() else []
    return done, {row["id"]: row for row in rows}


def go_back(host: Any, folder: Path, command: str, *options: str, **variables: Any) -> Any:
    """Run the command that the row of a restore names, as somebody types it."""
    extra = {"day2_lab_dir": str(host.lab.folder), "day2_report_dir": str(folder), **variables}
    return ansible([*shlex.split(command), "-e", json.dumps(extra), *options])


def command_in(message: str) -> str:
    return message.partition("to go back: ")[2]


def as_before(host: Any) -> bool:
    row = host.sql("SELECT to_regclass('later') IS NOT NULL")
    file = host.run("ls", "/etc/options_engine/later", check=False)
    return bool(row == "t" and file and host.run("systemctl", "is-active", UNIT) == "active")


def test_the_plan_changes_nothing(host: Any, tmp_path: Path) -> None:
    done, _rows = recover(host, tmp_path, "--check", recovery_scope="full", recovery_run_id="night")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        f"stop {UNIT}",
        "restore options_engine of",
        "exchange the names",
        f"start {UNIT}",
        "Application health",
    ):
        assert words in done.stdout
    assert as_before(host)


def test_nothing_without_the_systems_name(host: Any, tmp_path: Path) -> None:
    done, rows = recover(host, tmp_path, day2_confirm="another")
    assert done.returncode == 2 and "-e day2_confirm=options_engine (not another)" in rows["steps"]["message"]
    assert as_before(host)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (
            {"recovery_migrate": ["sh", "-c", "echo no column x >&2; exit 3"]},
            "Run the migrations: exit status 3: no column x",
        ),
        (
            {
                "recovery_checks": [{"id": "no", "title": "never", "probe": "tcp", "host": "127.0.0.1", "port": 1}],
                "recovery_wait": 2,
            },
            "Wait until the checks are ok",
        ),
        ({"recovery_expect": [{"query": "SELECT 1", "result": "2", "title": "one is two"}]}, "one is two"),
    ],
)
def test_a_failure_goes_back(host: Any, tmp_path: Path, about: dict[str, Any], words: str) -> None:
    done, rows = recover(
        host, tmp_path, recovery_scope="full", recovery_run_id="night", day2_confirm="options_engine", **about
    )
    assert done.returncode == 2
    assert rows["steps"]["status"] == "critical"
    assert words in rows["steps"]["message"] and "everything is as it was before" in rows["steps"]["message"]
    assert f"these units run again: {UNIT}" in rows["steps"]["message"]
    # What was not restored has no row, what was taken back is not ok.
    restored = ["restore-configuration", "restore-application"]
    restored += [] if "recovery_expect" in about else ["restore-options_engine"]
    assert sorted(name for name in rows if name.startswith("restore-")) == sorted(restored)
    assert all(rows[name]["status"] == "warning" and "taken back" in rows[name]["message"] for name in restored)
    assert as_before(host)


@pytest.fixture
def down(host: Any) -> Any:
    """A service that somebody stopped, or that crashed, before anybody thought of a restore."""
    host.run("systemctl", "stop", UNIT)
    yield host
    host.run("systemctl", "start", UNIT)


def test_services_that_were_down_are_started(down: Any, tmp_path: Path) -> None:
    done, rows = recover(down, tmp_path, recovery_run_id="night", day2_confirm="options_engine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows["restore-options_engine"]["status"] == "ok"
    assert down.run("systemctl", "is-active", UNIT) == "active"


def test_services_that_were_down_are_so_again_where_it_fails(down: Any, tmp_path: Path) -> None:
    never = [{"id": "no", "title": "never", "probe": "tcp", "host": "127.0.0.1", "port": 1}]
    about = {"recovery_checks": never, "recovery_wait": 2, "day2_confirm": "options_engine"}
    done, rows = recover(down, tmp_path, recovery_run_id="night", **about)
    message = rows["steps"]["message"]
    assert done.returncode == 2
    assert f"these units are down as they were: {UNIT}" in message and "run again" not in message
    assert down.run("systemctl", "is-active", UNIT, check=False) == "inactive"


def test_a_database_that_was_gone_stays_restored(down: Any, tmp_path: Path) -> None:
    rows_before = down.sql("SELECT count(*) FROM quotes")
    down.sql("DROP DATABASE options_engine WITH (FORCE)", "postgres")
    about = {"recovery_migrate": ["/opt/nope"], "day2_confirm": "options_engine"}
    done, rows = recover(down, tmp_path, recovery_run_id="night", **about)
    message = rows["steps"]["message"]
    assert done.returncode == 2 and "/opt/nope could not be executed" in message, message
    assert "the restored options_engine stays" in message and "everything else is as it was before" in message
    assert rows["restore-options_engine"]["status"] == "ok"
    assert down.sql("SELECT count(*) FROM quotes") == rows_before


def test_a_service_that_is_not_there_is_refused_before_anything_stops(host: Any, tmp_path: Path) -> None:
    about = {"recovery_services": [UNIT, "options-engin"], "day2_confirm": "options_engine"}
    planned, _rows = recover(host, tmp_path, "--check", **about)
    assert planned.returncode == 2 and "options-engin.service" in planned.stdout
    done, rows = recover(host, tmp_path, **about)
    assert done.returncode == 2 and "options-engin.service" in rows["steps"]["message"]
    assert as_before(host)


def test_a_revert_that_fails_is_reported(host: Any, tmp_path: Path) -> None:
    """Services stay down, for nobody knows what they would find."""
    ask = "SELECT format('DROP DATABASE %I;', datname) FROM pg_database WHERE datname ~ '_old_'"
    drop = f'psql -XAtqc "{ask}" | psql -Xq'
    migrate = ["sh", "-c", f"{drop}; exit 1"]
    about = {"recovery_migrate": migrate, "recovery_migrate_user": "postgres", "day2_confirm": "options_engine"}
    done, rows = recover(host, tmp_path, recovery_run_id="night", **about)
    try:
        assert done.returncode == 2
        message = rows["steps"]["message"]
        assert "Run the migrations" in message and UNIT in message, message
        assert "going back failed as well (Restore or revert the database" in message, message
        assert "everything is as it was" not in message
    finally:
        host.run("systemctl", "start", UNIT)


def test_a_restore_that_was_a_mistake_is_reverted_by_the_command_of_its_row(host: Any, tmp_path: Path) -> None:
    restored, rows = recover(host, tmp_path, recovery_run_id="night", day2_confirm="options_engine")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    command = command_in(rows["restore-options_engine"]["message"])
    lab = ROOT / "inventories" / "lab"
    assert command == (
        f"ansible-playbook day2.ops.restore -i {lab} -l options-engine-1 -e recovery_state=reverted"
        " -e day2_confirm=options_engine"
    )
    assert f"to go back: {command}" in restored.stdout
    assert not as_before(host)
    host.sql("CREATE TABLE meanwhile AS SELECT 1 AS a")
    begun = host.run("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", UNIT)
    # Refused before anything stops, by the plan and by the run: a row would be taken back.
    for options in (["--check"], []):
        refused = go_back(host, tmp_path, command, *options)
        assert refused.returncode == 2 and "since the swap" in refused.stdout, refused.stdout
        assert "-e recovery_force=true" in refused.stdout
        assert host.run("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", UNIT) == begun
        assert host.sql("SELECT to_regclass('meanwhile') IS NOT NULL") == "t"
    planned = go_back(host, tmp_path, command, "--check", recovery_force=True)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "would be options_engine again" in planned.stdout and f"stop {UNIT}" in planned.stdout
    assert host.sql("SELECT to_regclass('meanwhile') IS NOT NULL") == "t"
    done = go_back(host, tmp_path, command, recovery_force=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert as_before(host) and host.sql("SELECT to_regclass('meanwhile') IS NULL") == "t"
    undone = host.sql("SELECT max(datname) FROM pg_database WHERE datname ~ '^options_engine_undone_'", "postgres")
    assert host.sql("SELECT to_regclass('meanwhile') IS NOT NULL", undone) == "t"
    begun = host.run("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", UNIT)
    again = go_back(host, tmp_path, command)
    assert again.returncode == 0 and "options_engine is what it was before already" in again.stdout
    assert as_before(host) and host.run("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", UNIT) == begun


def test_a_revert_that_cannot_stop_a_service_starts_the_others_again(host: Any, tmp_path: Path) -> None:
    restored, rows = recover(host, tmp_path, recovery_run_id="night", day2_confirm="options_engine")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    command = command_in(rows["restore-options_engine"]["message"])
    unit = "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=sleep inf\n"
    host.run("sh", "-c", "cat > /etc/systemd/system/t-stays.service; systemctl daemon-reload; systemctl start t-stays",
             text=unit)  # fmt: skip
    try:
        done = go_back(host, tmp_path, command, recovery_services=[UNIT, "t-stays"])
        assert done.returncode == 2 and f"nothing was reverted, and these units run again: {UNIT}" in done.stdout
        assert host.run("systemctl", "is-active", UNIT) == "active" and not as_before(host)
    finally:
        host.run("sh", "-c", "kill $(systemctl show -P MainPID t-stays); rm /etc/systemd/system/t-stays.service;"
                 " systemctl daemon-reload")  # fmt: skip
    assert go_back(host, tmp_path, command).returncode == 0 and as_before(host)


def test_database_and_files_are_reverted_together(host: Any, tmp_path: Path) -> None:
    about = {"recovery_scope": "full", "recovery_run_id": "night"}
    restored, rows = recover(host, tmp_path, day2_confirm="options_engine", **about)
    assert restored.returncode == 0 and not as_before(host), restored.stdout + restored.stderr
    command = command_in(rows["restore-options_engine"]["message"])
    assert "day2.ops.recover " in command and "-e recovery_scope=full -e recovery_run_id=night " in command
    done = go_back(host, tmp_path, command, recovery_force=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert as_before(host)
    rows = json.loads((tmp_path / "latest" / "report.json").read_text())["hosts"][0]["results"]
    assert {"revert-options_engine", "restore-configuration", "restore-application"} <= {row["id"] for row in rows}


def test_a_revert_without_a_restore_stops_nothing(down: Any, tmp_path: Path) -> None:
    names = down.sql("SELECT quote_ident(datname) FROM pg_database WHERE datname ~ '_(old|undone)_2'", "postgres")
    for name in filter(None, names.split("\n")):
        down.sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")
    done, rows = recover(down, tmp_path, recovery_state="reverted", day2_confirm="options_engine")
    assert done.returncode == 2 and "nothing to go back to" in rows["steps"]["message"]
    assert down.run("systemctl", "is-active", UNIT, check=False) == "inactive"


def test_an_unknown_run_is_refused_before_anything_stops(host: Any, tmp_path: Path) -> None:
    begun = host.run("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", UNIT)
    done, rows = recover(host, tmp_path, recovery_run_id="nosuch", day2_confirm="options_engine")
    assert done.returncode == 2 and "no set of run nosuch" in rows["steps"]["message"]
    assert host.run("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", UNIT) == begun
    assert as_before(host)


def test_a_configuration_alone(host: Any, tmp_path: Path, httpserver: HTTPServer) -> None:
    chat = Chat(httpserver)
    channel = {"name": "chat", "kind": "slack", "url": httpserver.url_for("/chat")}
    settings = {"notify_channels": [channel], "notify_retries": 0, "notify_state_dir": str(tmp_path / "n")}
    done, rows = recover(host, tmp_path, recovery_scope="configuration", day2_confirm="options_engine", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    (message,) = [text for text in chat.got() if "was restored in" in text]
    assert RESTORED_IN.search(message), message
    assert "restored /etc/options_engine from" in message and f"These units run again: {UNIT}" in message
    assert "Application health" in message
    assert host.run("ls", "/etc/options_engine/later", check=False) == ""
    assert host.sql("SELECT to_regclass('later') IS NOT NULL") == "t"
    assert "restore-options_engine" not in rows
