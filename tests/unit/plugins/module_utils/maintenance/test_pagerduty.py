# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance windows of PagerDuty: what it refuses to change, and what has ended by itself.

Public report: PagerDuty/terraform-provider-pagerduty 396.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import pagerduty
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339, rfc3339
from pagerduty import SENDER, SERVICE, TOKEN
from pagerduty import PagerDuty as Fake
from pagerduty import pagerduty as faked


@pytest.fixture
def pager() -> Iterator[Fake]:
    with faked("127.0.0.1") as it:
        yield it


@pytest.fixture
def client(pager: Fake, tmp_path: Path) -> pagerduty.PagerDuty:
    (tmp_path / "token").write_text(TOKEN)
    about: dict[str, Any] = {"services": [SERVICE], "from": SENDER, "token_file": str(tmp_path / "token")}
    return pagerduty.PagerDuty(pagerduty.settings({"pagerduty": {**about, "url": f"{pager.url}/"}}), "me")


def test_a_window_that_has_begun_keeps_its_start(pager: Fake, client: pagerduty.PagerDuty) -> None:
    client.ensure(600)
    (before,) = pager.open_ones()
    pager.windows[before["id"]]["start_time"] = rfc3339(time.time() - 300)
    assert "prolonged" in str(client.ensure(7200)) and client.ensure(7190) is None
    (after,) = pager.open_ones()
    assert after["id"] == before["id"] and parse_rfc3339(after["end_time"]) >= time.time() + 7190
    client.remove()
    assert not pager.open_ones()


def test_one_that_ends_while_it_is_removed_is_gone(
    pager: Fake, client: pagerduty.PagerDuty, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.ensure(600)
    windows, now = client.windows()
    pager.windows[windows[0]["id"]]["end_time"] = rfc3339(time.time() - 1)
    found = iter([(windows, now), client.windows()])
    monkeypatch.setattr(client, "windows", lambda: next(found))
    client.remove()
    assert [line.split()[0] for line in pager.asked].count("DELETE") == 1
    assert next(found, None) is None


@pytest.mark.parametrize("work", ["ensure", "longer", "remove"])
def test_too_many_requests_are_a_fault_that_passes(pager: Fake, client: pagerduty.PagerDuty, work: str) -> None:
    if work != "ensure":
        client.ensure(600)
    pager.busy = 1
    act = {"ensure": lambda: client.ensure(600), "longer": lambda: client.ensure(7200), "remove": client.remove}[work]
    with pytest.raises(TargetError, match=r"HTTP 429.*Rate Limit") as refused:
        act()
    assert TOKEN not in str(refused.value)
    act()
    assert len(pager.open_ones()) == (0 if work == "remove" else 1)
