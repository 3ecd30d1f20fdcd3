# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of role maintenance_steps within maintenance mode and outside of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from steps_on_host import Steps

SERVICE = "options_engine"


@pytest.fixture(scope="module")
def prepared(lab_host: Any) -> Steps:
    done = lab_host.playbook("day2.ops.maintenance_setup", "-l", lab_host.name)
    assert done.returncode == 0, done.stdout + done.stderr
    return Steps(lab_host)


@pytest.fixture
def steps(prepared: Steps) -> Iterator[Steps]:
    yield prepared
    prepared.sh(f"day2ctl maintenance disable {SERVICE} --force")
    # Nothing is left that would go on after a kill.
    prepared.sh("sed -i /^ExecStopPost/d /etc/systemd/system/day2-ill.service || echo; systemctl daemon-reload;"
                " for name in day2-held day2-ill; do systemctl kill -s KILL $name || echo;"
                " systemctl stop $name || echo; systemctl reset-failed $name || echo;"
                " rm -f /etc/systemd/system/$name.service; done; systemctl daemon-reload")  # fmt: skip


def unit(steps: Steps, name: str, service: str = "ExecStart=/bin/sleep 100000") -> None:
    steps.sh(f"cat > /etc/systemd/system/{name}.service; systemctl daemon-reload; systemctl start {name}",
             text=f"[Service]\n{service}\n")  # fmt: skip


def state(steps: Steps, name: str) -> str:
    return steps.sh(f"systemctl show --property=ActiveState --value {name}")


def hold(steps: Steps, *units: str) -> None:
    lease = {"service": SERVICE, "owner": "test", "reason": "steps", "duration": "10m", "targets": ["units"],
             "units": list(units)}  # fmt: skip
    done = steps.host.task("day2.ops.maintenance_mode", lease, become_user="root")
    assert not done.get("failed"), done


def test_a_rebuild_needs_the_mode(steps: Steps) -> None:
    sql = steps.host.sql
    sql("DROP DATABASE IF EXISTS day2_ours WITH (FORCE)", "postgres")
    sql("CREATE DATABASE day2_ours", "postgres")
    try:
        sql("CREATE TABLE t AS SELECT 1 AS id", "day2_ours")
        file = sql("SELECT pg_relation_filepath('t')", "day2_ours")
        row = steps.take("rebuild", database="day2_ours")
        assert row["status"] == "critical" and f"{SERVICE} is not in maintenance mode" in row["message"], row
        assert sql("SELECT pg_relation_filepath('t')", "day2_ours") == file
        assert steps.take("rebuild", "--check", database="day2_ours")["status"] == "skipped"
        unit(steps, "day2-held")
        hold(steps, "day2-held")
        assert steps.take("rebuild", database="day2_ours")["status"] == "ok"
        assert sql("SELECT pg_relation_filepath('t')", "day2_ours") != file
        # Another service's mode is not this one's.
        row = steps.take("rebuild", database="day2_ours", service="elsewhere")
        assert row["status"] == "critical" and "elsewhere is not in maintenance mode" in row["message"]
    finally:
        sql("DROP DATABASE day2_ours WITH (FORCE)", "postgres")


def test_a_restart_starts_nothing_that_is_held_or_stopped(steps: Steps) -> None:
    for name in ("day2-held", "day2-ill"):
        unit(steps, name)
    hold(steps, "day2-held")
    assert state(steps, "day2-held") == "inactive"
    before = steps.sh("systemctl show --property=MainPID --value day2-ill")
    row = steps.take("restart", units=["day2-held", "day2-ill"])
    assert (
        row["status"] == "ok" and "restarted day2-ill.service; not restarted, because they do not run" in row["message"]
    ), row
    assert any("day2-held.service not restarted: held by maintenance mode" in line for line in row["evidence"])
    assert steps.sh("systemctl show --property=MainPID --value day2-ill") != before
    # Somebody stopped it on purpose, and no mode holds it.
    steps.sh("systemctl stop day2-ill")
    row = steps.take("restart", units=["day2-ill"])
    assert row["status"] == "ok" and "day2-ill.service not restarted: it is inactive" in row["evidence"][0], row
    assert state(steps, "day2-ill") == "inactive"
    row = steps.take("restart", units=["day2-nosuch"])
    assert row["status"] == "critical" and "there is no unit day2-nosuch.service" in row["message"]


def test_a_unit_that_does_not_come_back_is_named(steps: Steps) -> None:
    unit(steps, "day2-ill", "Type=exec\nExecStart=/bin/sleep 100000")
    # The next start ends at once, and systemd calls that a success.
    steps.sh("sed -i 's/sleep 100000/true/' /etc/systemd/system/day2-ill.service; systemctl daemon-reload")
    row = steps.take("restart", units=["day2-ill"])
    assert row["status"] == "critical" and "day2-ill.service: restarted, and not active" in row["message"], row


@pytest.mark.parametrize(("named", "pattern"), [("day2-ill", "day2-i*"), ("day2-ill.service", "day2-ill")])
def test_a_pattern_of_never_counts_for_every_step(steps: Steps, named: str, pattern: str) -> None:
    unit(steps, "day2-ill")
    before = steps.sh("systemctl show --property=MainPID --value day2-ill")
    about = {"never_restart": ["ssh@*", pattern]}
    for row in (steps.take("restart", units=[named], **about), steps.take("processes", processes_unit=named, **about)):
        assert row["status"] == "critical" and "maintenance_steps_never_restart" in row["message"], row
    assert steps.sh("systemctl show --property=MainPID --value day2-ill") == before


def test_a_unit_that_does_not_end_is_started_when_it_has(steps: Steps) -> None:
    # A kill ends the first of them only; the second goes on for longer than anybody waits.
    unit(steps, "day2-ill", "ExecStart=/bin/sleep 100000\nExecStopPost=-/bin/sleep 400\nExecStopPost=-/bin/sleep 400\n"
         "TimeoutStopSec=600")  # fmt: skip
    row = steps.take("processes", processes_unit="day2-ill", processes_timeout="2s")
    assert row["status"] == "critical" and "could not be replaced (Wait until nothing is left" in row["message"], row
    assert "It is deactivating; systemd starts it as soon as it has stopped" in row["message"]
    steps.sh("systemctl kill --kill-who=all --signal=KILL day2-ill")
    steps.until(lambda: state(steps, "day2-ill") == "active")
