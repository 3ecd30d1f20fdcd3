# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An old primary becomes a standby of the new one. What only it had is reported and kept before anything is changed.

A note beside the data directory says how far a run has come: a directory that pg_rewind has not finished is of no use
but to be replaced, and is kept under another name.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import divergence, rewinding
from ansible_collections.day2.ops.plugins.module_utils.failover.divergence import Divergence
from ansible_collections.day2.ops.plugins.module_utils.failover.following import (
    History,
    own_forks,
    state_of,
    until_streaming,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.local import (
    Member,
    MemberError,
    newest_timeline,
    write_owned,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.postmasters import servers
from ansible_collections.day2.ops.plugins.module_utils.failover.surroundings import disk_free
from ansible_collections.day2.ops.plugins.module_utils.failover.unfencing import unfence
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import Upstream
from ansible_collections.day2.ops.plugins.module_utils.failover.wal_end import wal_end
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, conninfo
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic, rfc3339

FOLLOW, REWIND, BASE_BACKUP = "follow", "rewind", "base_backup"
# States of the note: pg_rewind may have changed the directory, and it has brought it to the primary's timeline.
REWINDING, REWOUND = "rewinding", "rewound"
_NEEDS = "data checksums or wal_log_hints, and the cluster has neither"


@dataclass(frozen=True)
class Rejoin:
    """What a run asks for. `login` are parts of a connection string for replication, `rewind_login` those for
    pg_rewind; `evidence` a directory; `limit` seconds of the copy, `stream_limit` those until it streams."""

    host: str
    primary_port: int
    login: Mapping[str, str] = field(repr=False)
    rewind_login: Mapping[str, str] = field(repr=False)
    database: str = "postgres"
    method: str = "auto"
    slot: str | None = None
    name: str | None = None
    expected_timeline: int | None = None
    system_identifier: str | None = None
    evidence: str = "/var/lib/day2/dr/rejoined"
    keep_wal: bool = True
    run: str | None = None
    limit: float = 14400.0
    stream_limit: float = 60.0

    @property
    def address(self) -> dict[str, str]:
        return {"host": self.host, "port": str(self.primary_port)}


@dataclass(frozen=True)
class _Primary:
    """The new primary, as this host reaches it by two logins."""

    stream: Upstream
    source: Upstream
    identifier: str
    history: History


def note_path(data: str) -> str:
    return f"{data}.day2-rejoin"


def rejoin(member: Member, asked: Rejoin, check_mode: bool = False) -> dict[str, Any]:
    """The result of the module; MemberError says what forbids it, and what was changed until then."""
    primary = _ask(member, asked)
    if servers(member.cluster.data).found or member.cluster.running() is not None:
        return _running(member, asked, primary)
    if asked.system_identifier is None:
        _same_cluster(member, primary.identifier)
    state = _read_note(member)
    found = None if state else _diverged(member, primary)
    method = _method(member, asked, state, found)
    if check_mode:
        what = {FOLLOW: "would start as a standby", REWIND: "would be rewound", BASE_BACKUP: "would be copied anew"}
        return _result(True, method, found, primary, f"{_describe(found)}; it {what[method]}", None)
    if found is not None and found.bytes != 0:
        found = _keep(member, asked, primary, found)
    kept = _bring(member, asked, primary, method, state)
    if member.cluster.unit is not None:
        unfence(member.cluster.unit)
    member.cluster.start()
    until_streaming(member, primary.stream, primary.history.timeline, asked.stream_limit)
    _remove(note_path(member.cluster.data))
    how = {FOLLOW: "as it was", REWIND: "after pg_rewind", BASE_BACKUP: f"from a base backup; its old data is {kept}"}
    message = f"it streams from {primary.stream.address} on timeline {primary.history.timeline}, {how[method]}"
    return _result(True, method, found, primary, f"{_describe(found)}; {message}", kept)


def _ask(member: Member, asked: Rejoin) -> _Primary:
    stream = Upstream(member, {**asked.login, **asked.address})
    try:
        identifier, timeline, _end = stream.identify()
        history = History(timeline, stream.forks(timeline))
    except ServerError as exc:
        raise MemberError(f"the new primary cannot be asked: {exc}; nothing was changed") from exc
    if asked.system_identifier is not None and identifier != asked.system_identifier:
        raise MemberError(
            f"{stream.address} is another cluster (system identifier {identifier}), expected"
            f" {asked.system_identifier}; nothing was changed"
        )
    if asked.expected_timeline is not None and timeline != asked.expected_timeline:
        raise MemberError(
            f"{stream.address} is on timeline {timeline}, expected {asked.expected_timeline}; nothing was changed"
        )
    return _Primary(stream, Upstream(member, {**asked.rewind_login, **asked.address}), identifier, history)


def _running(member: Member, asked: Rejoin, primary: _Primary) -> dict[str, Any]:
    """A server that runs is a standby that streams from there, or is refused."""
    state = state_of(member)
    if not state.standby:
        raise MemberError(
            f"{member.cluster.data} runs as a primary on timeline {state.timeline}: fence it (dr_fence) before it"
            " becomes a standby; nothing was changed"
        )
    until_streaming(member, primary.stream, primary.history.timeline, asked.stream_limit)
    _remove(note_path(member.cluster.data))
    message = f"it streams from {primary.stream.address} on timeline {primary.history.timeline}"
    return _result(False, FOLLOW, None, primary, message, None)


def _same_cluster(member: Member, identifier: str) -> None:
    here = member.cluster.control().get("Database system identifier")
    if here != identifier:
        raise MemberError(
            f"{member.cluster.data} is another cluster (system identifier {here}) than the new primary ({identifier});"
            " nothing was changed"
        )


def _diverged(member: Member, primary: _Primary) -> Divergence:
    """What this member has beyond the place where the new primary left its timeline."""
    control = member.cluster.control()
    timeline = int(control.get("Latest checkpoint's TimeLineID", "1"))
    if member.cluster.is_standby() or not _is_clean(control):
        # After a promotion the control file names the timeline before until the next checkpoint.
        timeline = max(timeline, newest_timeline(member.cluster.data) or 0)
    redo = control.get("Latest checkpoint's REDO location", "0/0")
    text = wal_end(member, timeline, redo)
    end = parse_lsn(text) if text else None
    own = History(timeline, own_forks(member, timeline))
    place = divergence.parting(own, end, primary.history)
    if place is None:
        raise MemberError(
            f"timeline {timeline} of {member.cluster.data} and timeline {primary.history.timeline} of"
            f" {primary.stream.address} have nothing in common; nothing was changed"
        )
    if place[0] == primary.history.timeline and not member.cluster.is_standby():
        raise MemberError(
            f"{primary.stream.address} is on timeline {timeline} as this server is: nobody was promoted since, and this"
            " one may be the only right primary; nothing was changed"
        )
    found = Divergence(timeline, place[1], end)
    if end is None or end <= place[1]:
        return found
    beyond = divergence.read_beyond(member, timeline, place[1], end)
    if beyond is None:
        return found
    return replace(
        found,
        commits=beyond.commits,
        last_commit=beyond.last_commit,
        relations=tuple(sorted(beyond.relations)),
    )


def _is_clean(control: Mapping[str, str]) -> bool:
    return control.get("Database cluster state", "").startswith("shut down")


def _method(member: Member, asked: Rejoin, state: str, found: Divergence | None) -> str:
    """How it gets there. Pure but for the control file."""
    if asked.method == BASE_BACKUP:
        return BASE_BACKUP
    if state == REWINDING:
        if asked.method == REWIND:
            raise MemberError(
                f"an earlier pg_rewind of {member.cluster.data} has not ended: what it left is of no use but to be"
                f" replaced, with 'method' {BASE_BACKUP} or auto; nothing was changed"
            )
        return BASE_BACKUP
    if state == REWOUND:
        return REWIND
    if found is not None and found.bytes == 0:
        return FOLLOW
    control = member.cluster.control()
    if member.cluster.is_standby() and not _is_clean(control):
        # It could recover as a standby only, and pg_rewind wants that done.
        return BASE_BACKUP
    fit = control.get("Data page checksum version") not in (None, "0") or control.get("wal_log_hints setting") == "on"
    if asked.method == REWIND and not fit:
        raise MemberError(f"{member.cluster.data} cannot be rewound: pg_rewind needs {_NEEDS}; nothing was changed")
    return REWIND if fit else BASE_BACKUP


def _bring(member: Member, asked: Rejoin, primary: _Primary, method: str, state: str) -> str | None:
    """Make the data directory that of a standby; where the old one is kept, if it is."""
    data = member.cluster.data
    if asked.slot is not None:
        primary.stream.make_slot(asked.slot)
    settings = {
        "primary_conninfo": conninfo(**primary.stream.parts, application_name=asked.name or asked.slot),
        **({"primary_slot_name": asked.slot} if asked.slot else {}),
        "recovery_target_timeline": "latest",
    }
    own = rewinding.own_files(data)
    if method == BASE_BACKUP:
        return _replace(member, asked, primary, own, settings)
    if method == REWIND and state != REWOUND:
        rewinding.ready_source(primary.source, primary.history.timeline, asked.database)
        _write_note(member, asked, REWINDING, own)
        # What a fence has left of the server; pg_rewind refuses it as a server that runs.
        _remove(os.path.join(data, "postmaster.pid"))
        rewinding.recover(member, asked.limit)
        rewinding.rewind(member, primary.source, asked.database, asked.limit)
        _write_note(member, asked, REWOUND, own)
    if method == REWIND:
        own = _own_of_note(member)
    rewinding.make_standby(member, data, own, settings)
    return None


def _replace(
    member: Member, asked: Rejoin, primary: _Primary, own: Mapping[str, bytes], settings: Mapping[str, str]
) -> str:
    data = member.cluster.data
    own = {**own, **_own_of_note(member)}
    new, kept = f"{data}.day2-new", f"{data}.{basic(time.time()).rstrip('Z')}"
    rewinding.base_backup(member, primary.stream, new, asked.slot, asked.limit)
    rewinding.make_standby(member, new, own, settings)
    try:
        os.rename(data, kept)
        os.rename(new, data)
    except OSError as exc:
        raise MemberError(
            f"{data} cannot be renamed to {kept} ({exc.strerror}): where it is a mount point, let 'data' be a directory"
            f" below it. The new copy is in {new}"
        ) from exc
    # What is to do now is what is to do after pg_rewind.
    _write_note(member, asked, REWOUND, own)
    return kept


def finish_replacement(data: str) -> None:
    """A kill between two renames leaves no data directory, and a complete one beside it."""
    new = f"{data}.day2-new"
    if not os.path.exists(data) and os.path.exists(os.path.join(new, rewinding.SIGNAL)):
        os.rename(new, data)
        _remove(note_path(data))


def _keep(member: Member, asked: Rejoin, primary: _Primary, found: Divergence) -> Divergence:
    """Name the tables, and keep report and WAL where the next run does not overwrite them."""
    found = replace(found, tables=tuple(_tables(asked, primary, found)))
    name = asked.run or basic(time.time())
    folder = os.path.join(asked.evidence, f"{name}-{os.path.basename(member.cluster.data)}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if asked.keep_wal:
            _copy_wal(member, found, os.path.join(folder, "wal"))
        found = replace(found, kept=folder)
        report = {"at": rfc3339(time.time()), "data": member.cluster.data, "run": asked.run, **found.as_dict()}
        write_atomic(os.path.join(folder, "divergence.json"), json.dumps(report, indent=2) + "\n")
    except OSError as exc:
        raise MemberError(f"{folder} cannot be written: {exc.strerror}; nothing was changed") from exc
    return found


def _copy_wal(member: Member, found: Divergence, into: str) -> None:
    size = int(member.cluster.control().get("Bytes per WAL segment", str(16 << 20)))
    paths = divergence.segments_from(os.path.join(member.cluster.data, "pg_wal"), found.timeline, found.fork, size)
    os.makedirs(into, mode=0o700, exist_ok=True)
    needed, free = len(paths) * size, disk_free(into)
    if free is not None and free < needed:
        raise MemberError(
            f"{into} has {format_bytes(free)} free, and the WAL that only this server has takes"
            f" {format_bytes(needed)}: give 'evidence' a larger place, or set 'keep_wal' to false; nothing was changed"
        )
    for path in paths:
        shutil.copy2(path, into)


def _tables(asked: Rejoin, primary: _Primary, found: Divergence) -> list[str]:
    """Names by the new primary's catalogues. Files of a database that cannot be asked are named by their numbers, and
    what it does not know of one that can is none of its tables: catalogues, and what was made after the fork."""
    names, asking = [], divergence.by_database(found.relations)
    try:
        lines = primary.source.ask(divergence.DATABASES, asked.database).split("\n") if asking else []
        known = {int(oid): name for oid, _bar, name in (line.partition("|") for line in lines)}
    except ServerError:
        known = {}
    for database, relations in sorted(asking.items()):
        try:
            listing = primary.source.ask(divergence.NAMES, known[database])
            names += [f"{known[database]}: {name}" for name in divergence.named(relations, listing)]
        except (ServerError, KeyError):
            names += [f"file {relation.node} of database {database}" for relation in relations]
    return names


def _describe(found: Divergence | None) -> str:
    return found.describe() if found is not None else "what it had was reported by an earlier run"


def _write_note(member: Member, asked: Rejoin, state: str, own: Mapping[str, bytes]) -> None:
    text = {name: content.decode("latin-1") for name, content in own.items()}
    note = {"state": state, "run": asked.run, "at": rfc3339(time.time()), "own": text}
    write_owned(member, note_path(member.cluster.data), json.dumps(note) + "\n")


def _note(member: Member) -> dict[str, Any]:
    try:
        with open(note_path(member.cluster.data), encoding="utf-8") as stream:
            note = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise MemberError(f"{note_path(member.cluster.data)} cannot be read: {exc}; nothing was changed") from exc
    return note if isinstance(note, dict) else {}


def _read_note(member: Member) -> str:
    return str(_note(member).get("state") or "")


def _own_of_note(member: Member) -> dict[str, bytes]:
    return {str(name): str(text).encode("latin-1") for name, text in (_note(member).get("own") or {}).items()}


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise Day2Error(f"{path} cannot be removed: {exc.strerror}") from exc


def _result(
    changed: bool, method: str, found: Divergence | None, primary: _Primary, message: str, kept: str | None
) -> dict[str, Any]:
    return {
        "changed": changed,
        "method": method,
        "timeline": primary.history.timeline,
        "divergence": found.as_dict() if found is not None else None,
        "kept": kept,
        "msg": message,
    }
