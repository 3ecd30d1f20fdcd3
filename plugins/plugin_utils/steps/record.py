# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a step, as lines of a report. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step

_OUTCOME = ("status", "message", "evidence", "value", "unit")
# A failed program says why on its last lines.
_LAST_LINES = 3
_LOST = "the step began and did not end: the host was not reached any more, or the run was ended"


class OutcomeError(Day2Error):
    """A role told of its step in a way that nobody can read; the message says how it should."""


def begun(step: Step, began: float) -> dict[str, Any]:
    """The row of a step that goes on. It stays where nobody comes back to replace it."""
    return _row(step, Status.CRITICAL, _LOST, [], began, 0.0)


def ended(step: Step, outcome: object, began: float, now: float, planning: bool) -> list[dict[str, Any]]:
    """The rows of a step that ended well. `outcome` is what its role returned: the step's own line (a mapping), or
    lines, of which those with an `id` are rows of their own.

    In check mode (`planning`) nothing was done, so that nothing is ok; a finding stays one.
    """
    lines = _lines(step, outcome)
    rows = [_own_row(step, line, began) for line in lines if "id" in line]
    of_step = [line for line in lines if "id" not in line]
    if len(of_step) > 1:
        raise OutcomeError(f"{_fact(step)} has {len(of_step)} lines without an 'id'; one is the step's own")
    if rows and not of_step:
        return rows
    line = of_step[0] if of_step else {}
    unknown = [str(name) for name in line if name not in _OUTCOME]
    if unknown:
        raise OutcomeError(f"{_fact(step)} has '{unknown[0]}'; it is a mapping of {', '.join(_OUTCOME)}")
    status = _status(step, line.get("status"))
    if planning and status is Status.OK:
        status = Status.SKIPPED
    plain = "nothing was done: this role does not tell its plan" if planning else "done"
    evidence = line.get("evidence") or []
    if isinstance(evidence, str) or not isinstance(evidence, Sequence):
        evidence = [evidence]
    value, unit = line.get("value"), line.get("unit")
    message = str(line.get("message") or plain)
    return [*rows, _row(step, status, message, list(map(str, evidence)), began, now - began, value, unit)]


def failed(
    step: Step, task: str, result: Mapping[str, Any], outcome: object, began: float, now: float
) -> list[dict[str, Any]]:
    """The rows of a step whose task failed: those that its role had returned, and why it ended."""
    said, evidence = reason(result)
    row = _row(step, Status.CRITICAL, f"{task}: {said}" if task else said, evidence, began, now - began)
    lines = outcome if isinstance(outcome, (list, tuple)) else ()
    rows = [line for line in lines if isinstance(line, Mapping) and "id" in line]
    return [*(_own_row(step, line, began) for line in rows), row]


def reason(result: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a failed task said, and the last lines of the program that it ran."""
    items = result.get("results")
    if isinstance(items, Sequence) and not isinstance(items, str):
        bad = [item for item in items if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable"))]
        if bad:
            return reason(bad[0])
    if result.get("censored"):
        return "it keeps secret what it said (no_log)", []
    lines = [line for name in ("stderr", "stdout") for line in str(result.get(name) or "").split("\n")]
    lines = [line.rstrip() for line in lines if line.strip()]
    said = str(result.get("msg") or "")
    if result.get("stderr") and said in ("", "non-zero return code"):
        # Beneath its complaint psql draws where it is.
        spoken = [line for line in str(result["stderr"]).split("\n") if any(sign.isalnum() for sign in line)]
        last = [line for line in spoken if "error" in line.lower()] or spoken
        said = f"exit status {result.get('rc')}: {last[-1].strip()}" if last else said
    if said == "Error executing command." and result.get("cmd"):
        program = result["cmd"] if isinstance(result["cmd"], str) else result["cmd"][0]
        said = f"{program.split()[0]} could not be executed (is it there, and may this user run it?)"
    return said or "it did not say why", lines[-_LAST_LINES:]


def rows_of(result: object, ref: object = (), more: str = "", unmade: str = "") -> list[dict[str, Any]]:
    """The rows that modules returned (`step`, `steps`) in one result, in those of a loop, or in a list of results.

    Each gets `ref` and, after its message, `more`; `unmade` where the module made nothing (`made`). A result that was
    skipped, or that failed without a row, has none.
    """
    if isinstance(result, (list, tuple)):
        return [row for entry in result for row in rows_of(entry, ref, more, unmade)]
    if not isinstance(result, Mapping):
        return []
    found = [result.get("step"), *(result["steps"] if isinstance(result.get("steps"), (list, tuple)) else ())]
    after = [text for text in (more, unmade if result.get("made") is False else "") if text]
    rows = [
        {**row, "ref": _refs(ref), "message": "; ".join(filter(None, [str(row.get("message") or ""), *after]))}
        for row in found
        if isinstance(row, Mapping) and "id" in row
    ]
    return rows + rows_of(result.get("results"), ref, more, unmade)


def _lines(step: Step, outcome: object) -> list[Mapping[str, Any]]:
    lines: list[Mapping[str, Any]] = []
    for line in outcome if isinstance(outcome, (list, tuple)) else [outcome] if outcome else []:
        if not isinstance(line, Mapping):
            raise OutcomeError(f"{_fact(step)} has {line!r}; a line is a mapping of id, title, {', '.join(_OUTCOME)}")
        lines += [line] if line else []
    return lines


def _own_row(step: Step, line: Mapping[str, Any], began: float) -> dict[str, Any]:
    """A row of the role's own, with the step's `ref` added to its."""
    row = _row(step, _status(step, line.get("status")), str(line.get("message") or ""), [], began, 0.0)
    ref = list(dict.fromkeys([*_refs(line.get("ref")), *step.ref]))
    return {**row, "title": str(line["id"]), **line, "ref": ref}


def _refs(given: object) -> list[str]:
    return [given] if isinstance(given, str) and given else list(given) if isinstance(given, (list, tuple)) else []


def _fact(step: Step) -> str:
    return f"{step.short_role}_step_outcome"


def _status(step: Step, given: object) -> Status:
    if given in (None, ""):
        return Status.OK
    try:
        return Status(str(given))
    except ValueError:
        known = ", ".join(status.value for status in Status)
        raise OutcomeError(f"{_fact(step)} has status '{given}', which is none of {known}") from None


def _row(
    step: Step,
    status: Status,
    message: str,
    evidence: Sequence[str],
    began: float,
    seconds: float,
    value: Any = None,
    unit: str | None = None,
) -> dict[str, Any]:
    made = Result.make(
        step.id, step.title, status, message, began, seconds, value=value, unit=unit, evidence=evidence, ref=step.ref
    )
    return made.to_dict()
