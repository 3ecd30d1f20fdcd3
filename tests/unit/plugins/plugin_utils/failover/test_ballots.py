# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Majorities of journal hosts: who leads, and what was done."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import render_entry
from ansible_collections.day2.ops.plugins.plugin_utils.failover.ballots import (
    next_entry,
    next_epoch,
    read_answers,
    read_claims,
    read_writes,
)
from failover_facts import plan

NONE = {"epoch": 0, "run": ""}
AT = "2026-11-30T10:00:00Z"


def entries(count: int, epoch: int = 1, run: str = "r1") -> list[dict[str, Any]]:
    found: list[Any] = []
    for _number in range(count):
        found.append(next_entry(found, epoch, run, "fence", "intent", "db1", {"case": "r1"}, AT))
    return [render_entry(entry) for entry in found]


def answer(promised: int = 0, written: int = 0, count: int = 0, **more: Any) -> dict[str, Any]:
    def ballot(epoch: int) -> dict[str, Any]:
        return {"epoch": epoch, "run": f"r{epoch}"} if epoch else NONE

    kept = entries(count, written, f"r{written}") if written else []
    return {"promised": ballot(promised), "written": ballot(written), "entries": kept, **more}


DOWN = {"unreachable": True, "msg": "Connection timed out"}


def test_a_majority_is_of_the_journal_hosts_only() -> None:
    assert read_answers(plan(), {"db2": answer(), "app1": answer()}).won
    found = read_answers(plan(), {"db1": answer(9), "app2": answer(), "db2": answer(), "db3": DOWN})
    assert not found.won
    assert (found.took, found.missing) == (("db2",), ("db3", "app1"))
    assert found.reason is not None and found.reason.approvable
    assert found.reason.text == (
        "1 of 3 journal hosts answered, and 2 are needed: db3 Connection timed out; app1 did not answer"
    )
    # What any host has promised counts for the next epoch.
    assert next_epoch(found) == 10


def test_entries_are_of_the_highest_epoch_and_then_the_longest() -> None:
    answers = {
        "db2": answer(5, 2, 9, accepted=True),
        "db3": answer(5, 3, 1, accepted=True),
        "app1": answer(5, 3, 4, accepted=True),
    }
    found = read_claims(plan(), answers)
    assert found.won and len(found.entries) == 4


def test_entries_of_a_host_that_refused_the_claim_may_still_change() -> None:
    answers = {
        "db2": answer(5, 1, 1, accepted=True),
        "db3": answer(5, 1, 2, accepted=True),
        "app1": answer(7, 6, 5, accepted=False),
    }
    found = read_claims(plan(), answers)
    assert found.won and len(found.entries) == 2
    assert (found.epoch, found.holder) == (7, "r7")


@pytest.mark.parametrize("read", [read_claims, read_writes])
def test_whoever_was_overtaken_has_lost_whatever_somebody_approves(read: Any) -> None:
    found = read(
        plan(), {"db2": answer(7, accepted=False), "db3": answer(7, accepted=False), "app1": answer(5, accepted=True)}
    )
    assert not found.won and found.reason is not None
    assert not found.reason.approvable
    assert "db2 has promised r7; db3 has promised r7" in found.reason.text


@pytest.mark.parametrize(
    "bad",
    [None, "x", {"failed": True, "msg": "the journal is damaged"}, {"promised": NONE}, {**answer(), "entries": "x"}],
)
def test_an_answer_that_is_none_counts_for_nobody(bad: Any) -> None:
    found = read_writes(plan(), {"db2": bad, "db3": answer(1, accepted=True), "app1": answer(1)})
    assert not found.won
    assert found.took == ("db3",)


def test_what_hosts_promised_is_told_for_all() -> None:
    assert read_answers(plan(), {"db1": answer(4), "db2": answer(3)}).promised == {"db1": (4, "r4"), "db2": (3, "r3")}
