# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed of members, as their modules told it. Pure.

What a result does not say is unknown (None), and unknown is never taken for well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.units.lsn import LsnError, parse_lsn
from ansible_collections.day2.ops.plugins.plugin_utils.failover.clusters import Cluster, Led

# Verdicts of a vantage point. All attempts of `mixed` failed, but not in one way.
ANSWERS, SILENT, REFUSED, UNREACHABLE, UNRESOLVED, MIXED = (
    "answers", "silent", "refused", "unreachable", "unresolved", "mixed",
)  # fmt: skip
# What says that a primary serves nobody. A name that does not resolve says something of the vantage point only.
DEAD = (SILENT, REFUSED, UNREACHABLE)
_STATES = ("running", "stopped", "starting", "hung", "absent")


@dataclass(frozen=True)
class Upstream:
    """From whom a standby streams, and seconds since it last heard of it."""

    host: str | None = None
    port: int | None = None
    status: str | None = None
    last_message_age: float | None = None


@dataclass(frozen=True)
class Replica:
    """A standby as its primary sees it."""

    application: str | None = None
    address: str | None = None
    state: str | None = None
    sync_state: str | None = None
    bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Member:
    """One member. LSNs are bytes. `lsn` of a stopped one is of pg_controldata; `clean`: it was shut down in order, so
    that this is the end of its WAL; `wal_end`: where its WAL ends, if somebody read that;
    `unchanged`: seconds for which that has not changed, at the least."""

    reachable: bool = False
    state: str | None = None
    role: str | None = None
    system_identifier: str | None = None
    timeline: int | None = None
    version: int | None = None
    data: str | None = None
    unit: str | None = None
    unit_masked: bool | None = None
    port: int | None = None
    lsn: int | None = None
    wal_end: int | None = None
    clean: bool | None = None
    unchanged: float | None = None
    received_lsn: int | None = None
    replayed_lsn: int | None = None
    replayable: bool | None = None
    replay_paused: bool | None = None
    apply_delay: float | None = None
    lag_seconds: float | None = None
    upstream: Upstream | None = None
    replication: tuple[Replica, ...] = ()
    slots: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    synchronous_standby_names: str | None = None
    archiver_failing: bool | None = None
    repository_on_this_disk: bool | None = None
    password_ok: bool | None = None
    disk_free: int | None = None
    managed_by: str | None = None
    manager_paused: bool | None = None
    promoted_by: str | None = None
    error: str | None = None

    @property
    def is_primary(self) -> bool:
        """Whether it runs as a primary now: it may take writes."""
        return self.reachable and self.state == "running" and self.role == "primary"

    @property
    def is_standby(self) -> bool:
        return self.reachable and self.state == "running" and self.role == "standby"

    @property
    def may_write(self) -> bool:
        """Whether it runs, or may run, as a primary. Hung and unknown count as alive."""
        return self.reachable and self.role != "standby" and self.state not in ("stopped", "absent")

    @property
    def position(self) -> int | None:
        """The end of what a standby has received, or else replayed (from an archive)."""
        return self.received_lsn if self.received_lsn is not None else self.replayed_lsn

    @property
    def silence(self) -> float | None:
        """Seconds since a standby heard of its primary. Without a stream, which forgets that, since the last
        commit that it has: a bound, and a wide one where little is written."""
        if self.upstream is not None and self.upstream.last_message_age is not None:
            return self.upstream.last_message_age
        return self.lag_seconds if self.position is not None and self.position == self.replayed_lsn else None

    @property
    def end(self) -> int | None:
        """The end of a stopped primary's WAL, where it is known."""
        if self.state != "stopped" or not self.reachable:
            return None
        return self.wal_end if self.wal_end is not None else self.lsn if self.clean else None

    @property
    def ended(self) -> float | None:
        """Seconds since a stopped primary wrote last, at the least."""
        return self.unchanged if self.reachable and self.state == "stopped" else None


@dataclass(frozen=True)
class Facts:
    """Observations of one moment. `liveness`: vantage point -> member -> verdict. `promised`: host -> (epoch, run).

    `seen` is the number of the last journal entry before them, None where they are newer than all: what a later entry
    says to be done was proven after they were made, and they do not speak against it. `clusters`: what the manager of a
    plan says, by host; `led`: where traffic leads, where that was asked. `looked`: the last journal entry before the
    vantage points looked again, -1 where they looked at the beginning of the run only.
    """

    views: Mapping[str, Member] = field(default_factory=dict)
    liveness: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    promised: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    seen: int | None = None
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    led: tuple[Led, ...] = ()
    looked: int = -1

    def after(self, number: int) -> bool:
        """Whether they were made after an entry of the journal."""
        return self.seen is None or self.seen >= number

    def view(self, host: str) -> Member:
        return self.views.get(host, Member())


def read_facts(
    views: Mapping[str, object],
    liveness: Mapping[str, Mapping[str, object]] | None = None,
    promised: Mapping[str, object] | None = None,
    seen: int | None = None,
) -> Facts:
    """From results: of pg_standby_info by host, of pg_liveness by vantage point and member (its verdict, or its target
    with attempts), of dr_journal by host (`promised`)."""
    points = {
        point: {member: read_verdict(target) for member, target in found.items()}
        for point, found in (liveness or {}).items()
        if isinstance(found, Mapping)
    }
    epochs = {}
    for host, found in (promised or {}).items():
        if isinstance(found, Mapping) and _whole(found.get("epoch")) is not None:
            epochs[host] = (int(found["epoch"]), str(found.get("run", "")))
    return Facts({host: read_member(found) for host, found in views.items()}, points, epochs, seen)


def read_verdict(target: object) -> str:
    """One word. Attempts that failed in different ways, but none for want of a name, are like the last of them."""
    if not isinstance(target, Mapping):
        return str(target)
    verdict = str(target.get("verdict", ""))
    attempts = [attempt.get("verdict") for attempt in target.get("attempts") or () if isinstance(attempt, Mapping)]
    if verdict == MIXED and attempts and all(attempt in DEAD for attempt in attempts):
        return str(attempts[-1])
    return verdict


def read_member(found: object) -> Member:
    if not isinstance(found, Mapping) or found.get("reachable") is not True:
        error = found.get("error") if isinstance(found, Mapping) else None
        return Member(error=_text(error))
    archiver, lag = found.get("archiver"), found.get("lag")
    # A running server says itself whether it recovers; the role is for those that do not run.
    recovers = _flag(found.get("in_recovery")) if found.get("state") == "running" else None
    role = {True: "standby", False: "primary", None: None}[recovers]
    said = found.get("role")
    return Member(
        reachable=True,
        state=found.get("state") if found.get("state") in _STATES else None,
        role=role or (said if said in ("primary", "standby") else None),
        system_identifier=_text(found.get("system_identifier")),
        # Timelines begin at 1.
        timeline=_whole(found.get("timeline")) or None,
        version=_whole(found.get("version")),
        data=_text(found.get("data")),
        unit=_text(found.get("unit")),
        unit_masked=_flag(found.get("unit_masked")),
        port=_whole(found.get("port")),
        lsn=_lsn(found.get("lsn")),
        wal_end=_lsn(found.get("wal_end")),
        clean=_flag(found.get("clean")),
        unchanged=_number(found.get("unchanged")),
        received_lsn=_lsn(found.get("received_lsn")),
        replayed_lsn=_lsn(found.get("replayed_lsn")),
        replayable=_flag(found.get("replayable")),
        replay_paused=_flag(found.get("replay_paused")),
        apply_delay=_number(found.get("apply_delay")),
        lag_seconds=_number(lag.get("seconds")) if isinstance(lag, Mapping) else None,
        upstream=_upstream(found.get("upstream")),
        replication=tuple(_replica(entry) for entry in _mappings(found.get("replication"))),
        slots=tuple(dict(slot) for slot in _mappings(found.get("slots"))),
        synchronous_standby_names=_text(found.get("synchronous_standby_names"), empty=True),
        archiver_failing=_flag(archiver.get("failing")) if isinstance(archiver, Mapping) else None,
        repository_on_this_disk=_flag(found.get("repository_on_this_disk")),
        password_ok=_flag(found.get("password_ok")),
        disk_free=_whole(found.get("disk_free")),
        managed_by=_text(found.get("managed_by")),
        manager_paused=_flag(found.get("manager_paused")),
        promoted_by=_text(found.get("promoted_by")),
        error=_text(found.get("error")),
    )


def _upstream(found: object) -> Upstream | None:
    if not isinstance(found, Mapping) or not found.get("host"):
        return None
    return Upstream(
        _text(found.get("host")),
        _whole(found.get("port")),
        _text(found.get("status")),
        _number(found.get("last_message_age")),
    )


def _replica(found: Mapping[str, Any]) -> Replica:
    return Replica(
        _text(found.get("application")),
        _text(found.get("address")),
        _text(found.get("state")),
        _text(found.get("sync_state")),
        _whole(found.get("bytes")),
        _number(found.get("seconds")),
    )


def _mappings(found: object) -> list[Mapping[str, Any]]:
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, (list, tuple)) else []


def _text(value: object, empty: bool = False) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) if empty or value != "" else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    """A number, or one that a template has made a text of."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _lsn(value: object) -> int | None:
    try:
        return parse_lsn(value) if isinstance(value, str) else None
    except LsnError:
        return None
