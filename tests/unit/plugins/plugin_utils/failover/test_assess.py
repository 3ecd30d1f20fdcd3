# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions: healthy, degraded, failover, or refused; who takes over, and what that loses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import Assessment, assess
from failover_facts import GONE, facts, plan, points, primary, standby, stopped

SERVES = {"verdict": "answers", "db1": primary(replication=[{"address": "db2", "seconds": 0.0, "bytes": 0}])}
BEHIND = "0/4000000"


def found(the_plan: Any = None, **observed: Any) -> Assessment:
    return assess(the_plan or plan(), facts(**observed))


def texts(assessment: Assessment) -> str:
    return "; ".join(reason.text for reason in assessment.reasons)


def test_a_primary_that_serves_is_left_alone() -> None:
    assessment = found(**SERVES)
    assert (assessment.decision, assessment.primary, assessment.candidate) == ("healthy", "db1", "db2")
    assert assessment.as_dict()["rpo"]["seconds"] == 0.0


def test_a_dead_primary_is_replaced() -> None:
    assessment = found()
    assert (assessment.decision, assessment.primary, assessment.candidate) == ("failover", "db1", "db2")
    assert "db1 does not answer app1 (refused), db2 (refused), db3 (refused), controller (refused), 3 times" in texts(
        assessment
    )
    assert assessment.rto.text == "no earlier failover was measured: rehearse one"


@pytest.mark.parametrize(
    ("observed", "decision", "words"),
    [
        # What vantage points say.
        (
            {**points(app1="refused", db2="unreachable")},
            "failover",
            "does not answer app1 (refused), db2 (unreachable)",
        ),
        ({**points(app1="silent", controller="silent")}, "failover", "app1 (silent)"),
        (
            {**points(app1="refused")},
            "refuse",
            "1 of the vantage points found db1 dead (app1 (refused), db2 (gave no answer)",
        ),
        ({**points()}, "refuse", "0 of the vantage points found db1 dead"),
        ({**points(app1="unresolved", db2="unresolved")}, "refuse", "0 of the vantage points"),
        ({**points(app1="mixed", db2="mixed")}, "refuse", "0 of the vantage points"),
        (
            {**points(app1="refused", db2="refused", controller="answers")},
            "degraded",
            "db1 answers controller, and not app1 (refused), db2 (refused): vantage points do not agree; Ansible",
        ),
        # One on the primary's own host says nothing, dead or alive.
        ({"points": {"db1": {"db1": "answers"}}}, "failover", "does not answer"),
        # The primary by its own word.
        ({**SERVES, **points(app1="answers", db2="refused")}, "degraded", "db1 does not answer db2 (refused)"),
        ({**SERVES, **points(app1="answers")}, "degraded", "nobody knows whether db1 answers db2"),
        ({**SERVES, **points(app1="answers", db2="refused", db3="refused")}, "degraded", "db1 does not answer db3"),
        ({"db1": primary()}, "refuse", "db1 runs, by its own word, and does not answer app1 (refused)"),
        ({"db1": primary(state="hung", in_recovery=None), "verdict": "silent"}, "failover", "db1 does not answer"),
        ({"db1": stopped()}, "failover", "db1 does not answer"),
        # Who it was.
        ({"db2": GONE, "db3": GONE}, "refuse", "nobody can tell which one was the primary: db1 or db2 or db3"),
        ({"db1": standby("db1"), "verdict": "answers"}, "refuse", "no member is or was a primary"),
        (
            {"db1": primary(), "db2": primary("db2", timeline=4)},
            "refuse",
            "there are 2 running primaries, db1 (timeline 3) and db2 (timeline 4)",
        ),
        (
            {"db2": standby("db2", system_identifier="1")},
            "refuse",
            "members are of different systems (system identifier: db2 1, db3 7300000000000000001): correct",
        ),
        ({"db2": standby("db2", managed_by="patroni")}, "refuse", "db2: Patroni decides here: use patronictl failover"),
        ({"db2": standby("db2", managed_by="repmgrd")}, "refuse", "manager: {kind: repmgr}"),
        ({"db1": primary(managed_by="pacemaker"), "verdict": "answers"}, "refuse", "Pacemaker decides here"),
        ({"db3": standby("db3", managed_by="pg_auto_failover")}, "refuse", "pg_auto_failover decides here"),
        # Standbys.
        ({"db3": GONE}, "refuse", "db3 cannot be judged, and may be ahead of the others: it does not answer Ansible"),
        (
            {"db3": {**GONE, "error": "Connection timed out"}},
            "refuse",
            "(Connection timed out); restore it, or take it",
        ),
        (
            {"db3": standby("db3", state="stopped")},
            "refuse",
            "db3 cannot be judged, and may be ahead of the others: its server",
        ),
        ({"db3": standby("db3", state="hung")}, "refuse", "its server is hung; start it"),
        ({"db3": standby("db3", timeline=None)}, "refuse", "its timeline is unknown"),
        ({"db3": standby("db3", timeline=0)}, "refuse", "its timeline is unknown"),
        ({"db3": standby("db3", lsn="soon")}, "refuse", "its received LSN is unknown"),
        ({"db3": standby("db3", system_identifier=None)}, "refuse", "its system identifier is unknown"),
        ({"db3": standby("db3", in_recovery=None, role=None)}, "refuse", "it does not say whether it is a standby"),
        (
            {"db2": standby("db2", replay_paused=True), "db3": standby("db3", lsn=BEHIND)},
            "refuse",
            "db2 is 16.0 MiB ahead of db3 (LSN 0/5000000), and does not take over: its replay is paused, and it would"
            " never become a primary: SELECT pg_wal_replay_resume()",
        ),
        (
            {"db2": standby("db2", replay_paused=True), "db3": standby("db3", replay_paused=None)},
            "refuse",
            "no standby can take over: db2: its replay is paused",
        ),
        (
            {"db2": standby("db2", apply_delay=3600), "db3": standby("db3", disk_free=1)},
            "refuse",
            "with a delay of 1 h",
        ),
        (
            {"db2": standby("db2", replayable=None), "db3": standby("db3", replayable=False)},
            "refuse",
            "cannot be replayed",
        ),
        ({"db2": standby("db2", disk_free=10**6), "db3": standby("db3", lsn=BEHIND)}, "refuse", "976.6 KiB left"),
        ({"db2": standby("db2", age=900), "db3": standby("db3", lsn=BEHIND)}, "refuse", "db2 is 14 min 40 s behind"),
    ],
)
def test_a_decision_and_its_reason(observed: dict[str, Any], decision: str, words: str) -> None:
    assessment = found(**observed)
    assert assessment.decision == decision, texts(assessment)
    assert words in texts(assessment)


@pytest.mark.parametrize(
    ("views", "candidate"),
    [
        ({}, "db2"),
        ({"db3": standby("db3", lsn="0/5000001")}, "db3"),
        # The later timeline has what is right.
        ({"db2": standby("db2", lsn="0/9000000"), "db3": standby("db3", timeline=4)}, "db3"),
        ({"db2": standby("db2", replay_paused=True)}, "db3"),
        ({"db2": standby("db2", lsn=None, replayed_lsn="0/5000900")}, "db2"),
        ({"db2": standby("db2", lsn=BEHIND, upstream="db3")}, "db3"),
        # A cascading one that has all that its upstream has, of which nobody else could know.
        ({"db2": standby("db2", upstream="db3"), "db3": standby("db3", replay_paused=True)}, "db2"),
        ({"db2": standby("db2", replayable=False), "db3": standby("db3")}, "db3"),
    ],
)
def test_the_most_advanced_standby_that_can_takes_over(views: dict[str, Any], candidate: str) -> None:
    assert found(**views).candidate == candidate


def test_a_member_that_never_takes_over_holds_nobody_up() -> None:
    members = ["db1", {"host": "db2", "nofailover": True}, "db3"]
    ahead = found(plan(members=members), db2=standby("db2", lsn="0/6000000"))
    assert (ahead.decision, ahead.candidate) == ("failover", "db3")
    assert "db2 (nofailover) is 16.0 MiB ahead of db3: it has to be rebuilt after the failover" in ahead.notes
    assert found(plan(members=members), db2=GONE, db1=stopped()).decision == "failover"


def test_one_that_follows_a_standby_that_is_ahead_does_not_take_over() -> None:
    behind = found(db2=standby("db2", lsn=BEHIND, upstream="db3"), db3=standby("db3", replay_paused=True))
    assert (behind.decision, behind.candidate) == ("refuse", None)
    assert behind.excluded["db2"] == "it follows db3, which is ahead of it"


def test_a_primary_that_was_replaced_before_is_behind_and_no_riddle() -> None:
    """The second failover: db1 was replaced by db2, which is lost now."""
    verdicts = {"points": {point: {"db2": "refused"} for point in ("app1", "db3", "controller")}}
    former = {"db1": stopped(timeline=2, unit_masked=True), "db2": GONE, "db3": standby("db3", upstream="db2")}
    second = found(**verdicts, **former)
    assert (second.decision, second.primary, second.candidate) == ("failover", "db2", "db3")
    assert second.excluded["db1"] == "it was a primary until timeline 2, and has to be rebuilt"


def test_what_may_be_approved_and_what_never_is() -> None:
    assert found(db3=GONE).approvable
    assert found(**points(app1="refused")).approvable
    assert not found(db3=standby("db3", managed_by="patroni")).approvable
    assert not found(db1=primary(), db2=primary("db2")).approvable
    assert not found(db2=standby("db2", replay_paused=True), db3=standby("db3", replay_paused=True)).approvable


@pytest.mark.parametrize(
    ("observed", "decision", "words"),
    [
        (
            {},
            "failover",
            "db2 runs as primary on timeline 4, promoted by somebody; db1 is down, and nothing keeps it from",
        ),
        ({"verdict": "answers"}, "refuse", "and db1 still answers app1, db2, db3, controller: two primaries; stop one"),
        ({**points(app1="refused")}, "refuse", "1 of the vantage points found db1 dead"),
        ({"db1": stopped()}, "failover", "it is fenced, and db2 adopted"),
        ({"db1": stopped(state="hung"), "verdict": "silent"}, "failover", "db2 adopted"),
        # It was fenced, or nobody follows it any more: that is over.
        ({"db1": stopped(unit_masked=True)}, "degraded", "db1 is stopped, and is no standby now"),
        (
            {"db3": standby("db3", upstream="db2", timeline=4)},
            "degraded",
            "db1 does not answer Ansible, and is no standby",
        ),
    ],
)
def test_a_standby_that_somebody_promoted_is_adopted(observed: dict[str, Any], decision: str, words: str) -> None:
    verdicts = {
        f"{p}": {"db1": observed.get("verdict", "refused"), "db2": "answers"}
        for p in ("app1", "db2", "db3", "controller")
    }
    observed = {"points": verdicts, "db2": primary("db2", timeline=4), **observed}
    assessment = found(**observed)
    assert assessment.decision == decision, texts(assessment)
    assert words in texts(assessment)
    assert assessment.adopted is (decision != "degraded")


def test_an_upstream_that_is_gone_is_no_former_primary_while_its_followers_are_on_the_primarys_timeline() -> None:
    """A cascading standby whose upstream died: nobody was promoted."""
    assessment = found(**{**SERVES, "db2": GONE, "db3": standby("db3", upstream="db2")})
    assert (assessment.decision, assessment.adopted) == ("degraded", False)


def test_whom_the_last_failover_left_cut_off_is_no_reason_for_another_one() -> None:
    said = points(app1="silent", db3="silent", controller="silent")["points"]
    said["app1"]["db2"] = "answers"
    seen = facts("silent", db1=stopped(state="hung"), db2=primary("db2", timeline=4), points=said)
    assert assess(plan(), seen).adopted
    kept = assess(plan(), seen, known_primary="db2", settled={"db1": "proxy"})
    assert kept.decision == "degraded"
    assert "db1, which db2 has replaced, is not kept from starting (proxy): stop and mask its unit" in texts(kept)


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        ({"db1": primary(archiver={"failing": True})}, "its archiver fails"),
        ({"db1": primary(archiver=None)}, "nobody knows whether it archives"),
        ({"db1": primary(repository_on_this_disk=True)}, "its backups are on its own disk, and would be lost with it"),
        (
            {"db1": primary(slots=[{"name": "s", "type": "physical", "wal_status": "lost"}])},
            "slot s has lost WAL (wal_status lost)",
        ),
        (
            {"db1": primary(slots=[{"name": "cdc", "type": "logical", "failover": None}])},
            "logical slot cdc would not outlive",
        ),
        ({"db3": GONE}, "db3 does not answer Ansible, and is no standby now"),
        ({"db3": standby("db3", state="stopped")}, "db3 is stopped, and is no standby now"),
        ({"db3": standby("db3", upstream="")}, "db3 does not stream from its primary"),
        ({"db3": standby("db3", password_ok=False)}, "its password for replication is refused or has expired"),
        (
            {"db2": standby("db2", replay_paused=True), "db3": standby("db3", apply_delay=9)},
            "no standby can take over",
        ),
        (
            {"db1": primary(replication=[{"application": "db2", "seconds": 400.0}])},
            "db2 is 6 min 40 s (256 B) behind, and the plan bears 5 min (targets.rpo)",
        ),
    ],
)
def test_weaknesses_are_told_while_the_primary_serves(observed: dict[str, Any], words: str) -> None:
    assessment = found(**{**SERVES, **observed})
    assert assessment.decision == "degraded"
    assert words in texts(assessment)


def test_an_outage_of_hours_is_not_taken_for_lag() -> None:
    """All standbys lost the primary at one time: it was dead since."""
    assert found(db2=standby("db2", age=1800), db3=standby("db3", age=1800)).decision == "failover"
    # One that is longer than the plan bears was none: replication had ended before.
    longer = {"db2": standby("db2", age=7200), "db3": standby("db3", age=7200)}
    assert "the last that db2 has of db1 is 2 h old: either nothing was written since" in texts(found(**longer))
    assert found(**longer).approvable
    assert found(**longer, db1=stopped(lsn="0/5000000", clean=True)).decision == "failover"


@pytest.mark.parametrize(
    ("views", "decision"),
    [
        # Some standby has all that was acknowledged, as the plan says: the one with most, if all are known.
        ({}, "failover"),
        ({"db3": standby("db3", lsn=None)}, "refuse"),
        ({"db1": stopped(lsn="0/5000000", clean=True)}, "failover"),
        ({"db1": stopped(lsn="0/5000001", clean=True)}, "refuse"),
        ({"db1": stopped(lsn="0/5000001", clean=False)}, "refuse"),
        ({"db1": stopped(lsn="0/4000000", clean=False, wal_end="0/5000000")}, "failover"),
    ],
)
def test_a_plan_that_bears_no_loss(views: dict[str, Any], decision: str) -> None:
    none = plan(targets={"rto": "30m", "rpo": 0}, synchronous_standby_names="ANY 1 (db2, db3)")
    assert assess(none, facts(**views)).decision == decision


def test_a_plan_that_bears_no_loss_counts_on_those_that_never_take_over() -> None:
    members = ["db1", "db2", {"host": "db3", "nofailover": True}]
    none = plan(targets={"rto": "30m", "rpo": 0}, synchronous_standby_names="ANY 1 (db2, db3)", members=members)
    for third in (GONE, standby("db3", lsn="0/5000001")):
        refused = assess(none, facts(db3=third))
        assert refused.approvable and "that db2 has everything: db3 may have more" in texts(refused)
    serves = assess(none, facts(**SERVES))
    assert "it replicates asynchronously (synchronous_standby_names), and the plan bears no loss" in texts(serves)


def test_a_plan_without_a_third_member_has_nobody_else() -> None:
    assert assess(plan(members=["db1", "db2"]), facts()).decision == "failover"
