# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who becomes a standby again, and when nobody does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from ansible_collections.day2.ops.plugins.plugin_utils.failover import rejoins
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import PlanError
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import Table
from failover_cases import journal
from failover_facts import GONE, HOSTS, facts, plan, primary, request, standby, stopped

NOW = parse_rfc3339("2026-11-30T10:00:00Z")
REJOIN = {"login": {"user": "replicator", "passfile": "/x"}, "rewind_login": {"user": "rewinder"}}
PROMOTED = {"db1": stopped(unit_masked=True), "db2": primary("db2", timeline=4), "db3": standby("db3", upstream="db2")}


def table(views: dict[str, Any] | None = None, **changes: Any) -> Table:
    made = Table(plan(rejoin=REJOIN), request(), list(HOSTS), (), facts(**(views or PROMOTED)), NOW, ["ST-R02"])
    return replace(made, **changes)


def test_the_old_primary_is_ordered_to_follow_the_new_one() -> None:
    (order,) = rejoins.next_turn(table())["orders"].pop("db1")
    assert order["module"] == "day2.ops.pg_rejoin" and order["file"] == "pg_rejoin"
    said = order["arguments"]
    assert (said["primary"], said["slot"], said["data"]) == ({"host": "db2", "port": 5432}, "db1", "/data")
    assert (said["expected_timeline"], said["epoch"], said["run"], said["system"]) == (4, 1, "run1", "shop")
    assert said["login"] == REJOIN["login"] and said["rewind_login"] == REJOIN["rewind_login"]


@pytest.mark.parametrize(
    ("views", "only", "chosen"),
    [
        (PROMOTED, "", ["db1"]),
        # A standby that somebody has stopped, and one that a failover has fenced.
        ({**PROMOTED, "db3": {**standby("db3"), "state": "stopped", "unit_masked": False}}, "", ["db1"]),
        ({**PROMOTED, "db3": {**standby("db3"), "state": "stopped", "unit_masked": True}}, "", ["db1", "db3"]),
        ({**PROMOTED, "db3": {**standby("db3"), "state": "stopped", "unit_masked": False}}, "db3", ["db3"]),
        ({**PROMOTED, "db1": GONE}, "", []),
        ({**PROMOTED, "db1": standby("db1", upstream="db2")}, "", []),
        # Never the primary itself.
        (PROMOTED, "db2", []),
    ],
)
def test_who_is_chosen(views: dict[str, Any], only: str, chosen: list[str]) -> None:
    turned = rejoins.next_turn(table(views), only)
    assert turned["ended"] == "" and sorted(turned["orders"]) == chosen
    assert set(turned["rows"]).isdisjoint(chosen)


FENCED = ("fence", "done", "db1", {"layer": "service"})
BEGUN = [("fence", "intent", "db1", {"old": "db1"}), FENCED]
ENDED = [
    *BEGUN,
    ("promote", "intent", "db2", {}),
    ("promote", "done", "db2", {"timeline": 4}),
    ("finish", "intent", None, {}),
    ("finish", "done", None, {}),
]


@pytest.mark.parametrize(
    ("changes", "only", "words"),
    [
        ({"plan": plan()}, "", "the plan does not say how standbys log in"),
        ({}, "db9", "expected one of db1, db2, db3"),
        ({"request": request(confirmed=False)}, "", "day2_dr_confirm=shop"),
        ({"entries": journal(*BEGUN).entries}, "", "a failover from db1 is under way"),
        # The member that was promoted last is down, and an older primary was started.
        (
            {
                "entries": journal(*ENDED).entries,
                "facts": facts(db1=primary("db1"), db2=stopped("db2", timeline=4), db3=standby("db3")),
            },
            "",
            "the last failover made db2 the primary, on timeline 4",
        ),
        ({"facts": facts(**{**PROMOTED, "db2": standby("db2")})}, "", "no member runs as a primary"),
        ({"facts": facts(**{**PROMOTED, "db1": primary("db1")})}, "", "db1 and db2 run as primaries"),
        # One that hangs may be one.
        ({"facts": facts(**{**PROMOTED, "db1": {**primary("db1"), "state": "hung"}})}, "", "run as primaries"),
    ],
)
def test_when_nobody_becomes_a_standby(changes: dict[str, Any], only: str, words: str) -> None:
    turned = rejoins.next_turn(table(**changes), only)
    assert turned["orders"] == {} and words in turned["ended"], turned["ended"]
    assert turned["rows"][next(iter(HOSTS))][0]["status"] == "critical"


def test_somebody_who_promoted_another_one_since_is_followed() -> None:
    newer = facts(db1=primary("db1", timeline=5), db2=stopped("db2", timeline=4), db3=standby("db3"))
    assert sorted(rejoins.next_turn(table(entries=journal(*ENDED).entries, facts=newer))["orders"]) == ["db2"]


def test_check_mode_needs_no_confirmation() -> None:
    assert rejoins.next_turn(table(request=request(confirmed=False, check_mode=True)))["orders"]


def answer(host: str, ok: bool = True, **result: Any) -> dict[str, Any]:
    return {"host": host, "module": "day2.ops.pg_rejoin", "ok": ok, "unreachable": False, "result": result}


HAD = {
    "fork_lsn": "0/300",
    "end_lsn": "0/900",
    "bytes": 1536,
    "transactions": 3,
    "tables": ["shop: orders"],
    "kept": "/k",
}


@pytest.mark.parametrize(
    ("said", "status", "evidence"),
    [
        (answer("db1", msg="it streams", divergence=HAD), "warning", "table shop: orders"),
        (answer("db1", msg="it streams", divergence={**HAD, "transactions": 0}), "ok", "kept in /k"),
        (answer("db1", msg="it streams", divergence={**HAD, "transactions": None}), "warning", ""),
        (answer("db1", msg="it streams", divergence={"bytes": 0, "transactions": None}), "ok", ""),
        (answer("db1", msg="it streams", divergence=None), "ok", ""),
        (answer("db1", ok=False, msg="pg_rewind failed"), "critical", ""),
        (answer("db9"), "critical", ""),
    ],
)
def test_what_came_of_it(said: dict[str, Any], status: str, evidence: str) -> None:
    at = table()
    (row,) = rejoins.judged(at, rejoins.next_turn(at), [said])["rows"]["db1"]
    assert row["status"] == status and evidence in str(row["evidence"]), row


@pytest.mark.parametrize(
    ("rejoin", "words"),
    [
        ({}, "rejoin.login': is missing"),
        ({"login": "replicator"}, "is not a mapping with a user"),
        ({"login": {"user": "r", "password": "x"}}, "rejoin.login.password"),
        ({**REJOIN, "methid": "rewind"}, "rejoin.methid"),
        ({**REJOIN, "method": "rsync"}, "expected auto, rewind or base_backup"),
        ({**REJOIN, "timeout": "soon"}, "rejoin.timeout"),
    ],
)
def test_what_a_plan_cannot_say(rejoin: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan(rejoin=rejoin)
    assert words in str(caught.value)
