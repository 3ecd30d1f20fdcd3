# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan that the guide to failovers shows is one that is admitted, and its checks are checks."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import FENCES, TRAFFIC
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import read_plan

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "failover.md").read_text()


def test_the_plan_of_the_page() -> None:
    (block,) = re.findall(r"```yaml\n(day2_system:.*?)```", PAGE, re.DOTALL)
    shown = yaml.safe_load(block)
    plan = read_plan(shown["day2_dr_plan"], ["db1", "db2", "db3", "app1"], shown["day2_system"])
    assert plan.notes == () and [member.host for member in plan.members] == ["db1", "db2", "db3"]
    checks = parse_checks(
        [dict(check) for check in plan.verify], lambda name: registry.load(name).SPEC, registry.PROBES, 10
    )
    assert [check.id for check in checks] == ["login"]


def test_the_page_names_every_kind() -> None:
    for kind in (*FENCES, *TRAFFIC):
        assert f"`{kind}`" in PAGE, kind
