# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks dr_assess and dr_failover on real servers behind a real pooler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from failover_site import JOURNAL, KEY, SYSTEM, FailoverSite, failover_site_on

OBSERVED = f"/var/lib/day2/dr/{SYSTEM}.observed"
CONFIRMED = {"day2_dr_confirm": SYSTEM}


@pytest.fixture
def site(lab_host: Any, tmp_path: Path) -> Iterator[FailoverSite]:
    with failover_site_on(lab_host, tmp_path) as made:
        yield made


def test_a_primary_that_died_is_replaced_once(site: FailoverSite) -> None:
    written = site.through_pooler("INSERT INTO rows VALUES (1) RETURNING extract(epoch FROM clock_timestamp())")
    for name in ("drb", "drc"):
        site.group.caught_up(name)
    assert site.play("dr_failover", **CONFIRMED).returncode == 0, site.output
    assert "no failover is needed" in site.output and site.primaries() == ["dra"] and site.journal() == []

    # Whoever names another system is mistaken, also where nothing would be done.
    assert site.play("dr_failover", day2_dr_confirm="payroll").returncode != 0
    assert f"day2_dr_confirm names payroll, and this run is of {SYSTEM}" in site.output

    site.crash("dra")
    crashed = float(site.host.run("date", "+%s.%N"))
    assert site.play("dr_failover", "-vvv", in_full=True, **CONFIRMED).returncode == 0, site.output
    assert '"admin_port"' in site.output and KEY not in site.output
    assert KEY not in site.host.run("cat", JOURNAL)
    assert not [path for path in site.reports.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    (new,) = site.primaries()
    other = "drc" if new == "drb" else "drb"
    assert site.through_pooler("SELECT string_agg(n::text, ',') FROM rows") == "1"
    site.through_pooler("INSERT INTO rows VALUES (2)")
    site.group.streams(other, new)
    assert site.host.run("systemctl", "is-enabled", "postgresql@15-dra", check=False) == "masked"
    done = [step for step, phase, _host in site.journal() if phase == "done"]
    assert done == ["fence", "promote", "traffic", "follow", "finish"]
    rows = site.rows()[new]
    outcome, left, took = rows["dr-outcome"], rows["dr-left"], rows["dr-rto"]
    assert outcome["status"] == "ok" and f"{new} has replaced dra" in outcome["message"], outcome
    assert "nothing is lost" in rows["dr-loss"]["message"], rows["dr-loss"]
    assert left["status"] == "warning" and "dra" in left["message"], left
    # Nobody could write from the last commit that is left until traffic was led.
    span = re.search(r"nobody could write from (\S+) to (\S+)", " ".join(took["evidence"]))
    assert span is not None, took
    since, until = map(parse_rfc3339, span.groups())
    assert float(written) - 0.001 <= since <= crashed < until, (written, crashed, span)

    # It is done: another run changes nothing, and says so.
    before = site.journal()
    assert site.play("dr_failover", **CONFIRMED).returncode == 0, site.output
    assert site.journal() == before and site.primaries() == [new], site.output


def test_without_a_fence_nobody_is_promoted(site: FailoverSite) -> None:
    # A standby that has replayed no commit since it was made has none whose age it could tell.
    site.through_pooler("INSERT INTO rows VALUES (1)")
    site.group.caught_up("drb")
    assert site.play("dr_assess").returncode == 0, site.output
    assert site.host.run("stat", "-c", "%U %a", OBSERVED) == "root 600"
    site.crash("dra")
    # Its host is out of reach, and nothing else can prove that it is off.
    lost = ("-i", str(site.inventory(dra="192.0.2.1")))
    # What was seen of it while it was at work is older than this plan bears: that is told, and is no way around it.
    strict = site.plan(targets={"rto": "2s", "rpo": "1s"})
    site.group.until(lambda: site.group.info("drb")["lag"]["seconds"] or 0, lambda age: age > 5, "the loss is a doubt")
    assert site.play("dr_assess", *lost, plan=strict).returncode == 0, site.output
    assert "dra was last seen at work at " in site.output and "has all that it had on disk then" in site.output
    site.play("dr_failover", *lost, **CONFIRMED)
    assert "nobody can prove that dra is off" in site.output and site.primaries() == [], site.output
    # One of those who may approve takes it on himself; it stays in the journal.
    approved = {"day2_approvers": ["A. Person"], "approved_by": "A. Person", "day2_dr_reason": "its power is cut"}
    approved |= {"day2_dr_approve": "fence"}
    site.play("dr_failover", *lost, **CONFIRMED, **approved)
    assert len(site.primaries()) == 1, site.output
    assert any(phase == "overridden" for _step, phase, _host in site.journal())
    assert "approved by A. Person: its power is cut" in site.output
