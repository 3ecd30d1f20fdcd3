# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory: how big, how many files, what grew, and which files have a wrong mode or owner."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.files import entries, matches
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    counted,
    format_bytes,
    format_duration,
)

_WANTED = ("mode", "owner", "group")


def _validate(args: dict[str, Any], metric: str | None) -> None:
    wanted = [name for name in _WANTED if args[name] is not None]
    if metric == "offenders" and not wanted:
        raise FieldError("metric", "'offenders' needs what is right: mode, owner or group")
    if wanted and metric not in (None, "offenders"):
        raise FieldError(wanted[0], f"is for metric 'offenders', not for '{metric}'")


SPEC = ProbeSpec(
    doc="The files below a directory. Symbolic links are not followed, other file systems are not entered."
    " With `mode`, `owner` or `group` the value is the number of offenders, and any of them is critical.",
    arguments={
        "path": Argument("path", "The directory.", required=True),
        "pattern": Argument("strings", "Only names that match one of these shell patterns, such as `*.py`."),
        "exclude": Argument("strings", "Names, of directories too, that are left out."),
        "recursive": Argument("bool", "Whether directories in it are entered.", default=True),
        "type": Argument("str", "What counts.", default="file", choices=("file", "directory", "any")),
        "since": Argument("duration", "For `growth`: the stretch of time.", default=86400.0),
        "mode": Argument("mode", 'The mode that is right, in octal digits: `"0640"`.'),
        "owner": Argument("str", "The owner that is right."),
        "group": Argument("str", "The group that is right."),
    },
    metrics={
        "size": Metric("Bytes of all files; a file with several names counts once.", "B"),
        "count": Metric("How many there are.", "files"),
        "growth": Metric("Bytes of the files that were written within `since`: at most so much came.", "B"),
        "newest": Metric("Time since one of them was last written.", "s"),
        "offenders": Metric("Files with another mode, owner or group than is right.", "files"),
    },
    default_metric="size",
    validate=_validate,
    choose_metric=lambda args: "offenders" if any(args[name] is not None for name in _WANTED) else "size",
)
_SHOWN = 20
_NOUNS = {"file": "file", "directory": "directory", "any": "entry"}


@dataclass
class Tally:
    """What a walk found."""

    size: int = 0
    count: int = 0
    grown: int = 0
    newest: float | None = None
    offenders: int = 0
    shown: list[str] = field(default_factory=list)
    biggest: list[tuple[int, str]] = field(default_factory=list)


def observe(_source: object, check: Check) -> Observation:
    args = check.args
    tally = _walk(args)
    path, metric = args["path"], check.metric.name
    if metric == "offenders":
        rights = ", ".join(f"{name} {args[name]}" for name in _WANTED if args[name] is not None)
        text = f"{tally.offenders} of {counted(tally.count, 'file')} below {path} differ from {rights}"
        wrong = "none should" if tally.offenders else None
        return Observation(tally.offenders, text, evidence=tally.shown, unexpected=wrong)
    if metric == "count":
        return Observation(tally.count, f"{counted(tally.count, _NOUNS[args['type']])} in {path}")
    if metric == "newest":
        if tally.newest is None:
            raise Undetermined(f"nothing in {path} matches")
        age = time.time() - tally.newest
        return Observation(round(age, 1), f"something in {path} was last written {format_duration(age)} ago")
    largest = [f"{format_bytes(size)} {name}" for size, name in sorted(tally.biggest, reverse=True)]
    if metric == "growth":
        text = f"{format_bytes(tally.grown)} written in {path} within {format_duration(args['since'])}"
        return Observation(tally.grown, text, evidence=largest)
    return Observation(
        tally.size, f"{path} holds {format_bytes(tally.size)} in {counted(tally.count, 'file')}", evidence=largest
    )


def _walk(args: Any) -> Tally:
    tally = Tally()
    seen: set[tuple[int, int]] = set()
    young = time.time() - args["since"]
    for name, status in entries(args["path"], None, args["exclude"], args["recursive"]):
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
        if args["type"] not in ("any", kind) or not matches(os.path.basename(name), args["pattern"]):
            continue
        tally.count += 1
        tally.newest = max(tally.newest or 0.0, status.st_mtime)
        _compare(name, status, args, tally)
        if kind == "directory" or (status.st_nlink > 1 and (status.st_dev, status.st_ino) in seen):
            continue
        if status.st_nlink > 1:
            seen.add((status.st_dev, status.st_ino))
        tally.size += status.st_size
        tally.grown += status.st_size if status.st_mtime >= young else 0
        tally.biggest.append((status.st_size, name))
        if len(tally.biggest) > 1000:
            tally.biggest = sorted(tally.biggest, reverse=True)[:_SHOWN]
    tally.biggest = sorted(tally.biggest, reverse=True)[:_SHOWN]
    return tally


def _compare(name: str, status: os.stat_result, args: Any, tally: Tally) -> None:
    has = {}
    if args["mode"] is not None and stat.S_IMODE(status.st_mode) != int(args["mode"], 8):
        has["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
    if args["owner"] is not None and _user(status.st_uid) != args["owner"]:
        has["owner"] = _user(status.st_uid)
    if args["group"] is not None and _group(status.st_gid) != args["group"]:
        has["group"] = _group(status.st_gid)
    if not has:
        return
    tally.offenders += 1
    if len(tally.shown) < _SHOWN:
        tally.shown.append(f"{name}: {', '.join(f'{what} {value}' for what, value in has.items())}")


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
