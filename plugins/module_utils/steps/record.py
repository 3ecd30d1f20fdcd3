# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a step, as lines of a report. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.judge import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import clip_evidence, mask, printable
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.steps.spec import Step

_OUTCOME = ("status", "message", "evidence", "value", "unit")
# A failed program says why on its last lines.
_LAST_LINES = 3
_LOST = "the step began and did not end: the host was not reached any more, or the run was ended"


class OutcomeError(Day2Error):
    """A role told of its step in a way that nobody can read; the message says how it should."""


def begun(step: Step, began: float) -> dict[str, Any]:
    """The row of a step that goes on. It stays where nobody comes back to replace it."""
    return _row(step, Status.CRITICAL, _LOST, [], began, 0.0)


def ended(
    step: Step, outcome: Mapping[str, Any], collected: Sequence[object], began: float, now: float, planning: bool
) -> list[dict[str, Any]]:
    """The rows of a step that ended well: those that its role collected, and what the role told of all of it.

    In check mode (`planning`) nothing was done, so that nothing is ok; a finding stays one.
    """
    rows = of_role(step, collected)
    if not outcome and rows:
        return rows
    unknown = [str(name) for name in outcome if name not in _OUTCOME]
    if unknown:
        raise OutcomeError(f"day2_step_outcome has '{unknown[0]}'; it is a mapping of {', '.join(_OUTCOME)}")
    status = _status(outcome.get("status"))
    if planning and status is Status.OK:
        status = Status.SKIPPED
    plain = "nothing was done: this role does not tell its plan" if planning else "done"
    evidence = outcome.get("evidence") or []
    if isinstance(evidence, str) or not isinstance(evidence, Sequence):
        evidence = [evidence]
    row = _row(step, status, str(outcome.get("message") or plain), list(map(str, evidence)), began, now - began)
    return [*rows, {**row, "value": outcome.get("value"), "unit": outcome.get("unit")}]


def failed(
    step: Step, task: str, result: Mapping[str, Any], collected: Sequence[object], began: float, now: float
) -> list[dict[str, Any]]:
    """The rows of a step whose task failed: what its role had collected, and why it ended."""
    said, evidence = reason(result)
    row = _row(step, Status.CRITICAL, f"{task}: {said}" if task else said, evidence, began, now - began)
    return [*of_role(step, collected), row]


def reason(result: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a failed task said, and the last lines of the program that it ran."""
    items = result.get("results")
    if isinstance(items, Sequence) and not isinstance(items, str):
        bad = [each for each in items if isinstance(each, Mapping) and (each.get("failed") or each.get("unreachable"))]
        if bad:
            return reason(bad[0])
    if result.get("censored"):
        return "it keeps secret what it said (no_log)", []
    lines = [line for name in ("stderr", "stdout") for line in str(result.get(name) or "").split("\n")]
    lines = [line.rstrip() for line in lines if line.strip()]
    said = str(result.get("msg") or "")
    if result.get("stderr") and said in ("", "non-zero return code"):
        # Beneath its complaint psql draws where it is.
        told = [line for line in str(result["stderr"]).split("\n") if any(sign.isalnum() for sign in line)]
        last = [line for line in told if "error" in line.lower()] or told
        said = f"exit status {result.get('rc')}: {last[-1].strip()}" if last else said
    if said == "Error executing command." and result.get("cmd"):
        program = result["cmd"] if isinstance(result["cmd"], str) else result["cmd"][0]
        said = f"{program.split()[0]} could not be executed (is it there, and may this user run it?)"
    return said or "it did not say why", lines[-_LAST_LINES:]


def of_role(step: Step, collected: Sequence[object]) -> list[dict[str, Any]]:
    """Rows that a role put into `<role>_steps`; whatever else has that name is the role's own."""
    rows = [dict(row) for row in collected if isinstance(row, Mapping) and "id" in row and "status" in row]
    for row in rows:
        own = row.get("ref") or []
        row["ref"] = list(dict.fromkeys([*([own] if isinstance(own, str) else own), *step.ref]))
    return rows


def _status(told: object) -> Status:
    if told in (None, ""):
        return Status.OK
    try:
        return Status(str(told))
    except ValueError:
        known = ", ".join(status.value for status in Status)
        raise OutcomeError(f"day2_step_outcome has status '{told}', which is none of {known}") from None


def _row(
    step: Step, status: Status, message: str, evidence: Sequence[str], began: float, seconds: float
) -> dict[str, Any]:
    return Result(
        id=step.id,
        title=step.title,
        probe="step",
        status=status,
        value=None,
        unit=None,
        message=printable(mask(" ".join(message.split()))),
        warning=None,
        critical=None,
        evidence=clip_evidence(printable(mask(line)) for line in evidence),
        ref=list(step.ref),
        started=rfc3339(began),
        # A clock that is set back makes no step shorter than nothing.
        duration=round(max(0.0, seconds), 3),
    ).to_dict()
