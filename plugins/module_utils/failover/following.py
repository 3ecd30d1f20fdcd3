# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A standby follows another primary: only where its own WAL goes on there, which the primary's history says."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.local import (
    TIMELINE,
    Member,
    MemberError,
    readiness,
    write_owned,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import Upstream, parse_conninfo
from ansible_collections.day2.ops.plugins.module_utils.failover.wal_end import wal_end
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import parse_history
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, conninfo
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import last_look
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

_POLL = 0.2
# Takes the password of a login that had it in primary_conninfo.
PASSFILE = "day2-primary.pgpass"
_STATE = """
SELECT json_build_object('standby', pg_is_in_recovery(), 'timeline', <timeline>,
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'port', current_setting('port')::int, 'aim', current_setting('recovery_target_timeline'),
  'received', CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END,
  'replayed', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END,
  'conninfo', current_setting('primary_conninfo'), 'slot', current_setting('primary_slot_name'),
  'stream', (SELECT json_build_array(status, received_tli) FROM pg_stat_wal_receiver))""".replace(
    "<timeline>", TIMELINE
)


@dataclass(frozen=True)
class State:
    """What the standby is at present; `stream` is status and timeline of what it receives, None without a receiver."""

    standby: bool
    timeline: int
    system_identifier: str
    port: int
    aim: str
    received: str | None
    replayed: str | None
    conninfo: str = field(repr=False)
    slot: str
    stream: Sequence[Any] | None

    def streams(self, timeline: int) -> bool:
        return self.stream is not None and self.stream[0] == "streaming" and self.stream[1] == timeline


@dataclass(frozen=True)
class Follow:
    """What a run asks for: the primary's address and timeline, and the slot there. `limit` is seconds."""

    host: str
    primary_port: int
    expected_timeline: int | None = None
    slot: str | None = None
    port: int | None = None
    system_identifier: str | None = None
    limit: float = 60.0


def state_of(member: Member) -> State:
    if readiness(member) == 2:
        what = "its process is there and does not answer" if member.cluster.running() else "it does not run"
        raise MemberError(f"the server of {member.cluster.data} cannot be asked: {what}; nothing was changed")
    return State(**member.record(_STATE))


@dataclass(frozen=True)
class History:
    """A server's timeline and its ancestors, oldest first: (timeline, LSN where the next one left it)."""

    timeline: int
    forks: Sequence[tuple[int, int]] = ()


def ahead(own: History, received: int, primary: History, end: int) -> int | None:
    """Bytes that a standby has and the primary, whose WAL ends at `end`, has not. Pure.

    None where the standby's timeline is none of the primary's: two servers that were promoted apart both have the next
    number. `own.forks` is empty where they are not known.
    """
    known = [*primary.forks, (primary.timeline, end)]
    place = next((number for number, (timeline, _lsn) in enumerate(known) if timeline == own.timeline), None)
    if place is None or (own.forks and list(own.forks) != known[:place]):
        return None
    return max(0, received - known[place][1])


def refusal(state: State, asked: Follow) -> str | None:
    """What forbids it at sight of the standby alone. Pure."""
    if not state.standby:
        return (
            f"it is no standby, but a primary on timeline {state.timeline}: pg_rewind or a new base backup makes it one"
        )
    if asked.port is not None and state.port != asked.port:
        return f"its server has port {state.port}, expected {asked.port}"
    if asked.system_identifier is not None and asked.system_identifier != state.system_identifier:
        return (
            f"it is another cluster (system identifier {state.system_identifier}), expected {asked.system_identifier}"
        )
    if state.aim != "latest":
        return (
            f"its recovery_target_timeline is '{state.aim}', so that it follows no promotion: set it to latest and"
            " restart it"
        )
    return None


def follow(member: Member, asked: Follow, check_mode: bool = False) -> dict[str, Any]:
    """The result of the module; MemberError says what forbids it."""
    state = state_of(member)
    fault = refusal(state, asked)
    if fault is not None:
        raise MemberError(f"{member.cluster.data} does not follow: {fault}; nothing was changed")
    parts = parse_conninfo(state.conninfo)
    wanted = {**parts, "host": asked.host, "port": str(asked.primary_port)}
    # An address beside the name would count before it.
    wanted.pop("hostaddr", None)
    primary = Upstream(member, wanted)
    there, end = _ask(member, primary, state, asked)
    timeline, own = there.timeline, History(state.timeline, own_forks(member, state.timeline))
    beyond = ahead(own, parse_lsn(state.received or "0/0"), there, end)
    if beyond:
        beyond = ahead(own, _whole_records(member, state), there, end)
    if beyond != 0:
        return _diverged(member, state, primary, beyond)
    settled = _same(parts, wanted) and (asked.slot is None or asked.slot == state.slot)
    if settled and state.streams(timeline):
        return _result(False, timeline, f"it streams from {primary.address} on timeline {timeline}")
    if check_mode:
        return _result(True, timeline, f"would stream from {primary.address} on timeline {timeline}")
    if asked.slot is not None:
        primary.make_slot(asked.slot)
    wanted = _without_password(member, wanted)
    if not settled:
        if asked.slot is not None and asked.slot != state.slot:
            member.set("primary_slot_name", asked.slot)
        member.set("primary_conninfo", conninfo(**wanted))
    until_streaming(member, primary, timeline, asked.limit)
    return _result(True, timeline, f"it streams from {primary.address} on timeline {timeline}")


def own_forks(member: Member, timeline: int) -> Sequence[tuple[int, int]]:
    """The ancestors of the standby's timeline as its own WAL says, where that has a history of it."""
    path = os.path.join(member.cluster.data, "pg_wal", f"{timeline:08X}.history")
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return parse_history(stream.read())
    except OSError:
        return ()


def _ask(member: Member, primary: Upstream, state: State, asked: Follow) -> tuple[History, int]:
    """History of the primary and the end of its WAL, with the standby's own login."""
    try:
        identifier, timeline, end = primary.identify()
        forks = primary.forks(timeline)
    except ServerError as exc:
        raise MemberError(
            f"{member.cluster.data} does not follow: the primary cannot be asked with the standby's login: {exc};"
            " nothing was changed"
        ) from exc
    if identifier != state.system_identifier:
        raise MemberError(
            f"{member.cluster.data} does not follow: {primary.address} is another cluster (system identifier"
            f" {identifier}, here {state.system_identifier}); nothing was changed"
        )
    if asked.expected_timeline is not None and timeline != asked.expected_timeline:
        raise MemberError(
            f"{member.cluster.data} does not follow: {primary.address} is on timeline {timeline}, expected"
            f" {asked.expected_timeline}; nothing was changed"
        )
    return History(timeline, forks), parse_lsn(end)


def _whole_records(member: Member, state: State) -> int:
    """Where the last whole record ends that the standby has: of a primary that crashed, half a record may have come,
    which takes nobody anywhere."""
    replayed = state.replayed or "0/0"
    found = wal_end(member, state.timeline, replayed)
    return max(parse_lsn(replayed), parse_lsn(found or "0/0"))


def _diverged(member: Member, state: State, primary: Upstream, beyond: int | None) -> dict[str, Any]:
    where = f"its timeline {state.timeline} is none of the primary's"
    if beyond is not None:
        where = f"it has {beyond} bytes of WAL of timeline {state.timeline}, up to {state.received}, that are not there"
    message = (
        f"{member.cluster.data} does not follow {primary.address}: {where}. It was not touched: pg_rewind or a new base"
        " backup makes it follow, and what is only here is lost then"
    )
    return {"changed": False, "diverged": True, "ahead_bytes": beyond, "timeline": state.timeline, "msg": message}


def _same(parts: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return {"port": "5432", **parts} == {"port": "5432", **wanted}


def _without_password(member: Member, wanted: Mapping[str, str]) -> dict[str, str]:
    """The login with its password in a file: a server writes settings that change into its log."""
    parts = dict(wanted)
    password = parts.pop("password", None)
    if password is None:
        return parts
    path = os.path.join(member.cluster.data, PASSFILE)
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    try:
        write_owned(member, path, f"*:*:*:{parts.get('user', '*')}:{escaped}\n")
    except OSError as exc:
        raise MemberError(f"{path} cannot be written: {exc.strerror}; nothing was changed") from exc
    return {**parts, "passfile": path}


def until_streaming(member: Member, primary: Upstream, timeline: int, limit: float) -> None:
    """Wait for the stream of a standby; MemberError says what there is instead."""
    missing = last_look(lambda: _missing(member, timeline), lambda found: found is None, limit, _POLL)
    if missing is not None:
        raise MemberError(
            f"{member.cluster.data} is set to follow {primary.address}, and does not stream on timeline {timeline}"
            f" after {format_duration(limit)}: {missing}. Its log ends with: {member.cluster.last_words()}"
        )


def _missing(member: Member, timeline: int) -> str | None:
    """What there is instead of a stream on this timeline; None where there is one."""
    try:
        state = state_of(member)
    except (MemberError, ServerError) as exc:
        return str(exc)
    if state.streams(timeline):
        return None
    return f"{state.stream[0]} on timeline {state.stream[1]}" if state.stream else "no WAL receiver"


def _result(changed: bool, timeline: int, message: str) -> dict[str, Any]:
    return {"changed": changed, "diverged": False, "ahead_bytes": 0, "timeline": timeline, "msg": message}
