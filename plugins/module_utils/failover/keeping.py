# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run asks of a rejoin, and what it keeps of the old primary before anything is changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover import divergence
from ansible_collections.day2.ops.plugins.module_utils.failover.divergence import Divergence
from ansible_collections.day2.ops.plugins.module_utils.failover.local import Member, MemberError
from ansible_collections.day2.ops.plugins.module_utils.failover.surroundings import disk_free
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import Upstream
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic, rfc3339


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


def keep(member: Member, source: Upstream, found: Divergence, asked: Rejoin) -> Divergence:
    """Name the tables, and keep report and WAL where the next run does not overwrite them."""
    found = replace(found, tables=tuple(_tables(source, asked.database, found)))
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


def _tables(source: Upstream, database: str, found: Divergence) -> list[str]:
    """Names by the new primary's catalogues. Files of a database that cannot be asked are named by their numbers, and
    what it does not know of one that can is none of its tables: catalogues, and what was made after the fork."""
    names, asking = [], divergence.by_database(found.relations)
    try:
        lines = source.ask(divergence.DATABASES, database).split("\n") if asking else []
        known = {int(number): name for number, _bar, name in (line.partition("|") for line in lines)}
    except ServerError:
        known = {}
    for oid, relations in sorted(asking.items()):
        try:
            listing = source.ask(divergence.NAMES, known[oid])
            names += [f"{known[oid]}: {name}" for name in divergence.named(relations, listing)]
        except (ServerError, KeyError):
            names += [f"file {relation.node} of database {oid}" for relation in relations]
    return names
