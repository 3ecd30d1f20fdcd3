# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data directory of a restore in place: its state, its owner, and files of earlier restores beside it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.journal import (
    Facts,
    Journal,
    Standing,
    describe,
    discarded_path,
    is_kept,
    journal_path,
    parse_journal,
    standing,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.movable import rename_fault
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.preview import RestoreError
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.request import Request
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic

_ARCHIVE_MODE = re.compile(r"^\s*archive_mode\s*=?\s*'?(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """A data directory; the journal of an interrupted restore, how far that came, and names of kept files beside."""

    data: str
    facts: Facts
    standing: Standing = Standing.WHOLE
    journal: Journal | None = None
    others: Sequence[str] = ()

    @property
    def kept(self) -> str | None:
        """The old files of the interrupted restore, as long as they exist."""
        if self.journal is None or self.journal.kept is None or not self.facts.kept:
            return None
        return os.path.join(os.path.dirname(self.data), self.journal.kept)

    @property
    def words(self) -> str | None:
        return describe(self.journal, self.standing, self.data, self.kept) if self.journal else None

    def old(self, cluster: Cluster) -> Cluster:
        """The cluster to be replaced, wherever its files are now."""
        aside = self.standing in (Standing.PARTIAL, Standing.RESTORED) and self.kept is not None
        return replace(cluster, data=self.kept) if aside and self.kept else cluster


def look(data: str) -> Place:
    """Examine a data directory; RestoreError or JournalError if its state is unclear."""
    folder = os.path.dirname(data)
    try:
        others = sorted(os.path.join(folder, name) for name in _names(folder) if is_kept(data, name))
        journal = _journal(data)
    except OSError as exc:
        raise RestoreError(f"{exc.filename} cannot be read: {exc.strerror}") from exc
    facts = Facts(
        data=os.path.isdir(data),
        control=os.path.exists(os.path.join(data, "global", "pg_control")),
        signal=os.path.exists(os.path.join(data, "recovery.signal")),
        kept=bool(journal and journal.kept) and os.path.isdir(os.path.join(folder, str(journal and journal.kept))),
    )
    return Place(data, facts, standing(journal, facts) if journal else Standing.WHOLE, journal, others)


def _names(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def _journal(data: str) -> Journal | None:
    try:
        with open(journal_path(data), encoding="utf-8", errors="replace") as stream:
            return parse_journal(stream.read(), data)
    except FileNotFoundError:
        return None


def note(data: str, journal: Journal) -> None:
    """Write the journal to disk, before the step that it names."""
    try:
        write_atomic(journal_path(data), journal.render())
    except OSError as exc:
        raise RestoreError(f"{journal_path(data)} cannot be written: {exc.strerror}") from exc


def forget(data: str) -> None:
    """Remove the journal, when the restore is completed or reverted."""
    try:
        os.unlink(journal_path(data))
    except FileNotFoundError:
        return
    except OSError as exc:
        raise RestoreError(
            f"{data} is as it should be, but {journal_path(data)} cannot be removed ({exc.strerror}): remove it"
        ) from exc


def discard(data: str, instead: str | None = None) -> None:
    """Remove restored files; `instead` takes their place before they are removed. Raises OSError too."""
    swept(data)
    if os.path.lexists(data):
        os.rename(data, discarded_path(data))
    if instead is not None:
        os.rename(instead, data)
    _sync(os.path.dirname(data))
    swept(data)


def swept(data: str) -> None:
    """Remove directories that earlier runs had begun to remove."""
    try:
        if os.path.lexists(discarded_path(data)):
            shutil.rmtree(discarded_path(data))
        if os.path.isdir(os.path.dirname(data)):
            sweep(journal_path(data))
    except OSError as exc:
        raise RestoreError(f"{exc.filename} cannot be removed: {exc.strerror}") from exc


def _sync(folder: str) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def check_live(archive: Archive, cluster: Cluster, place: Place, keep_data: bool, force: bool) -> None:
    """RestoreError for a cluster that must not be overwritten."""
    data, ours = cluster.data, place.standing is not Standing.WHOLE
    identifier = identifier_of(cluster, place)
    if identifier is not None and identifier != archive.database.system_identifier:
        raise RestoreError(
            f"{data} is another cluster (system identifier {identifier}) than stanza '{archive.stanza.name}' has"
            f" backups of ({archive.database.system_identifier}): nothing was touched"
        )
    if identifier is None and os.path.isdir(data) and os.listdir(data):
        beside = f"; beside it lie {', '.join(place.others)}, which earlier restores kept" if place.others else ""
        raise RestoreError(f"{data} is not empty and is no cluster of PostgreSQL: nothing was touched{beside}")
    if cluster.is_standby():
        raise RestoreError(f"{data} is a standby: restore its primary, or make it anew from there; nothing was touched")
    if cluster.running() is not None and not force:
        since = f" ({place.words})" if place.words else ""
        raise RestoreError(
            f"the cluster {data} is running{since}: stop its applications first, then restore with 'force'"
        )
    if keep_data and place.standing is Standing.OVERWRITTEN:
        raise RestoreError(f"{place.words}; there are no old files to keep")
    fault = rename_fault(data) if keep_data and not ours and os.path.isdir(data) else None
    if fault is not None:
        raise RestoreError(f"{fault}; nothing was touched")
    links = os.path.join(data, "pg_tblspc")
    if keep_data and not ours and os.path.isdir(links) and os.listdir(links):
        raise RestoreError(f"{data} has tablespaces, which lie elsewhere: use 'keep_data' false, or 'scratch_cluster'")


def identifier_of(cluster: Cluster, place: Place) -> str | None:
    """The system identifier of the cluster to be replaced; None if there is none."""
    if place.journal is not None and place.standing is not Standing.WHOLE and place.kept is None:
        return place.journal.identifier
    return place.old(cluster).control().get("Database system identifier")


def archives(archive: Archive, request: Request, cluster: Cluster, place: Place) -> bool:
    """Whether the restored cluster archives: the cluster that the stanza backs up does, a copy of it does not.

    The WAL of a copy would be mixed with the original's, under the same timeline.
    """
    if request.archives is not None:
        return request.archives
    configured = archive.client.setting("pg1-path")
    at_home = configured is not None and os.path.realpath(configured) == os.path.realpath(request.data)
    if identifier_of(cluster, place) is None or not at_home:
        return False
    try:
        with open(os.path.join(request.data, "postgresql.auto.conf"), encoding="utf-8", errors="replace") as stream:
            # The last line applies; without one the server's own configuration does.
            said = [word.lower() for word in _ARCHIVE_MODE.findall(stream.read())]
    except FileNotFoundError:
        said = []
    except OSError as exc:
        raise RestoreError(f"{exc.filename} cannot be read: {exc.strerror}") from exc
    return not said or said[-1] not in ("off", "false", "no", "0")
