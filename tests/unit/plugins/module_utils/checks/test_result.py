# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every row of a report is made in one place: masked, capped, and with its times in the same form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.step import step_of
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import MASK
from ansible_collections.day2.ops.plugins.module_utils.drill.result import line
from ansible_collections.day2.ops.plugins.plugin_utils.report.rows import synthetic
from ansible_collections.day2.ops.plugins.plugin_utils.steps import record
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"
# 2026-01-31 02:00:00 UTC
NIGHT = 1769824800.25
SAID = "no login:\n  postgresql://app:correct-horse@db/shop\x1b[2J"
SHOWN = re.compile(r"no login: postgresql://app:\S*@db/shop\\x1b\[2J")


def test_a_result() -> None:
    made = Result.make(
        "a", "A", Status.OK, SAID, NIGHT, 0.123456, value="token=correct-horse", evidence=[SAID] * 30, ref=("OE-1",)
    )
    assert SHOWN.fullmatch(made.message) and "correct-horse" not in str(made.to_dict())
    assert len(made.evidence) == 20 and made.evidence[-1] == "… and 11 more lines"
    assert (made.started, made.duration, made.ref) == ("2026-01-31T02:00:00.250Z", 0.1235, ["OE-1"])


@pytest.mark.parametrize(
    ("message", "longest", "shown"),
    [
        ("x" * 9, 5, "xxxx…"),
        ("x" * 9, None, "x" * 9),
        ("a correct-horse battery", 9, f"a {MASK} battery"[:8] + "…"),
        ("a\n\t b", None, "a b"),
    ],
)
def test_a_message(message: str, longest: int | None, shown: str) -> None:
    made = Result.make("a", "A", Status.OK, message, NIGHT, secrets=["correct-horse"], longest=longest)
    assert made.message == shown


def test_a_clock_that_was_set_back() -> None:
    assert Result.make("a", "A", Status.OK, "", NIGHT, -3.0).duration == 0.0


STEP = Step("s", "S", "r", ref=("OE-1",))
OUTCOME = {"msg": SAID, "locations": [{**dict.fromkeys(("kept", "pruned"), ()), "repository": SAID, "locked": {},
                                       "broken": {}, "damaged": {}}]}  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        step_of("files", "app", OUTCOME, NIGHT, 1.0),
        line("set", "T", Status.CRITICAL, SAID, NIGHT, evidence=[SAID]),
        record.failed(STEP, "Load", {"msg": SAID, "stderr": SAID}, [], NIGHT, NIGHT)[0],
        record.ended(STEP, {"message": SAID, "value": SAID}, NIGHT, NIGHT, False)[0],
        synthetic("steps", Status.CRITICAL, SAID, NIGHT).to_dict(),
    ],
)
def test_rows_of_steps_show_no_secret(row: dict[str, object]) -> None:
    assert "correct-horse" not in str(row) and "\x1b" not in str(row) and "\n" not in str(row["message"])


def test_nothing_else_makes_a_result() -> None:
    makers = {path.name for path in PLUGINS.rglob("*.py") if re.search(r"\bResult\(\n? +id=", path.read_text())}
    # What is read from a report was masked when it was made.
    assert makers == {"rows.py"}
