# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns of a failover as its playbook takes them: variables of Ansible in, variables out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Record, promise, render
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import ballot as ballot_of
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from ansible_collections.day2.ops.plugins.plugin_utils.failover import turns
from ansible_collections.day2.ops.plugins.plugin_utils.failover.lines import describe
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import resolve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import Table, observed, plan_of, read_entries
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import read_member
from failover_cases import APPROVED
from failover_facts import GONE, HOSTS, PLAN, facts, plan, primary, request, standby, stopped

NOW = parse_rfc3339("2026-11-30T10:00:00Z")
AWAY = {"unreachable": True, "msg": "No route to host"}


def table(**changes: Any) -> Table:
    return replace(Table(plan(), request(), list(HOSTS), (), facts(db1=stopped()), NOW, ["SA-B03"]), **changes)


def claims(*hosts: str, epoch: int = 1, run: str = "run1") -> dict[str, Any]:
    record = promise(Record(), ballot_of(epoch, run))
    return {host: {**render(record), "accepted": True} for host in hosts}


def go_on(at: Table, turned: dict[str, Any], *answers: dict[str, Any]) -> tuple[Table, dict[str, Any]]:
    """What the playbook does with what a turn returned, through JSON as Ansible does."""
    judged = turns.judged(at, json.loads(json.dumps(turned)), {"refused": ""}, json.loads(json.dumps(answers)))
    return replace(at, entries=read_entries(judged["entries"]), now=at.now + 2), judged


def answer(turned: dict[str, Any], **result: Any) -> list[dict[str, Any]]:
    """The same of every order."""
    return [
        {**{name: order[name] for name in ("id", "host", "module")}, "ok": True, "unreachable": False, "result": result}
        for orders in turned["orders"].values()
        for order in orders
    ]


def test_a_failover_from_its_first_turn_to_its_end() -> None:
    at = table(plan=plan(application=None, verify=None, backup=None))
    steps = []
    new = primary("db2", timeline=4)
    while True:
        turned = turns.turn(at)
        if turned["action"] != "orders":
            break
        name = turned["step"]["step"]
        steps.append((name, sorted(turned["orders"])))
        # Before anybody acts, the intent is the last of the entries that are written.
        assert [turned["entries"][-1][field] for field in ("step", "phase")] == [name, "intent"]
        result = {
            "fence": FENCED_WELL,
            "promote": PROMOTED_WELL,
            "traffic": {"served_at": "2026-11-30T10:00:06.500Z"},
        }.get(name, {})
        at, judged = go_on(at, turned, *answer(turned, **result))
        assert judged["ended"] == "" and (judged["then"] == "close") == (name == "finish")
        if name == "promote":
            at = replace(at, facts=facts(db1=stopped(unit_masked=True), db2=new))
    assert steps == [
        ("fence", ["db1"]), ("promote", ["db2"]), ("traffic", ["app1", "app2"]), ("follow", ["db3"]), ("finish", []),
    ]  # fmt: skip
    assert (turned["action"], turned["outcome"], turned["primary"]) == ("finished", "failed_over", "db2")
    rows = {row["id"]: row for row in turned["rows"]["db2"]}
    assert {name: (row["status"], row["ref"]) for name, row in rows.items()} == {
        "dr-outcome": ("ok", ["SA-B03"]), "dr-loss": ("warning", ["SA-B03"]), "dr-rto": ("ok", ["SA-B03"]),
        "dr-left": ("warning", ["SA-B03"]),
    }  # fmt: skip
    assert "db1 has to become a standby again" in rows["dr-left"]["message"]
    # From the last commit that survived until traffic was led.
    assert turned["outage"]["seconds"] == 16.25 and "nobody could write for 16.2 s at most" in rows["dr-rto"]["message"]
    assert "nobody could write from 2026-11-30T09:59:50.250Z to 2026-11-30T10:00:06.500Z" in rows["dr-rto"]["evidence"]
    # From the journal alone, the next assessment knows how long it took.
    assert set(turns.history(at.entries)[0]) == {"fence", "promote", "follow", "traffic", "finish"}


def test_what_tasks_register_has_no_key_of_the_plan() -> None:
    """With -v it is shown, and runners keep it."""
    key = "s3cr3t"
    raw = {
        **PLAN,
        "fence": [{"kind": "command", "host": "app1", "argv": ["power", key], "check": ["power", key]}],
        "traffic": [
            {"kind": "pgbouncer", "host": "app1", "databases": ["analytics"], "admin_password": key},
            {"kind": "route53", "host": "app2", "zone": "Z1", "name": "db.example.com", "secret_key": key},
        ],
        "verify": [{"id": "login", "title": "Login", "probe": "postgres", "password": key}],
        "application": None,
        "backup": None,
    }
    at = table(plan=plan(**raw), facts=facts(db1=GONE))
    new = primary("db2", timeline=4)
    for name in ("fence", "promote", "verify", "traffic", "follow", "finish"):
        turned = turns.turn(at)
        assert turned["step"]["step"] == name, turned
        for order in [order for orders in turned["orders"].values() for order in orders]:
            assert (key in str(resolve(raw, json.loads(json.dumps(order))))) == (name in ("fence", "traffic")), order
        at, judged = go_on(at, turned, *answer(turned, **FENCED_WELL, **PROMOTED_WELL))
        assert key not in json.dumps([turned, judged]), name
        if name == "promote":
            at = replace(at, facts=facts(db2=new))
    assert key not in json.dumps(plan_of(plan(**raw, manager={"kind": "repmgr"})))


FENCED_WELL = {"proven": True, "survives_reboot": True, "found_running": False}
PROMOTED_WELL = {
    "timeline": 4, "fork_lsn": "0/5000000", "lsn": "0/5000200", "first_write_seconds": 0.2,
    "last_commit": "2026-11-30T09:59:50.250Z",
}  # fmt: skip


def test_applications_wait_for_no_look_that_tells_nothing_new() -> None:
    at = table(plan=plan(application=None, verify=None, backup=None))
    turned = turns.turn(at)
    at, judged = go_on(at, turned, *answer(turned, **FENCED_WELL))
    assert (judged["then"], judged["next"]["step"]["step"], judged["next"]["seen"]) == ("act", "promote", 0)
    at, judged = go_on(at, judged["next"], *answer(judged["next"], **PROMOTED_WELL))
    assert (judged["then"], judged["next"]["step"]["step"], judged["next"]["seen"]) == ("act", "traffic", 0)
    turned = judged["next"]
    # What was done, and what is about to be, is written in one go.
    assert [(entry["step"], entry["phase"]) for entry in turned["entries"][-2:]] == [
        ("promote", "done"), ("traffic", "intent")]  # fmt: skip
    served = [{**each, "result": {"served_at": f"2026-11-30T10:00:0{n}Z"}} for n, each in enumerate(answer(turned), 3)]
    at, judged = go_on(at, turned, *served)
    # They are served: what follows is decided by a new look.
    assert (judged["then"], judged["next"]) == ("turn", {})
    about = {entry["step"]: entry["about"] for entry in judged["entries"] if entry["phase"] == "done"}
    assert about["traffic"]["served_at"] == "2026-11-30T10:00:04Z"


@pytest.mark.parametrize(
    ("old", "found_running"),
    [(GONE, False), (primary("db1", state="hung"), True), (stopped(), True), (stopped(), None)],
    ids=["its host was lost", "it was ended", "it was started meanwhile", "nobody looked"],
)
def test_who_has_received_most_is_looked_at_after_a_server_was_ended(
    old: dict[str, Any], found_running: bool | None
) -> None:
    """It may have sent something until it was fenced."""
    at = table(facts=facts("silent", db1=old))
    turned = turns.turn(at)
    _at, judged = go_on(at, turned, *answer(turned, **{**FENCED_WELL, "found_running": found_running}))
    assert (judged["then"], judged["next"]) == ("turn", {}), judged["entries"]


def test_what_failed_or_was_not_answered_is_looked_at() -> None:
    at = table()
    turned = turns.turn(at)
    for answers in ([], [{**each, "ok": False, "result": {"msg": "full"}} for each in answer(turned)]):
        assert go_on(at, turned, *answers)[1]["then"] == "turn"


def test_checks_and_roles_are_carried_out_by_tasks_of_their_own() -> None:
    at = table()
    turned = turns.turn(at)
    found = [turned["then"]]
    for result in (FENCED_WELL, PROMOTED_WELL, {}):
        at, judged = go_on(at, turned, *answer(turned, **result))
        turned = judged["next"]
        found.append(turned["then"])
    assert (found, turned["step"]["step"]) == (["act", "act", "carry", "carry"], "verify")


def test_nothing_is_judged_where_a_minority_has_the_intent() -> None:
    at = table()
    turned = turns.turn(at)
    refused = {"refused": "1 of 3 journal hosts wrote the journal", "rows": {"db1": ["row"]}}
    judged = turns.judged(at, turned, refused, answer(turned, proven=True, survives_reboot=True))
    assert judged["ended"] == refused["refused"] and judged["entries"] == [] and judged["rows"] == refused["rows"]


def test_a_layer_that_proves_nothing_is_a_line_and_the_next_one_is_tried() -> None:
    at = table()
    turned = turns.turn(at)
    failed = [{**each, "ok": False, "result": {"msg": "it does not end"}} for each in answer(turned)]
    at, judged = go_on(at, turned, *failed)
    assert judged["ended"] == "" and judged["rows"]["db1"][0]["status"] == "warning"
    assert turns.turn(at)["entries"][-1]["about"]["layer"] == "proxy"


@pytest.mark.parametrize(
    ("answers", "approved", "refused", "minority"),
    [
        (claims("db2", "db3", "app1"), {}, "", False),
        ({**claims("db2", "app1"), "db3": AWAY}, {}, "", False),
        ({**claims("db2"), "db3": AWAY, "app1": {"skipped": True}}, {}, "1 of 3 journal hosts took the claim", False),
        (
            {**claims("db2"), "db3": AWAY, "app1": AWAY},
            APPROVED,
            "",
            True,
        ),
        (
            {**claims("db2"), "db3": AWAY, "app1": AWAY},
            {"approved_by": "S. Omebody", "reason": "the rack burns"},
            "none of those who may approve",
            False,
        ),
        # Whoever was overtaken has lost, whatever somebody approves.
        (
            {**claims("db2"), **{host: {**claims(host, epoch=2, run="run2")[host], "accepted": False}
                                 for host in ("db3", "app1")}},
            APPROVED,
            "has promised run2",
            False,
        ),
    ],
)  # fmt: skip
def test_claims(answers: dict[str, Any], approved: dict[str, Any], refused: str, minority: bool) -> None:
    found = turns.claimed(table(request=request(**approved)), answers)
    assert refused in found["refused"] and bool(found["refused"]) == bool(refused), found
    assert found["minority"] is minority
    phases = [entry["phase"] for entry in found["entries"]]
    assert phases == (["overridden"] if minority else [])


def test_an_epoch_that_two_runs_have_is_claimed_higher() -> None:
    """At a host of the traffic another run has it: orders of this one would be refused there."""
    other = {"app2": {**claims("app2", run="run2")["app2"], "accepted": False}}
    assert turns.claimed(table(), {**claims("db2", "db3", "app1"), **other})["again"]
    assert not turns.claimed(table(), claims("db2", "db3", "app1", "app2"))["again"]
    # A minority stops, and claims nothing.
    lost = {
        **claims("db2"),
        **{host: {**claims(host, run="run2")[host], "accepted": False} for host in ("db3", "app1")},
    }
    assert turns.claimed(table(), lost)["refused"] and not turns.claimed(table(), lost)["again"]


def test_what_a_variable_still_holds_is_no_answer_to_this_turn() -> None:
    """A host that failed in between keeps what it registered in an earlier turn."""
    at = table()
    entries = turns.turn(at)["entries"]
    written = {"written": {"epoch": 1, "run": "run1"}, "promised": {"epoch": 1, "run": "run1"}, "accepted": True}
    now, earlier = {**written, "entries": entries}, {**written, "entries": []}
    at = replace(at, entries=read_entries(entries))
    assert not turns.acknowledged(at, {"db2": now, "db3": now, "app1": AWAY})["refused"]
    for stale in (earlier, {**now, "written": {"epoch": 1, "run": "run0"}}):
        assert "1 of 3" in turns.acknowledged(at, {"db2": now, "db3": stale, "app1": AWAY})["refused"]
    at = table(request=request(epoch=2))
    assert "1 of 3" in turns.claimed(at, {**claims("db2", epoch=2), **claims("db3", epoch=1)})["refused"]
    # Nor is what a host answered to an earlier order.
    turned = turns.turn(at)
    judged = turns.judged(at, turned, {"refused": ""}, [{**each, "id": "run1.1.0"} for each in answer(turned)][:0])
    assert judged["ended"] == "" and judged["entries"][-1]["phase"] == "intent"
    stale_answers = [{**each, "id": "run1.9.0", "result": {"proven": True}} for each in answer(turned)]
    assert turns.judged(at, turned, {"refused": ""}, stale_answers)["entries"][-1]["phase"] == "intent"


def test_an_approved_minority_is_of_one_run_and_of_its_beginning() -> None:
    who = APPROVED
    answers = {**claims("db2"), "db3": AWAY, "app1": AWAY}
    approved = turns.claimed(table(request=request(**who)), answers)
    # Another run finds the approval in the journal, and has to ask for its own.
    record = {"promised": {"epoch": 2, "run": "run2"}, "written": {"epoch": 1, "run": "run1"}, "accepted": True}
    later = {"db2": {**record, "entries": approved["entries"]}, "db3": AWAY, "app1": AWAY}
    assert "1 of 3" in turns.claimed(table(request=request("run2", 2)), later)["refused"]
    # Where the others come back with another journal, nobody can tell which of the two happened.
    other = {**record, "entries": [{**approved["entries"][0], "phase": "intent", "step": "fence"}]}
    found = turns.claimed(table(request=request("run2", 2, **who)), {"db2": later["db2"], "db3": other, "app1": other})
    assert "compare both" in found["refused"]
    # A majority that is lost on the way is not what was approved.
    at = replace(table(request=request(**who)), entries=read_entries(approved["entries"]))
    written = {"db2": {**record, "written": {"epoch": 1, "run": "run1"}, "entries": approved["entries"]}}
    assert "1 of 3" in turns.acknowledged(at, {**written, "db3": AWAY, "app1": AWAY})["refused"]
    assert not turns.acknowledged(replace(at, minority=True), {**written, "db3": AWAY, "app1": AWAY})["refused"]


def test_an_epoch_is_higher_than_any_that_a_host_has_told() -> None:
    read = {**claims("db2", "db3", epoch=4, run="a"), **claims("app1", epoch=7, run="b")}
    assert turns.claiming(table(), read)["epoch"] == 8


@pytest.mark.parametrize(
    ("found", "reachable"),
    [
        (AWAY, False),
        ({"skipped": True}, False),
        ({"failed": True, "msg": "no psql"}, False),
        (primary(), True),
        (None, False),
    ],
)
def test_what_tasks_registered_of_members(found: Any, reachable: bool) -> None:
    seen = observed(plan(), {"db1": found}, {}, {})
    assert seen.view("db1").reachable is reachable and seen.view("db2").reachable is False


def test_what_vantage_points_registered() -> None:
    said = {"targets": [{"address": "10.0.0.1", "port": 5432, "verdict": "silent"}]}
    known = plan(members=[{"host": "db1", "address": "10.0.0.1"}, "db2"], journal_hosts=["db2", "app1", "app2"])
    found = observed(known, {}, {"app1": said, "db2": AWAY, "controller": {"skipped": True}}, {})
    assert dict(found.liveness) == {"app1": {"db1": "silent"}}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (primary(), "running, primary, timeline 3"),
        (standby(), "running, standby, timeline 3, streaming from db1"),
        (stopped(), "stopped, primary, timeline 3"),
        ({**GONE, "error": "no route"}, "it does not answer: no route"),
        (primary(archiver={"failing": True}), "running, primary, timeline 3, archiving fails"),
    ],
)
def test_members_in_words(found: dict[str, Any], words: str) -> None:
    assert describe(read_member(found)) == words


def test_a_plan_says_what_would_be_done_and_by_whom() -> None:
    found = turns.planned(table())
    titles = {row["title"]: row["status"] for rows in found["rows"].values() for row in rows}
    assert (
        found["action"] == "planned"
        and titles["Promote db2"] == "skipped"
        and titles["Fence db1 (service)"] == "skipped"
    )


def test_the_state_of_the_journal_is_told_without_a_claim() -> None:
    at = table()
    turned = turns.turn(at)
    record = {
        "promised": {"epoch": 1, "run": "run1"},
        "written": {"epoch": 1, "run": "run1"},
        "entries": turned["entries"],
    }
    told = turns.status(at.plan, dict.fromkeys(("db2", "db3"), record))
    assert told["under_way"] and told["epoch"] == 1 and "a failover from db1 is under way" in told["msg"]
    assert told["lines"][0].endswith("epoch 1, run run1: fence intent on db1")


def test_vantage_points_look_again_before_a_promotion_that_nothing_proves() -> None:
    only, who = plan(fence=[{"kind": "service"}]), request(**APPROVED)
    at = table(plan=only, request=who, facts=facts())
    at, judged = go_on(at, turns.turn(at))
    assert judged["then"] == "turn"
    turned = turns.turn(at)
    assert (turned["action"], turned["then"], turned["rows"]) == ("look", "again", {})
    # As the playbook goes on: it records how many entries there were when they looked.
    looked = replace(at, facts=replace(facts(), looked=len(at.entries)))
    assert turns.turn(looked)["step"]["step"] == "promote"
    assert turns.turn(replace(looked, facts=replace(facts("answers"), looked=len(at.entries))))["action"] == "refused"


@pytest.mark.parametrize(
    ("wrote", "minority", "words"),
    [
        (("db2", "db3", "app1"), False, ""),
        (("db2", "app1"), False, ""),
        (("db2",), False, "1 of 3 journal hosts wrote the journal, and 2 are needed: db3 No route to host"),
        ((), False, "0 of 3 journal hosts"),
        # Somebody has approved that a minority is enough.
        (("db2",), True, ""),
    ],
)
def test_what_a_run_did_last_and_only_a_minority_knows_is_told(
    wrote: tuple[str, ...], minority: bool, words: str
) -> None:
    at = table(minority=minority)
    entries = turns.turn(at)["entries"]
    ours = {"epoch": 1, "run": "run1"}
    answers = {
        host: {"written": ours, "promised": ours, "accepted": True, "entries": entries} if host in wrote else AWAY
        for host in ("db2", "db3", "app1")
    }
    found = turns.closed(replace(at, entries=read_entries(entries)), answers)
    said = [row["message"] for rows in found["rows"].values() for row in rows]
    assert len(said) == bool(words) and all(words in text and "the next run observes" in text for text in said), said
    assert words in found["msg"] and "approve" not in found["msg"]
