# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover by each ansible-core: assessed, planned, refused, and carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cores import Core, cores
from failover_site import REJOIN, SYSTEM, FailoverSite, failover_site_on
from lab_host import LabHost


def play(core: Core, site: FailoverSite, name: str, *options: str, **variables: Any) -> str:
    given = {"day2_dr_plan": site.plan(rejoin=REJOIN), "day2_fail_on": "never", **variables}
    done = core.run([f"day2.ops.{name}", "-i", str(site.inventory()), "-e", json.dumps(given), *options])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[DEPRECATION WARNING]" not in done.stdout + done.stderr, done.stdout + done.stderr
    return str(done.stdout + done.stderr)


@pytest.mark.parametrize("core", cores(), ids=lambda core: core.name)
def test_a_plan_that_is_carried_out(core: Core, lab_host: LabHost, tmp_path: Path) -> None:
    with failover_site_on(lab_host, tmp_path) as site:
        assert "dra is the primary" in play(core, site, "dr_assess")
        site.crash("dra")
        assert "Promote drb" in play(core, site, "dr_failover", "--check")
        assert site.primaries() == [] and site.journal() == []
        assert f"day2_dr_confirm={SYSTEM}" in play(core, site, "dr_failover") and site.primaries() == []
        play(core, site, "dr_failover", day2_dr_confirm=SYSTEM)
        assert len(site.primaries()) == 1
        assert [step for step, phase, _host in site.journal() if phase == "done"][-1] == "finish"
        assert "dra as a standby" in play(core, site, "dr_rejoin", "--check")
        assert f"day2_dr_confirm={SYSTEM}" in play(core, site, "dr_rejoin")
        assert "streams from" in play(core, site, "dr_rejoin", day2_dr_confirm=SYSTEM)
        assert site.group.sql("dra", "SELECT pg_is_in_recovery()") == "t"
