# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of a failover's steps: what is next, by the journal and what is observed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry, Phase
from ansible_collections.day2.ops.plugins.plugin_utils.failover.judge import judge
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Finished, Orders
from failover_facts import GONE, Journal, facts, plan, primary, request, standby, stopped


def well(order: Any) -> dict[str, Any]:
    """The answer of a module that did what it was asked to."""
    result: dict[str, Any] = {"changed": True}
    if order.module.endswith("dr_fence"):
        result.update(proven=True, survives_reboot=True, evidence=["no postmaster"])
    elif order.module.endswith("pg_promote"):
        result.update(timeline=4, lsn="0/5000200", fork_lsn="0/5000000", first_write_seconds=0.2)
    elif order.module.endswith("dr_traffic"):
        result.update(proven=order.arguments.get("cut", False))
    return {"host": order.host, "module": order.module, "ok": True, "result": result}


def walk(
    entries: list[Entry], observed: Any, who: Any, the_plan: Any = None, limit: int = 30
) -> tuple[list[str], Any, list[Entry]]:
    """Steps that are taken, every one with success, until the end."""
    the_plan = the_plan or plan()
    journal, taken = Journal(tuple(entries)), []
    for _number in range(limit):
        seen = observed(journal.entries)
        step = next_step(the_plan, who, journal.entries, seen)
        if not isinstance(step, Orders):
            return taken, step, journal.entries
        taken.append(f"{step.step} {step.host or ''}".strip())
        journal.begin(who, step)
        found = judge(the_plan, who, journal.entries, seen, step, [well(order) for order in step.orders])
        assert found.phase == "done", found
        journal.add(who, step.step, found.phase, step.host, found.about)
    raise AssertionError(f"no end: {taken}")


ALL = ["fence db1", "promote db2", "application", "verify", "traffic", "follow", "backup", "finish"]


def after(entries: list[Entry]) -> Any:
    """What a host would show that has done what the journal says to be done."""
    done = {entry.step for entry in entries if entry.phase.value == "done"}
    new = primary("db2", timeline=4) if "promote" in done else standby("db2")
    old = stopped("db1", unit_masked=True) if "fence" in done else stopped("db1")
    follower = standby("db3", upstream="db2", timeline=4) if "follow" in done else standby("db3")
    return facts(db1=old, db2=new, db3=follower)


def test_a_failover_from_its_beginning_to_its_end() -> None:
    taken, end, entries = walk([], after, request())
    assert taken == ALL
    assert isinstance(end, Finished) and (end.outcome, end.primary) == ("failed_over", "db2")
    taken, end, _entries = walk(entries, after, request("run2", 2))
    assert (taken, end.outcome) == ([], "degraded")


def test_facts_that_are_older_than_a_step_do_not_speak_against_it() -> None:
    once = facts("silent", db1=primary("db1", state="hung"), seen=0)
    taken, _end, _entries = walk([], lambda _entries: once, request(), limit=9)
    assert taken == ALL


def whole_run() -> list[Entry]:
    return walk([], after, request())[2]


@pytest.mark.parametrize("killed", range(len(whole_run()) + 1))
@pytest.mark.parametrize("acted", [True, False])
def test_a_run_that_was_killed_anywhere_is_gone_on_with(killed: int, acted: bool) -> None:
    """`acted`: the open intent's orders were carried out before the kill."""
    entries = whole_run()[:killed]
    done = [entry.step for entry in entries if entry.phase.value == "done"]
    open_intent = entries[-1].step if entries and entries[-1].phase.value == "intent" else None

    def observed(now: list[Entry]) -> Any:
        if acted and open_intent and not any(e.step == open_intent and e.phase.value == "done" for e in now):
            return after([*now, replace(entries[-1], phase=Phase.DONE)])
        return after(now)

    taken, end, now = walk(entries, observed, request("run2", 2))
    assert isinstance(end, Finished), end
    names = [each.split()[0] for each in taken]
    assert not set(names) & set(done)
    assert [*done, *names] == [each.split()[0] for each in ALL]
    promoted = [e for e in now if e.step == "promote" and e.phase.value == "done"]
    assert [e.host for e in promoted] == ["db2"]


# What another run may see when it goes on: the old primary, and whom it would promote or has promoted.
OLD = [GONE, stopped("db1"), stopped("db1", unit_masked=True), primary("db1"), primary("db1", state="hung")]
SECOND = [
    GONE,
    standby("db2"),
    standby("db2", replay_paused=True),
    standby("db2", state="stopped"),
    primary("db2", timeline=4),
]
THIRD = [GONE, standby("db3"), standby("db3", lsn="0/6000000"), primary("db3", timeline=4)]


@pytest.mark.parametrize("killed", range(1, len(whole_run()) + 1))
def test_whatever_is_seen_nothing_that_was_done_is_done_again(killed: int) -> None:
    """Fences aside: an old primary that may start again is fenced again. And never are two promoted."""
    entries = whole_run()[:killed]
    done = {entry.step for entry in entries if entry.phase.value == "done"}
    begun = {entry.host for entry in entries if entry.step == "promote"}
    for old in OLD:
        for second in SECOND:
            for third in THIRD:
                seen = facts(
                    "answers" if old["reachable"] and old["state"] == "running" else "refused",
                    db1=old,
                    db2=second,
                    db3=third,
                )
                step = next_step(plan(), request("run2", 2), entries, seen)
                if not isinstance(step, Orders):
                    continue
                if "finish" in done:
                    # A new failover, for what has happened since.
                    assert step.step == "fence"
                    continue
                if (step.step, step.host) == ("fence", "db1"):
                    assert "fence" not in done or seen.view("db1").unit_masked is False
                else:
                    assert step.step not in done or step.host == "db2"
                if step.step == "promote" and step.orders:
                    assert not seen.view("db1").may_write
                    assert not any(seen.view(host).is_primary for host in ("db2", "db3"))
                    assert not begun or step.host in begun
