# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may begin a failover, and how the old primary is proven to be off, or approved."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from ansible_collections.day2.ops.plugins.plugin_utils.failover import approval
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import read_codes
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Look, Orders
from failover_cases import (
    APPROVED,
    CUT,
    FENCED,
    OFF,
    PROMOTED,
    journal,
    orders,
    refused,
    step_of,
)
from failover_facts import GONE, PLAN, Journal, facts, plan, primary, request, standby, stopped

# Who asks.


def test_nothing_begins_unconfirmed() -> None:
    found = refused(step_of(who=request(confirmed=False)))
    assert found.text == "nobody has confirmed a failover of shop. Add -e day2_dr_confirm=shop"
    assert isinstance(step_of(who=request(confirmed=False), the_plan=plan(automatic=True)), Orders)
    assert isinstance(step_of(who=request(confirmed=False, check_mode=True)), Orders)
    # Nor is a failover that was begun gone on with.
    assert (
        refused(step_of(journal(*FENCED), who=request("run2", 2, confirmed=False), **OFF)).reasons[0].code
        == "unconfirmed"
    )


def test_a_run_that_was_overtaken_does_nothing() -> None:
    found = refused(step_of(journal(*FENCED, epoch=7), who=request("run2", 2)))
    assert found.text == "run run1 has taken over with epoch 7, and run run2 has 2: it stops here"
    assert not found.approvable


@pytest.mark.parametrize("lines", [[], FENCED, [*FENCED, *PROMOTED]])
@pytest.mark.parametrize("view", [{"managed_by": "patroni"}, {"system_identifier": "7"}])
def test_a_second_decider_and_another_system_are_refused_at_every_step(lines: Any, view: dict[str, Any]) -> None:
    found = refused(step_of(journal(*lines), **OFF, db3=standby("db3", **view)))
    assert found.reasons[0].code in ("decider", "identifiers")
    assert not found.approvable


# Fences.


@pytest.mark.parametrize(
    ("views", "fence", "failed", "expected"),
    [
        ({"db1": stopped()}, None, [], [("db1", "dr_fence")]),
        ({"db1": primary(state="hung")}, None, [], [("db1", "dr_fence")]),
        # A host that does not answer is not asked.
        ({}, None, [], [("app1", "dr_traffic"), ("app2", "dr_traffic")]),
        ({"db1": stopped()}, None, [1], [("app1", "dr_traffic"), ("app2", "dr_traffic")]),
        ({}, None, [1, 2], [("app1", "dr_fence")]),
        ({}, [PLAN["fence"][0], PLAN["fence"][2]], [], [("app1", "dr_fence")]),
    ],
)
def test_the_first_layer_that_can_prove_it_is_tried(views: Any, fence: Any, failed: list[int], expected: Any) -> None:
    begun = ("fence", "intent", "db1", {"layer": "service"})
    lines = [begun, *(("fence", "failed", "db1", {"layer": "x", "entry": number, "why": "no"}) for number in failed)]
    kept = journal(*lines, epoch=2) if failed else None
    step = step_of(kept, plan(**({"fence": fence} if fence else {})), request("run1", 2), **views)
    assert orders(step) == expected
    if expected[0][1] == "dr_traffic":
        assert all(order.arguments["cut"] is True and "primary" not in order.arguments for order in step.orders)
    if expected[0][0] == "app1":
        assert step.orders[0].arguments["old"] == {"host": "db1", "port": 5432}
    assert all(order.arguments["epoch"] == 2 and order.arguments["run"] == "run1" for order in step.orders)


def test_proxies_that_cannot_cut_prove_nothing() -> None:
    name = {"kind": "hosts_entry", "host": "app1", "name": "db.internal"}
    the_plan = plan(traffic=[*PLAN["traffic"], name], fence=PLAN["fence"][:2])
    assert (
        "nobody can prove that db1 is off: its host does not answer Ansible" in refused(step_of(the_plan=the_plan)).text
    )


def test_a_new_run_tries_layers_again_that_failed_before() -> None:
    lines = [("fence", "intent", "db1", {"layer": "service"})]
    lines += [("fence", "failed", "db1", {"layer": "service", "entry": 1, "why": "it hangs"})]
    assert orders(step_of(journal(*lines), db1=stopped())) == [("db1", "dr_fence")]


def test_what_cannot_be_proven_is_refused_and_may_be_approved() -> None:
    only = plan(fence=[{"kind": "service"}])
    found = refused(step_of(the_plan=only))
    assert found.approvable
    assert found.text == (
        "nobody can prove that db1 is off: its host does not answer Ansible. Make sure that db1 is off (power, cloud)."
        " One of M. Anager may approve this: add -e day2_dr_approve=fence -e approved_by='M. Anager'"
        " -e day2_dr_reason='WHY'"
    )
    step = step_of(the_plan=only, who=request("run1", 1, **APPROVED))
    assert (orders(step), step.host) == ([], None)
    assert step.overrides[0] == {
        "case": "run1",
        "codes": ["fence"],
        "by": "M. Anager",
        "reason": "the rack burns",
        "text": "nobody can prove that db1 is off: its host does not answer Ansible",
    }
    kept = Journal()
    kept.begin(request("run1", 1), step)
    kept.add(request("run1", 1), "fence", "done", None, step.about)
    # Another run goes on without a second approval, and every line says so.
    after = step_of(kept, only)
    assert orders(after) == [("db2", "pg_promote")]
    assert after.title == "Promote db2 (fence approved by M. Anager: the rack burns)"
    # It was approved that it is off. That it runs was not.
    assert orders(step_of(kept, only, db1=primary())) == [("db1", "dr_fence")]


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ({"approvers": ()}, "Nobody can approve this: shop has no day2_approvers"),
        ({"approved_by": "S. Omebody", "reason": "x"}, "'S. Omebody' is none of those who may approve: M. Anager"),
        ({"approved_by": "M. Anager"}, "M. Anager approves, and gives no reason, which stays in the journal"),
        (
            {"approved_by": "M. Anager", "reason": "x"},
            "M. Anager has not approved fence: add -e day2_dr_approve=fence -e",
        ),
        (
            {**APPROVED, "approves": ("rpo",)},
            "M. Anager has not approved fence: add -e day2_dr_approve=fence,rpo -e approved_by='M. Anager'",
        ),
        ({"approvers": ("Ada", "O'Hara"), "approves": ("fence",)}, "-e day2_dr_approve=fence -e approved_by=NAME -e"),
        ({"approvers": ("O'Hara",)}, """-e approved_by='O'"'"'Hara' -e"""),
    ],
)
def test_who_may_not_approve(who: dict[str, Any], words: str) -> None:
    assert words in refused(step_of(the_plan=plan(fence=[{"kind": "service"}]), who=request("run1", 1, **who))).text


def test_a_primary_that_runs_and_cannot_be_fenced_is_approved_by_nobody() -> None:
    lines = [
        ("fence", "intent", "db1", {}),
        ("fence", "failed", "db1", {"entry": 1, "layer": "service", "why": "D state"}),
    ]
    found = refused(
        step_of(
            journal(*lines, epoch=2),
            plan(fence=[{"kind": "service"}]),
            request("run1", 2, **APPROVED),
            verdict="silent",
            db1=primary(state="hung"),
        )
    )
    assert not found.approvable
    assert "db1 is hung, and could not be fenced: service: D state. Stop it on its host, or cut its power" in found.text


def test_reasons_of_the_assessment_are_approved_for_the_whole_failover() -> None:
    assert "db3 cannot be judged" in refused(step_of(db3=GONE, db1=stopped())).text
    step = step_of(db3=GONE, db1=stopped(), who=request("run1", 1, **APPROVED))
    assert orders(step) == [("db1", "dr_fence")]
    assert step.overrides[0]["codes"] == ["unjudged"]
    kept = Journal()
    kept.begin(request("run1", 1), step)
    kept.add(request("run1", 1), "fence", "done", "db1", step.about)
    assert orders(step_of(kept, **OFF, db3=GONE)) == [("db2", "pg_promote")]
    # What is found out later needs an approval of its own.
    lag = {"db2": standby(age=900.0), "db3": standby("db3", lsn="0/4000000", age=5.0)}
    assert "targets.rpo" in refused(step_of(kept, **OFF, **lag)).text


@pytest.mark.parametrize(
    ("raw", "codes", "words"),
    [
        (["fence"], ("fence",), ""),
        ([" fence", "rpo ", "fence", ""], ("fence", "rpo"), ""),
        ([], (), ""),
        (["fnece"], (), "'fnece' (did you mean 'fence'?) is nothing to approve; known are ahead, archive, fence,"),
        (["fence", "minoritty", "zz"], (), "'zz' is nothing to approve"),
        (["all"], (), "'all'"),
        ([True], (), "'True'"),
    ],
)
def test_approvals_are_named_by_code(raw: list[Any], codes: tuple[str, ...], words: str) -> None:
    if not words:
        assert read_codes(raw) == codes
        return
    with pytest.raises(Day2Error) as error:
        read_codes(raw)
    assert words in str(error.value)


def test_every_rule_that_may_be_approved_has_a_code_that_can_be_given() -> None:
    made = re.compile(r"Reason\(\s*\"(\w+)\",[^()]*(?:\([^()]*\)[^()]*)*approvable=True")
    sources = Path(approval.__file__).parent.glob("*.py")
    found = {code for source in sources for code in made.findall(source.read_text())}
    assert found | {"majority"} == set(approval.CODES)


APPROVED_OFF = [
    ("fence", "overridden", None, {"codes": ["fence"], "by": "M. Anager", "reason": "x"}),
    ("fence", "intent", None, {"layer": "none"}),
    ("fence", "done", None, {"layer": "none"}),
]
BY_COMMAND = [("fence", "intent", "db1", {"layer": "command"}), ("fence", "done", "db1", {"layer": "command"})]


@pytest.mark.parametrize(
    ("lines", "epoch", "seconds", "observed", "looks"),
    [
        # Nothing proves that it is off: it is looked again, at once, and once.
        (APPROVED_OFF, 2, 0, {}, True),
        (APPROVED_OFF, 2, 0, {"looked": 3}, False),
        (APPROVED_OFF, 2, 0, {"looked": 2}, True),
        # Whoever goes on with it has only just looked.
        (APPROVED_OFF, 1, 900, {}, False),
        # Proven, by a host that does not answer any more.
        (FENCED, 2, 5, {}, False),
        (FENCED, 2, 60, {}, True),
        (BY_COMMAND, 2, 60, {}, True),
        (BY_COMMAND, 2, 60, {"looked": 2}, False),
        # Its own host says so now.
        (FENCED, 2, 60, OFF, False),
        # Cut off everywhere, it may answer.
        (CUT, 2, 60, {}, False),
    ],
)
def test_who_is_promoted_by_what_was_seen_a_while_ago(
    lines: Any, epoch: int, seconds: float, observed: dict[str, Any], looks: bool
) -> None:
    kept, seen = journal(*lines, epoch=epoch), dict(observed)
    looked = seen.pop("looked", -1)
    now = parse_rfc3339(kept.entries[-1].at) + seconds
    for who in (request("run2", 2), request("run2", 2, check_mode=True)):
        step = next_step(plan(), who, kept.entries, replace(facts(**seen), looked=looked), now)
        assert isinstance(step, Look if looks and not who.check_mode else Orders), step


@pytest.mark.parametrize("lines", [APPROVED_OFF, FENCED, BY_COMMAND])
def test_a_primary_that_answers_again_is_not_replaced(lines: Any) -> None:
    """It was approved that it is off, or it was proven, and somebody has started it; its host answers nobody."""
    who, kept = request("run2", 2), journal(*lines, epoch=2)
    now = parse_rfc3339(kept.entries[-1].at) + 60
    only = plan(fence=[{"kind": "service"}])
    found = next_step(only, who, kept.entries, replace(facts("answers"), looked=len(kept.entries)), now)
    assert "answers app1" in refused(found).text and not found.approvable
