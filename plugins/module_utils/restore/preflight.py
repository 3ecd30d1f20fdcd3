# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reasons to refuse a restore, checked before anything is changed. The decision is pure; `look` queries the server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, Server, ask, connected, facts
from ansible_collections.day2.ops.plugins.module_utils.restore import extensions, powers, properties, space, swap
from ansible_collections.day2.ops.plugins.module_utils.restore.names import beside

# A restored database has no bloat, but its indexes are built beside their sort files.
_MARGIN = 1.1
# What zstd made of tables, unpacked, at most: pgbench's are 7 times as large.
_UNPACKED = 12
# The limit of connections of a database whose DROP was cut off (PostgreSQL's DATCONNLIMIT_INVALID_DB).
_INVALID = -2
_SUBSCRIPTIONS = """
SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %s"""


@dataclass(frozen=True)
class Allowed:
    """Safety checks that are skipped, by the names in the module's option `allow`."""

    other_cluster: bool = False
    slots: bool = False
    subscriptions: bool = False
    create_roles: bool = False
    gained_rights: bool = False
    extensions: bool = False


@dataclass
class Seen:
    """State of the server. `live` is the database that would be replaced; sizes are bytes, None: unknown here."""

    server: Server
    names: list[str]
    roles: set[str]
    tablespaces: set[str]
    extensions: extensions.Extensions
    live: Mapping[str, Any] | None = None
    slots: list[str] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    room: space.Room = field(default_factory=space.Room)
    # Bytes by place of remains of an interrupted restore, which are dropped first.
    leftover: Mapping[str, int] = field(default_factory=dict)
    # What roles may do beyond a database (powers.look).
    powers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Why nothing can be unpacked in the scratch directory.
    scratch_fault: str | None = None
    # A database with the temporary name of the restored one that was not created by a restore.
    in_the_way: str | None = None
    # Why nobody could log in to a database of the target's name.
    name_fault: str | None = None
    # The version of pg_restore, such as 15.4.
    pg_restore: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What is to be restored: the manifest and its entry of the database, the bytes of its main archive."""

    manifest: Manifest
    entry: Mapping[str, Any]
    main_bytes: int
    target: str
    replaces: bool

    @property
    def size(self) -> int:
        return int(int(self.entry.get("size") or 0) * _MARGIN)

    @property
    def tablespaces(self) -> dict[str, int]:
        """Bytes in tablespaces that tables or indexes name; sets of earlier releases do not have them."""
        return {str(name): int(int(size) * _MARGIN) for name, size in (self.entry.get("tablespaces") or {}).items()}

    def like(self, seen: Seen) -> Mapping[str, Any]:
        """Properties of the restored database: those of the live database, or else those in the set."""
        return seen.live if self.replaces and seen.live is not None else self.entry

    @property
    def scratch(self) -> int:
        """Maximum bytes of the unpacked archive: never more than tables and indexes together."""
        return min(self.main_bytes * _UNPACKED, max(self.size, self.main_bytes))


def look(login: Login, wanted: Wanted, scratch: str) -> Seen:
    """Everything that `refusals` needs, in one connection, and none to the live database."""
    target = wanted.target
    with connected(login) as connection:
        server = facts(connection)
        found = {database["name"]: database for database in catalogue.every_database(connection)}
        unfinished = [name for name in swap.unfinished(connection, target) if name in found]
        seen = Seen(
            server=server,
            names=sorted(found),
            roles=_column(connection, "SELECT rolname FROM pg_roles"),
            tablespaces=_column(connection, "SELECT spcname FROM pg_tablespace"),
            extensions=extensions.look(connection, wanted.entry.get("extensions") or {}),
            live=found.get(target),
            slots=sorted(_column(connection, "SELECT slot_name FROM pg_replication_slots WHERE database = %s", target)),
            subscriptions=sorted(_column(connection, _SUBSCRIPTIONS, target)),
            prepared=sorted(_column(connection, "SELECT gid FROM pg_prepared_xacts WHERE database = %s", target)),
            room=space.look(connection, scratch, server.superuser),
            powers=powers.look(connection),
        )
        left: dict[str, int] = {}
        for name in unfinished:
            place = space.tablespace(str(found[name]["tablespace"]))
            left[place] = left.get(place, 0) + int(found[name]["size"] or 0)
        seen.leftover = left
        seen.name_fault = catalogue.name_fault(connection, target)
        name = beside(target)
        if name in found and name not in unfinished and not swap.just_begun(connection, name):
            seen.in_the_way = name
    if seen.room.volumes[space.SCRATCH] is None or not os.access(scratch, os.W_OK | os.X_OK):
        seen.scratch_fault = f"the scratch directory {scratch} does not exist, or this user may not write there"
    return seen


def _column(connection: Any, query: str, value: str | None = None) -> set[str]:
    return {str(row[0]) for row in ask(connection, query, (value,) if value is not None else ())}


def refusals(seen: Seen, wanted: Wanted, allowed: Allowed) -> list[str]:
    """Reasons why the restore is refused, a sentence each; empty: it may begin."""
    return [
        *_of_server(seen, wanted, allowed),
        *_of_contents(seen, wanted, allowed),
        *(_of_live(seen, seen.live, allowed) if wanted.replaces and seen.live is not None else []),
        *_of_disk(seen, wanted),
    ]


def _of_server(seen: Seen, wanted: Wanted, allowed: Allowed) -> list[str]:
    found: list[str] = []
    server = seen.server
    if server.in_recovery:
        found.append("this server is a standby: restore on its primary")
    origin = wanted.manifest.about.get("server") or {}
    made_by = int(origin.get("version_num") or 0) // 10000
    if made_by > server.major:
        found.append(f"the set is of PostgreSQL {made_by}, and this server is {server.major}: a later one is needed")
    if wanted.replaces:
        if seen.live is None:
            found.append(f"there is no database {wanted.target!r} to replace; `mode: new` makes one")
        here, there = server.system_identifier, str(origin.get("system_identifier"))
        if here != there and not allowed.other_cluster:
            found.append(
                f"the set is of another cluster (system identifier {there}, this one is {here}): is this the right"
                " host? `allow: [other_cluster]` replaces a database with another cluster's"
            )
    elif wanted.target in seen.names:
        found.append(f"there is a database {wanted.target!r} already; `mode: replace` takes its place and keeps it")
    if seen.in_the_way is not None:
        found.append(
            f"there is a database {seen.in_the_way!r} that no restore has made: rename it, or drop it where nobody"
            " needs it"
        )
    if seen.name_fault is not None:
        found.append(f"the name {wanted.target!r} {seen.name_fault}: take another `target`, in ASCII")
    unreadable = archive_fault(wanted.manifest, seen.pg_restore)
    return [*found, unreadable] if unreadable else found


def archive_fault(manifest: Manifest, pg_restore: str | None) -> str | None:
    """Why a pg_restore of this version cannot read the archives: each major version may write a later format. Pure."""
    written = str((manifest.about.get("tools") or {}).get("pg_dump") or "")
    made_by, reader = written.partition(".")[0], (pg_restore or "").partition(".")[0]
    if not (made_by.isdecimal() and reader.isdecimal()) or int(made_by) <= int(reader):
        return None
    return (
        f"the set was made by pg_dump {written}, and pg_restore {pg_restore} here is older, so it may not read it:"
        f" install PostgreSQL {made_by}'s client programs and name them by `bin_dir`"
    )


def _of_contents(seen: Seen, wanted: Wanted, allowed: Allowed) -> list[str]:
    found = extensions.faults(
        wanted.entry.get("extensions") or {}, seen.extensions, beside(wanted.target), allowed.extensions
    )
    roles = missing_roles(seen, wanted)
    if roles and not allowed.create_roles:
        found.append(f"roles are missing: {', '.join(roles)}; `allow: [create_roles]` makes them as the set has them")
    home = wanted.like(seen).get("tablespace")
    missing = sorted({*wanted.tablespaces, *([str(home)] if home else [])} - seen.tablespaces)
    if missing:
        found.append(f"tablespaces are missing: {', '.join(missing)}; CREATE TABLESPACE of these names first")
    locale = properties.locale_fault(seen.server.version, wanted.like(seen))
    return [*found, locale] if locale else found


def missing_roles(seen: Seen, wanted: Wanted) -> list[str]:
    needed = {*(wanted.entry.get("roles") or []), *properties.roles(wanted.like(seen))}
    return sorted(needed - seen.roles)


def here(seen: Seen, wanted: Wanted) -> powers.Here:
    """This server's roles, for whether made ones would gain rights by them."""
    origin = wanted.manifest.about.get("server") or {}
    return powers.Here(seen.powers, seen.server.system_identifier == str(origin.get("system_identifier")))


def _of_live(seen: Seen, live: Mapping[str, Any], allowed: Allowed) -> list[str]:
    found = []
    if int(live["connection_limit"]) == _INVALID:
        found.append(f"{live['name']} is what a DROP DATABASE that was cut off has left: drop it, then use `mode: new`")
    elif not live["allows_connections"]:
        found.append(
            f"{live['name']} allows no connections, so it cannot be compared what is in it;"
            " ALTER DATABASE … ALLOW_CONNECTIONS true first"
        )
    if seen.slots and not allowed.slots:
        found.append(
            f"logical replication slots read the database: {', '.join(seen.slots)}; they stay with the old one,"
            " and `allow: [slots]` says that this is known"
        )
    if seen.subscriptions and not allowed.subscriptions:
        found.append(
            f"the database has subscriptions: {', '.join(seen.subscriptions)}; they go on in the old one,"
            " and `allow: [subscriptions]` says that this is known"
        )
    if seen.prepared:
        found.append(f"prepared transactions hold the database: {', '.join(seen.prepared)}; end them first")
    return found


def _of_disk(seen: Seen, wanted: Wanted) -> list[str]:
    """Shortage of disk space for the restored database, its WAL, and the unpacked archive."""
    if seen.scratch_fault is not None:
        return [seen.scratch_fault]
    return space.shortages(_demands(seen, wanted), seen.room, seen.leftover)


def _demands(seen: Seen, wanted: Wanted) -> dict[str, int]:
    home = str(wanted.like(seen).get("tablespace") or "pg_default")
    return space.demands(wanted.size, wanted.scratch, home, wanted.tablespaces, seen.room)


def needs(seen: Seen, wanted: Wanted) -> dict[str, Any]:
    """Bytes needed and free, for the plan. `places` has them by the place that grows."""
    volumes = seen.room.volumes
    free = {place: there.free if there else None for place, there in volumes.items()}
    return {
        "database": wanted.size,
        "scratch": wanted.scratch,
        "free": free.get(space.DATA),
        "scratch_free": free.get(space.SCRATCH),
        "places": {place: {"needed": size, "free": free.get(place)} for place, size in _demands(seen, wanted).items()},
    }
