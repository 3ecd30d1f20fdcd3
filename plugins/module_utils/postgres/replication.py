# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures of replication that probe postgres knows by name: whether a standby could take over, and who holds WAL."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.postgres.metrics import GRANT, NamedMetric, Rows
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    counted,
    format_duration,
    format_quantity,
)

_B = Unit("B", BYTES)
_ROLE = "SELECT pg_is_in_recovery(), (SELECT timeline_id FROM pg_control_checkpoint())"


def _role(rows: Rows) -> Observation:
    standby, timeline = rows.rows[0]
    role = "standby" if standby else "primary"
    return Observation(role, f"this server is a {role}, its last checkpoint on timeline {timeline}")


# A primary writes to the timeline; a standby's control file names that of its last restartpoint.
_TIMELINE = """
SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery()
  THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline, (SELECT received_tli FROM pg_stat_wal_receiver))
          FROM pg_control_checkpoint() c, pg_control_recovery() r)
  ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END"""


def _timeline(rows: Rows) -> Observation:
    standby, timeline = rows.rows[0]
    return Observation(int(timeline), f"this {'standby' if standby else 'primary'} is on timeline {timeline}")


# On a standby what it was told of its upstream's WAL counts; without a stream nobody knows what is missing.
_LAG = """
SELECT pg_is_in_recovery() AS standby,
       (SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streams,
       CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(
         greatest(pg_last_wal_receive_lsn(), (SELECT latest_end_lsn FROM pg_stat_wal_receiver)),
         pg_last_wal_replay_lsn()) END AS behind,
       (SELECT count(*) FROM pg_stat_replication WHERE state <> 'backup') AS standbys,
       (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL) AS hidden,
       CASE WHEN NOT pg_is_in_recovery() THEN (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))
         FROM pg_stat_replication WHERE state <> 'backup') END AS worst"""


def _lag(rows: Rows) -> Observation:
    standby, streams, behind, standbys, hidden, worst = rows.rows[0]
    if standby:
        if not streams:
            raise Undetermined("no WAL receiver is streaming: how far this standby is behind is not known")
        lag = max(0, int(behind or 0))
        return Observation(lag, f"this standby is {format_quantity(float(lag), _B)} behind")
    if hidden:
        raise Undetermined(GRANT)
    if not standbys:
        raise Undetermined("this is a primary, and no standby is connected to it")
    lag = max(0, int(worst or 0))
    slowest = f"the slowest of {counted(standbys, 'standby', 'standbys')}"
    return Observation(lag, f"{slowest} is {format_quantity(float(lag), _B)} behind")


_SLOTS = """
SELECT slot_name, slot_type, active,
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_lsn() END, restart_lsn), 0)::int8,
       coalesce(wal_status, 'unreserved'), current_setting('max_slot_wal_keep_size')
  FROM pg_replication_slots ORDER BY 4 DESC, 1"""


def _slots(rows: Rows) -> Observation:
    if not rows.rows:
        return Observation(0, "there are no replication slots")
    evidence = [
        f"{name}: {kind}, {'active' if active else 'not active'}, {format_quantity(float(max(0, kept)), _B)}, {status}"
        for name, kind, active, kept, status, _limit in rows.rows
    ]
    name, _kind, _active, kept, _status, limit = rows.rows[0]
    text = f"slot {name} keeps {format_quantity(float(max(0, kept)), _B)} of WAL (max_slot_wal_keep_size {limit})"
    lost = [row[0] for row in rows.rows if row[4] == "lost"]
    fault = f"WAL is removed that {', '.join(lost)} has not received" if lost else None
    return Observation(max(0, int(kept)), text, evidence=evidence, fault=fault)


_ARCHIVER = """
SELECT current_setting('archive_mode'), pg_is_in_recovery(), last_archived_wal, last_failed_wal,
       last_failed_time > coalesce(last_archived_time, '-infinity'),
       extract(epoch FROM clock_timestamp() - coalesce(last_archived_time, stats_reset))::float8
  FROM pg_stat_archiver"""


def _archiver(rows: Rows) -> Observation:
    mode, standby, archived, failed, failing, age = rows.rows[0]
    if mode == "off":
        raise Undetermined("this server does not archive: archive_mode is off")
    if standby and mode != "always":
        return Observation(0.0, "this standby archives from its promotion on")
    if failing:
        last = f"the last that was archived is {archived}" if archived else "nothing was archived before"
        return Observation(round(age or 0.0, 3), f"{failed} could not be archived; {last}")
    return Observation(0.0, f"the last segment that was to be archived was: {archived or 'none yet'}")


_SYNCHRONOUS = """
SELECT current_setting('synchronous_standby_names'), pg_is_in_recovery(),
       (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL),
       (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')),
       (SELECT string_agg(application_name || ' (' || sync_state || ')', ', ') FROM pg_stat_replication)"""


def _synchronous(rows: Rows) -> Observation:
    names, standby, hidden, count, shown = rows.rows[0]
    if standby:
        raise Undetermined("this is a standby: commits wait on its primary")
    if hidden:
        raise Undetermined(GRANT)
    connected = f"connected: {shown or 'nobody'}"
    if not names:
        return Observation(int(count), f"no commit waits for a standby; {connected}")
    fault = None if count else f"commits wait for '{names}', of which nobody is connected"
    return Observation(int(count), f"commits wait for '{names}'; {connected}", fault=fault)


_PAUSED = """
SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
       (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'recovery_min_apply_delay'),
       CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END"""


def _paused(rows: Rows) -> Observation:
    standby, paused, delay, waiting = rows.rows[0]
    if not standby:
        raise Undetermined("this is a primary: it replays nothing")
    if paused:
        kept = format_quantity(float(max(0, waiting or 0)), _B)
        return Observation(1, f"replay is paused, and {kept} of WAL wait for it")
    return Observation(0, f"replay goes on, {format_duration(delay)} late" if delay else "replay goes on")


_REWIND = """
SELECT current_setting('data_checksums') = 'on', current_setting('wal_log_hints') = 'on',
       current_setting('full_page_writes') = 'on', current_setting('wal_keep_size'),
       current_setting('restore_command') <> ''"""


def _rewind(rows: Rows) -> Observation:
    checksums, hints, pages, kept, restores = rows.rows[0]
    lacks = [] if checksums or hints else ["data checksums or wal_log_hints"]
    lacks += [] if pages else ["full_page_writes"]
    # It reads the WAL since the last checkpoint before the fork, of which a server keeps little by itself.
    lacks += (
        [] if restores or kept not in ("0", "0MB") else ["WAL from before a fork (restore_command or wal_keep_size)"]
    )
    text = f"pg_rewind would lack {', '.join(lacks)}" if lacks else "this server could be rewound after a failover"
    return Observation(len(lacks), text)


# A time of the type's own 'infinity' is no time that can be counted to.
_EXPIRY = """
SELECT rolname, CASE WHEN isfinite(rolvaliduntil)
         THEN extract(epoch FROM rolvaliduntil - clock_timestamp())::float8 END
  FROM pg_roles WHERE rolreplication AND rolcanlogin ORDER BY 2 NULLS LAST, 1"""
# Where no password expires: more than any threshold.
_NEVER = 3650 * 86400.0


def _expiry(rows: Rows) -> Observation:
    if not rows.rows:
        raise Undetermined("no role may replicate and log in: no standby can follow this server")
    name, left = rows.rows[0]
    if left is None:
        return Observation(_NEVER, f"the passwords of {', '.join(row[0] for row in rows.rows)} do not expire")
    if left <= 0:
        gone = f"the password of {name} has expired {format_duration(-left)} ago: it cannot connect any more"
        return Observation(round(left, 3), gone, fault=gone)
    return Observation(round(left, 3), f"the password of {name} expires in {format_duration(left)}")


REPLICATION: dict[str, NamedMetric] = {
    "role": NamedMetric("Whether it is a `primary` or a `standby`.", "", _ROLE, _role, words=True),
    "timeline": NamedMetric("The timeline, which every promotion raises.", "", _TIMELINE, _timeline),
    "replication_lag_bytes": NamedMetric(
        "WAL that a standby has not replayed yet, on a primary that of its slowest standby.", "B", _LAG, _lag
    ),
    "slot_retained": NamedMetric(
        "WAL that is kept for the replication slot that needs most; one that has lost WAL is critical.",
        "B",
        _SLOTS,
        _slots,
    ),
    "archiver_failing": NamedMetric(
        "Time since the last segment was archived, where the archiver fails; else 0.", "s", _ARCHIVER, _archiver
    ),
    "synchronous_standbys": NamedMetric(
        "Connected standbys that commits wait for; none where they wait for some is critical.",
        "standbys",
        _SYNCHRONOUS,
        _synchronous,
    ),
    "replay_paused": NamedMetric("1 where a standby's replay is paused.", "", _PAUSED, _paused),
    "password_expiry": NamedMetric(
        "Time until a password of a role that may replicate expires (VALID UNTIL); ten years where none does.",
        "s",
        _EXPIRY,
        _expiry,
    ),
    "rewind_lacks": NamedMetric(
        "What pg_rewind would lack to make this server a standby after a failover; 0 where it is ready.",
        "",
        _REWIND,
        _rewind,
    ),
}
