# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one member of a failover is: by its server where that answers, else by its files and processes, within a limit.

All of it runs in a child that can be killed: a file system that hangs holds whoever looks at it.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import masking, repmgr
from ansible_collections.day2.ops.plugins.module_utils.failover.deciders import managed_by
from ansible_collections.day2.ops.plugins.module_utils.failover.local import (
    TIMELINE,
    Member,
    find,
    is_stopped_by_signal,
    member_at,
    newest_timeline,
    readiness,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.surroundings import (
    disk_free,
    repository_on_this_disk,
    unchanged,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import Upstream, parse_conninfo
from ansible_collections.day2.ops.plugins.module_utils.failover.wal_end import wal_end
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import unit_of
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, tool_of
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Emit, Group, Pool, Progress
from ansible_collections.day2.ops.plugins.module_utils.systemd.units import show

# Beside the data directory's own files: which run promoted it.
PROMOTED = "day2-promoted.json"
# The server is asked after the files; a child that hangs there says no more.
_PLACE, _SERVER = 0, 1
# LSNs of a standby are those of what it received by any way. An older version has no column `failover` of slots.
FACTS = """
WITH here AS (SELECT pg_is_in_recovery() AS standby, pg_last_wal_receive_lsn() AS received,
                     pg_last_wal_replay_lsn() AS replayed),
     wal AS (SELECT here.*, CASE WHEN standby THEN greatest(received, replayed)
                                 ELSE pg_current_wal_flush_lsn() END AS lsn FROM here),
     receiver AS (SELECT * FROM pg_stat_wal_receiver)
SELECT json_build_object(
  'version', current_setting('server_version_num')::int, 'in_recovery', standby, 'lsn', lsn,
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', <timeline>,
  'received_lsn', CASE WHEN standby THEN lsn END, 'replayed_lsn', CASE WHEN standby THEN replayed END,
  'replay_paused', CASE WHEN standby THEN pg_is_wal_replay_paused() ELSE false END,
  'apply_delay', (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'recovery_min_apply_delay'),
  'lag_bytes', CASE WHEN standby THEN greatest(0, pg_wal_lsn_diff(
                  greatest(lsn, (SELECT latest_end_lsn FROM receiver)), replayed)) END,
  'since_commit', CASE WHEN standby THEN
                  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END,
  'receiver', (SELECT json_build_object('host', sender_host, 'port', sender_port, 'status', status,
                 'last_message_age', extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float8)
                 FROM receiver),
  'replication', (SELECT coalesce(json_agg(json_build_object('application', application_name,
                    'address', client_addr::text, 'state', state, 'sync_state', sync_state, 'flush_lsn', flush_lsn,
                    'bytes', greatest(0, pg_wal_lsn_diff(lsn, flush_lsn)),
                    'seconds', CASE WHEN replay_lsn >= lsn THEN 0 ELSE extract(epoch FROM
                       greatest(replay_lag, clock_timestamp() - reply_time))::float8 END)), '[]')
                    FROM pg_stat_replication WHERE state <> 'backup'),
  'slots', (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type, 'active', active,
              'retained_bytes', greatest(0, pg_wal_lsn_diff(lsn, restart_lsn)),
              'wal_status', to_jsonb(s) ->> 'wal_status', 'failover', (to_jsonb(s) ->> 'failover')::bool)), '[]')
              FROM pg_replication_slots s),
  'synchronous_standby_names', current_setting('synchronous_standby_names'),
  'archiver', (SELECT json_build_object('mode', current_setting('archive_mode'),
                 'last_archived', last_archived_wal, 'last_failed', last_failed_wal,
                 'failing', CASE WHEN current_setting('archive_mode') <> 'off' THEN
                    coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) END)
                 FROM pg_stat_archiver),
  'checksums', current_setting('data_checksums') = 'on', 'wal_log_hints', current_setting('wal_log_hints') = 'on',
  'archive_command', current_setting('archive_command'), 'primary_conninfo', current_setting('primary_conninfo'))
  FROM wal""".replace("<timeline>", TIMELINE)


def observe(
    port: int, data: str | None, unit: str | None, limit: float, stanza: str = "main", config: str | None = None
) -> dict[str, Any]:
    """The record of a member; `limit` is seconds for all of it."""
    pool = Pool(_Look(port, data, unit, limit, stanza, config), lambda _user: None, [limit, limit], 1)
    outcomes = pool.run([Group([_PLACE, _SERVER])], limit)
    record = dict(EMPTY, port=port)
    for item in (_PLACE, _SERVER):
        outcome = outcomes[item]
        if outcome.kind == "done":
            record.update(outcome.record["member"])
        elif outcome.kind in ("timeout", "deadline"):
            what = "its files" if item == _PLACE else "the server"
            return {**record, "state": "hung", "error": f"{what} did not answer within {limit:g} s"}
        else:
            raise Day2Error(f"the look at the member ended early: {outcome.record.get('reason', outcome.kind)}")
    return record


# What is not known of a member.
EMPTY: Mapping[str, Any] = {
    **dict.fromkeys((
        "role", "system_identifier", "timeline", "version", "data", "unit", "unit_state", "in_recovery", "lsn", "clean",
        "wal_end", "unchanged", "received_lsn", "replayed_lsn", "lag", "upstream", "synchronous_standby_names",
        "archiver", "repository_on_this_disk", "checksums", "wal_log_hints", "password_ok", "disk_free", "managed_by",
        "manager_paused",
        "promoted_by", "error",
    )),
    "state": "absent", "unit_masked": False, "replayable": False, "replay_paused": False, "apply_delay": 0.0,
    "replication": [], "slots": [],
}  # fmt: skip


class _Look:
    """The work of the child: first what files and processes say, then the server."""

    def __init__(
        self, port: int, data: str | None, unit: str | None, limit: float, stanza: str, config: str | None
    ) -> None:
        self._port, self._data, self._unit, self._limit = port, data, unit, limit
        self._stanza, self._config = stanza, config

    def prepare(self, items: Sequence[int]) -> None:
        """Nothing is loaded later."""

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        begun, clock = time.time(), time.monotonic()
        progress.start(_PLACE)
        member: Member | None = None
        found: dict[str, Any]
        try:
            path = find(self._port, self._data)
            member = member_at(path, self._unit) if path else None
            found = place_of(member) if member else _nothing_at(self._data, self._unit)
        except Day2Error as exc:
            found = {"state": "hung", "error": str(exc)}
        emit(_PLACE, {"started": begun, "duration": time.monotonic() - clock, "member": found})
        progress.start(_SERVER)
        record: dict[str, Any] = {}
        if member is not None and found["state"] == "running":
            # A third for each of the questions that may hang.
            record = server_of(member, self._limit / 3, self._stanza, self._config)
        emit(_SERVER, {"started": begun, "duration": time.monotonic() - clock, "member": record})


def _nothing_at(data: str | None, unit: str | None) -> dict[str, Any]:
    """A place without a server, and the unit that would run one there."""
    named = unit or (unit_of(data) if data else None)
    return {"managed_by": managed_by(None), "data": data, **_unit(named)}


def place_of(member: Member) -> dict[str, Any]:
    """What is known of a member without its server."""
    cluster = member.cluster
    control, process = cluster.control(), cluster.running()
    timelines = [control.get("Latest checkpoint's TimeLineID"), control.get("Min recovery ending loc's timeline")]
    recovering = "recovery" in control.get("Database cluster state", "")
    standby = cluster.is_standby() or recovering
    known = [int(text) for text in timelines if text]
    received = newest_timeline(cluster.data) if standby else None
    known += [received] if received else []
    record = {
        "state": "running" if process else "stopped",
        "role": "standby" if standby else "primary",
        "in_recovery": standby,
        "data": cluster.data,
        "system_identifier": control.get("Database system identifier"),
        "timeline": max(known, default=None),
        "version": _version(cluster.data),
        **_end_of_wal(member, control, process is not None, standby),
        "checksums": control.get("Data page checksum version") not in (None, "0"),
        "wal_log_hints": control.get("wal_log_hints setting") == "on",
        "disk_free": disk_free(cluster.data),
        "managed_by": managed_by(cluster.data),
        **_unit(cluster.unit),
    }
    if process and is_stopped_by_signal(process.pid):
        stopped = f"its process {process.pid} is stopped by a signal (SIGSTOP): it is alive and may go on at any time"
        record.update(state="hung", error=stopped)
    return {**record, "promoted_by": promoted_by(cluster.data, record["role"], record["timeline"])}


def server_of(member: Member, limit: float, stanza: str, config: str | None) -> dict[str, Any]:
    """What the server says of itself, or why it says nothing."""
    ready = readiness(member, limit)
    if ready == 1:
        return {"state": "starting", "error": f"it takes no sessions now: {member.cluster.last_words()}"}
    if ready != 0:
        return {"state": "hung", "error": "its process is there, and its socket does not answer"}
    try:
        facts = member.record(FACTS, limit)
    except ServerError as exc:
        return {"error": str(exc)}
    conninfo, command = facts.pop("primary_conninfo"), facts.pop("archive_command")
    record = described(facts)
    if record["in_recovery"] and conninfo:
        try:
            parts = parse_conninfo(conninfo)
            record["upstream"] = record["upstream"] or {
                "host": parts.get("host"), "port": int(parts.get("port", 5432)), "status": None,
                "last_message_age": None}  # fmt: skip
            record["password_ok"] = Upstream(member, parts).accepts_login(limit)
        except Day2Error as exc:
            record["error"] = str(exc)
    if managed_by(member.cluster.data) == "repmgrd":
        record["manager_paused"] = repmgr.is_paused(member, limit)
    record["repository_on_this_disk"] = repository_on_this_disk(member.cluster.data, command, stanza, config)
    record["promoted_by"] = promoted_by(member.cluster.data, record["role"], record["timeline"])
    return record


def described(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a member from what its server said. Pure."""
    fields = dict(facts)
    receiver, standby = fields.pop("receiver"), fields["in_recovery"]
    lag_bytes, age = fields.pop("lag_bytes"), fields.pop("since_commit")
    return {
        **fields,
        "role": "standby" if standby else "primary",
        "upstream": receiver,
        "lag": lag(lag_bytes, age, receiver is not None and receiver["status"] == "streaming") if standby else None,
        "replayable": bool(standby and not fields["replay_paused"] and not fields["apply_delay"]),
    }


def lag(behind: float | None, age: float | None, streaming: bool) -> dict[str, Any]:
    """How far a standby is behind. An idle primary sends no commits: while the stream runs their age is none. Pure."""
    if streaming and not behind:
        return {"bytes": 0, "seconds": 0.0}
    # Without a stream nobody knows what is missing; the last commit that was replayed bounds it.
    return {"bytes": int(behind or 0) if streaming else None, "seconds": age}


def promoted_by(data: str, role: str, timeline: int | None) -> str | None:
    """The run that made this data directory's server what it is; a copy of the directory is not promoted by it."""
    note = read_note(data)
    made = note.get("timeline") or 0
    intended = made == 0 and note.get("from_timeline", 0) < (timeline or 0)
    return note.get("run") if role == "primary" and (made == timeline or intended) else None


def read_note(data: str) -> dict[str, Any]:
    """What a promotion has left; empty where it is none or torn."""
    try:
        with open(os.path.join(data, PROMOTED), encoding="utf-8") as stream:
            note = json.load(stream)
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _end_of_wal(member: Member, control: Mapping[str, str], running: bool, standby: bool) -> dict[str, Any]:
    """How far the files go: a primary that crashed has written more than its control file knows."""
    recovered = control.get("Minimum recovery ending location", "0/0")
    lsn = recovered if recovered != "0/0" else control.get("Latest checkpoint location")
    if running:
        return {"lsn": lsn}
    clean = control.get("Database cluster state", "").startswith("shut down")
    end = None if clean or standby else _crashed_at(member, control)
    since = None if standby else unchanged(member.cluster.data, time.time())
    return {"lsn": lsn, "clean": clean, "wal_end": end, "unchanged": since}


def _crashed_at(member: Member, control: Mapping[str, str]) -> str | None:
    redo, timeline = control.get("Latest checkpoint's REDO location"), control.get("Latest checkpoint's TimeLineID")
    return wal_end(member, int(timeline), redo) if redo and timeline else None


def _version(data: str) -> int | None:
    try:
        with open(os.path.join(data, "PG_VERSION"), encoding="ascii") as stream:
            major = int(stream.read())
        text = tool_of("pg_ctl", major)[1]
        whole, _dot, minor = text.partition(".")
        return int(whole) * 10000 + int(minor)
    except (OSError, ValueError, ServerError):
        return None


def _unit(name: str | None) -> dict[str, Any]:
    """What systemd says of the cluster's own unit."""
    if name is None or not os.path.isdir("/run/systemd/system"):
        return {"unit": name}
    units, _refused = show([name], [*masking.PROPERTIES, "ActiveState"])
    fields = units.get(name, {})
    return {"unit": name, "unit_state": fields.get("ActiveState"), "unit_masked": masking.is_masked(name, fields)}
