# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WAL that a data directory has and its archive has not: what a restore over that directory would lose."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import (
    Archive,
    Contents,
    list_archive,
    read_file,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import (
    Listing,
    format_lsn,
    name_runs,
    parse_history,
    parse_segment,
)
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster

_NAME = re.compile(r"[0-9A-F]{24}")
# A server whose archiving has been broken for days has thousands.
_READ = 64


@dataclass(frozen=True)
class Unarchived:
    """Segments with what they hold. Times are POSIX seconds; `commits` is None where there were too many to read."""

    archived: str | None
    segments: Sequence[str] = ()
    commits: int | None = 0
    first: float | None = None
    last: float | None = None
    lsn: int | None = None

    def __bool__(self) -> bool:
        return self.commits is None or self.commits > 0

    def describe(self) -> dict[str, Any]:
        return {
            "last_archived": self.archived,
            "segments": list(self.segments[:_READ]),
            "count": len(self.segments),
            "commits": self.commits,
            "first_commit": rfc3339(self.first) if self.first is not None else None,
            "last_commit": rfc3339(self.last) if self.last is not None else None,
            "lsn": format_lsn(self.lsn) if self.lsn is not None else None,
        }

    def __str__(self) -> str:
        how_many = "many transactions" if self.commits is None else f"{self.commits} transactions"
        when = f" from {rfc3339(self.first)}" if self.first is not None else ""
        when += f" to {rfc3339(self.last)}" if self.last is not None else ""
        lsn = f", up to LSN {format_lsn(self.lsn)}" if self.lsn is not None else ""
        ends = f"the archive ends with {self.archived}" if self.archived else "the archive has nothing of this timeline"
        return f"{how_many}{when}{lsn} are in no archive ({ends}): {name_runs(self.segments)}"


def unarchived(archive: Archive, cluster: Cluster) -> Unarchived:
    """What is in the directory's pg_wal only, as of now: the segment that a running server writes is among it."""
    timeline = cluster.control().get("Latest checkpoint's TimeLineID")
    if timeline is None:
        return Unarchived(None)
    folder = os.path.join(cluster.data, "pg_wal")
    names, ready = _listed(folder), set(waiting(cluster.data))
    since = _begin(os.path.join(folder, f"{int(timeline):08X}.history"))
    listing = list_archive(archive.client, archive.database)
    newest, candidates = beyond(names, ready, listing, int(timeline), archive.size)
    read: dict[str, Contents] = {}
    for name in candidates[:_READ]:
        found = _read(archive, os.path.join(folder, name), since)
        if found is None or (found.last_lsn is None and name not in ready):
            # From here on there are only segments that wait to be written to.
            break
        read[name] = found
    return summed(newest, read, len(candidates) > _READ and len(read) == _READ)


def beyond(
    names: Sequence[str], ready: set[str], listing: Listing, timeline: int, size: int
) -> tuple[str | None, list[str]]:
    """The newest archived segment of a timeline; those that wait for the archive, and those that come after. Pure."""
    prefix = f"{timeline:08X}"
    newest = max((name for name in listing.paths if name.startswith(prefix)), default=None)
    after = parse_segment(newest, size).number if newest else -1
    found = {name for name in names if name in ready and name not in listing.paths}
    found |= {name for name in names if name.startswith(prefix) and parse_segment(name, size).number > after}
    return newest, sorted(found)


def summed(newest: str | None, read: dict[str, Contents], more: bool) -> Unarchived:
    """Pure."""
    firsts = [each.first_end for each in read.values() if each.first_end is not None]
    lasts = [each.last_end for each in read.values() if each.last_end is not None]
    lsns = [each.last_lsn for each in read.values() if each.last_lsn is not None]
    return Unarchived(
        archived=newest,
        segments=tuple(read),
        commits=None if more else sum(each.commits for each in read.values()),
        first=min(firsts, default=None),
        last=None if more else max(lasts, default=None),
        lsn=None if more else max(lsns, default=None),
    )


def waiting(data: str) -> list[str]:
    """Segments that a server has offered to the archive and not got there."""
    folder = os.path.join(data, "pg_wal", "archive_status")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name[: -len(".ready")] for name in names if name.endswith(".ready"))


def _listed(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    except FileNotFoundError:
        # Of a cluster whose WAL is lost nothing can be told, and all the more it has to be restored.
        return []
    except OSError as exc:
        raise Day2Error(f"{folder} cannot be read: {exc.strerror}") from exc


def _begin(path: str) -> int:
    """The LSN at which a timeline begins: what its first segment has before that is a copy of its parent's."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return max((lsn for _parent, lsn in parse_history(stream.read())), default=0)
    except FileNotFoundError:
        return 0
    except OSError as exc:
        raise Day2Error(f"{path} cannot be read: {exc.strerror}") from exc


def _read(archive: Archive, path: str, since: int) -> Contents | None:
    try:
        return read_file(path, archive.pg_waldump, archive.client.timeout, since=since)
    except FileNotFoundError:
        # A running server has recycled it.
        return None
