# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of modules as the core sees them: what is missing is unknown, and never well."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import Span, lose
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import measure, predict
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import (
    Member,
    read_facts,
    read_member,
    read_verdict,
)
from failover_facts import GONE, Journal, plan, primary, request, standby, stopped


@pytest.mark.parametrize("raw", [None, "x", [], {}, {"state": "running", "role": "standby"}, {"reachable": "true"}])
def test_what_did_not_answer_is_unknown(raw: Any) -> None:
    assert read_member(raw) == Member()


def test_an_empty_answer_knows_nothing() -> None:
    found = read_member({"reachable": True})
    assert found == Member(reachable=True)
    assert found.may_write and not found.is_primary and not found.is_standby


def test_nonsense_is_unknown() -> None:
    junk = {name: object() for name in standby()} | {"reachable": True}
    assert read_member(junk) == Member(reachable=True)


@pytest.mark.parametrize(
    ("raw", "primary_now", "standby_now", "may_write"),
    [
        (primary(), True, False, True),
        (standby(), False, True, False),
        # A running server says itself whether it recovers.
        (primary(role="standby"), True, False, True),
        (standby(role="primary"), False, True, False),
        (primary(state="hung"), False, False, True),
        (primary(state="starting"), False, False, True),
        (primary(state=None), False, False, True),
        (stopped(), False, False, False),
        (primary(state="absent"), False, False, False),
        (standby(state="hung", in_recovery=None), False, False, False),
        (GONE, False, False, False),
    ],
)
def test_who_may_take_writes(raw: Any, primary_now: bool, standby_now: bool, may_write: bool) -> None:
    found = read_member(raw)
    assert (found.is_primary, found.is_standby, found.may_write) == (primary_now, standby_now, may_write)


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        ("refused", "refused"),
        ({"verdict": "silent"}, "silent"),
        ({"verdict": "mixed"}, "mixed"),
        ({"verdict": "mixed", "attempts": [{"verdict": "refused"}, {"verdict": "unreachable"}]}, "unreachable"),
        ({"verdict": "mixed", "attempts": [{"verdict": "refused"}, {"verdict": "unresolved"}]}, "mixed"),
        ({}, ""),
    ],
)
def test_a_verdict(target: Any, verdict: str) -> None:
    assert read_verdict(target) == verdict


def test_facts_are_read_from_results() -> None:
    found = read_facts(
        {"db1": primary()},
        {"app1": {"db1": {"verdict": "answers"}}, "app2": None},
        {"db1": {"epoch": 3, "run": "r"}, "x": {}},
    )  # type: ignore[dict-item]
    assert found.view("db1").lsn == 0x5000100
    assert found.view("nobody") == Member()
    assert (found.liveness, found.promised) == ({"app1": {"db1": "answers"}}, {"db1": (3, "r")})


@pytest.mark.parametrize(
    ("change", "silence"),
    [
        ({}, 20.0),
        # Its receiver is gone: the last commit is what is known.
        ({"upstream": {"host": "db1", "status": None, "last_message_age": None}, "lag": {"seconds": 90.0}}, 90.0),
        ({"upstream": None, "lag": {"bytes": None, "seconds": 90.0}, "received_lsn": None}, 90.0),
        # It has more than it has replayed.
        ({"upstream": None, "lag": {"seconds": 90.0}, "received_lsn": "0/6000000"}, None),
        ({"upstream": None, "lag": None}, None),
    ],
)
def test_how_long_a_standby_has_heard_nothing(change: Any, silence: float | None) -> None:
    assert read_member({**standby(), **change}).silence == silence


@pytest.mark.parametrize(
    ("old", "silent", "missing", "expected"),
    [
        # Exact: at least and at most, seconds, words.
        (stopped(lsn="0/5000100", clean=True), 9.0, 0, (0x100, 0x100, 9.0, True, "256 B of WAL are lost: the end of")),
        (stopped(lsn="0/5000100", clean=True), 9.0, 0, (0x100, 0x100, 9.0, True, "WAL was read; it was written then")),
        (stopped(lsn="0/4000000", clean=True), 9.0, 0, (0, 0, 0.0, True, "nothing is lost: the end of the old")),
        (stopped(clean=False, wal_end="0/5000200"), None, 0, (0x200, 0x200, None, True, "512 B of WAL are lost")),
        # The last checkpoint of one that crashed is not the end.
        (
            stopped(lsn="0/5000100", clean=False),
            9.0,
            0,
            (0x100, None, 9.0, False, "are lost, no more than was"),
        ),
        (stopped(lsn="0/5000100"), None, 0, (0x100, None, None, False, "at least 256 B of WAL are lost")),
        (primary(lsn="0/5000100"), 2.0, 0, (0x100, None, 2.0, False, "at least 256 B")),
        (GONE, None, 0x40, (0x40, None, None, False, "at least 64 B of WAL are lost")),
        # A bound, and said so.
        (GONE, 9.0, 0, (0, None, 9.0, False, "what the old primary wrote then may be lost")),
        (GONE, None, 0, (0, None, None, False, "how much is lost is unknown: no lag was known")),
    ],
)
def test_a_loss_is_exact_or_a_bound_that_says_so(old: Any, silent: Any, missing: int, expected: Any) -> None:
    span = None if silent is None else Span(silent, "then")
    found = lose(read_member(old), 0x5000000, span, missing)
    assert (found.least, found.most, found.seconds, found.exact) == expected[:4]
    assert expected[4] in found.text


def bare() -> Plan:
    return plan(application=None, verify=None, backup=None)


RUN = {"fence": 2.0, "promote": 1.0, "traffic": 3.0}


@pytest.mark.parametrize(
    ("history", "seconds", "words"),
    [
        ([], None, "no earlier failover was measured: rehearse one"),
        ([RUN], 21.0, "the median of 1 earlier failover, and 15 s to find the primary dead"),
        # Applications are served before the others follow.
        ([{**RUN, "follow": 4.0}], 21.0, "1 earlier failover"),
        # Old ones say nothing of today's servers.
        ([{**RUN, "promote": 900.0}] * 4 + [RUN] * 5, 21.0, "5 earlier failovers"),
        ([{"fence": 2.0}], None, "at least 17 s: promote, traffic was never measured"),
        ([{"fence": "soon"}], None, "rehearse one"),
    ],
)
def test_a_failover_takes_what_earlier_ones_took(history: Any, seconds: float | None, words: str) -> None:
    found = predict(bare(), history)
    assert found.seconds == seconds
    assert words in found.text
    assert found.as_dict()["predicted"] == seconds


def test_a_failover_is_measured_from_its_journal() -> None:
    """From the first intent: a step that was tried again took all that time."""
    kept = Journal()
    for phase in ("intent", "failed", "intent", "done"):
        kept.add(request(), "fence", phase, "db1", {})
    kept.add(request(), "promote", "intent", "db2", {})
    assert measure(kept.entries) == {"fence": 3.0}
