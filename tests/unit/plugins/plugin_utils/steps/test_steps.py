# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps as an inventory writes them, and their lines in a report."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.steps import record
from ansible_collections.day2.ops.plugins.plugin_utils.steps.record import OutcomeError
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step, StepError, parse_steps

STEP = Step("x", "It", "day2.ops.some-role", ref=("R-1",))


def test_defaults() -> None:
    (step,) = parse_steps([{"id": "a", "role": "r", "title": None, "ref": "R-1", "duration": "20m"}])
    assert step == Step("a", "a", "r", "main", 1200.0, ("R-1",))
    assert STEP.short_role == "some_role" and Step("a", "a", "/x/roles/my/").short_role == "my"


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(StepError) as raised:
        parse_steps([{"id": "a", "rol": "r"}, "b", {"id": "a", "role": "r", "duration": "-1m"}])
    assert raised.value.problems == [
        "step 'a', field 'rol': is unknown; did you mean 'role'?", "step 'a', field 'role': is missing",
        "step 2: 'b' is not a mapping of id, title, role, entry_point, duration, ref",
        "step 'a', field 'duration': '-1m' is not longer than nothing",
        "step 'a', field 'id': is also the id of step 1",
    ]  # fmt: skip


def test_a_step_that_nobody_ended_is_critical() -> None:
    row = record.begun(STEP, 0.0)
    assert row["status"] == "critical" and "did not end" in row["message"] and row["started"].startswith("1970-01-01")


@pytest.mark.parametrize(
    ("told", "planning", "status"),
    [
        ({}, False, "ok"), ({}, True, "skipped"), ({"status": "ok"}, True, "skipped"),
        ({"status": "warning"}, True, "warning"), ({"status": "critical"}, False, "critical"),
    ],
)  # fmt: skip
def test_the_status_is_what_the_role_told(told: dict[str, Any], planning: bool, status: str) -> None:
    (row,) = record.ended(STEP, told, 10.0, 12.5, planning)
    assert (row["status"], row["duration"], row["ref"], row["probe"]) == (status, 2.5, ["R-1"], "step")


def test_rows_of_a_role_stand_for_it_and_get_its_ref() -> None:
    own = {"id": "o", "status": "ok", "ref": "R-2"}
    (row,) = record.ended(STEP, [own], 0.0, 1.0, False)
    assert {**row, **own, "ref": ["R-2", "R-1"]} == row
    # What it did not say is filled in.
    assert (row["title"], row["message"], row["probe"], row["evidence"]) == ("o", "", "step", [])
    both = record.ended(STEP, [own, {"message": "all"}], 0.0, 1.0, False)
    assert [(row["id"], row["message"]) for row in both] == [("o", ""), ("x", "all")]
    assert [row["id"] for row in record.failed(STEP, "t", {}, [own, {"message": "all"}, "y"], 0.0, 1.0)] == ["o", "x"]


def test_what_cannot_be_read_is_refused() -> None:
    two = [{"message": "one"}, {"message": "another"}]
    for told in ({"status": "fine"}, {"text": "x"}, "done", ["done"], two, [{"id": "o", "status": "fine"}]):
        with pytest.raises(OutcomeError):
            record.ended(STEP, told, 0.0, 1.0, False)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "no"}, "no"), ({}, "it did not say why"),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "a\nb\n"}, "exit status 3: b"),
        ({"msg": "One or more items failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "no"}]}, "no"),
        ({"censored": "the output has been hidden"}, "it keeps secret what it said (no_log)"),
    ],
)  # fmt: skip
def test_why_a_task_failed(result: dict[str, Any], said: str) -> None:
    (row,) = record.failed(STEP, "Do it", result, None, 0.0, 1.0)
    assert row["message"] == f"Do it: {said}" and row["status"] == "critical"


def test_secrets_are_masked() -> None:
    (row,) = record.failed(STEP, "t", {"msg": "postgresql://u:s3cret@h/d", "stderr": "password=s3cret"}, {}, 0.0, 1.0)
    assert "s3cret" not in str(row)


MADE = {"step": {"id": "m", "status": "ok", "message": "made", "ref": []}, "made": True, "changed": True}
KEPT = {"step": {"id": "k", "status": "ok", "message": "not due"}, "made": False}


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        (MADE, {"m": "made"}), (KEPT, {"k": "not due; again"}), ([MADE, KEPT], {"m": "made", "k": "not due; again"}),
        # A loop, of which one item was skipped and another one failed before it had a row.
        ({"results": [MADE, {"skipped": True, "item": 1}, {"failed": True, "msg": "no"}, KEPT]},
         {"m": "made", "k": "not due; again"}),
        # A loop over nothing, and a host that was lost.
        ({"skipped": True, "results": []}, {}), ({"unreachable": True, "msg": "gone"}, {}), (None, {}), ({}, {}),
        # A failure that has a row of its own, and sentences of a plan that are no rows.
        ({"failed": True, "steps": [{"id": "d", "status": "critical", "message": "bad"}]}, {"d": "bad"}),
        ({"steps": ["stop", "start"], "step": {"id": "r", "message": "restored"}}, {"r": "restored"}),
        ({"step": {"id": "n"}}, {"n": ""}),
    ],
)  # fmt: skip
def test_rows_that_modules_returned(result: Any, wanted: dict[str, str]) -> None:
    rows = record.rows_of(result, "R-1", "", "again")
    assert {row["id"]: row["message"] for row in rows} == wanted and all(row["ref"] == ["R-1"] for row in rows)


def test_what_follows_every_message() -> None:
    assert [row["message"] for row in record.rows_of([MADE, KEPT], [], "go back", "again")] == [
        "made; go back", "not due; go back; again",
    ]  # fmt: skip
    assert record.rows_of(MADE, [])[0]["ref"] == []
