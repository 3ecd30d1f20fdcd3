# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a list, as an inventory writes them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import EntriesError, meant
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import COMMON, Argument, ArgumentError

FIELDS: dict[str, Argument] = {
    "id": COMMON["id"],
    "title": Argument("str", "What an operator reads; without it the id."),
    "role": Argument("str", "The role that takes the step.", required=True),
    "entry_point": Argument("str", "The file of its tasks.", default="main"),
    "duration": Argument("duration", "How long it takes, for those who have to fit it into a window."),
    "ref": COMMON["ref"],
}


class StepError(EntriesError):
    """Malformed steps: everything that is wrong with them, a sentence each."""


@dataclass(frozen=True)
class Step:
    """One entry of a runbook. `duration` is in seconds, None where nobody said."""

    id: str
    title: str
    role: str
    entry_point: str = "main"
    duration: float | None = None
    ref: tuple[str, ...] = ()

    @property
    def short_role(self) -> str:
        """The role's name without its collection or its folder, which is what its variables begin with."""
        return re.sub(r"\W", "_", self.role.rstrip("/").rpartition("/")[2].rpartition(".")[2])


def parse_steps(raw: Sequence[object]) -> list[Step]:
    """Typed steps in the order of `raw`; StepError names all that is wrong with all of them."""
    problems: list[str] = []
    seen: dict[str, int] = {}
    steps = []
    for number, entry in enumerate(raw, start=1):
        if not isinstance(entry, Mapping):
            problems.append(f"step {number}: {entry!r} is not a mapping of {', '.join(FIELDS)}")
            continue
        name = f"step '{entry['id']}'" if entry.get("id") else f"step {number}"
        found = _malformed(entry)
        if entry.get("id") and seen.setdefault(str(entry["id"]), number) != number:
            # Their rows in a report would be taken for one.
            found.append(f"field 'id': is also the id of step {seen[str(entry['id'])]}")
        problems += [f"{name}, {problem}" for problem in found]
        if not found:
            steps.append(_typed(entry))
    if problems:
        raise StepError(problems)
    return steps


def _malformed(entry: Mapping[str, Any]) -> list[str]:
    problems = []
    for field in entry:
        if field not in FIELDS:
            problems.append(f"field '{field}': is unknown; {meant(field, FIELDS)}")
    for field, argument in FIELDS.items():
        if _given(entry, field) is None:
            problems += [f"field '{field}': is missing"] if argument.required else []
            continue
        try:
            argument.read(entry[field])
        except ArgumentError as exc:
            problems.append(f"field '{field}': {exc}")
    return problems


def _given(entry: Mapping[str, Any], field: str) -> Any:
    """The field, None where it says nothing. A role without references passes an empty `ref` on."""
    value = entry.get(field)
    return None if field == "ref" and value in ("", [], ()) else value


def _typed(entry: Mapping[str, Any]) -> Step:
    values = {
        field: argument.default if _given(entry, field) is None else argument.read(entry[field])
        for field, argument in FIELDS.items()
    }
    return Step(**{**values, "title": values["title"] or values["id"], "ref": values["ref"] or ()})
