# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What answers come to: only what a module has proven is done."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.judge import judge
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Judgement, Order, Orders
from failover_facts import facts, plan, request, stopped

LOST = {"ok": False, "unreachable": True, "result": {"msg": "Connection timed out"}}


def judged(
    step: str, about: dict[str, Any], answers: dict[str, Any], host: str | None = "db1", **views: Any
) -> Judgement:
    """`answers`: by host; each host was asked something."""
    orders = tuple(Order(each, "m") for each in (answers or {"db1": {}}))
    given = [{"host": each, "module": "m", **answer} for each, answer in answers.items() if answer]
    return judge(
        plan(), request(), [], facts(**views), Orders(step, host, {"old": "db1", **about}, orders, "Title"), given
    )


def ok(**result: Any) -> dict[str, Any]:
    return {"ok": True, "result": result}


def failed(**result: Any) -> dict[str, Any]:
    return {"ok": False, "result": result}


@pytest.mark.parametrize(
    ("layer", "answer", "phase"),
    [
        ("service", ok(proven=True, survives_reboot=True), "done"),
        ("service", ok(proven=True, survives_reboot=False), "failed"),
        ("service", ok(proven=True), "failed"),
        ("service", ok(proven=False, survives_reboot=True), "failed"),
        ("service", ok(), "failed"),
        ("service", ok(proven="yes", survives_reboot=True), "failed"),
        ("service", failed(proven=True, survives_reboot=True), "failed"),
        ("service", LOST, "failed"),
        ("service", {}, "again"),
        ("command", ok(proven=True), "done"),
        ("command", ok(proven=True, survives_reboot=False), "failed"),
        ("proxy", ok(proven=True), "done"),
        ("proxy", ok(changed=True), "failed"),
    ],
)
def test_a_fence_is_what_was_proven(layer: str, answer: dict[str, Any], phase: str) -> None:
    found = judged("fence", {"layer": layer}, {"db1": answer})
    assert (found.phase, found.refuse) == (phase, None)


def test_a_fence_by_proxies_is_of_all_of_them() -> None:
    found = judged(
        "fence", {"layer": "proxy"}, {"app1": ok(proven=True, evidence=["no session"]), "app2": failed(msg="no socket")}
    )
    assert (found.phase, found.about["why"]) == ("failed", "app2: no socket")
    assert found.message == "db1 is not fenced (proxy): app2: no socket"
    assert found.evidence == ("no session",)


def test_a_standby_that_cannot_be_fenced_ends_the_run() -> None:
    found = judged("fence", {"layer": "service", "release": True}, {"db2": failed(msg="D state")}, "db2")
    assert "db2 could not be fenced: db2: D state; run this again" in str(found.refuse)


PROMOTED = {"timeline": 4, "lsn": "0/5000200", "fork_lsn": "0/5000000", "first_write_seconds": 0.25}


@pytest.mark.parametrize(
    ("answer", "phase", "words"),
    [
        (ok(**PROMOTED), "done", "db2 is the primary on timeline 4, first write after 250 ms"),
        (ok(**{**PROMOTED, "timeline": 3}), "again", "and not to which timeline"),
        (ok(), "again", "and not to which timeline"),
        (LOST, "again", "nobody knows whether db2 was promoted: Connection timed out"),
        ({}, "again", "no answer of db2"),
        (failed(msg="its replay is paused"), "failed", "db2 was not promoted: its replay is paused"),
        (failed(msg="commit hangs", timeline=4), "failed", "db2 is promoted, to timeline 4, and cannot be written to"),
        (failed(), "failed", "db2 was not promoted: failed without a message"),
    ],
)
def test_a_promotion_is_what_was_seen(answer: dict[str, Any], phase: str, words: str) -> None:
    found = judged("promote", {"timeline": 3}, {"db2": answer}, "db2")
    assert (found.phase, words in found.message) == (phase, True), found.message
    assert (found.refuse is None) is (phase != "failed")


def test_a_promotion_tells_what_it_lost() -> None:
    about = judged(
        "promote", {"timeline": 3}, {"db2": ok(**PROMOTED)}, "db2", db1=stopped(lsn="0/5000100", clean=True)
    ).about
    assert (about["timeline"], about["expected_timeline"], about["fork_lsn"]) == (4, 3, "0/5000000")
    assert (about["loss"]["bytes"], about["loss"]["exact"]) == (256, True)


@pytest.mark.parametrize(
    "message",
    [
        "run run7 has taken over with epoch 7; run run1 has epoch 1 and changes nothing more here",
        "epoch 1 belongs to run run7, not to run run1, which changes nothing here: claim a higher epoch",
    ],
)
@pytest.mark.parametrize("step", ["fence", "promote", "follow", "traffic", "application"])
def test_a_run_that_was_overtaken_writes_nothing_more(step: str, message: str) -> None:
    for answer in (failed(msg=message), failed(msg="no", superseded=True)):
        found = judged(step, {"layer": "service"}, {"db1": answer})
        assert found.phase == "again" and found.refuse


def test_whoever_does_not_follow_is_named_and_keeps_nobody_waiting() -> None:
    found = judged("follow", {}, {
        "db3": ok(diverged=True, ahead_bytes=2048), "db4": failed(msg="no slot"), "db5": LOST, "db6": ok(changed=True),
    }, None)  # fmt: skip
    assert (found.phase, found.about["followed"]) == ("done", ["db6"])
    assert found.about["left"] == [
        "db3 has WAL beyond the fork by 2.0 KiB, and was not touched: rebuild it",
        "db4 does not follow: no slot",
        "db5 does not follow: Connection timed out",
    ]


@pytest.mark.parametrize(
    ("result", "phase"),
    [
        (ok(results=[{"status": "ok"}, {"status": "warning"}]), "done"),
        (ok(results=[{"status": "critical", "title": "Login", "message": "refused"}]), "failed"),
        (ok(results=[{"status": "unknown", "title": "Login"}]), "failed"),
        (failed(msg="no such probe"), "failed"),
    ],
)
def test_applications_are_moved_when_the_plans_checks_are_well(result: dict[str, Any], phase: str) -> None:
    found = judged("verify", {}, {"db2": result}, None)
    assert found.phase == phase
    assert (found.refuse is not None) is (phase == "failed")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("application", "the application is not ready on the new primary: app1: no"),
        ("traffic", "not every traffic layer points at the new primary: app1: no; run this again when that is mended"),
        ("backup", "applications are served, and no backup of the new timeline was taken: app1: no"),
        ("abort", "app1: no; run this again"),
    ],
)
def test_other_steps_need_every_answer(step: str, words: str) -> None:
    assert judged(step, {}, {"app1": ok(), "app2": ok()}, None).phase == "done"
    found = judged(step, {}, {"app1": failed(msg="no"), "app2": ok()}, None)
    assert found.phase == "failed" and words in str(found.refuse)


def test_a_step_without_orders_is_done_by_being_seen() -> None:
    step = Orders("promote", "db2", {"adopted": True}, (), "Take db2")
    assert judge(plan(), request(), [], facts(), step, []).phase == "done"
