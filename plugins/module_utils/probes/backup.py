# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups that lie as files in a directory: how old, how big against those before, whether they read."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup.files import BackupFile, fault, find, size_percent
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if args["since"] is not None and metric not in ("count", "unreadable"):
        raise FieldError("since", "is for the metrics 'count' and 'unreadable'")


SPEC = ProbeSpec(
    doc="Backup files of a shell pattern; the newest by time. None at all is critical. Files that are still written"
    " (.tmp, .part) and digests (.sha256) do not count.",
    arguments={
        "path": Argument("path", "A shell pattern, such as `/var/backups/app/db_*.dump`.", required=True),
        "since": Argument("duration", "Only backups of this last stretch of time."),
        "last": Argument("count", "For `unreadable`: how many of the newest are read.", default=1),
    },
    metrics={
        "age": Metric("Age of the newest.", "s"),
        "size": Metric("Its size.", "B"),
        "size_percent": Metric("Its size against the median of the seven before it.", "%"),
        "count": Metric("How many there are.", "backups"),
        "unreadable": Metric(
            "How many of the newest do not read to their end or differ from their digest; any is critical.", "backups"
        ),
    },
    default_metric="age",
    validate=_validate,
)
_SHOWN = 10


def source_key(check: Check) -> object:
    return check.args["path"]


def open_source(checks: list[Check], _progress: Progress) -> list[BackupFile]:
    pattern = checks[0].args["path"]
    # A directory that may not be read looks empty to glob.
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder) and any(mark in folder for mark in "*?["):
        folder = os.path.dirname(folder)
    try:
        os.listdir(folder)
        return find(pattern)
    except PermissionError:
        raise NeedsRoot(f"{folder} cannot be read") from None
    except FileNotFoundError:
        # No backup lies where none can.
        return []
    except OSError as exc:
        raise Undetermined(f"{folder}: {exc.strerror}") from exc


def _line(each: BackupFile, now: float) -> str:
    size = format_quantity(each.size, Unit("B", BYTES))
    return f"{each.path}: {size}, {format_duration(now - each.written)} old"


def observe(files: list[BackupFile], check: Check) -> Observation:
    args, metric, now = check.args, check.metric.name, time.time()
    pattern = args["path"]
    if args["since"] is not None:
        files = [each for each in files if now - each.written <= args["since"]]
    stretch = f" of the last {format_duration(args['since'])}" if args["since"] is not None else ""
    if metric == "count":
        wrong = None if files else "there should be one"
        text = f"{len(files)} backups{stretch} match {pattern}"
        return Observation(len(files), text, unexpected=wrong, evidence=[_line(each, now) for each in files[:_SHOWN]])
    if not files:
        return Observation(None, "", failure=f"no backup{stretch} matches {pattern}")
    newest, evidence = files[0], [_line(each, now) for each in files[:_SHOWN]]
    size = format_quantity(newest.size, Unit("B", BYTES))
    name = os.path.basename(newest.path)
    if metric == "age":
        age = now - newest.written
        if age < 0:
            raise Undetermined(f"{name} was written {format_duration(-age)} in the future: a clock is wrong", evidence)
        return Observation(round(age, 1), f"{name} is {format_duration(age)} old ({size})", evidence=evidence)
    if metric == "size":
        wrong = None if newest.size else "it should not be empty"
        return Observation(newest.size, f"{name} has {size}", evidence=evidence, unexpected=wrong)
    if metric == "size_percent":
        share = size_percent(files)
        if share is None:
            raise Undetermined(f"{name} has {size}, and no backup before it to compare with", evidence)
        text = f"{name} has {size}, {share:.0f} % of the median of those before"
        return Observation(round(share, 2), text, evidence=evidence)
    return _read_whole(files[: args["last"]] if args["since"] is None else files)


def _read_whole(files: list[BackupFile]) -> Observation:
    try:
        faults = {each.path: fault(each.path) for each in files}
    except PermissionError as exc:
        raise NeedsRoot(f"{exc.filename} cannot be read") from None
    bad = [f"{path} {wrong}" for path, wrong in faults.items() if wrong is not None]
    text = f"{len(files) - len(bad)} of {len(files)} backups read to their end"
    evidence = bad + [f"{path} reads" for path, wrong in faults.items() if wrong is None]
    wrong = "all should" if bad else None
    return Observation(len(bad), text, evidence=evidence, unexpected=wrong)
