# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""repmgrd is paused before anything is done, on every member, or nothing is done."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import assess
from ansible_collections.day2.ops.plugins.plugin_utils.failover.judge import judge
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step, outline
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Finished, Orders, Refused
from failover_cases import APPROVED
from failover_facts import GONE, Journal, facts, plan, primary, request, standby, stopped

PLAN = plan(manager={"kind": "repmgr"})
RUNS, PAUSED = {"managed_by": "repmgrd", "manager_paused": False}, {"managed_by": "repmgrd", "manager_paused": True}
OLD = stopped("db1", managed_by="repmgrd", manager_paused=None)


def seen(*found: Any, **more: Any) -> Any:
    """What is said of db2 and db3; of whom nothing is said, repmgrd runs."""
    views = {"db1": OLD}
    for number, name in enumerate(("db2", "db3")):
        said = found[number] if number < len(found) else RUNS
        views[name] = None if said is None else standby(name, **said)
    return facts(**{**{name: GONE if view is None else view for name, view in views.items()}, **more})


# What is observed, what is paused first (None: nothing, and the fence is next), or why nothing is done
CASES: dict[str, tuple[Any, list[str] | None, str]] = {
    "both run": (seen(), ["db2", "db3"], ""),
    "one is paused by somebody": (seen(PAUSED), ["db3"], ""),
    "both are paused": (seen(PAUSED, PAUSED), None, ""),
    "it does not run": (seen({}, {}), None, ""),
    "one that does not say": (seen({**RUNS, "manager_paused": None}, PAUSED), ["db2"], ""),
    "the old primary is out of reach": (seen(db1=GONE), ["db2", "db3"], ""),
    "the old primary is not there": (
        seen(PAUSED, PAUSED, db1={"reachable": True, "state": "absent", **RUNS}), None, ""),
    "the old primary runs": (
        seen(PAUSED, PAUSED, db1=primary("db1", state="hung", **RUNS)), None, ""),
    "a server that is down": (
        seen(PAUSED, db3=standby("db3", state="starting", **RUNS)), None, "its repmgrd cannot be paused"),
    "another decider": (seen(db3=standby("db3", managed_by="pacemaker")), None, "Pacemaker decides here"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_paused_first(name: str) -> None:
    observed, hosts, words = CASES[name]
    step = next_step(PLAN, request(**APPROVED), [], observed)
    if words:
        assert isinstance(step, Refused) and words in step.text, step
    elif hosts is None:
        assert isinstance(step, Orders) and step.step == "fence", step
    else:
        assert isinstance(step, Orders) and step.step == "pause", step
        assert [(order.host, order.module) for order in step.orders] == [(host, "day2.ops.dr_repmgr") for host in hosts]
        assert step.orders[0].arguments == {"data": "/data", "system": "shop", "epoch": 1, "run": "run1"}


def test_a_member_that_nobody_can_look_at_is_refused_by_its_name() -> None:
    step = next_step(PLAN, request(), [], seen(db3=None))
    assert isinstance(step, Refused) and "db3 does not answer Ansible" in step.text and "repmgrd" in step.text, step
    # Of one that this or an earlier run has paused, it is known.
    kept = Journal()
    kept.add(request(), "pause", "done", None, {"case": "run1", "hosts": ["db3"]})
    step = next_step(PLAN, request(**APPROVED), kept.entries, seen(PAUSED, None))
    assert isinstance(step, Orders) and step.step == "fence", step


def test_one_that_cannot_be_paused_ends_the_run() -> None:
    kept, who = Journal(), request()
    step = next_step(PLAN, who, [], seen())
    answers = [
        {"host": "db2", "module": "day2.ops.dr_repmgr", "ok": True, "result": {"changed": True}},
        {"host": "db3", "module": "day2.ops.dr_repmgr", "ok": False, "result": {"msg": "no extension repmgr"}},
    ]
    found = judge(PLAN, who, kept.entries, seen(), step, answers)
    assert found.phase == "failed" and "db3: no extension repmgr" in str(found.refuse), found
    # One that says it is, and never is, is not asked for ever.
    for _time in range(3):
        kept.begin(who, step)
        kept.add(who, "pause", "done", None, step.about)
    assert isinstance(next_step(PLAN, who, kept.entries, seen()), Refused)


def test_a_whole_failover_with_it() -> None:
    kept, who, taken = Journal(), request(), []

    def now() -> Any:
        done = {entry.step for entry in kept.entries if entry.phase.value == "done"}
        state = PAUSED if "pause" in done else RUNS
        new = primary("db2", timeline=4, **state) if "promote" in done else standby("db2", **state)
        old = stopped("db1", unit_masked=True, **RUNS) if "fence" in done else OLD
        follower = standby("db3", upstream="db2" if "follow" in done else "db1", **state)
        return facts(db1=old, db2=new, db3=follower)

    step = next_step(PLAN, who, kept.entries, now())
    while isinstance(step, Orders):
        taken.append(step.step)
        kept.begin(who, step)
        result = {"proven": True, "survives_reboot": True, "timeline": 4, "fork_lsn": "0/5000000"}
        said = [{"host": o.host, "module": o.module, "ok": True, "result": result} for o in step.orders]
        found = judge(PLAN, who, kept.entries, now(), step, said)
        kept.add(who, step.step, found.phase, step.host, found.about)
        step = next_step(PLAN, who, kept.entries, now())
    assert taken == ["pause", "fence", "promote", "application", "verify", "traffic", "follow", "backup", "finish"]
    assert isinstance(step, Finished) and any("repmgrd was paused on db2, db3" in text for text in step.left), step


def test_one_that_goes_on_in_the_middle_is_paused_again() -> None:
    kept, who = Journal(), request("run2", 2)
    about = {"case": "run1", "old": "db1", "timeline": 3, "layer": "service"}
    for phase in ("intent", "done"):
        kept.add(request(), "fence", phase, "db1", about)
    step = next_step(PLAN, who, kept.entries, seen(db1=stopped("db1", unit_masked=True)))
    assert isinstance(step, Orders) and step.step == "pause", step


def test_without_it_in_the_plan_repmgrd_is_refused() -> None:
    found = assess(plan(), seen())
    assert found.decision == "refuse" and "manager: {kind: repmgr}" in found.reasons[0].text


def test_one_that_stays_paused_is_told() -> None:
    found = assess(PLAN, seen(PAUSED, db1=primary("db1", **RUNS), verdict="answers"))
    assert found.decision == "degraded" and "db2: repmgrd is paused" in "; ".join(r.text for r in found.reasons)


def test_check_mode_tells_what_follows_it() -> None:
    steps = [line["step"] for line in outline(PLAN, request(), [], seen())]
    assert steps == ["pause", "fence", "promote", "application", "verify", "traffic", "follow", "backup"]
