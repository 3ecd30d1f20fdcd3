# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against a restore, found before anything is touched. The decision is pure; `look` asks the server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, Server, ask, connected, facts
from ansible_collections.day2.ops.plugins.module_utils.restore import properties, swap
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
    """What is refused unless it is told: names as the module's `allow` has them."""

    other_cluster: bool = False
    slots: bool = False
    subscriptions: bool = False
    create_roles: bool = False


@dataclass
class Seen:
    """What the server has. `live` is the database that would be replaced; sizes are bytes, None: not known here."""

    server: Server
    names: list[str]
    roles: set[str]
    tablespaces: set[str]
    extensions: set[str]
    live: Mapping[str, Any] | None = None
    slots: list[str] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    free: int | None = None
    scratch_free: int | None = None
    same_disk: bool = False
    # What an interrupted restore has left, which is dropped first.
    leftover: int = 0
    # Why nothing can be unpacked in the scratch directory.
    scratch_fault: str | None = None
    # Somebody's own database of the name under which this one would be restored.
    in_the_way: str | None = None
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

    def like(self, seen: Seen) -> Mapping[str, Any]:
        """The properties that it will have: those of the live database, or what the set says."""
        return seen.live if self.replaces and seen.live is not None else self.entry

    @property
    def scratch(self) -> int:
        """Of what is unpacked, at most: never more than tables and indexes are together."""
        return min(self.main_bytes * _UNPACKED, max(self.size, self.main_bytes))


def look(login: Login, target: str, scratch: str) -> Seen:
    """Everything that `refusals` needs, in one connection, and none to the live database."""
    with connected(login) as connection:
        server = facts(connection)
        found = {each["name"]: each for each in catalogue.every_database(connection)}
        seen = Seen(
            server=server,
            names=sorted(found),
            roles=_column(connection, "SELECT rolname FROM pg_roles"),
            tablespaces=_column(connection, "SELECT spcname FROM pg_tablespace"),
            extensions=_column(connection, "SELECT name FROM pg_available_extensions"),
            live=found.get(target),
            slots=sorted(_column(connection, "SELECT slot_name FROM pg_replication_slots WHERE database = %s", target)),
            subscriptions=sorted(_column(connection, _SUBSCRIPTIONS, target)),
            prepared=sorted(_column(connection, "SELECT gid FROM pg_prepared_xacts WHERE database = %s", target)),
            leftover=sum(int(found[name]["size"]) for name in swap.unfinished(connection, target) if name in found),
        )
        place = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
        directory = next(iter(_column(connection, place)), "")
        name = beside(target)
        if name in found and name not in swap.unfinished(connection, target) and not swap.just_begun(connection, name):
            seen.in_the_way = name
    _disks(seen, directory, scratch)
    return seen


def _column(connection: Any, query: str, value: str | None = None) -> set[str]:
    return {str(row[0]) for row in ask(connection, query, (value,) if value is not None else ())}


def _disks(seen: Seen, directory: str, scratch: str) -> None:
    """Free space where the server keeps its data, if that is on this host, and where archives are unpacked."""
    here = free(directory) if os.path.isdir(directory or "/nonexistent") else None
    unpacked = free(scratch)
    seen.free, seen.scratch_free = here, unpacked
    if unpacked is None or not os.access(scratch, os.W_OK | os.X_OK):
        seen.scratch_fault = f"the scratch directory {scratch} does not exist, or this user may not write there"
    seen.same_disk = here is not None and unpacked is not None and os.stat(directory).st_dev == os.stat(scratch).st_dev


def free(folder: str) -> int | None:
    """Bytes that this user may fill; None where there is no such directory."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def refusals(seen: Seen, wanted: Wanted, allowed: Allowed) -> list[str]:
    """Why it must not begin, a sentence each; nothing: it may."""
    return [
        *_of_server(seen, wanted, allowed),
        *_of_contents(seen, wanted, allowed),
        *(_of_live(seen, seen.live, allowed) if wanted.replaces and seen.live is not None else []),
        *_of_disk(seen, wanted),
    ]


def _of_server(seen: Seen, wanted: Wanted, allowed: Allowed) -> list[str]:
    told, server = [], seen.server
    if server.in_recovery:
        told.append("this server is a standby: restore on its primary")
    origin = wanted.manifest.about.get("server") or {}
    made_by = int(origin.get("version_num") or 0) // 10000
    if made_by > server.major:
        told.append(f"the set is of PostgreSQL {made_by}, and this server is {server.major}: a later one is needed")
    if wanted.replaces:
        if seen.live is None:
            told.append(f"there is no database {wanted.target!r} to replace; `mode: new` makes one")
        here, there = server.system_identifier, str(origin.get("system_identifier"))
        if here != there and not allowed.other_cluster:
            told.append(
                f"the set is of another cluster (system identifier {there}, this one is {here}): is this the right"
                " host? `allow: [other_cluster]` replaces a database with another cluster's"
            )
    elif wanted.target in seen.names:
        told.append(f"there is a database {wanted.target!r} already; `mode: replace` takes its place and keeps it")
    if seen.in_the_way is not None:
        told.append(
            f"there is a database {seen.in_the_way!r} that no restore has made: rename it, or drop it where nobody"
            " needs it"
        )
    unreadable = archive_fault(wanted.manifest, seen.pg_restore)
    return [*told, unreadable] if unreadable else told


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
    told, entry = [], wanted.entry
    extensions = [name for name in entry.get("extensions") or {} if name not in seen.extensions]
    if extensions:
        told.append(f"extensions are not installed on this server: {', '.join(extensions)}")
    roles = missing_roles(seen, wanted)
    if roles and not allowed.create_roles:
        told.append(f"roles are missing: {', '.join(roles)}; `allow: [create_roles]` makes them as the set has them")
    tablespace = wanted.like(seen).get("tablespace")
    if tablespace not in (None, *seen.tablespaces):
        told.append(f"tablespace {tablespace} is missing")
    locale = properties.locale_fault(seen.server.version, wanted.like(seen))
    return [*told, locale] if locale else told


def missing_roles(seen: Seen, wanted: Wanted) -> list[str]:
    needed = {*(wanted.entry.get("roles") or []), *properties.roles(wanted.like(seen))}
    return sorted(needed - seen.roles)


def _of_live(seen: Seen, live: Mapping[str, Any], allowed: Allowed) -> list[str]:
    told = []
    if int(live["connection_limit"]) == _INVALID:
        told.append(f"{live['name']} is what a DROP DATABASE that was cut off has left: drop it, then use `mode: new`")
    elif not live["allows_connections"]:
        told.append(
            f"{live['name']} allows no connections, so it cannot be compared what is in it;"
            " ALTER DATABASE … ALLOW_CONNECTIONS true first"
        )
    if seen.slots and not allowed.slots:
        told.append(
            f"logical replication slots read the database: {', '.join(seen.slots)}; they stay with the old one,"
            " and `allow: [slots]` says that this is known"
        )
    if seen.subscriptions and not allowed.subscriptions:
        told.append(
            f"the database has subscriptions: {', '.join(seen.subscriptions)}; they go on in the old one,"
            " and `allow: [subscriptions]` says that this is known"
        )
    if seen.prepared:
        told.append(f"prepared transactions hold the database: {', '.join(seen.prepared)}; end them first")
    return told


def _of_disk(seen: Seen, wanted: Wanted) -> list[str]:
    """The restored database beside the live one, and what is unpacked meanwhile."""
    if seen.scratch_fault is not None:
        return [seen.scratch_fault]
    free_then = None if seen.free is None else seen.free + seen.leftover
    needs = [("the server's data", free_then, wanted.size + (wanted.scratch if seen.same_disk else 0))]
    if not seen.same_disk:
        needs.append(("the scratch directory", seen.scratch_free, wanted.scratch))
    return [
        f"{place} has {format_bytes(free)} left, and about {format_bytes(need)} are needed"
        for place, free, need in needs
        if free is not None and free < need
    ]


def needs(seen: Seen, wanted: Wanted) -> dict[str, Any]:
    """The figures behind it, for the plan; bytes."""
    return {
        "database": wanted.size,
        "scratch": wanted.scratch,
        "free": seen.free,
        "scratch_free": seen.scratch_free,
    }
