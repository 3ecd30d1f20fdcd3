# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbook dr_rejoin on real servers: after a failover the old primary follows, and can take over again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from failover_site import REJOIN, SYSTEM, FailoverSite, failover_site_on

CONFIRMED = {"day2_dr_confirm": SYSTEM}


class RejoinSite(FailoverSite):
    def plan(self, **changes: Any) -> dict[str, Any]:
        return super().plan(**{"rejoin": {**REJOIN, "evidence": "/var/lib/day2/dr/test-rejoined"}, **changes})


@pytest.fixture
def site(lab_host: Any, tmp_path: Path) -> Iterator[FailoverSite]:
    with failover_site_on(lab_host, tmp_path) as made:
        yield RejoinSite(made.host, made.group, tmp_path)


def rejoined(site: FailoverSite, host: str) -> dict[str, Any]:
    return site.rows()[host]["dr-rejoin"]


def test_there_and_back(site: FailoverSite) -> None:
    # Nobody was replaced: nothing is to be done, and the primary is left alone.
    assert site.play("dr_rejoin", **CONFIRMED).returncode == 0, site.output
    assert "no member is to become a standby" in site.output and site.primaries() == ["dra"]

    # The other two are cut off while it still takes writes.
    for name in ("drb", "drc"):
        site.group.caught_up(name)
        site.group.systemctl("stop", name)
    site.group.sql("dra", "INSERT INTO rows SELECT generate_series(1, 300)")
    site.crash("dra")
    for name in ("drb", "drc"):
        site.group.systemctl("start", name)
        site.group.ready(name)
    assert site.play("dr_failover", **CONFIRMED).returncode == 0, site.output
    (new,) = site.primaries()
    assert "dra has to become a standby again" in site.rows()[new]["dr-left"]["message"], site.output

    site.play("dr_rejoin")
    assert f"day2_dr_confirm={SYSTEM}" in site.output and site.group.info("dra")["state"] == "stopped", site.output
    assert site.play("dr_rejoin", "--check").returncode == 0, site.output
    assert "1 committed transaction" in site.output and "would be rewound" in site.output, site.output
    assert site.group.info("dra")["unit_masked"] is True and site.group.info("dra")["state"] == "stopped"

    assert site.play("dr_rejoin", **CONFIRMED).returncode == 0, site.output
    done = rejoined(site, "dra")
    assert done["status"] == "warning" and "table postgres: rows" in done["evidence"], done
    site.group.streams("dra", new)
    site.through_pooler("INSERT INTO rows VALUES (1000)")
    site.group.caught_up("dra", of=new)
    assert site.group.sql("dra", "SELECT string_agg(n::text, ',') FROM rows") == "1000"
    assert site.play("dr_assess").returncode == 0, site.output
    assert site.rows()[new]["dr-assessed"]["message"].startswith(f"{new} is the primary; no failover is needed")

    # It can take over again, and what has replaced it comes back without a loss.
    site.crash(new)
    before = site.group.timeline
    assert site.play("dr_failover", **CONFIRMED).returncode == 0, site.output
    (third,) = site.primaries()
    assert third != new and before(third) == "00000003", site.output
    assert site.play("dr_rejoin", **CONFIRMED).returncode == 0, site.output
    assert rejoined(site, new)["status"] == "ok", rejoined(site, new)
    site.group.streams(new, third)
    assert site.through_pooler("SELECT string_agg(n::text, ',') FROM rows") == "1000"
    assert site.play("dr_rejoin", **CONFIRMED).returncode == 0, site.output
    assert "no member is to become a standby" in site.output
