# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A maintenance whose controller and host live in other time zones than UTC, and than each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from lab_host import LabHost
from maintained import Maintained


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    site = Maintained(lab_host, tmp_path_factory.mktemp("setup"))
    assert site.play("maintenance_setup").returncode == 0, site.output
    lab_host.run("ln", "-sf", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime")
    yield lab_host
    lab_host.run("ln", "-sf", "/usr/share/zoneinfo/Etc/UTC", "/etc/localtime")


@pytest.fixture
def site(prepared: LabHost, tmp_path: Path) -> Iterator[Maintained]:
    site = Maintained(prepared, tmp_path)
    yield site
    prepared.run("day2ctl", "maintenance", "disable", "options_engine", "--force")
    assert site.in_service(), site.output


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Asia/Kolkata"])
def test_a_lease_is_as_long_as_the_maintenance(site: Maintained, zone: str) -> None:
    site.environment = {"TZ": zone}
    # As an operator there would write it: the window began an hour ago by the controller's own clock.
    begun = datetime.now(timezone.utc) - timedelta(hours=1)
    window = {"name": "here", "rrule": "FREQ=DAILY", "start": begun.strftime("%H:%M"), "duration": "8h"}
    step = {**site.looking("zoned"), "duration": "30m"}
    done = site.play(
        "maintenance", day2_windows=[window], day2_maintenance_steps=[step], maintenance_window_backup=False,
        maintenance_window_duration="2h",
    )  # fmt: skip
    assert done.returncode == 0, site.output
    _unit, status, state = site.seen("zoned")
    lease = state["leases"]["maintenance"]
    length = lease["until"] - lease["since"]
    assert status == "503" and 7200 - 600 < length <= 7200 - 10, lease
    rows = site.rows()
    assert rows["zoned"]["status"] == "ok", rows["zoned"]
    begin = datetime.fromisoformat(rows["zoned"]["started"].replace("Z", "+00:00"))
    assert abs((datetime.now(timezone.utc) - begin).total_seconds()) < 600
    # A step that does not fit into what is left is left out by the same count.
    longer = {**site.looking("too-long"), "duration": "110m"}
    plan = site.play(
        "maintenance", "--check", day2_windows=[window], day2_maintenance_steps=[longer],
        maintenance_window_backup=False, maintenance_window_duration="2h",
    )  # fmt: skip
    assert plan.returncode == 0 and "left out: it takes 1 h 50 min, and 1 h" in site.output, site.output
