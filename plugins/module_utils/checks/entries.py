# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of mappings that people write in an inventory: read, with every fault named by entry and field. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, Protocol, Sequence, TypeVar

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


class EntriesError(Day2Error):
    """Entries that are malformed: everything that is wrong with them, a sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


class Named(Protocol):
    """What an entry becomes."""

    @property
    def name(self) -> str:
        """How messages call it; no two of a list have one."""


Made = TypeVar("Made", bound=Named)


@dataclass(frozen=True)
class Entries:
    """Entries of one kind, such as `window`. `readers` have their fields, `others` are read by whoever makes them."""

    kind: str
    readers: Mapping[str, Callable[[Any], Any]]
    required: Sequence[str]
    others: Sequence[str] = ()

    def read(
        self,
        raw: object,
        make: Callable[[Mapping[str, Any], dict[str, Any], Callable[[str, str], None]], Made],
        error: type[EntriesError],
    ) -> list[Made]:
        """In the order of `raw`; the same one twice counts once. `error` names every fault.

        `make` takes an entry, its values, and what reports a fault of a field.
        """
        if not isinstance(raw, (list, tuple)):
            raise error([f"{raw!r} is not a list of {self.kind}s"])
        problems: list[str] = []
        found: dict[str, Made] = {}
        for place, entry in enumerate(raw, start=1):
            before = len(problems)
            label, values = self._values(place, entry, problems)

            def report(field: str, fault: str, label: str = label) -> None:
                problems.append(f"{label}, field '{field}': {fault}")

            made = make(entry, values, report) if len(problems) == before else None
            if made is not None and len(problems) == before and found.setdefault(made.name, made) != made:
                problems.append(f"{self.kind} '{made.name}', field 'name': two different {self.kind}s have it")
        if problems:
            raise error(problems)
        return list(found.values())

    def _values(self, place: int, entry: object, problems: list[str]) -> tuple[str, dict[str, Any]]:
        label = f"{self.kind} {place}"
        if not isinstance(entry, Mapping):
            problems.append(f"{label}: {entry!r} is not a mapping")
            return label, {}
        if isinstance(entry.get("name"), str) and entry["name"]:
            label = f"{self.kind} '{entry['name']}'"
        known = (*self.readers, *self.others)
        problems += [
            f"{label}, field '{field}': is no field of a {self.kind}; {meant(field, known)}"
            for field in entry
            if field not in known
        ]
        values: dict[str, Any] = {}
        for field, read in self.readers.items():
            if entry.get(field) is None:
                problems += [f"{label}, field '{field}': is missing"] if field in self.required else []
                continue
            try:
                values[field] = read(entry[field])
            except ArgumentError as exc:
                problems.append(f"{label}, field '{field}': {exc}")
        return label, values


def nearest(name: object, known: Iterable[str], least: float = 0.6) -> str | None:
    """The known name that is most like it; None where the likeness (0 to 1) of all is below `least`."""
    # Imported when something is wrong already: the happy path does not pay for it.
    import difflib

    near = difflib.get_close_matches(str(name), list(known), 1, least)
    return near[0] if near else None


def meant(name: object, known: Iterable[str]) -> str:
    """What was probably meant, or else what there is: the end of a sentence about a name that nobody knows."""
    names = list(known)
    near = nearest(name, names)
    return f"did you mean '{near}'?" if near else f"there are {', '.join(names)}"
