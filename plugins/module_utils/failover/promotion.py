# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A standby becomes the primary: what forbids it, the promotion itself, and a write that proves it.

What the run intends is on disk before the server is told, so that a run that was killed knows its own promotion again.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover.archived import archived_history
from ansible_collections.day2.ops.plugins.module_utils.failover.local import (
    TIMELINE,
    Member,
    MemberError,
    literal,
    readiness,
    write_owned,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.standby import PROMOTED, promoted_by, read_note
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import parse_history
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import NoAnswer
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import wait_until
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

# The first commit on a server that has just recovered, on a slow disk.
_WRITE = 30.0
_STATE = """
WITH here AS (SELECT pg_is_in_recovery() AS standby)
SELECT json_build_object('standby', standby,
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', <timeline>,
  'paused', CASE WHEN standby THEN pg_is_wal_replay_paused() ELSE false END,
  'delay', (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'recovery_min_apply_delay'),
  'replayed', pg_last_wal_replay_lsn(),
  'last_commit', extract(epoch FROM pg_last_xact_replay_timestamp())::float8, 'port', current_setting('port')::int,
  'synchronous', current_setting('synchronous_standby_names'), 'restore_command', current_setting('restore_command'))
  FROM here""".replace("<timeline>", TIMELINE)


class Unproven(MemberError):
    """The server is promoted, and its first write is not proven; `about` is what is known."""

    def __init__(self, message: str, about: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.about = dict(about)


@dataclass(frozen=True)
class Promotion:
    """What a run asks for. `run` is None for a person, who acts by hand; `limit` is seconds."""

    expected_timeline: int
    system_identifier: str
    database: str = "postgres"
    port: int | None = None
    synchronous_standby_names: str | None = ""
    verify: bool = True
    resume_replay: bool = False
    ignore_archive: bool = False
    run: str | None = None
    limit: float = 60.0


@dataclass(frozen=True)
class State:
    """What the server is at present; LSNs as text."""

    standby: bool
    system_identifier: str
    timeline: int
    paused: bool
    delay: float
    replayed: str | None
    last_commit: float | None
    port: int
    synchronous: str
    restore_command: str = field(repr=False)


def state_of(member: Member) -> State:
    ready = readiness(member)
    if ready == 2:
        what = "its process is there and does not answer" if member.cluster.running() else "it does not run"
        raise MemberError(f"the server of {member.cluster.data} cannot be asked: {what}; nothing was changed")
    try:
        return State(**member.record(_STATE))
    except ServerError as exc:
        raise MemberError(f"the server of {member.cluster.data} cannot be asked: {exc}; nothing was changed") from exc


def promote(member: Member, asked: Promotion, check_mode: bool = False) -> dict[str, Any]:
    """The result of the module; MemberError says what forbids it."""
    state = state_of(member)
    fault = refusal(state, asked)
    if fault is None and not state.standby:
        if asked.run is None or promoted_by(member.cluster.data, "primary", state.timeline) != asked.run:
            fault = _other_primary(member, state)
        elif check_mode:
            return _result(False, state.timeline, f"it was promoted by this run, to timeline {state.timeline}")
        else:
            return _prove(member, asked, time.monotonic(), changed=False)
    if fault is None:
        fault = archived_history(member, state.timeline, state.restore_command, asked.ignore_archive)
    if fault is not None:
        raise MemberError(f"{member.cluster.data} is not promoted: {fault}; nothing was changed")
    if check_mode:
        return _result(True, state.timeline, f"would be promoted at LSN {state.replayed}, timeline {state.timeline}")
    return _act(member, state, asked)


def refusal(state: State, asked: Promotion) -> str | None:
    """What forbids it at sight of the server alone. Pure."""
    if state.system_identifier != asked.system_identifier:
        return (
            f"it is another cluster (system identifier {state.system_identifier}) than the one to be promoted"
            f" ({asked.system_identifier})"
        )
    if asked.port is not None and state.port != asked.port:
        return f"its server has port {state.port}, expected {asked.port}"
    if not state.standby:
        return None
    if state.timeline != asked.expected_timeline:
        return (
            f"it is on timeline {state.timeline}, expected {asked.expected_timeline}: somebody has promoted a server"
            " since this was planned, or it lags behind; plan again"
        )
    if (state.paused or state.delay) and not asked.resume_replay:
        what = "its replay is paused" if state.paused else f"it replays {format_duration(state.delay)} late"
        return f"{what}, perhaps to keep it from a mistake; with 'resume_replay' it replays all it has received"
    return None


def _other_primary(member: Member, state: State) -> str:
    by = promoted_by(member.cluster.data, "primary", state.timeline)
    return f"it is no standby, but a primary on timeline {state.timeline}" + (f", promoted by run {by}" if by else "")


def _act(member: Member, state: State, asked: Promotion) -> dict[str, Any]:
    begun = time.monotonic()
    note = {"run": asked.run, "from_timeline": state.timeline, "timeline": None, "at": rfc3339_ms(time.time())}
    before = read_note(member.cluster.data)
    if asked.run is not None and before.get("run") == asked.run and "synchronous_standby_names" in before:
        note["synchronous_standby_names"] = before["synchronous_standby_names"]
    if asked.synchronous_standby_names is not None and state.synchronous != asked.synchronous_standby_names:
        # Nobody follows it yet: its first commit would wait for ever.
        note.setdefault("synchronous_standby_names", state.synchronous)
        member.set("synchronous_standby_names", asked.synchronous_standby_names)
        _until_shown(member, asked.synchronous_standby_names, asked.limit)
    _write_note(member, note)
    if state.delay:
        member.set("recovery_min_apply_delay", "0")
    if state.paused:
        member.ask("SELECT pg_wal_replay_resume()")
    waited = max(1, int(asked.limit))
    try:
        done = member.ask(f"SELECT pg_promote(true, {waited})", limit=waited + 10.0)
    except ServerError as exc:
        # It may have been told all the same.
        done = str(exc)
    if done != "t" or member.ask("SELECT pg_is_in_recovery()") != "f":
        last = member.cluster.last_words()
        raise MemberError(
            f"{member.cluster.data} was told to become the primary and is in recovery still, after"
            f" {format_duration(time.monotonic() - begun)} ({done}). It goes on with what it has to replay: the same"
            f" call waits again. Its log ends with: {last}"
        )
    return _prove(member, asked, begun, changed=True)


def _until_shown(member: Member, value: str, limit: float) -> None:
    if not wait_until(lambda: member.ask("SHOW synchronous_standby_names") == value, limit):
        raise MemberError(f"synchronous_standby_names is not {value!r} after a reload; it was not promoted")


def _prove(member: Member, asked: Promotion, begun: float, changed: bool) -> dict[str, Any]:
    """Note the new timeline, and write on it."""
    now = state_of(member)
    note = read_note(member.cluster.data)
    parent = int(note.get("from_timeline") or asked.expected_timeline)
    about = {
        **_result(changed, now.timeline, ""),
        "last_commit": rfc3339_ms(now.last_commit) if now.last_commit is not None else None,
        "fork_lsn": fork_of(member, now.timeline, parent),
        "previous_synchronous_standby_names": note.get("synchronous_standby_names", now.synchronous),
    }
    if note.get("timeline") != now.timeline:
        _write_note(member, {**note, "timeline": now.timeline})
    about["msg"] = f"it is the primary on timeline {now.timeline}, which left {parent} at {about['fork_lsn']}"
    if not asked.verify:
        return about
    try:
        lsn = first_write(member, asked.run, asked.database, asked.limit)
    except NoAnswer as exc:
        about["msg"] = (
            f"{member.cluster.data} is promoted to timeline {now.timeline}, and a commit there does not end ({exc}):"
            f" synchronous_standby_names is '{now.synchronous}'"
        )
        raise Unproven(about["msg"], about) from exc
    except ServerError as exc:
        about["msg"] = f"{member.cluster.data} is promoted to timeline {now.timeline}, and cannot be written to: {exc}"
        raise Unproven(about["msg"], about) from exc
    return {**about, "lsn": lsn, "first_write_seconds": round(time.monotonic() - begun, 3)}


def first_write(member: Member, run: str | None, database: str, limit: float) -> str:
    """Commit a message in the WAL, which no table sees, as applications commit; its LSN when that is on disk."""
    text = literal(f"promoted by {run or 'hand'}")
    said = member.ask(f"SELECT pg_logical_emit_message(true, 'day2.ops', {text});", database, min(_WRITE, limit))
    lsn = said.split("\n")[-1]
    flushed = member.ask(f"SELECT pg_current_wal_flush_lsn() >= {literal(lsn)}::pg_lsn AND NOT pg_is_in_recovery()")
    if flushed != "t":
        raise ServerError(f"the write at {lsn} is not on disk")
    return lsn


def fork_of(member: Member, timeline: int, parent: int) -> str | None:
    """Where the new timeline left its parent."""
    path = os.path.join(member.cluster.data, "pg_wal", f"{timeline:08X}.history")
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            forks = dict(parse_history(stream.read()))
    except OSError:
        return None
    return format_lsn(forks[parent]) if parent in forks else None


def _result(changed: bool, timeline: int, message: str) -> dict[str, Any]:
    return {"changed": changed, "timeline": timeline, "lsn": None, "fork_lsn": None, "first_write_seconds": None,
            "msg": message}  # fmt: skip


def _write_note(member: Member, note: Mapping[str, Any]) -> None:
    path = os.path.join(member.cluster.data, PROMOTED)
    try:
        write_owned(member, path, json.dumps(note) + "\n")
    except OSError as exc:
        raise MemberError(f"{path} cannot be written: {exc.strerror}; the server was not told anything more") from exc
