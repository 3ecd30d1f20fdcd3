# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failovers of members that Patroni manages: what is decided, what is asked of it, and what never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.clusters import read_cluster, read_led
from ansible_collections.day2.ops.plugins.plugin_utils.failover.judge import judge
from ansible_collections.day2.ops.plugins.plugin_utils.failover.managed import decide
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import PlanError
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step, outline
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Finished, Orders, Refused
from failover_facts import GONE, HOSTS, Journal, facts, plan, primary, request, standby, stopped

MANAGED = {"manager": {"kind": "patroni"}, "fence": None}
ADDRESSES = {name: HOSTS[name] for name in ("db1", "db2", "db3")}
PLAN = plan(**MANAGED, members=[{"host": name, "address": address} for name, address in ADDRESSES.items()])


def member(name: str, role: str = "replica", **more: Any) -> dict[str, Any]:
    return {"name": f"pg-{name}", "host": ADDRESSES.get(name), "port": 5432, "role": role, "state": "running",
            "timeline": 3, "lag": 0, "tags": {}, **more}  # fmt: skip


def told(*members: dict[str, Any], **more: Any) -> dict[str, Any]:
    leader = next((entry["name"] for entry in members if entry["role"] in ("leader", "standby_leader")), None)
    cluster = {
        "answered": True, "scope": "shop", "system_identifier": "7", "paused": False, "leader": leader,
        "members": list(members), "maximum_lag": 1048576, "synchronous": False, "ttl": 30, "loop_wait": 10,
    }  # fmt: skip
    return {"cluster": {**cluster, **more}}


LOST = told(member("db2"), member("db3"))
SILENT = {"cluster": {"answered": False, "error": "Connection refused"}}


def seen(
    cluster: Any, verdict: str = "refused", led: tuple[tuple[str, str | None], ...] = (), by: Any = None, **views: Any
) -> Any:
    """Facts with what members said of their cluster: all of them the same, unless `by` has it by host."""
    clusters = by or {"db1": {"msg": "unreachable"}, "db2": cluster, "db3": cluster}
    found = facts(verdict, **views)
    # Patroni's process is there on each host.
    views_by = {h: replace(v, managed_by="patroni" if v.reachable else None) for h, v in found.views.items()}
    answers = [
        {"ok": True, "about": {"layer": layer, "member": name},
         "result": {"changed": name != to, "leads": f"shop at {name}", "before": "shop at 10.9.9.9"}}
        for layer, to in led
        for name in ADDRESSES
    ]  # fmt: skip
    return replace(found, views=views_by, clusters={h: read_cluster(c) for h, c in clusters.items()},
                   led=read_led(answers))  # fmt: skip


def healthy(**more: Any) -> Any:
    cluster = told(member("db1", "leader", lag=None), member("db2"), member("db3"), **more)
    return seen(cluster, "answers", by=dict.fromkeys(ADDRESSES, cluster), db1=primary("db1"))


# name, facts, decision, candidate, approvable, words
DECISIONS: dict[str, tuple[Any, str, str | None, bool, str]] = {
    "all is well": (healthy(), "healthy", "db2", False, ""),
    "paused, and nothing is wrong": (healthy(paused=True), "degraded", "db2", False, "Patroni is paused"),
    "the leader is lost": (seen(LOST), "failover", "db2", False, "nobody leads by Patroni's word"),
    "lost and paused: it is asked all the same": (
        seen(told(member("db2"), member("db3"), paused=True)), "failover", "db2", False, "which is paused"),
    "Patroni restarts its server": (
        seen(told(member("db1", "leader", state="start failed"), member("db2"), member("db3"))),
        "failover", "db2", False, "nobody leads"),
    "found dead, and Patroni's lock is held": (
        seen(told(member("db1", "leader"), member("db2"), member("db3"))), "refuse", None, False,
        "its lock ends within 30"),
    "a member that does not answer says nothing": (
        seen(LOST, by={"db1": SILENT, "db2": SILENT, "db3": LOST}), "failover", "db2", False, "nobody leads"),
    "no member answers": (
        seen(LOST, by={"db2": SILENT, "db3": SILENT}), "refuse", None, False, "db2: Connection refused"),
    "one has the old leader still": (
        seen(LOST, by={"db2": told(member("db1", "leader"), member("db2")), "db3": LOST}),
        "refuse", None, False, "do not have the same leader"),
    "two clusters": (
        seen(LOST, by={"db2": LOST, "db3": told(member("db3"), scope="other")}), "refuse", None, False, "same cluster"),
    "a standby cluster": (
        seen(told(member("db1", "standby_leader"), member("db2"))), "refuse", None, False, "standby cluster"),
    "a leader that the plan does not have": (
        seen(told(member("dbx", "leader", host="10.0.0.77"), member("db2"))),
        "refuse", None, False, "pg-dbx (10.0.0.77:5432) is no member of the plan"),
    "a leader without an address": (
        seen(told(member("dbx", "leader", host=None, port=None))), "refuse", None, False, "no address"),
    "Patroni is dead, and its server runs": (
        seen(told(member("db2"), member("db3")), db1=primary("db1")), "refuse", None, False,
        "db1 runs as a primary, and Patroni has no leader"),
    "nobody leads, and it answers": (
        seen(LOST, "answers"), "degraded", None, False, "Patroni has no leader: its Patroni is off"),
    "one point alone": (
        replace(seen(LOST), liveness={"app1": {"db1": "refused"}}), "refuse", "db2", True, "two have to agree"),
    "tagged nofailover": (
        seen(told(member("db2", tags={"nofailover": True}), member("db3"))), "failover", "db3", False, "nobody leads"),
    "all are tagged nofailover": (
        seen(told(member("db2", tags={"nofailover": True}), member("db3", tags={"nofailover": True}))),
        "refuse", None, False, "db2: Patroni has it tagged nofailover"),
    "one is no member": (seen(told(member("db3"))), "failover", "db3", False, "nobody leads"),
    "synchronous: that one only": (
        seen(told(member("db2"), member("db3", "sync_standby"), synchronous=True)), "failover", "db3", False, ""),
    "synchronous, and none is left": (
        seen(told(member("db2"), member("db3"), synchronous=True)), "refuse", None, False,
        "it is no synchronous standby (nobody is)"),
    "beyond the lag that Patroni bears": (
        seen(told(member("db2", lag=2 << 20), member("db3", lag=2 << 20))), "refuse", "db2", True,
        "beyond maximum_lag_on_failover"),
    "a lag that it does not know": (
        seen(told(member("db2", lag=None), member("db3", state="stopped"))), "refuse", "db2", True,
        "behind by what Patroni does not know"),
    "none runs": (
        seen(told(member("db2", state="start failed"), member("db3", state="crashed"))), "refuse", None, False,
        "db2: its server is start failed, says Patroni"),
    "another decider on one host": (
        replace(seen(LOST), views={**seen(LOST).views, "db3": replace(seen(LOST).view("db3"), managed_by="repmgrd")}),
        "refuse", None, False, "repmgrd decides here"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECISIONS)
def test_what_is_decided(name: str) -> None:
    observed, decision, candidate, approvable, words = DECISIONS[name]
    found = decide(PLAN, observed)
    text = "; ".join(reason.text for reason in found.reasons)
    assert (found.decision, found.candidate, found.approvable) == (decision, candidate, approvable), text
    assert words in text, text
    step = next_step(PLAN, request(), (), observed)
    # Whatever is decided, nothing of ours stops, promotes or repoints a server.
    assert isinstance(step, Orders) == (decision == "failover"), step
    if isinstance(step, Orders):
        assert (step.step, step.orders, step.about["layer"]) == ("fence", (), "manager")


NEW = told(member("db2", "leader", timeline=4), member("db3", timeline=4))


def walk(kept: Journal, observed: list[Any], answers: list[Any], who: Any = None) -> tuple[list[Any], Any]:
    """Steps with the facts of each turn, and what dr_patroni answers; other modules do as they are asked."""
    who, taken = who or request(), []
    for number in range(12):
        now = observed[min(number, len(observed) - 1)]
        step = next_step(PLAN, who, kept.entries, now)
        if not isinstance(step, Orders):
            return taken, step
        taken.append((step.step, step.host))
        kept.begin(who, step)
        said = []
        for order in step.orders:
            patroni = order.module.endswith("dr_patroni")
            result = answers.pop(0) if patroni else {"changed": True}
            ok = not result.get("failed") and not result.get("unreachable")
            said.append({"host": order.host, "module": order.module, "ok": ok, "result": result,
                         "unreachable": bool(result.get("unreachable"))})  # fmt: skip
        found = judge(PLAN, who, kept.entries, now, step, said)
        if found.phase != "again":
            kept.add(who, step.step, found.phase, step.host, found.about)
        if found.refuse:
            return taken, found.refuse
    raise AssertionError(taken)


DONE = {"timeline": 4, "fork_lsn": "0/5000000", "lsn": "0/5000100", "first_write_seconds": 1.0}
LATER = [("application", None), ("verify", None), ("traffic", None), ("backup", None), ("finish", None)]
AFTER = seen(NEW, "answers", db1=GONE, db2=primary("db2", timeline=4))


def test_patroni_is_asked_once_and_applications_follow() -> None:
    kept = Journal()
    taken, end = walk(kept, [seen(LOST), seen(LOST), AFTER], [DONE])
    assert taken == [("fence", "db1"), ("promote", "db2"), *LATER], taken
    assert isinstance(end, Finished) and (end.outcome, end.primary) == ("failed_over", "db2")
    assert "Patroni sees to it" in end.left[0]
    # A run after it finds that all is done, and that Patroni's members are as they should be.
    taken, end = walk(kept, [AFTER], [], request("run2", 2))
    assert (taken, end.outcome) == ([], "degraded") and "no failover is needed" in end.text, end


def test_the_order() -> None:
    secured = plan(**{**MANAGED, "manager": {"kind": "patroni", "port": 8009, "scheme": "https", "username": "ops",
                      "password_file": "/etc/rest.pass", "ca_path": "/etc/ca.pem", "limit": "1m"}},
                   members=[{"host": "db1", "address": "10.0.0.1"}, {"host": "db2", "address": "10.0.0.2",
                            "manager_port": 9009}, "db3"])  # fmt: skip
    kept = Journal()
    first = next_step(secured, request(), [], seen(LOST))
    kept.begin(request(), first)
    kept.add(request(), "fence", "done", "db1", first.about)
    step = next_step(secured, request(), kept.entries, seen(LOST))
    (order,) = step.orders
    assert (order.host, order.module) == ("db2", "day2.ops.dr_patroni")
    assert order.arguments == {
        "state": "failed_over", "candidate": "pg-db2", "address": "10.0.0.2", "rest_port": 9009, "scheme": "https",
        "username": "ops", "password_file": "/etc/rest.pass", "ca_path": "/etc/ca.pem", "limit": "1m",
        "database": "analytics", "expected_timeline": 3, "data": "/data", "system": "shop", "epoch": 1, "run": "run1",
    }  # fmt: skip


def begun(*answers: Any) -> Journal:
    """A run that was killed when it had asked."""
    kept = Journal()
    taken, _end = walk(kept, [seen(LOST)], [*answers, {"failed": True, "msg": "HTTP 412, no good candidates"}])
    assert taken[:2] == [("fence", "db1"), ("promote", "db2")]
    if not answers:
        # Not even that came back.
        del kept.entries[-1]
    return kept


@pytest.mark.parametrize(
    ("observed", "answers", "taken"),
    [
        # What the first run has asked for has happened: it is proven, and not asked for again.
        ([AFTER], [DONE], [("promote", "db2"), *LATER]),
        # It has not: the same one is asked again.
        ([seen(LOST), AFTER], [DONE], [("promote", "db2"), *LATER]),
        # Patroni chose another one: there is one lock, and no second primary.
        (
            [seen(told(member("db2"), member("db3", "leader", timeline=4)), db3=primary("db3", timeline=4))],
            [DONE],
            [("promote", "db3"), *LATER],
        ),
        # The old one has the lock again, before anybody else had it: nothing is to be done.
        ([healthy()], [], [("abort", None)]),
    ],
)
def test_a_run_that_was_killed_is_gone_on_with(observed: list[Any], answers: list[Any], taken: list[Any]) -> None:
    found, end = walk(begun(), observed, list(answers), request("run2", 2))
    assert found == taken and isinstance(end, Finished), (found, end)


def test_whoever_patroni_chose_instead_is_taken() -> None:
    instead = {"failed": True, "elsewhere": "pg-db3", "msg": "pg-db3 leads by Patroni's word"}
    other = seen(told(member("db2"), member("db3", "leader", timeline=4)), db3=primary("db3", timeline=4))
    taken, end = walk(Journal(), [seen(LOST), seen(LOST), other], [instead, DONE])
    assert taken == [("fence", "db1"), ("promote", "db2"), ("promote", "db3"), *LATER], taken
    assert end.primary == "db3"


def test_what_patroni_refuses_is_told_and_another_one_is_taken() -> None:
    no = {"failed": True, "msg": "HTTP 412, failover is not possible: no good candidates have been found"}
    kept = Journal()
    _taken, said = walk(kept, [seen(LOST)], [no])
    assert "no good candidates have been found" in said
    again, said = walk(kept, [seen(LOST)], [no])
    assert again == [("promote", "db2")] and "no good candidates" in said
    third, end = walk(kept, [seen(LOST), seen(told(member("db2"), member("db3", "leader", timeline=4)),
                      db3=primary("db3", timeline=4))], [DONE])  # fmt: skip
    assert third[0] == ("promote", "db3") and end.primary == "db3", third


ADOPTED = {
    # The traffic says where applications are.
    "traffic leads to the old one": ([], (("pgbouncer on app1", "db1"), ("haproxy on app2", "db2")), "failover"),
    "traffic leads there already": ([], (("pgbouncer on app1", "db2"),), "degraded"),
    "traffic leads to nobody known": ([], (("pgbouncer on app1", None),), "degraded"),
    "nobody asked, and no journal": ([], (), "degraded"),
}


@pytest.mark.parametrize("name", ADOPTED)
def test_a_failover_of_patroni_itself_is_adopted(name: str) -> None:
    entries, led, decision = ADOPTED[name]
    back = told(member("db1", timeline=4), member("db2", "leader", timeline=4), member("db3", timeline=4))
    views = {"db1": standby("db1", upstream="db2", timeline=4), "db2": primary("db2", timeline=4),
             "db3": standby("db3", upstream="db2", timeline=4, archiver={"failing": None})}  # fmt: skip
    observed = seen(back, "answers", led, by=dict.fromkeys(ADDRESSES, back), **views)
    found = decide(PLAN, observed)
    assert found.decision in (decision, "healthy" if decision == "degraded" else decision), found
    taken, end = walk(Journal(entries), [observed], [DONE])
    assert taken == ([("fence", "db1"), ("promote", "db2"), *LATER] if decision == "failover" else []), (taken, end)
    if led and led[0][1] is None:
        assert "pgbouncer on app1 leads to shop at 10.9.9.9" in end.text, end


def test_the_journal_says_whom_patroni_replaced() -> None:
    kept = Journal()
    walk(kept, [seen(LOST), seen(LOST), AFTER], [DONE])
    third = told(member("db2", timeline=5), member("db3", "leader", timeline=5))
    observed = seen(third, "answers", db2=standby("db2", upstream="db3", timeline=5), db3=primary("db3", timeline=5))
    taken, end = walk(kept, [observed], [{**DONE, "timeline": 5}], request("run2", 2))
    assert taken == [("fence", "db2"), ("promote", "db3"), *LATER] and end.primary == "db3", (taken, end)


def test_check_mode_tells_no_step_of_ours() -> None:
    names = [line["step"] for line in outline(PLAN, request(), [], seen(LOST))]
    assert names == ["fence", "promote", "application", "verify", "traffic", "backup"]


def test_without_a_manager_in_the_plan_it_is_refused() -> None:
    step = next_step(plan(), request(), [], seen(LOST, db1=stopped()))
    assert isinstance(step, Refused) and "manager: {kind: patroni}" in step.text


PLANS = [
    ({"manager": "patroni"}, "field 'manager': 'patroni' is not a mapping with a kind"),
    ({"manager": {"kind": "pacemaker"}}, "field 'manager'"),
    ({"manager": {"kind": "patroni", "password": "s3cret-word"}}, "field 'manager.password': would stand in results"),
    ({"manager": {"kind": "patroni", "prot": 1}}, "did you mean 'port'"),
    ({"manager": {"kind": "patroni", "port": 0}}, "field 'manager.port'"),
    ({"manager": {"kind": "patroni", "scheme": "ftp"}}, "expected http or https"),
    ({"manager": {"kind": "patroni", "limit": "0s"}}, "field 'manager.limit'"),
    ({"manager": {"kind": "patroni", "password_file": "/x"}}, "needs 'username'"),
    ({"fence": [{"kind": "service"}]}, "Patroni keeps the old primary off by its own lock"),
    ({"synchronous_standby_names": "1 (db2)"}, "Patroni sets it itself"),
]


@pytest.mark.parametrize(("changes", "words"), PLANS)
def test_plans_that_contradict_it_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan(**{**MANAGED, **changes})
    assert words in str(refused.value) and "s3cret-word" not in str(refused.value)
