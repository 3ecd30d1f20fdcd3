# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What went wrong with other tools, and what is right."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import assess
from failover_facts import GONE, facts, plan, points, primary, standby, stopped

BEHIND = "0/4000000"
PUBLIC = [
    # The issue, what is observed, the decision, the candidate.
    (
        "repmgr 821: promoted while a witness still saw the primary",
        points(app1="answers", db2="refused", db3="refused"),
        "degraded",
        None,
    ),
    ("repmgr 439: a standby alone in its part of the network", points(db2="unreachable"), "refuse", "db2"),
    (
        "repmgr 420: one was promoted already, and LSNs of its timeline are compared with those of the old one",
        {
            "db3": primary("db3", timeline=4),
            "db2": standby("db2", lsn="0/9000000"),
            "points": {p: {"db1": "refused", "db3": "answers"} for p in ("app1", "db2", "controller")},
        },
        "failover",
        "db3",
    ),
    (
        "repmgr 540: replay is paused",
        {"db2": standby("db2", replay_paused=True), "db3": standby("db3", lsn=BEHIND)},
        "refuse",
        "db3",
    ),
    (
        "repmgr 699: a cascading standby is taken for an advanced one",
        {"db2": standby("db2", lsn=BEHIND, upstream="db3")},
        "failover",
        "db3",
    ),
    (
        "repmgr 766: the old primary is started after the failover",
        {"verdict": "answers", "db1": primary(), "db2": primary("db2", timeline=4)},
        "refuse",
        None,
    ),
    ("patroni 1894: the master is still alive", {"db1": primary()}, "refuse", "db2"),
    (
        "patroni 2070: the old leader demotes late, and is ahead",
        {"db1": primary(), **points(app1="refused", db3="answers")},
        "degraded",
        "db2",
    ),
    (
        "patroni 2151: the only replica is far behind",
        {"db2": standby("db2", age=3620), "db3": standby("db3", apply_delay=60)},
        "refuse",
        "db2",
    ),
    (
        "patroni 2551: a delayed replica takes over",
        {"db2": standby("db2", apply_delay=3600), "db3": standby("db3")},
        "failover",
        "db3",
    ),
    ("pg_auto_failover 682: promoted with one of two standbys dead", {"db3": GONE}, "refuse", "db2"),
    ("pg_auto_failover 379: the primary's server does not start", {"db1": stopped()}, "failover", "db2"),
    (
        "orchestrator 1050: a replica that replicates no more",
        {"db2": standby("db2", age=172800), "db3": standby("db3", replayable=False)},
        "refuse",
        "db2",
    ),
    (
        "multigres 778: frozen by SIGSTOP, and not found",
        {"verdict": "silent", "db1": primary(state="hung")},
        "failover",
        "db2",
    ),
    ("PAF 9: the position of one standby is unknown", {"db3": standby("db3", lsn=None)}, "refuse", "db2"),
]


@pytest.mark.parametrize(
    ("observed", "decision", "candidate"), [case[1:] for case in PUBLIC], ids=[case[0] for case in PUBLIC]
)
def test_what_went_wrong_elsewhere(observed: dict[str, Any], decision: str, candidate: str | None) -> None:
    assessment = assess(plan(), facts(**observed))
    assert assessment.decision == decision, assessment.reasons
    assert assessment.candidate == candidate or (candidate is None and decision == "degraded")
