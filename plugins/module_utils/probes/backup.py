# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups, as files in a directory or as sets of a repository: how old, how big against those before, whether good.

Each kind of backup is a file of package `backups`, sent to a host and loaded where a check names it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import (
    Argument,
    ArgumentError,
    Check,
    Metric,
    ProbeSpec,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.file_sets.dated_files import BackupFile, size_percent
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress
from ansible_collections.day2.ops.plugins.module_utils.repositories.s3_options import OPTIONS
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)

# Of sets only: what their states and manifests say.
OF_SETS = ("unverified", "unencrypted")
PROVEN = "proven_age"
# The file that answers for a kind, by the argument that names it.
_KINDS = {"stanza": "stanza", "repository": "sets", "path": "files"}
_KINDS_OF = f"{__name__}s"
_SHOWN = 10

# How an S3-compatible service is reached, as the modules of backups and role postgres_backup have it.
S3 = {("s3_timeout" if name == "timeout" else name): argument for name, argument in OPTIONS.items()}


def _take_s3(args: dict[str, Any]) -> None:
    """`s3`, entry by entry, as if each stood beside it."""
    for name, value in (args["s3"] or {}).items():
        own = "s3_timeout" if name == "timeout" else name
        if own not in S3:
            raise FieldError("s3", f"has no entry '{name}'; {meant(name, OPTIONS)}")
        if args[own] is not None:
            raise FieldError("s3", f"has '{name}', which stands beside it as well")
        if value == "":
            continue
        try:
            args[own] = S3[own].read(value)
        except ArgumentError as exc:
            raise FieldError("s3", f"'{name}' cannot be read" if S3[own].secret else f"'{name}': {exc}") from None
    args["s3"] = None


def _validate(args: dict[str, Any], metric: str | None) -> None:
    _take_s3(args)
    given = [name for name in S3 if args[name] is not None]
    if given and args["repository"] is None:
        raise FieldError(given[0], "goes with 'repository'")
    if args["repository"] is not None:
        import_module(f"{_KINDS_OF}.sets").read_place(args, given)
    if metric in OF_SETS and args["repository"] is None:
        raise FieldError("repository", f"is missing; metric '{metric}' is of backup sets")
    if metric == PROVEN and args["repository"] is None and args["stanza"] is None:
        raise FieldError("repository", f"is missing, and 'stanza' too; metric '{metric}' is of what drills restore")
    if metric == "unreadable" and args["stanza"] is not None:
        raise FieldError("stanza", "has no metric 'unreadable': pg_backup reads pgBackRest's repository (verify)")
    if args["pgbackrest_config"] is not None and args["stanza"] is None:
        raise FieldError("pgbackrest_config", "goes with 'stanza'")
    if args["path"] is not None and args["series"] is not None:
        raise FieldError("series", "goes with 'repository'")
    if args["since"] is not None and metric not in ("count", "unreadable"):
        raise FieldError("since", "is for the metrics 'count' and 'unreadable'")
    if (metric == "next_run") != (args["timer"] is not None):
        raise FieldError("timer", "and metric 'next_run' go together")


SPEC = ProbeSpec(
    doc="Backup files of a shell pattern, the sets of a repository, or pgBackRest's backups of a stanza; the newest by"
    " time. None at all is critical. Sets that are damaged, or lack files, are named and do not count."
    " Files that are still written (.tmp, .part), digests (.sha256) and unfinished sets do not count.",
    arguments={
        "path": Argument("path", "A shell pattern, such as `/var/backups/app/db_*.dump`."),
        "repository": Argument(
            "str or mapping",
            "A repository of backup sets: an absolute path, an address (`s3://…`, `sftp://…`), or a mapping of `url`"
            " and options of its kind.",
            # Options of other kinds are kept apart like what is not declared.
            entries={"url": Argument("str", "Its address."), **OPTIONS},
        ),
        "series": Argument("str", "The series of the sets; without it postgresql."),
        **S3,
        "s3": Argument(
            "mapping",
            "The same options as one mapping (`endpoint_url`, `region`, `access_key`, `secret_key`, `session_token`,"
            " `ca_path`, `validate_certs`, `timeout`), such as `postgres_backup_s3`.",
            secret=True,
            entries=OPTIONS,
        ),
        "stanza": Argument("str", "A stanza of pgBackRest: its backups without page errors, by the databases' sizes."),
        "pgbackrest_config": Argument("path", "pgBackRest's configuration; without it the one that it finds itself."),
        "pgbackrest_repo": Argument("count", "The number of pgBackRest's repository.", default=1),
        "timer": Argument("str", "For `next_run`: the systemd timer that starts the backups, on this host."),
        "since": Argument("duration", "Only backups of this last stretch of time."),
        "last": Argument(
            "count", "For `unreadable`, `unverified`, `unencrypted`: how many of the newest are meant.", default=1
        ),
    },
    metrics={
        "age": Metric("Age of the newest.", "s"),
        "size": Metric("Its size.", "B"),
        "size_percent": Metric("Its size against the median of the seven before it.", "%"),
        "count": Metric("How many there are.", "backups"),
        "unreadable": Metric(
            "How many of the newest do not read to their end or differ from their digest; any is critical.", "backups"
        ),
        "unverified": Metric(
            "How many of the newest sets nobody has verified, or are known to be damaged; any is critical.", "backups"
        ),
        "unencrypted": Metric("How many of the newest sets are not encrypted; any is critical.", "backups"),
        "proven_age": Metric(
            "Time since a restore of one of the sets, or of the stanza's backups, was proven; never is critical.", "s"
        ),
        "next_run": Metric("Time until the timer starts the next backup; one that is not armed is critical.", "s"),
    },
    default_metric="age",
    one_of=("path", "repository", "stanza", "timer"),
    exclusive=(("path", "repository"),),
    validate=_validate,
)


@dataclass(frozen=True)
class Kind:
    """Backups of one kind in the shape of files, newest first; each kind adds what it alone can tell."""

    files: list[BackupFile]

    def answer(self, _args: Mapping[str, Any], _metric: str, _now: float) -> Observation | None:
        """The answer to what concerns more than times and sizes; None for everything else."""
        return None

    def spoilt(self, _files: Sequence[BackupFile]) -> list[str]:
        """Damaged ones that are newer than what counts: why it is not as young as one should think."""
        return []


def parts(fields: Mapping[str, Any]) -> list[str]:
    """Files that a check loads beside this one, from its entry."""
    kinds = [f"backups.{kind}" for name, kind in _KINDS.items() if fields.get(name) is not None]
    return [*kinds, *(["timer"] if fields.get("timer") is not None else [])]


def source_key(check: Check) -> object:
    names = ("path", "repository", "series", "stanza", "pgbackrest_config", "pgbackrest_repo", "timer")
    return tuple(check.args[name] for name in names)


def open_source(checks: list[Check], _progress: Progress) -> Kind:
    args = checks[0].args
    for name, kind in _KINDS.items():
        if args[name] is not None:
            opened: Kind = import_module(f"{_KINDS_OF}.{kind}").open_kind(args)
            return opened
    return Kind([])


def observe(source: Kind, check: Check) -> Observation:
    args, metric, now = check.args, check.metric.name, time.time()
    if metric == "next_run":
        return _next_run(check)
    own = source.answer(args, metric, now)
    if own is not None:
        return own
    pattern = args["path"] or args["repository"] or f"stanza '{args['stanza']}'"
    files = within(source.files, args["since"], now)
    stretch = f" of the last {format_duration(args['since'])}" if args["since"] is not None else ""
    spoilt = source.spoilt(files)
    remark, evidence = (
        f"; {spoilt[0]}" if spoilt else "",
        [_line(backup, now) for backup in files[:_SHOWN]] + spoilt[:_SHOWN],
    )
    if metric == "count":
        wrong = None if files else "there should be one"
        text = f"{len(files)} backups{stretch} match {pattern}{remark}"
        return Observation(len(files), text, unexpected=wrong, evidence=evidence)
    if not files:
        return Observation(None, "", failure=f"no backup{stretch} matches {pattern}{remark}", evidence=spoilt[:_SHOWN])
    return _of_newest(files, metric, now, remark, evidence)


def within(files: list[BackupFile], since: float | None, now: float) -> list[BackupFile]:
    """Those of the last `since` seconds."""
    return files if since is None else [backup for backup in files if now - backup.written <= since]


def _line(backup: BackupFile, now: float) -> str:
    size = format_quantity(backup.size, Unit("B", BYTES))
    return f"{backup.path}: {size}, {format_duration(now - backup.written)} old"


def _of_newest(files: list[BackupFile], metric: str, now: float, remark: str, evidence: list[str]) -> Observation:
    newest = files[0]
    size = format_quantity(newest.size, Unit("B", BYTES))
    name = os.path.basename(newest.path)
    if metric == "age":
        age = now - newest.written
        if age < 0:
            raise Undetermined(f"{name} was written {format_duration(-age)} in the future: a clock is wrong", evidence)
        return Observation(round(age, 1), f"{name} is {format_duration(age)} old ({size}){remark}", evidence=evidence)
    if metric == "size":
        wrong = None if newest.size else "it should not be empty"
        return Observation(newest.size, f"{name} has {size}{remark}", evidence=evidence, unexpected=wrong)
    share = size_percent(files)
    if share is None:
        raise Undetermined(f"{name} has {size}, and no backup before it to compare with{remark}", evidence)
    text = f"{name} has {size}, {share:.0f} % of the median of those before{remark}"
    return Observation(round(share, 2), text, evidence=evidence)


def _next_run(check: Check) -> Observation:
    """As probe timer answers it."""
    metric = replace(check.metric, name="next")
    seen: Observation = registry.load("timer").observe(
        None, replace(check, args={"name": check.args["timer"]}, metric=metric)
    )
    return seen


def proven(moment: float | None, now: float) -> Observation:
    """The time since a restore that was proven."""
    if moment is None:
        return Observation(None, "", failure="no restore of these backups was ever proven")
    return Observation(round(now - moment, 1), f"a restore was proven {format_duration(now - moment)} ago")
