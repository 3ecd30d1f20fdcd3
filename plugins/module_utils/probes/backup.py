# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups, as files in a directory or as sets of a repository: how old, how big against those before, whether good."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any, Mapping, NamedTuple

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
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Progress

# Of sets only: what their states and manifests say.
_OF_SETS = ("unverified", "unencrypted")
_PROVEN = "proven_age"


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if metric in _OF_SETS and args["repository"] is None:
        raise FieldError("repository", f"is missing; metric '{metric}' is of backup sets")
    if metric == _PROVEN and args["repository"] is None and args["stanza"] is None:
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
        "repository": Argument("str", "A repository of backup sets: an absolute path, or `s3://bucket/prefix`."),
        "series": Argument("str", "Its series; without it postgresql."),
        "endpoint_url": Argument("str", "The address of an S3-compatible service, where it is not Amazon's."),
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
_SHOWN = 10


def source_key(check: Check) -> object:
    names = ("path", "repository", "series", "endpoint_url", "stanza", "pgbackrest_config", "pgbackrest_repo", "timer")
    return tuple(check.args[name] for name in names)


def open_source(checks: list[Check], _progress: Progress) -> list[BackupFile] | Sets | Backups:
    if checks[0].args["stanza"] is not None:
        return _open_stanza(checks[0].args)
    if checks[0].args["repository"] is not None:
        return _open_sets(checks[0].args)
    pattern = checks[0].args["path"]
    if pattern is None:
        return []
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


class Sets(NamedTuple):
    """The sets of a repository, newest first; those that are not damaged also in the shape of files."""

    repository: Any
    found: list[Any]
    files: list[BackupFile]


def _open_sets(args: Mapping[str, Any]) -> Sets:
    from ansible_collections.day2.ops.plugins.module_utils.backup.repository import RepositoryError, open_repository
    from ansible_collections.day2.ops.plugins.module_utils.backup.sets import load

    try:
        repository = open_repository(args["repository"], {"endpoint_url": args["endpoint_url"]})
        found = load(repository, args["series"] or "postgresql").sets
    except RepositoryError as exc:
        if isinstance(exc.__cause__, PermissionError):
            raise NeedsRoot(f"{args['repository']} cannot be read") from None
        raise Undetermined(str(exc)) from None
    good = [each.manifest for each in found if each.state.damaged is None]
    files = [BackupFile(each.id, each.time, each.size) for each in good]
    return Sets(repository, found, files)


class Backups(NamedTuple):
    """pgBackRest's of a stanza, newest first in the shape of files, and when one was proven last (POSIX seconds)."""

    files: list[BackupFile]
    proven: float | None


def _open_stanza(args: Mapping[str, Any]) -> Backups:
    from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import open_client
    from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import parse_info

    try:
        client = open_client(args["stanza"], args["pgbackrest_config"], args["pgbackrest_repo"])
        stanza = parse_info(client.ask("info", f"--repo={client.repo}"), client.stanza, client.repo)
    except Day2Error as exc:
        if isinstance(exc.__cause__, PermissionError):
            raise NeedsRoot(f"pgBackRest's configuration of stanza '{args['stanza']}' cannot be read") from None
        raise Undetermined(str(exc)) from None
    usable = list(reversed(stanza.usable))
    proven = [each.proven for each in usable if each.proven is not None]
    return Backups([BackupFile(each.label, each.stop, each.size) for each in usable], max(proven, default=None))


def observe(source: list[BackupFile] | Sets | Backups, check: Check) -> Observation:
    args, metric, now = check.args, check.metric.name, time.time()
    if metric == "next_run":
        return _next_run(check)
    pattern = args["path"] or args["repository"] or f"stanza '{args['stanza']}'"
    files = source if isinstance(source, list) else source.files
    if isinstance(source, Backups) and files and metric == _PROVEN:
        return _proven(source.proven, now)
    if isinstance(source, Sets) and source.found and metric in (*_OF_SETS, _PROVEN, "unreadable"):
        return _of_sets(source, args["last"], metric, now)
    if args["since"] is not None:
        files = [each for each in files if now - each.written <= args["since"]]
    stretch = f" of the last {format_duration(args['since'])}" if args["since"] is not None else ""
    spoilt = _spoilt(source, files)
    told, evidence = f"; {spoilt[0]}" if spoilt else "", [_line(each, now) for each in files[:_SHOWN]] + spoilt[:_SHOWN]
    if metric == "count":
        wrong = None if files else "there should be one"
        text = f"{len(files)} backups{stretch} match {pattern}{told}"
        return Observation(len(files), text, unexpected=wrong, evidence=evidence)
    if not files:
        return Observation(None, "", failure=f"no backup{stretch} matches {pattern}{told}", evidence=spoilt[:_SHOWN])
    if metric == "unreadable":
        return _read_whole(files[: args["last"]] if args["since"] is None else files)
    return _of_newest(files, metric, now, told, evidence)


def _spoilt(source: list[BackupFile] | Sets | Backups, files: list[BackupFile]) -> list[str]:
    """Damaged sets that are newer than what counts: why it is not as young as one should think."""
    if not isinstance(source, Sets):
        return []
    newest = files[0].written if files else 0.0
    damaged = [each for each in source.found if each.state.damaged is not None and each.manifest.time > newest]
    return [f"{each.manifest.id} is damaged: {each.state.damaged}" for each in damaged]


def _of_newest(files: list[BackupFile], metric: str, now: float, told: str, evidence: list[str]) -> Observation:
    newest = files[0]
    size = format_quantity(newest.size, Unit("B", BYTES))
    name = os.path.basename(newest.path)
    if metric == "age":
        age = now - newest.written
        if age < 0:
            raise Undetermined(f"{name} was written {format_duration(-age)} in the future: a clock is wrong", evidence)
        return Observation(round(age, 1), f"{name} is {format_duration(age)} old ({size}){told}", evidence=evidence)
    if metric == "size":
        wrong = None if newest.size else "it should not be empty"
        return Observation(newest.size, f"{name} has {size}{told}", evidence=evidence, unexpected=wrong)
    share = size_percent(files)
    if share is None:
        raise Undetermined(f"{name} has {size}, and no backup before it to compare with{told}", evidence)
    text = f"{name} has {size}, {share:.0f} % of the median of those before{told}"
    return Observation(round(share, 2), text, evidence=evidence)


def _next_run(check: Check) -> Observation:
    """As probe timer answers it."""
    from ansible_collections.day2.ops.plugins.module_utils.probes import timer

    metric = replace(check.metric, name="next")
    return timer.observe(None, replace(check, args={"name": check.args["timer"]}, metric=metric))


def _of_sets(source: Sets, last: int, metric: str, now: float) -> Observation:
    chosen = source.found[:last]
    if metric == _PROVEN:
        moments = [each.state.proven_at for each in source.found if each.state.proven_at is not None]
        return _proven(max(moments, default=None), now)
    if metric == "unencrypted":
        faults = {each.manifest.id: None if each.manifest.encrypted else "is not encrypted" for each in chosen}
        word = "encrypted"
    elif metric == "unverified":
        faults = {each.manifest.id: _verdict(each) for each in chosen}
        word = "verified"
    else:
        faults = {each.manifest.id: _read_set(source.repository, each) for each in chosen}
        word = "whole"
    bad = [f"{name} {wrong}" for name, wrong in faults.items() if wrong is not None]
    text = f"{len(chosen) - len(bad)} of the {len(chosen)} newest sets are {word}" + (f"; {bad[0]}" if bad else "")
    return Observation(len(bad), text, evidence=bad, unexpected="all should be" if bad else None)


def _proven(moment: float | None, now: float) -> Observation:
    if moment is None:
        return Observation(None, "", failure="no restore of these backups was ever proven")
    return Observation(round(now - moment, 1), f"a restore was proven {format_duration(now - moment)} ago")


def _verdict(each: Any) -> str | None:
    if each.state.damaged is not None:
        return f"is damaged: {each.state.damaged}"
    if each.state.good:
        return None
    return (
        "has the digests that were written, and was neither read nor restored"
        if each.state.whole
        else ("was not verified")
    )


def _read_set(repository: Any, each: Any) -> str | None:
    """By digests: whoever checks has no key, and the set was parsed when it was made."""
    from ansible_collections.day2.ops.plugins.module_utils.backup.repository import (
        Missing,
        RepositoryError,
        Unreadable,
    )
    from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces

    about = each.manifest
    try:
        for stored in about.files:
            drain(stored_pieces(repository, f"{about.series}/{about.id}", stored))
    except (Damaged, Missing, Unreadable) as exc:
        return str(exc)
    except RepositoryError as exc:
        # It does not answer: nobody knows what is in it.
        raise Undetermined(str(exc)) from None
    return None


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
