# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk space for a restore: each place that grows, and its file system. The decision is pure."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes

DATA, WAL, SCRATCH = "the server's data", "the server's WAL", "the scratch directory"
_DIRECTORY = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"
_TABLESPACES = """
SELECT spcname, pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')"""
_WAL_LIMIT = "SELECT pg_size_bytes(current_setting('max_wal_size'))"
_WAL_NOW = "SELECT coalesce(sum(size), 0)::int8 FROM pg_ls_waldir()"


@dataclass(frozen=True)
class Volume:
    """A file system: its number, and the bytes that may be filled."""

    device: int
    free: int


@dataclass
class Room:
    """Volumes by the names of places; None or missing: not on this host. `wal` is by how many bytes pg_wal may grow."""

    volumes: dict[str, Volume | None] = field(default_factory=dict)
    wal: int = 0


def tablespace(name: str) -> str:
    """The name of a tablespace's place."""
    return DATA if name == "pg_default" else f"tablespace {name}"


def look(connection: Any, scratch: str, superuser: bool) -> Room:
    rows = ask(connection, _DIRECTORY)
    directory = str(rows[0][0]) if rows else ""
    room = Room({DATA: volume(directory), WAL: volume(os.path.join(directory, "pg_wal")), SCRATCH: volume(scratch)})
    for name, location in ask(connection, _TABLESPACES):
        room.volumes[tablespace(name)] = volume(location)
    ((limit,),) = ask(connection, _WAL_LIMIT)
    # Without read access the present size is unknown.
    now = ask(connection, _WAL_NOW)[0][0] if superuser else limit
    room.wal = max(0, limit - now)
    return room


def volume(folder: str) -> Volume | None:
    """The file system of a directory; None where there is no such directory."""
    try:
        status = os.statvfs(folder)
        return Volume(os.stat(folder).st_dev, status.f_bavail * status.f_frsize)
    except OSError:
        return None


def demands(size: int, scratch: int, home: str, tablespaces: Mapping[str, int], room: Room) -> dict[str, int]:
    """Bytes by place: a database of `size` in tablespace `home`, of which parts lie in others. Pure."""
    apart = {name: size_of for name, size_of in tablespaces.items() if name != home}
    found = {tablespace(home): max(0, size - sum(apart.values()))}
    for name, size_of in apart.items():
        found[tablespace(name)] = found.get(tablespace(name), 0) + size_of
    # Within max_wal_size WAL files are recycled.
    return {**found, WAL: min(size, room.wal), SCRATCH: scratch}


def shortages(needed: Mapping[str, int], room: Room, leftover: Mapping[str, int]) -> list[str]:
    """File systems with too little space, a sentence each. `leftover`: bytes by place that are dropped first. Pure."""
    together: dict[int, list[str]] = {}
    for place in needed:
        there = room.volumes.get(place)
        if there is not None and (needed[place] or place in (DATA, SCRATCH)):
            together.setdefault(there.device, []).append(place)
    return [said for places in together.values() for said in _shortage(places, needed, room, leftover)]


def _shortage(places: Sequence[str], needed: Mapping[str, int], room: Room, leftover: Mapping[str, int]) -> list[str]:
    first = room.volumes[places[0]]
    free = (first.free if first else 0) + sum(leftover.get(place, 0) for place in places)
    total = sum(needed[place] for place in places)
    if total <= free:
        return []
    parts = ", ".join(f"{place} {format_bytes(needed[place])}" for place in places if needed[place])
    where = places[0] if len(places) == 1 else f"the file system of {' and '.join(places)}"
    more = f" ({parts})" if len(places) > 1 else ""
    return [f"{where} has {format_bytes(free)} left, and about {format_bytes(total)} are needed{more}"]
