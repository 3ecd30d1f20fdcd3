# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies of logs: whether what they promise is kept, and how long there is room for it."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.opened import writers
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import read_text
from ansible_collections.day2.ops.plugins.module_utils.rotation import pieces
from ansible_collections.day2.ops.plugins.module_utils.rotation.growth import DAY, days_until, per_day
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import CLASSES, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.written import is_written
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    counted,
    format_bytes,
    format_duration,
    format_number,
)

SPEC = ProbeSpec(
    doc="The policies by which logs of this host are kept (role `log_management`). Without `name` and `log_class`, all"
    " of them. A policy that is not there is critical, one that cannot be read unknown.",
    arguments={
        "name": Argument("str", "One log, by the name of its policy."),
        "log_class": Argument("str", "The logs of a class.", choices=tuple(CLASSES)),
    },
    metrics={
        "size": Metric(
            "All files of a class, as a share of the class's limit (of the log's class, for a `name`). Beyond it is a"
            " warning, for audit critical.",
            "%",
        ),
        "age": Metric(
            "The oldest piece that no hold keeps, as a share of its log's age. A day beyond it is critical.",
            "%",
        ),
        "days_left": Metric(
            "Days until a class reaches its limit, at the growth of the last days, less what goes by its age. Where"
            " it never does, the age after which as much goes as comes. Unknown until there are rotations of two days.",
            "d",
        ),
        "waiting": Metric("Pieces that nothing has packed for more than an hour. Any is a warning.", "pieces"),
        "writers": Metric(
            "Pieces that a process still has open for writing a minute after their rotation. Any is a warning.",
            "pieces",
        ),
        "held": Metric("Pieces that a hold keeps.", "pieces"),
        "tended": Metric("Time since `day2ctl logs tend` last ended.", "s"),
        "faults": Metric("What its last run could not do, or could not keep. Any is critical.", "faults"),
    },
    default_metric="size",
    exclusive=(("name", "log_class"),),
)
_WAIT, _REOPEN = 3600.0, 60.0
_SHOWN = 20


@dataclass
class Kept:
    """What is kept of the logs of this host, by their policies' names."""

    place: Place
    now: float
    policies: dict[str, Policy] = field(default_factory=dict)
    broken: dict[str, Day2Error] = field(default_factory=dict)
    found: dict[str, list[Piece]] = field(default_factory=dict)
    # Files that are written to, and their bytes.
    current: dict[str, dict[str, int]] = field(default_factory=dict)

    def of(self, args: Mapping[str, Any]) -> list[Policy]:
        """The policies that a check is about. Empty where there is none."""
        name, log_class = args["name"], args["log_class"]
        broken = [trouble for other, trouble in self.broken.items() if name in (None, other)]
        if broken:
            raise Undetermined(str(broken[0]))
        chosen = self.policies.values() if name is None else [self.policies[name]] if name in self.policies else []
        return [policy for policy in chosen if log_class in (None, policy.log_class)]

    def pieces(self, policy: Policy) -> list[Piece]:
        """Those that are no longer written to."""
        current = self.current[policy.name]
        return [piece for piece in self.found[policy.name] if piece.path not in current]

    def is_held(self, policy: Policy, piece: Piece) -> bool:
        return (policy.hold_on(piece.plain, self.now) or policy.hold_on(piece.path, self.now)) is not None

    def size(self, policy: Policy) -> int:
        return sum(piece.size for piece in self.pieces(policy)) + sum(self.current[policy.name].values())


def source_key(_check: Check) -> object:
    return ""


def open_source(_checks: list[Check], _progress: Progress) -> Kept:
    kept = Kept(Place(), time.time())
    try:
        names = kept.place.policies.names()
    except (Day2Error, OSError) as exc:
        raise Undetermined(str(exc)) from exc
    for name in names:
        try:
            policy = kept.place.policies.load(name)
        except NeedsRoot:
            raise
        except Day2Error as exc:
            kept.broken[name] = exc
            continue
        if policy is not None:
            _look(kept, policy)
    return kept


def _look(kept: Kept, policy: Policy) -> None:
    kept.policies[policy.name] = policy
    try:
        kept.found[policy.name] = pieces.find(policy)
        kept.current[policy.name] = pieces.sizes(policy)
    except PermissionError as exc:
        raise NeedsRoot(f"{exc.filename} cannot be read") from None


def observe(kept: Kept, check: Check) -> Observation:
    policies = kept.of(check.args)
    if not policies:
        name, log_class = check.args["name"], check.args["log_class"]
        whom = f"of a log '{name}'" if name else f"of class {log_class}" if log_class else "of any log"
        known = ", ".join(kept.policies) or "none"
        return Observation(None, "", failure=f"there is no policy {whom} on this host; there are: {known}")
    return _METRICS[check.metric.name](kept, policies)


def _classes(kept: Kept, policies: Sequence[Policy]) -> dict[str, list[Policy]]:
    """All policies of the classes of some: a limit is one for all logs of a class."""
    names = sorted({policy.log_class for policy in policies})
    return {name: [each for each in kept.policies.values() if each.log_class == name] for name in names}


def _size(kept: Kept, policies: Sequence[Policy]) -> Observation:
    rows = []
    for name, members in _classes(kept, policies).items():
        size, cap = sum(map(kept.size, members)), max(policy.max_size for policy in members)
        rows.append((100 * size / cap, name, size, cap, members))
    share, name, size, cap, members = max(rows)
    text = f"class {name} has {format_bytes(size)}, {format_number(share)} % of {format_bytes(cap)}"
    evidence = [f"{format_bytes(kept.size(each))} {each.name}" for each in sorted(members, key=kept.size, reverse=True)]
    over = Status.CRITICAL if CLASSES[name].sealed else Status.WARNING
    return Observation(share, text, evidence=evidence, status=over if share > 100 else None, is_default=True)


def _age(kept: Kept, policies: Sequence[Policy]) -> Observation:
    ages = [
        (kept.now - piece.rotated, policy, piece)
        for policy in policies
        for piece in kept.pieces(policy)
        if not kept.is_held(policy, piece)
    ]
    if not ages:
        return Observation(0, f"{', '.join(policy.name for policy in policies)} has no piece yet")
    age, policy, piece = max(ages, key=lambda row: row[0] / row[1].max_age)
    share = 100 * age / policy.max_age
    limit = format_duration(policy.max_age)
    text = f"the oldest piece of {policy.name} is {format_duration(age)} old, {format_number(share)} % of {limit}"
    late = Status.CRITICAL if age > policy.max_age + DAY else None
    return Observation(share, text, evidence=[piece.path], status=late, is_default=True)


def _days_left(kept: Kept, policies: Sequence[Policy]) -> Observation:
    rows, unknown = [], []
    for name, members in _classes(kept, policies).items():
        rates = [per_day(kept.pieces(policy), kept.now) for policy in members]
        known = [rate for rate in rates if rate is not None]
        if not known:
            unknown.append(name)
            continue
        leaving = [
            ((policy.max_age - (kept.now - piece.rotated)) / DAY, float(piece.size))
            for policy in members
            for piece in kept.pieces(policy)
            if not kept.is_held(policy, piece)
        ]
        size, cap = sum(map(kept.size, members)), max(policy.max_size for policy in members)
        horizon = max(policy.max_age for policy in members) / DAY
        days = days_until(size, cap, sum(known), leaving, horizon)
        grows = (
            f"class {name} has {format_bytes(size)} of {format_bytes(cap)} and gets {format_bytes(sum(known))} a day"
        )
        then = f"its limit is reached in {format_number(days)} d" if days is not None else (
            f"its limit is not reached: after {format_number(horizon)} d as much goes as comes")  # fmt: skip
        rows.append((horizon if days is None else days, f"{grows}; {then}"))
    if not rows:
        raise Undetermined(f"class {', '.join(unknown)} has no rotations of two days yet, so its growth is not known")
    days, text = min(rows)
    return Observation(days, text, evidence=[said for _days, said in sorted(rows)])


def _counted(number: Sequence[str], what: str, wrong: Status | None) -> Observation:
    status = wrong if number else None
    return Observation(
        len(number), f"{counted(len(number), 'piece')} {what}", evidence=list(number), status=status, is_default=True
    )


def _waiting(kept: Kept, policies: Sequence[Policy]) -> Observation:
    late = [
        f"{piece.path}: rotated {format_duration(kept.now - piece.rotated)} ago"
        for policy in policies
        for piece in kept.found[policy.name]
        if not piece.form and kept.now - piece.rotated > _WAIT and not _is_current(kept, policy, piece)
    ]
    return _counted(late, "not packed an hour after rotation", Status.WARNING)


def _is_current(kept: Kept, policy: Policy, piece: Piece) -> bool:
    """Of a writer that renames by itself, what it has closed is a piece under the name of a log."""
    return piece.path in kept.current[policy.name] and _is_written(piece)


def _is_written(piece: Piece) -> bool:
    try:
        return is_written(piece.path)
    except PermissionError:
        raise NeedsRoot(f"{piece.path} cannot be read") from None


def _writers(kept: Kept, policies: Sequence[Policy]) -> Observation:
    written = [
        piece
        for policy in policies
        for piece in kept.pieces(policy)
        if not piece.form and kept.now - piece.rotated > _REOPEN and _is_written(piece)
    ]
    return _counted([_written_by(piece) for piece in written], "still open for writing", Status.WARNING)


def _written_by(piece: Piece) -> str:
    with suppress(FileNotFoundError):
        return f"{piece.path}: {', '.join(writers(os.stat(piece.path))) or 'a process that cannot be seen from here'}"
    return piece.path


def _held(kept: Kept, policies: Sequence[Policy]) -> Observation:
    held = [piece.path for policy in policies for piece in kept.pieces(policy) if kept.is_held(policy, piece)]
    return _counted(held, "kept by a hold", None)


def _status(kept: Kept) -> dict[str, Any]:
    """What the last run of all logs wrote; empty where there was none."""
    try:
        said = json.loads(read_text(kept.place.status, kept.place.trust))
        at = kept.place.tended(float(said["at"]))
        return {"at": at, "faults": list(map(str, [*said["faults"], *said["over"]]))}
    except FileNotFoundError:
        return {}
    except (Day2Error, OSError, ValueError, TypeError, KeyError) as exc:
        raise Undetermined(f"{kept.place.status} cannot be read: {exc}") from exc


_NEVER = "nothing has tended the logs of this host yet: systemctl status day2-logs.timer"


def _tended(kept: Kept, _policies: Sequence[Policy]) -> Observation:
    said = _status(kept)
    if not said:
        return Observation(None, "", failure=_NEVER)
    age = max(0.0, kept.now - said["at"])
    return Observation(round(age, 1), f"logs were tended {format_duration(age)} ago", evidence=said["faults"][:_SHOWN])


def _faults(kept: Kept, policies: Sequence[Policy]) -> Observation:
    said = _status(kept)
    if not said:
        return Observation(None, "", failure=_NEVER)
    about = tuple(f"{policy.name}: " for policy in policies) + tuple(
        f"class {name} " for name in {policy.log_class for policy in policies}
    )
    faults = [fault for fault in said["faults"] if fault.startswith(about)]
    ago = format_duration(max(0.0, kept.now - said["at"]))
    text = f"the run of {ago} ago has left {counted(len(faults), 'fault')}" + (f": {faults[0]}" if faults else "")
    status = Status.CRITICAL if faults else None
    return Observation(len(faults), text, evidence=faults[:_SHOWN], status=status, is_default=True)


_METRICS: dict[str, Callable[[Kept, Sequence[Policy]], Observation]] = {
    "size": _size, "age": _age, "days_left": _days_left, "waiting": _waiting, "writers": _writers, "held": _held,
    "tended": _tended, "faults": _faults,
}  # fmt: skip
