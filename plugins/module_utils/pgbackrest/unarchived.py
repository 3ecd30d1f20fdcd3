# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WAL in a data directory that is not archived: a restore over that directory would lose it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import (
    Archive,
    Contents,
    list_archive,
    read_file,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import (
    Listing,
    name_runs,
    parse_history,
    parse_segment,
)
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

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
            "first_commit": rfc3339_ms(self.first) if self.first is not None else None,
            "last_commit": rfc3339_ms(self.last) if self.last is not None else None,
            "lsn": format_lsn(self.lsn) if self.lsn is not None else None,
        }

    def __str__(self) -> str:
        how_many = "many transactions" if self.commits is None else f"{self.commits} transactions"
        when = f" from {rfc3339_ms(self.first)}" if self.first is not None else ""
        when += f" to {rfc3339_ms(self.last)}" if self.last is not None else ""
        lsn = f", up to LSN {format_lsn(self.lsn)}" if self.lsn is not None else ""
        ends = f"the archive ends with {self.archived}" if self.archived else "the archive has nothing of this timeline"
        return f"{how_many}{when}{lsn} are in no archive ({ends}): {name_runs(self.segments)}"


def unarchived(archive: Archive, cluster: Cluster) -> Unarchived:
    """Segments that are only in the directory's pg_wal at present, including the one that a running server writes."""
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
            # From here on there are only recycled segments for later use.
            break
        read[name] = found
    return summed(newest, read, len(candidates) > _READ and len(read) == _READ)


def beyond(
    names: Sequence[str], ready: set[str], listing: Listing, timeline: int, size: int
) -> tuple[str | None, list[str]]:
    """The newest archived segment of a timeline; segments waiting for the archive, and those after it. Pure."""
    prefix = f"{timeline:08X}"
    newest = max((name for name in listing.paths if name.startswith(prefix)), default=None)
    after = parse_segment(newest, size).number if newest else -1
    found = {name for name in names if name in ready and name not in listing.paths}
    found |= {name for name in names if name.startswith(prefix) and parse_segment(name, size).number > after}
    return newest, sorted(found)


def summed(newest: str | None, read: dict[str, Contents], more: bool) -> Unarchived:
    """Pure."""
    firsts = [contents.first_end for contents in read.values() if contents.first_end is not None]
    lasts = [contents.last_end for contents in read.values() if contents.last_end is not None]
    lsns = [contents.last_lsn for contents in read.values() if contents.last_lsn is not None]
    return Unarchived(
        archived=newest,
        segments=tuple(read),
        commits=None if more else sum(contents.commits for contents in read.values()),
        first=min(firsts, default=None),
        last=None if more else max(lasts, default=None),
        lsn=None if more else max(lsns, default=None),
    )


def waiting(data: str) -> list[str]:
    """Segments that are complete and not archived yet (`.ready` files)."""
    folder = os.path.join(data, "pg_wal", "archive_status")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name[: -len(".ready")] for name in names if name.endswith(".ready"))


def _listed(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    except FileNotFoundError:
        # Without its WAL nothing is known of a cluster, and a restore is all the more needed.
        return []
    except OSError as exc:
        raise Day2Error(f"{folder} cannot be read: {exc.strerror}") from exc


def _begin(path: str) -> int:
    """The LSN at which a timeline begins: its first segment has a copy of its parent's WAL before that."""
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
        # A running server has recycled this segment.
        return None
