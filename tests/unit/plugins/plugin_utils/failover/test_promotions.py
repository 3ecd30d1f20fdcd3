# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A promotion that was begun binds every later run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Refused
from failover_cases import (
    APPROVED,
    BEGUN,
    FAILED,
    FENCED,
    NEW,
    OFF,
    journal,
    orders,
    refused,
    step_of,
)
from failover_facts import GONE, plan, primary, request, standby


def test_a_promotion_says_what_it_expects() -> None:
    step = step_of(journal(*FENCED), **OFF)
    assert step.orders[0].arguments == {
        "system": "shop", "epoch": 2, "run": "run2", "data": "/data", "port": 5432, "database": "analytics",
        "expected_timeline": 3, "system_identifier": "7300000000000000001", "synchronous_standby_names": "",
        "verify": True, "unit": "postgresql@15-main",
    }  # fmt: skip
    assert step.about["loss"]["bytes_at_least"] == 0


@pytest.mark.parametrize(
    ("lines", "views", "outcome"),
    [
        # Begun, and nobody knows whether it was done.
        (BEGUN, {}, "promote db2"),
        (BEGUN, NEW, "adopt db2"),
        (
            BEGUN,
            {"db2": GONE},
            "run run1 has begun to promote db2, and nobody knows whether it did: it does not answer",
        ),
        (BEGUN, {"db2": {**GONE, "error": "timed out"}}, "(timed out). Restore db2, or its connection, and run this"),
        (BEGUN, {"db2": standby(state="hung", role=None, in_recovery=None)}, "it may be a primary already"),
        # Also where another one has come forward meanwhile, with more.
        (BEGUN, {"db3": standby("db3", lsn="0/5000001")}, "promote db2"),
        # Another one is promoted by hand.
        (
            BEGUN,
            {"db3": primary("db3", timeline=4)},
            "db3 was promoted by somebody, while run run1 has begun to promote",
        ),
        ([], {"db3": primary("db3", timeline=4)}, "adopt db3"),
        ([], {**NEW, "db3": primary("db3", timeline=5)}, "db2 and db3 run as primaries: stop all but the right one"),
        (
            [],
            {"db3": primary("db3", timeline=3)},
            "db3 runs as a primary on timeline 3, and db1 had 3: it is no successor",
        ),
        # A failure is tried once more; after the second one another standby is taken, when this one is fenced.
        ([*BEGUN, FAILED], {}, "promote db2"),
        ([*BEGUN, FAILED, *BEGUN, FAILED], {}, "fence db2"),
        ([*BEGUN, FAILED, *BEGUN, FAILED], {"db2": GONE}, "nobody knows whether it did"),
        ([*BEGUN, FAILED, *BEGUN, FAILED], {"db3": standby("db3", replay_paused=True)}, "promote db2"),
        (
            [
                *BEGUN,
                FAILED,
                *BEGUN,
                FAILED,
                ("fence", "intent", "db2", {}),
                ("fence", "done", "db2", {"release": True}),
            ],
            {"db2": standby(state="stopped", unit_masked=True)},
            "promote db3",
        ),
        # It cannot be promoted any more.
        (BEGUN, {"db2": standby(replay_paused=True)}, "fence db2"),
        (BEGUN, {"db2": standby(state="stopped")}, "fence db2"),
        (
            BEGUN,
            {"db2": standby(replay_paused=True), "db3": standby("db3", replay_paused=True)},
            "it cannot be ended: its replay is paused",
        ),
    ],
)
def test_a_promotion_that_was_begun_binds(lines: Any, views: dict[str, Any], outcome: str) -> None:
    step = step_of(journal(*FENCED, *lines), **OFF, **views)
    if isinstance(step, Refused):
        assert outcome in step.text
        assert not step.approvable
        return
    assert isinstance(step, Orders)
    verb = "adopt" if step.about.get("adopted") else step.step
    assert f"{verb} {step.host}" == outcome


def test_a_promotion_that_failed_in_this_run_ends_it() -> None:
    kept = journal(*FENCED, *BEGUN, FAILED, epoch=2)
    found = refused(step_of(kept, plan(members=["db1", "db2"], vantage_points=["app1", "app2", "controller"],
                                       journal_hosts=["db2", "app1", "app2"]), request("run1", 2), **OFF))  # fmt: skip
    assert (
        found.text
        == "run run1 has begun to promote db2, and it cannot be ended: no space left. Mend db2, and run this again"
    )


def test_an_archive_that_does_not_answer_is_for_somebody_to_decide() -> None:
    """It is lost with the old primary, and every standby would be refused for it."""
    lost = (
        "promote",
        "failed",
        "db2",
        {"why": "the archive does not answer; 'ignore_archive' promotes it all the same"},
    )
    kept = journal(*FENCED, *BEGUN, lost, *BEGUN, lost)
    found = refused(step_of(kept, **OFF))
    assert found.reasons[0].code == "archive" and found.approvable
    step = step_of(kept, who=request("run2", 2, **{**APPROVED, "approves": ("archive",)}), **OFF)
    assert (step.host, step.orders[0].arguments["ignore_archive"]) == ("db2", True)


def test_a_standby_that_cannot_be_fenced_stays_bound() -> None:
    lines = [*FENCED, *BEGUN, FAILED, *BEGUN, FAILED, ("fence", "failed", "db2", {"why": "D state", "release": True})]
    found = refused(step_of(journal(*lines, epoch=2), who=request("run1", 2), **OFF))
    assert "db2, whose promotion was begun, could not be fenced: D state" in found.text


def test_an_answer_that_is_always_lost_is_not_asked_for_for_ever() -> None:
    kept = journal(*FENCED, *BEGUN, *BEGUN, *BEGUN, epoch=2)
    assert "it does not end" in refused(step_of(kept, who=request("run1", 2), **OFF)).text


def test_a_run_proves_its_own_promotion_again() -> None:
    """It was promoted, and its first write did not succeed."""
    kept = journal(*FENCED, *BEGUN, epoch=2)
    step = step_of(kept, who=request("run1", 2), **OFF, db2=primary("db2", timeline=4, promoted_by="run1"))
    assert orders(step) == [("db2", "pg_promote")]
    assert orders(step_of(kept, who=request("run9", 9), **OFF, **NEW)) == []


def test_one_that_somebody_promoted_and_that_is_gone_is_not_replaced() -> None:
    kept = journal(("fence", "intent", "db1", {"adopted": "db2"}), ("fence", "done", "db1", {"layer": "service"}))
    found = refused(step_of(kept, **OFF, db2=GONE))
    assert "db2 was found promoted when run run1 began, and does not run as a primary now" in found.text
