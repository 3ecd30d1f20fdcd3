# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What befalls a failover in the middle, how it ends, and what a person may do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import approve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import resolve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import abort, next_step, outline
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Finished, Orders, Refused
from failover_cases import (
    APPROVED,
    BEGUN,
    CASE,
    CUT,
    FENCED,
    NEW,
    OFF,
    PROMOTED,
    journal,
    orders,
    refused,
    step_of,
)
from failover_facts import GONE, PLAN, Journal, facts, plan, primary, request, standby, stopped


@pytest.mark.parametrize(
    "lines", [FENCED, [*FENCED, *BEGUN], [*FENCED, *PROMOTED], [*FENCED, *PROMOTED, ("traffic", "done", None, {})]]
)
@pytest.mark.parametrize("view", [primary(), primary(state="hung"), primary(state=None), stopped(unit_masked=False)])
def test_an_old_primary_that_returns_is_fenced_again(lines: Any, view: dict[str, Any]) -> None:
    new = NEW if "promote" in [line[0] for line in lines if line[1] == "done"] else {}
    step = step_of(journal(*lines), db1=view, **new)
    assert (step.step, step.host, orders(step)) == ("fence", "db1", [("db1", "dr_fence")])
    if view["state"] == "stopped":
        return
    # Twice in one run: something starts it.
    again = refused(step_of(journal(*lines, epoch=2), who=request("run1", 2), db1=view, **new))
    assert again.reasons[0].code == "fence_undone"


def test_one_that_is_cut_off_by_proxies_is_not_cut_off_from_its_successor() -> None:
    moved = [*CUT, *PROMOTED, *((step, "done", None, {}) for step in ("application", "verify", "traffic", "follow"))]
    hung = {"verdict": "silent", "db1": primary(state="hung"), **NEW}
    # It is stopped on its host where that is possible; where it is not, it stays cut off.
    assert orders(step_of(journal(*moved), **hung)) == [("db1", "dr_fence")]
    tried = journal(*moved, ("fence", "failed", "db1", {"layer": "service", "entry": 1}), epoch=2)
    assert step_of(tried, who=request("run1", 2), **hung).step == "backup"
    # One that was stopped, and runs again: applications are led to its successor at every layer.
    moved[:2] = FENCED
    tried = journal(*moved, ("fence", "failed", "db1", {"layer": "service", "entry": 1}))
    tried.add(request("run2", 2), "fence", "failed", "db1", {**CASE, "layer": "service", "entry": 1})
    step = step_of(tried, **hung)
    assert (step.about["layer"], orders(step)) == ("proxy", [])


def test_a_failover_that_is_needed_no_more_is_ended() -> None:
    serves = {"verdict": "answers", "db1": primary()}
    begun = [("fence", "intent", "db1", {"layer": "proxy"})]
    step = step_of(journal(*begun), **serves)
    assert (step.step, orders(step)) == ("abort", [("app1", "dr_traffic"), ("app2", "dr_traffic")])
    assert step.orders[0].arguments["primary"] == {"host": "db1", "port": 5432}
    assert step_of(journal(*CUT), **serves).step == "abort"
    # It was stopped, and somebody has started it.
    assert orders(step_of(journal(*FENCED), **serves)) == []
    # A promotion was begun: it binds, unless it is proven that it never will be done.
    binds = journal(*CUT, *BEGUN)
    assert step_of(binds, **serves).step == "fence"
    promised = {"promised": {"db2": {"epoch": 2, "run": "run2"}}}
    assert step_of(binds, **serves, **promised).step == "abort"
    assert step_of(binds, **serves, **promised, db2=standby(replay_paused=True)).step == "fence"
    assert step_of(binds, **serves, **promised, seen=2).step == "fence"
    assert step_of(binds, **serves, promised={"db2": {"epoch": 1, "run": "run1"}}).step == "fence"
    assert step_of(journal(*CUT, *BEGUN, epoch=2), who=request("run1", 2), **serves, **promised).step == "fence"
    # Still dead, or dead as far as one knows.
    assert step_of(journal(*begun)).step == "fence"
    assert "two have to agree" in refused(step_of(journal(*begun), points={p: {} for p in ("app1", "db2", "db3")})).text
    ended = journal(*begun, ("abort", "done", None, {}), epoch=2)
    found = step_of(ended, who=request("run1", 2), **serves)
    assert isinstance(found, Finished) and found.outcome == "aborted"


@pytest.mark.parametrize(
    ("views", "words"),
    [
        (
            {"db2": GONE},
            "db2 was promoted at 2026-11-30T10:00:03Z, and does not answer Ansible. Restore it and run this",
        ),
        ({"db2": standby()}, "db2 was promoted at 2026-11-30T10:00:03Z, and is running, standby"),
        ({**NEW, "db3": primary("db3", timeline=5)}, "and db3 run as primaries too: stop those"),
    ],
)
def test_a_successor_that_is_lost_is_told(views: dict[str, Any], words: str) -> None:
    found = refused(step_of(journal(*FENCED, *PROMOTED), **OFF, **views))
    assert words in found.text and not found.approvable


def test_steps_after_a_promotion_have_what_they_need() -> None:
    kept = journal(*FENCED, *PROMOTED)
    alone = plan(application=None, verify=None, backup=None, traffic=[])
    follow = step_of(kept, alone, **OFF, **NEW)
    assert orders(follow) == [("db3", "pg_follow")]
    assert follow.orders[0].arguments["primary"] == {"host": "db2", "port": 5432}
    assert (follow.orders[0].arguments["slot"], follow.orders[0].arguments["expected_timeline"]) == ("db3", 4)
    # Nobody is left to follow.
    assert step_of(kept, alone, **OFF, **NEW, db3=GONE).step == "finish"
    step = step_of(kept, **OFF, **NEW, db3=GONE)
    assert (step.step, orders(step)) == ("application", [("app1", "role")])
    assert step.orders[0].arguments == {"role": "site.analytics", "entry_point": "moved"}
    bare = plan(application=None, verify=None, backup=None)
    traffic = step_of(kept, bare, **OFF, **NEW, db3=GONE)
    assert resolve(PLAN, vars(traffic.orders[1]))["servers"] == ["pg/primary"]
    assert (traffic.orders[1].arguments["primary"]["host"], traffic.orders[1].arguments["old"]["host"]) == (
        "db2",
        "db1",
    )
    kept.add(request("run1", 1), "traffic", "done", None, CASE)
    assert step_of(kept, bare, **OFF, **NEW, db3=GONE).step == "finish"


def test_what_is_left_to_do_is_told_at_the_end() -> None:
    lines = [
        *FENCED,
        *PROMOTED,
        ("follow", "done", None, {"left": ["db3 does not follow: it is full"]}),
        ("finish", "done", None, {}),
    ]
    synchronous = plan(backup=None, synchronous_standby_names="ANY 1 (db1, db3)")
    found = step_of(
        journal(*lines, epoch=2),
        synchronous,
        request("run1", 2),
        db1=stopped(lsn="0/5000100", clean=True, unit_masked=True),
        **NEW,
    )
    assert isinstance(found, Finished)
    gone = next_step(synchronous, request("run1", 2), journal(*lines, epoch=2).entries, facts(**OFF, **NEW, db3=GONE))
    two = {"db3": primary("db3", timeline=5)}
    both = next_step(synchronous, request("run1", 2), journal(*lines, epoch=2).entries, facts(**OFF, **NEW, **two))
    assert isinstance(both, Finished) and both.left[-1].startswith("db3 runs as a primary too")
    assert isinstance(gone, Finished) and gone.left[-1].startswith("db3 did not answer: look whether it follows")
    assert found.left == (
        "db3 does not follow: it is full",
        "db1 has to become a standby again, by playbook dr_rejoin (it is fenced; it must not be started before)",
        "take a full backup: a new timeline has begun",
        "set synchronous_standby_names back to ANY 1 (db1, db3) when standbys follow",
    )
    assert found.loss is not None and (found.loss.exact, found.loss.most) == (True, 256)
    assert found.measured == {"fence": 1.0, "promote": 1.0}


def test_facts_from_before_the_end_begin_no_failover() -> None:
    kept = journal(*FENCED, *PROMOTED, ("finish", "done", None, {}))
    assert refused(step_of(kept, seen=3)).reasons[0].code == "stale"


def test_an_old_primary_that_was_rebuilt_meanwhile_is_no_danger() -> None:
    rebuilt = standby("db1", upstream="db2", timeline=4)
    assert step_of(journal(*FENCED, *PROMOTED), db1=rebuilt, **NEW).step == "application"


def test_nobody_is_asked_to_approve_what_nobody_may() -> None:
    begun = journal(("fence", "intent", "db1", {}))
    found = refused(step_of(begun, db2=standby(replay_paused=True), db3=standby("db3", replay_paused=True)))
    assert "may approve" not in found.text


@pytest.mark.parametrize("lines", [FENCED, [*FENCED, *BEGUN], [*FENCED, *PROMOTED]])
def test_an_old_primary_that_answers_anybody_is_not_off(lines: Any) -> None:
    """Its host does not answer Ansible: somebody has undone the fence behind its back."""
    new = NEW if lines[-1][1] == "done" and len(lines) > 2 else {}
    answers = {**new, "points": {"app1": {"db1": "answers"}}}
    assert orders(step_of(journal(*lines), **answers)) == [("app1", "dr_traffic"), ("app2", "dr_traffic")]
    only = plan(fence=[{"kind": "service"}])
    found = refused(step_of(journal(*lines), only, request("run2", 2, **APPROVED), **answers))
    assert "db1 answers app1, and could not be fenced: its host does not answer Ansible" in found.text
    assert not found.approvable
    again = refused(step_of(journal(*lines, epoch=2), who=request("run1", 2), **answers))
    assert "and answers app1 again: something starts it" in again.text
    # Cut off by proxies it may answer.
    cut = journal(*CUT, *lines[2:])
    assert step_of(cut, **answers).step in ("promote", "application")


def test_a_failover_is_aborted_unless_a_promotion_was_begun() -> None:
    who = request("run2", 2)
    assert isinstance(abort(plan(), who, [], facts()), Finished)
    assert "has begun to promote db2" in refused(abort(plan(), who, journal(*FENCED, *BEGUN).entries, facts())).text
    step = abort(plan(), who, journal(*FENCED).entries, facts(**OFF))
    assert isinstance(step, Orders)
    assert (step.step, step.orders) == ("abort", ())
    assert step.title == "End the failover from db1; its unit stays masked until somebody unmasks it"
    assert abort(plan(), who, journal(*FENCED, *PROMOTED).entries, facts(**OFF, db2=GONE)).step == "abort"  # type: ignore[union-attr]


def test_check_mode_tells_the_plan() -> None:
    history = [{"fence": 2.0, "promote": 1.0, "traffic": 3.0}]
    found = outline(plan(), request(confirmed=False), [], facts(db1=stopped()), history)
    assert [(line["step"], line["seconds"]) for line in found] == [
        ("fence", 2.0), ("promote", 1.0), ("application", None), ("verify", None), ("traffic", 3.0), ("follow", None),
        ("backup", None),
    ]  # fmt: skip
    assert outline(plan(), request(), [], facts("answers", db1=primary())) == []


def test_one_that_was_out_of_reach_and_cut_off_is_stopped_when_it_comes_back_in_the_same_run() -> None:
    kept = journal(*CUT, *PROMOTED, epoch=2)
    step = step_of(kept, who=request("run1", 2), db1=primary(), **NEW)
    assert (step.step, orders(step)) == ("fence", [("db1", "dr_fence")])


def test_a_failover_that_has_ended_is_not_begun_again_for_whom_it_left_cut_off() -> None:
    ended = journal(*CUT, *PROMOTED, ("finish", "done", None, {}))
    hung = {"verdict": "silent", "db1": primary(state="hung"), **NEW}
    found = step_of(ended, who=request("run3", 3), **hung)
    assert isinstance(found, Finished) and found.outcome == "degraded"
    assert "db1, which db2 has replaced, is not kept from starting (proxy)" in found.text
    # Nor was anything of that said by a failover that has not ended.
    assert step_of(who=request("run3", 3), **hung).step == "fence"


def test_an_approval_alone_has_begun_nothing() -> None:
    """Of a run that goes on without a majority: it is written first, and stands in every line."""
    kept = Journal()
    kept.add(
        request("run1", 1),
        "claim",
        "overridden",
        None,
        {"case": "run1", "codes": ["majority"], "by": "M. Anager", "reason": "x"},
    )
    step = step_of(kept, who=request("run1", 1), db1=stopped())
    assert step.title == "Fence db1 (service)"
    kept.begin(request("run1", 1), step)
    kept.add(request("run1", 1), "fence", "done", "db1", step.about)
    assert step_of(kept, **OFF).title == "Promote db2 (majority approved by M. Anager: x)"
    # What an earlier failover has settled stays so.
    ended = journal(*CUT, *PROMOTED, ("finish", "done", None, {}))
    ended.add(request("run3", 3), "claim", "overridden", None, {"case": "run3", "codes": ["majority"]})
    found = step_of(ended, who=request("run3", 3), verdict="silent", db1=primary(state="hung"), **NEW)
    assert isinstance(found, Finished) and found.outcome == "degraded"


def test_an_approver_approves_nothing_else_with_it() -> None:
    """One of the reasons is nobody's to approve."""
    reasons = [Reason("rpo", "late", approvable=True), Reason("two_primaries", "two")]
    found = approve(plan(), request("run1", 1, **APPROVED), reasons, {}, "run1")
    assert isinstance(found, Refused) and not found.approvable
    assert isinstance(approve(plan(), request("run1", 1, **APPROVED), reasons[:1], {}, "run1"), tuple)
    # What is not named stays refused, all of it told at once.
    reasons = [*reasons[:1], Reason("archive", "no answer", approvable=True), Reason("ahead", "db3", approvable=True)]
    found = approve(plan(), request("run1", 1, **APPROVED), reasons, {}, "run1")
    assert isinstance(found, Refused) and [reason.code for reason in found.reasons] == ["rpo", "archive", "ahead"]
    assert "M. Anager has not approved ahead and archive: add -e day2_dr_approve=ahead,archive,fence," in found.text
    who = request("run1", 1, **{**APPROVED, "approves": ("ahead", "archive")})
    assert isinstance(approve(plan(), who, reasons, {"rpo": {}}, "run1"), tuple)
    assert approve(plan(), request(), reasons[:1], {"rpo": {}}, "run1") == ()


def test_a_standby_that_was_fenced_for_its_promotion_follows_nobody() -> None:
    lines = [("fence", "intent", "db3", {}), ("fence", "done", "db3", {"release": True})]
    assert step_of(journal(*FENCED, *lines, *PROMOTED), **OFF, **NEW).step == "application"
