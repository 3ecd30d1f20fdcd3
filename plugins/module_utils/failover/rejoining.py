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
import time
from dataclasses import dataclass, replace
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import divergence, fence, rewinding
from ansible_collections.day2.ops.plugins.module_utils.failover.divergence import Divergence
from ansible_collections.day2.ops.plugins.module_utils.failover.following import (
    History,
    own_forks,
    state_of,
    until_streaming,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.keeping import Rejoin, keep
from ansible_collections.day2.ops.plugins.module_utils.failover.local import (
    Member,
    MemberError,
    newest_timeline,
    write_owned,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.postmasters import servers
from ansible_collections.day2.ops.plugins.module_utils.failover.unfencing import unfence
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import Upstream
from ansible_collections.day2.ops.plugins.module_utils.failover.wal_end import wal_end
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, conninfo
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic, rfc3339

FOLLOW, REWIND, BASE_BACKUP = "follow", "rewind", "base_backup"
# States of the note: pg_rewind may have changed the directory, and it has brought it to the primary's timeline.
REWINDING, REWOUND = "rewinding", "rewound"
# Seconds in which systemd takes a mask.
_HOLDING = 30.0
_NEEDS = "data checksums or wal_log_hints, and the cluster has neither"


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
    seen = servers(member.cluster.data)
    if seen.unseen:
        raise MemberError(
            f"process {seen.unseen[0]}, a server of PostgreSQL, cannot be looked at, and may work on"
            f" {member.cluster.data}; nothing was changed"
        )
    if seen.found or member.cluster.running() is not None:
        return _running(member, asked, primary)
    _same_cluster(member, primary.identifier)
    state = _read_note(member)
    found = None if state else _diverged(member, primary)
    method = _method(member, asked, state, found)
    if check_mode:
        what = {FOLLOW: "would start as a standby", REWIND: "would be rewound", BASE_BACKUP: "would be copied anew"}
        return _result(True, method, found, primary, f"{_describe(found)}; it {what[method]}", None)
    if method == BASE_BACKUP:
        refuse_links(member.cluster.data)
    if found is not None and found.bytes != 0:
        found = keep(member, primary.source, found, asked)
    _hold(member)
    kept = _bring(member, asked, primary, method, state)
    if member.cluster.unit is not None:
        unfence(member.cluster.unit)
    member.cluster.start()
    _await_stream(member, asked, primary)
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
    _await_stream(member, asked, primary)
    message = f"it streams from {primary.stream.address} on timeline {primary.history.timeline}"
    return _result(False, FOLLOW, None, primary, message, None)


def _await_stream(member: Member, asked: Rejoin, primary: _Primary) -> None:
    try:
        until_streaming(member, primary.stream, primary.history.timeline, asked.stream_limit)
    except MemberError as exc:
        raise MemberError(
            f"{exc}. Where the WAL that it needs is gone, stop it and call this with 'method' {BASE_BACKUP}"
        ) from exc
    _remove(note_path(member.cluster.data))


def _hold(member: Member) -> None:
    """Whatever happens from here on, nobody starts it as a primary: not by hand, and not by a reboot."""
    cluster = member.cluster
    if cluster.unit is None or cluster.is_standby():
        return
    held = fence.service(cluster.data, cluster.unit, None, _HOLDING)
    if not held.proven:
        raise MemberError(f"{cluster.unit} can be started: {held.msg}; nothing was changed")


def refuse_links(data: str) -> None:
    """What a base backup beside the directory would not bring to where it is."""
    apart = [os.path.join(data, "pg_tblspc", name) for name in os.listdir(os.path.join(data, "pg_tblspc"))]
    apart += [path for path in [os.path.join(data, "pg_wal")] if os.path.islink(path)]
    if apart:
        raise MemberError(
            f"{apart[0]} is a symbolic link to another place, to which a base backup would not bring its part: make the"
            " standby by pg_basebackup with --tablespace-mapping and --waldir, or by 'method' rewind; nothing was"
            " changed"
        )


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
