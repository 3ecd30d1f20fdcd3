# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen of a primary at work bounds the loss when it is gone; what is not comparable is not believed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.observed import parse_observed
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339, rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.failover import turns
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import assess
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import (
    missed,
    newest,
    observation,
    read_seen,
    render_seen,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Refused
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import Table
from failover_cases import FENCED, journal
from failover_facts import GONE, HOSTS, SYSTEM, facts, plan, primary, request, standby, stopped

NOW = 1_800_000_000.0
# Idle for three hours: the last commit that its standbys have is so old, and their stream is gone.
IDLE: dict[str, Any] = {
    host: standby(host, upstream="", lag={"bytes": None, "seconds": 10800.0}) | {"upstream": None}
    for host in ("db2", "db3")
}


def kept(age: float = 120.0, **changes: Any) -> dict[str, Any]:
    """As `newest` returns it: seconds before NOW."""
    return {
        "at": NOW - age, "primary": "db1", "system_identifier": SYSTEM, "timeline": 3, "lsn": "0/5000000",
        "standbys": {"db2": {"lsn": "0/5000000", "seconds": 0.0}}, **changes,
    }  # fmt: skip


def decided(raw: Any, **views: Any) -> Any:
    return assess(plan(), facts(**{**IDLE, "db1": GONE, **views}), NOW, last_known=read_seen(raw, NOW))


def test_nobody_knows_what_an_idle_system_lost_unless_its_primary_was_seen() -> None:
    none = decided({})
    assert none.decision == "refuse" and none.approvable and "is 3 h old: either nothing" in none.reasons[0].text
    seen = decided(kept())
    assert (seen.decision, seen.candidate, seen.loss.seconds) == ("failover", "db2", 120.0)
    assert "when it had nothing that db2 lacks (2 min until now)" in seen.loss.text


@pytest.mark.parametrize(
    ("raw", "views", "words"),
    [
        # Older than the plan bears: told, and not taken for within it.
        (kept(301.0), {}, "db2 has all that it had on disk then; what was written after that may be lost"),
        (kept(3000.0), {}, "50 min ago, and db2 has all that it had on disk then"),
        # Not of this primary, its timeline, its system, or of the past.
        (kept(primary="db3"), {}, "either nothing was written since"),
        (kept(timeline=2), {}, "either nothing was written since"),
        (kept(timeline=4), {}, "either nothing was written since"),
        (kept(system_identifier="7"), {}, "either nothing was written since"),
        (kept(-60.0), {}, "either nothing was written since"),
        ({**kept(), "lsn": "much"}, {}, "either nothing was written since"),
        # It had what nobody else has: an idle primary is no reason then.
        (kept(lsn="0/5000040"), {}, "db2 is 2 h 58 min (64 B) behind"),
        # The standby has heard of it since, and has not had that for long: its stream was late.
        (kept(900.0, lsn="0/5000040"), {"db2": standby("db2"), "db3": standby("db3")}, "db2 is 14 min 40 s (64 B)"),
        (
            kept(30.0, lsn="0/5000040", standbys={"db2": {"seconds": 400.0}}),
            {"db2": standby("db2"), "db3": standby("db3")},
            "db2 is 6 min 40 s (64 B) behind",
        ),
        # What it heard last was not long ago, and it was late then.
        (
            kept(30.0, lsn="0/5000040", standbys={"db2": {"seconds": 400.0}}),
            {"db2": standby("db2", age=200.0), "db3": standby("db3", age=200.0)},
            "db2 is 6 min 40 s (64 B) behind",
        ),
    ],
)
def test_more_than_the_plan_bears_is_refused_with_what_is_known(raw: Any, views: Any, words: str) -> None:
    found = decided(raw, **views)
    assert found.decision == "refuse" and found.approvable, found
    assert [reason.code for reason in found.reasons] == ["rpo"] and words in found.reasons[0].text, found.reasons


def test_a_stream_that_was_late_bounds_nothing() -> None:
    """It has heard of its primary after that had what it lacks: the time since is not that of the loss."""
    late = decided(kept(100.0, lsn="0/5000040"), db2=standby("db2"), db3=standby("db3"))
    assert (late.loss.least, late.loss.seconds, late.loss.text) == (0x40, None, "at least 64 B of WAL are lost")
    before = decided(kept(100.0, lsn="0/5000040"), db2=standby("db2", age=110), db3=standby("db3", age=110))
    assert (before.loss.least, before.loss.seconds) == (0x40, 110.0)


@pytest.mark.parametrize(
    ("ended", "raw", "seconds", "decision"),
    [
        # What it wrote last was a while ago, however late somebody comes: two hosts were asked at about the same time.
        (10790.0, {}, 15.0, "failover"),
        (10800.0, {}, 5.0, "failover"),
        # The outage is over by then: nothing of the time is the outage's.
        (9800.0, {}, 1005.0, "refuse"),
        (None, {}, 10800.0, "refuse"),
        # It was seen before it ended, and ended soon after.
        (3000.0, kept(3200.0), 200.0, "failover"),
        (3000.0, kept(3400.0), 400.0, "refuse"),
    ],
)
def test_what_a_stopped_primary_wrote_last_ends_the_time(ended: Any, raw: Any, seconds: float, decision: str) -> None:
    lost = stopped(lsn="0/4000000", clean=False, wal_end="0/5000100", unchanged=ended)
    found = decided(raw, db1=lost)
    assert found.decision == decision, found
    assert (found.loss.least, found.loss.exact, found.loss.seconds) == (0x100, True, seconds)


def test_a_plan_that_bears_no_loss_knows_what_a_primary_had() -> None:
    none = plan(targets={"rto": "30m", "rpo": 0}, synchronous_standby_names="ANY 1 (db2, db3)")
    for lsn, decision in (("0/5000000", "failover"), ("0/5000040", "refuse")):
        assert assess(none, facts(), NOW, last_known=read_seen(kept(lsn=lsn), NOW)).decision == decision


def test_a_fence_that_this_run_has_proven_ends_the_time() -> None:
    """Whoever looks for long after it loses no more for that; what another run proved has the time of another clock."""
    lines, fenced, found = journal(*FENCED).entries, parse_rfc3339("2026-11-30T10:00:01Z"), []
    assert parse_rfc3339(lines[-1].at) == fenced
    for who in (request("run1", 1), request("run2", 2)):
        views, seen = facts(**IDLE, db1=stopped(unit_masked=True)), read_seen(kept(), NOW)
        assert seen is not None
        seen = replace(seen, at=fenced - 200.0, age=1200.0)
        found.append(next_step(plan(), who, lines, views, fenced + 1000.0, last_known=seen))
    own, another = found
    assert isinstance(own, Orders) and own.step == "promote" and own.about["loss"]["seconds"] == 200.0
    assert isinstance(another, Refused) and "20 min ago, and db2 has all" in another.text, another


def answers(*hosts: tuple[float, float], **changes: Any) -> dict[str, Any]:
    """Hosts that kept it: what their clock said then, and says now."""
    told = {**kept(), "at": rfc3339_ms(NOW - 120.0), **changes}
    return {f"db{n}": {"clock": now, "observed": {**told, "clock": then}} for n, (then, now) in enumerate(hosts)}


@pytest.mark.parametrize(
    ("told", "age"),
    [
        (answers((NOW - 121.0, NOW)), 121.0),
        # The oldest, whatever time it is there.
        (answers((NOW - 120.0, NOW), (1000.0, 1130.0)), 130.0),
        # A clock was set back, or forth, since; or that of the controller which kept it is another one.
        (answers((NOW - 120.0, NOW), (NOW - 120.0, NOW - 60.0)), None),
        (answers((NOW - 120.0, NOW), (NOW - 120.0, NOW + 60.0)), None),
        (answers((NOW - 120.0, NOW), at=rfc3339_ms(NOW - 3600.0)), None),
        (answers((NOW + 40.0, NOW), at=rfc3339_ms(NOW + 40.0)), None),
        # The newest that can be believed.
        ({**answers((NOW - 120.0, NOW)), "x": answers((NOW - 60.0, NOW), at=rfc3339_ms(NOW - 60.0))["db0"]}, 60.0),
        ({**answers((NOW - 120.0, NOW)), "x": answers((NOW - 60.0, NOW), at=rfc3339_ms(NOW + 600.0))["db0"]}, 120.0),
        ({"db1": {"unreachable": True}, "db2": {"clock": NOW, "observed": None}, "db3": "?"}, None),
        (answers((NOW - 120.0, NOW), at="soon"), None),
    ],
)
def test_the_age_of_what_was_seen_is_of_clocks_that_agree(told: Any, age: float | None) -> None:
    found = newest(told, NOW)
    assert (NOW - found["at"] if found else None) == age
    seen = read_seen(found, NOW)
    assert (seen is None) == (age is None)
    assert seen is None or read_seen(json.loads(json.dumps(render_seen(seen))), NOW) == seen


def test_an_assessment_is_kept_and_a_run_goes_by_it() -> None:
    """What one run returns for journal hosts to keep is what another one believes, with the words of a report."""
    views = facts(verdict="answers", db1=primary(lsn="0/5000000"))
    table = Table(plan(), request(), list(HOSTS), facts=views, now=NOW - 110.0, began=NOW - 120.0)
    kept_by = {**turns.assessed(table, {})["observed"], "clock": 5.0}
    read = {"promised": {"epoch": 0, "run": ""}, "written": {"epoch": 0, "run": ""}, "entries": []}
    journals = {host: {**read, "clock": 125.0, "observed": kept_by} for host in ("db2", "db3", "app1")}
    table = replace(table, facts=facts(**IDLE), began=NOW, now=NOW + 10.0)
    assert turns.assessed(table, journals)["decision"] == "failover"
    assert turns.assessed(replace(table, began=None), journals)["decision"] == "refuse"
    claiming = turns.claiming(table, journals)
    for seen, action in ((claiming["seen"], "orders"), ({}, "refused")):
        assert turns.turn(replace(table, last_known=read_seen(seen, table.now)))["action"] == action
        planned = turns.planned(replace(table, last_known=read_seen(seen, table.now)))
        assert planned["action"] == ("planned" if seen else "refused")


def test_what_is_kept_of_a_primary_at_work() -> None:
    sees = [{"application": "db2", "seconds": 0.5}, {"address": "10.0.0.3", "seconds": 1}]
    found = observation(plan(), facts(db1=primary(replication=sees), db3=standby("db3", lsn=None)), "db1", NOW)
    assert found is not None and parse_observed(found) == found
    assert (found["primary"], found["timeline"], found["lsn"]) == ("db1", 3, "0/5000100")
    assert found["standbys"] == {"db2": {"lsn": "0/5000000", "seconds": 0.5}}
    for views in ({"db1": GONE}, {"db1": stopped()}, {"db1": primary(lsn=None)}, {"db1": primary(), "db2": primary()}):
        assert observation(plan(), facts(**views), "db1", NOW) is None


@pytest.mark.parametrize(
    ("known", "position", "bytes_"),
    [
        (kept(), 0x5000000, 0),
        (kept(), 0x4FFFF00, 0x100),
        (kept(timeline=2), 0, 0),
        (kept(primary="x"), 0, 0),
        ({}, 0, 0),
    ],
)
def test_what_was_seen_bounds_what_a_promotion_lost(known: Any, position: int, bytes_: int) -> None:
    assert missed({"known": known, "old": "db1", "timeline": 3}, position) == bytes_
