# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which units go with others: what stops with them, what starts them, what their start pulls in. Pure.

As systemd.unit(5) and unit-dependency-atom.c of systemd have it: a stop goes from a unit to those that name it in
Requires=, Requisite=, BindsTo=, PartOf= or StopPropagatedFrom=; sockets, paths, timers and automounts start the units
that they trigger.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Collection, Iterable, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.systemd import units as systemd_units

# ActiveState of units that a stop or restart finds running.
RUNNING = ("active", "activating", "reloading", "refreshing")
# ActiveState of units that have ended; until then they are `deactivating`, and may write.
ENDED = ("inactive", "failed")
TRIGGERS = (".socket", ".path", ".timer", ".automount")
# Neither stopped nor started by a person; slices and devices are required by all that is in them.
KINDS = (".service", ".target", ".mount", *TRIGGERS)
_STOPS_WITH = ("Requires", "Requisite", "BindsTo", "PartOf", "StopPropagatedFrom")
_DEPENDENCY = re.compile(rf"\s*(?:{'|'.join(_STOPS_WITH)})\s*=(.*)")
_STOPPED_BY = ("RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo", "TriggeredBy")
_NEEDS = ("Requires", "Requisite", "BindsTo", "Upholds")
# What a start pulls in is followed along these: everything needs sysinit.target, which wants half of the host.
_FOLLOWED = (".service", *TRIGGERS)
PROPERTIES = (
    "Id", "Names", "LoadState", "ActiveState", "SubState", "UnitFileState", "Type", "Result", "ConditionResult",
    "NRestarts", "Restart", "CanStart", "CanStop", "Transient", "InvocationID", "BusName",
    "ConditionTimestampMonotonic", "Triggers", "Wants", "Before", "Upholds",
    *_STOPS_WITH, *_STOPPED_BY,
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """A unit as `systemctl show` has it."""

    properties: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.properties.get("Id", "")

    @property
    def runs(self) -> bool:
        return self.properties.get("ActiveState") in RUNNING

    @property
    def has_ended(self) -> bool:
        return self.properties.get("ActiveState") in ENDED

    @property
    def is_restarting(self) -> bool:
        """It failed, and systemd is about to start it again."""
        return self.properties.get("SubState") in ("auto-restart", "auto-restart-queued")

    def starts_again(self, job: str) -> bool:
        """Whether it ends only to start again, by its `job` (`restart`; empty: none) or by itself (Restart=)."""
        if self.properties.get("SubState", "").endswith("before-auto-restart"):
            return True
        if job or self.properties.get("ActiveState") != "deactivating":
            return job in ("restart", "start") and self.properties.get("ActiveState") == "deactivating"
        policy, is_well = self.properties.get("Restart", "no"), self.properties.get("Result") == "success"
        return policy == "always" or (policy.startswith("on-") and is_well == (policy == "on-success"))

    @property
    def all_names(self) -> set[str]:
        """Its name and its aliases."""
        return {self.name, *systemd_units.unit_names(self.properties)}

    def names(self, *properties: str) -> set[str]:
        return {name for key in properties for name in self.properties.get(key, "").split()}


def parse(shown: str) -> list[Unit]:
    """What `systemctl show` of several units says."""
    return [Unit(fields) for fields in systemd_units.parse(shown)]


def near(unit: Unit) -> set[str]:
    """Units that `affected` and `pulled_in` have to know because of this one."""
    backward = {name for name in unit.names(*_STOPPED_BY) if name.endswith(KINDS)}
    forward = {name for name in unit.names("Wants", *_NEEDS) if name.endswith(_FOLLOWED)}
    return (backward | forward) if unit.name.endswith(_FOLLOWED) else backward


def mentions(text: str, names: Collection[str]) -> bool:
    """Whether the text of a unit may name one of those as something it stops with.

    Blanks, quotes, comments and lines that go on are as systemd.syntax(7) has them. What a specifier (`%p`) stands for
    only systemd knows: it is asked about such a unit, as about each that is named here.
    """
    for line in _joined(text):
        match = _DEPENDENCY.match(line)
        words = [word.strip("\"'") for word in match[1].split()] if match else []
        if any(word in names or "%" in word for word in words):
            return True
    return False


def _joined(text: str) -> Iterator[str]:
    """Lines without comments; those that end in a backslash with the next one, comments in between or not."""
    begun = ""
    for line in text.split("\n"):
        if line.lstrip().startswith(("#", ";")):
            continue
        if line.rstrip().endswith("\\"):
            begun += line.rstrip()[:-1] + " "
            continue
        yield begun + line
        begun = ""
    yield begun


def affected(units: Mapping[str, Unit], stopped: Iterable[str]) -> dict[str, str]:
    """Units that stop with those (or start them), and why; the nearest first. Those themselves are not among them."""
    found: dict[str, str] = {}
    seen = list(dict.fromkeys(stopped))
    waiting = deque(seen)
    while waiting:
        name = waiting.popleft()
        for other in units.values():
            if other.name in seen or not other.name.endswith(KINDS) or other.properties.get("LoadState") != "loaded":
                continue
            why = _why(other, name)
            if why:
                found[other.name] = why
                seen.append(other.name)
                # What stops with it stops as well.
                waiting.append(other.name)
    return found


def _why(other: Unit, stopped: str) -> str | None:
    if other.name.endswith(TRIGGERS) and stopped in other.names("Triggers"):
        return f"it starts {stopped}"
    return next((f"{key}={stopped}" for key in _STOPS_WITH if stopped in other.names(key)), None)


def triggers(units: Mapping[str, Unit], triggered: Collection[str]) -> dict[str, str]:
    """Sockets, paths, timers and automounts that start those, and why they are named."""
    return {
        unit.name: f"it starts {', '.join(sorted(unit.names('Triggers') & set(triggered)))}"
        for unit in units.values()
        if unit.name.endswith(TRIGGERS) and unit.names("Triggers") & set(triggered)
    }


def refusal(units: Mapping[str, Unit], stopped: Collection[str], affected_too: Collection[str]) -> str | None:
    """Why units that run cannot be stopped and started again, None where they can. Both are names.

    A stop that goes from one unit to another needs no permission, and neither does a start that one pulls in. It goes
    from units that run: one that does not is not stopped, and takes nothing along.
    """
    names = [name for name in (*stopped, *affected_too) if units[name].runs]
    refusing = [name for name in names if units[name].properties.get("CanStart") == "no"]
    told = affected(units, [name for name in names if units[name].properties.get("CanStop") != "no"])
    pulled = _closure(units, [name for name in names if name not in refusing], ("Wants", *_NEEDS))
    for name in names:
        about = units[name].properties
        if about.get("Transient") == "yes":
            return f"{name} was made by systemd-run, and is gone once it stops: nothing could start it again"
        if about.get("CanStop") == "no" and (name in stopped or name.endswith(TRIGGERS)):
            return f"{name} refuses to be stopped by hand (RefuseManualStop=)"
        if about.get("CanStop") == "no" and name not in told:
            return f"{name} refuses to be stopped by hand (RefuseManualStop=), and nothing that runs takes it along"
        if name in refusing and name not in pulled:
            return f"{name} refuses to be started by hand (RefuseManualStart=): it would not come back"
    return None


def pulled_in(units: Mapping[str, Unit], started: Collection[str]) -> list[str]:
    """Units that do not run, are not needed, and that the start of those would start: by Wants= alone."""
    wanted, needed = _closure(units, started, ("Wants", *_NEEDS)), _closure(units, started, _NEEDS)
    return sorted(name for name in wanted - needed - set(started) if name in units and not units[name].runs)


def _closure(units: Mapping[str, Unit], names: Iterable[str], keys: Sequence[str]) -> set[str]:
    found = list(dict.fromkeys(names))
    for name in found:
        if name in units:
            others = units[name].names(*keys)
            found += [other for other in others if other not in found and other.endswith(_FOLLOWED)]
    return set(found)
