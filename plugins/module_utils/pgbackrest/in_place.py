# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore over the cluster itself, whose old files are kept beside it or reused.

Before each step it is recorded in a journal, so that the next run completes what a killed run left behind, or reverts
it. A restore that fails while the old files are kept puts them back itself.
"""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import replace
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import recovery
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.journal import Journal, Standing, Step, lock_path
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.place import (
    Place,
    archives,
    check_live,
    discard,
    forget,
    look,
    note,
    swept,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.preview import Preview, RestoreError, preview
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Unreachable
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.request import Request, options, recover, with_message
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.unarchived import Unarchived, unarchived
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster, programs_of
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic, rfc3339_ms

_RESUME_LIMIT = 600.0


def restore(archive: Archive, request: Request, cluster: Cluster, check_mode: bool) -> dict[str, Any]:
    """Returns the outcome; a Day2Error names what was refused, or the state after a failure."""
    if check_mode:
        return _planned(archive, request, cluster, look(request.data))[1]
    _make_parent(request.data)
    with file_lock(lock_path(request.data), holder="a restore of the cluster"):
        place = look(request.data)
        plan, outcome = _planned(archive, request, cluster, place)
        swept(request.data)
        if _finishes(place, request) and place.journal is not None:
            return _recovered(archive, request, cluster, plan, place.journal, {**outcome, "resumed": True}, None)
        journal, lost = _begun(archive, request, cluster, place)
        return _restored(archive, request, cluster, plan, journal, {**outcome, **_lost(place, journal, lost)})


def _finishes(place: Place, request: Request) -> bool:
    """Whether only the recovery of an interrupted restore has to continue."""
    same = place.journal is not None and place.journal.request == request.words
    return place.standing is Standing.RESTORED and same and _otherwise(place, request) is None


def _otherwise(place: Place, request: Request) -> str | None:
    """Message that the files of an interrupted restore cannot be used for this one, although they are complete.

    pgBackRest sets archive_mode while it restores them. A cluster that is only started then would ignore 'archiving',
    and its WAL could get among the original's.
    """
    journal = place.journal
    if journal is None or place.standing is not Standing.RESTORED or request.archives in (None, journal.archives):
        return None
    was, wanted = ("archive", "disable") if journal.archives else ("archive nothing", "preserve")
    return f"that cluster was to {was}, and 'archiving' is {wanted} now, so its files are restored again"


def _planned(archive: Archive, request: Request, cluster: Cluster, place: Place) -> tuple[Preview, dict[str, Any]]:
    finishing, otherwise = _finishes(place, request), _otherwise(place, request)
    try:
        check_live(archive, cluster, place, request.keep_data, request.force or finishing)
    except RestoreError as exc:
        raise RestoreError(f"{exc}; {otherwise}" if otherwise else str(exc)) from exc
    # Existing files are reused, or moved away before the restore begins.
    reuse = not request.keep_data or place.standing is not Standing.WHOLE
    try:
        plan = preview(archive, request.target, request.data, request.data if reuse and place.facts.data else None)
    except Unreachable as exc:
        # A new timeline has no range before its first segment is archived.
        raise RestoreError(f"{exc}; {place.words}" if place.words else str(exc)) from exc
    lost = unarchived(archive, place.old(cluster))
    outcome: dict[str, Any] = {
        "changed": True,
        "plan": {**plan.describe(), "interrupted": place.words, "unarchived": lost.describe() if lost else None},
        "msg": f"would {'finish the restore of' if finishing else 'restore'} {plan}"
        + (f"; {lost}" if lost else "")
        + (f"; {place.words}" if place.words else "")
        + (f"; {otherwise}" if otherwise else ""),
    }
    return plan, outcome


def _begun(archive: Archive, request: Request, cluster: Cluster, place: Place) -> tuple[Journal, Unarchived | None]:
    """Stop the server, and move the old files away if they are kept."""
    if place.journal is not None and place.standing is not Standing.WHOLE:
        journal = replace(place.journal, request=request.words)
        journal = journal if request.archives is None else replace(journal, archives=request.archives)
        cluster.stop()
        if look(request.data).standing is not place.standing:
            raise RestoreError(f"{request.data} was opened in this moment by the interrupted restore: run this again")
        return journal, unarchived(archive, place.old(cluster)) if journal.kept else None
    was_running = cluster.running() is not None or (place.journal is not None and place.journal.was_running)
    # Without a data directory there is nothing to keep.
    kept = _free_name(request.data) if request.keep_data and place.facts.data else None
    journal = Journal(
        Step.STOP,
        request.words,
        archive.database.system_identifier,
        kept,
        not request.keep_data and place.facts.data,
        was_running,
        archives(archive, request, cluster, place),
        rfc3339_ms(time.time()),
    )
    note(request.data, journal)
    try:
        cluster.stop()
        lost = unarchived(archive, cluster)
        if lost and not request.keep_data:
            _refuse(f"{lost}; they would be lost: repair the archiving, or use 'keep_data'")
        if kept is not None:
            note(request.data, journal.at(Step.PUT_ASIDE))
            os.rename(request.data, _beside(request.data, journal))
    except (OSError, Day2Error) as exc:
        raise RestoreError(_untouched(cluster, request.data, was_running, _why(request.data, exc))) from exc
    return journal, lost


def _refuse(why: str) -> None:
    raise RestoreError(why)


def _untouched(cluster: Cluster, data: str, was_running: bool, why: str) -> str:
    """Start the cluster again; returns the state for the message. If that fails the journal stays, for `revert`."""
    try:
        _resume(cluster, was_running)
    except (OSError, Day2Error) as exc:
        return f"{why}. The files in {data} were not touched{_stopped(exc)}"
    stands = (
        "the cluster was stopped and runs again, its files were not touched" if was_running else "nothing was touched"
    )
    try:
        forget(data)
    except Day2Error as exc:
        return f"{why}; {stands}. {exc}"
    return f"{why}; {stands}"


def _stopped(exc: Exception) -> str:
    return (
        f", but the cluster was stopped for the restore, and starting it again failed: {exc}. Repair that, then start"
        " it with 'state' reverted"
    )


def _why(data: str, exc: Exception) -> str:
    if isinstance(exc, OSError):
        return f"{data} cannot be renamed ({exc.strerror}): only 'keep_data' false is left, which has no way back"
    return str(exc)


def _restored(
    archive: Archive, request: Request, cluster: Cluster, plan: Preview, journal: Journal, outcome: dict[str, Any]
) -> dict[str, Any]:
    data = request.data
    try:
        if not journal.delta:
            # Before the new request is recorded: otherwise files of the earlier one would be taken for its own.
            discard(data)
        note(data, journal.at(Step.RESTORE))
        _make_directory(data, archive.client.user)
        begun = time.monotonic()
        place = [f"--pg1-path={data}", *([] if journal.archives else ["--archive-mode=off"])]
        progress.phase(f"restoring {plan.backup.label}")
        archive.client.log("restore", *options(archive, request, plan), *place, *(["--delta"] if journal.delta else []))
        taken = time.monotonic() - begun
        note(data, journal.at(Step.RECOVER))
    except (Day2Error, OSError) as exc:
        raise RestoreError(_failed(cluster, data, journal, exc)) from exc
    return _recovered(archive, request, cluster, plan, journal, outcome, taken)


def _recovered(
    archive: Archive,
    request: Request,
    cluster: Cluster,
    plan: Preview,
    journal: Journal,
    outcome: dict[str, Any],
    taken: float | None,
) -> dict[str, Any]:
    data, kept = request.data, _beside(request.data, journal) if journal.kept else None
    try:
        if cluster.running() is None:
            cluster.start()
        done = recover(archive, request, cluster, plan, taken, None)
    except (Day2Error, OSError) as exc:
        raise RestoreError(_failed(cluster, data, journal, exc)) from exc
    forget(data)
    done["warnings"] = [*outcome.get("warnings", []), *done["warnings"], *_silent(request, journal)]
    where = f"in {data}" + (f"; the old files are in {kept}" if kept else "")
    return with_message({**outcome, **done, "kept": kept, "archives": journal.archives}, plan, where)


def _silent(request: Request, journal: Journal) -> list[str]:
    """Warn that the restored cluster archives nothing, unless that was requested."""
    if journal.archives or request.archives is not None:
        return []
    return [
        f"{request.data} was not the cluster that the stanza backs up, so it archives nothing (archive_mode is off in"
        " its postgresql.auto.conf): if it takes that one's place, run ALTER SYSTEM RESET archive_mode,"
        " restart it, and make a full backup, because the archive lacks the beginning of its timeline"
    ]


def _lost(place: Place, journal: Journal, lost: Unarchived | None) -> dict[str, Any]:
    if not lost or journal.kept is None:
        return {"unarchived": None}
    kept = _beside(place.data, journal)
    return {
        "unarchived": {**lost.describe(), "directory": os.path.join(kept, "pg_wal")},
        "warnings": [f"{lost}; they are in {os.path.join(kept, 'pg_wal')} only: keep that directory"],
    }


def _failed(cluster: Cluster, data: str, journal: Journal, cause: Exception) -> str:
    """Put the old files back if possible; returns the state for the message."""
    if journal.kept is None:
        return f"{cause}. {data} is not whole: repair the cause and restore again, nothing else can start it"
    kept = _beside(data, journal)
    try:
        _put_back(cluster, data, kept, journal.was_running)
    except (Day2Error, OSError) as exc:
        if not os.path.isdir(kept):
            return f"{cause}. The old files are back in {data}{_stopped(exc)}"
        return f"{cause}. The old files are in {kept}; putting them back failed: {exc}"
    return f"{cause}. The old files are back in {data}" + (" and the cluster runs again" if journal.was_running else "")


def _put_back(cluster: Cluster, data: str, kept: str, was_running: bool) -> None:
    cluster.stop()
    discard(data, kept)
    _resume(cluster, was_running)
    forget(data)


def revert(cluster: Cluster, check_mode: bool) -> dict[str, Any]:
    """Put the old files of an interrupted restore back. A second run changes nothing."""
    data = cluster.data
    if check_mode:
        return _reverted(cluster, look(data), True)
    with file_lock(lock_path(data), holder="a restore of the cluster"):
        return _reverted(cluster, look(data), False)


def programs(data: str, bin_dir: str | None) -> str:
    """Directory of the server's programs, by the version in the data directory or in the old files beside it."""
    place = look(data)
    return programs_of(data, bin_dir) or (programs_of(place.kept, bin_dir) if place.kept else "")


def _reverted(cluster: Cluster, place: Place, check_mode: bool) -> dict[str, Any]:
    data, journal = place.data, place.journal
    if journal is None:
        beside = f"; beside it lie {', '.join(place.others)}, which earlier restores kept" if place.others else ""
        return {"changed": False, "kept": None, "msg": f"no restore of {data} was interrupted{beside}"}
    if place.standing is Standing.WHOLE and not place.facts.kept:
        if not check_mode:
            _resume(cluster, journal.was_running)
            forget(data)
            swept(data)
        return {"changed": True, "kept": None, "msg": f"the old files are in {data}, whole"}
    kept = _beside(data, journal) if journal.kept else None
    if place.standing is Standing.WHOLE or kept is None:
        raise RestoreError(f"{place.words}. There is no way back from here that loses nothing; nothing was touched")
    if not check_mode:
        cluster.stop()
        if look(data).standing is not place.standing:
            raise RestoreError(
                f"{data} was opened in this moment; the old files are in {kept}, and nothing was removed"
            )
        try:
            _put_back(cluster, data, kept, journal.was_running)
            swept(data)
        except OSError as exc:
            raise RestoreError(f"the old files are in {kept}; putting them back failed: {exc.strerror}") from exc
    running = " and the cluster runs again" if journal.was_running else ""
    return {"changed": True, "kept": None, "msg": f"the old files are back in {data}{running}"}


def _beside(data: str, journal: Journal) -> str:
    return os.path.join(os.path.dirname(data), journal.kept or "")


def _free_name(data: str) -> str:
    """An unused dated name beside the data directory."""
    dated = f"{os.path.basename(data)}.{basic(time.time()).rstrip('Z')}"
    names = [dated, *(f"{dated}.{number}" for number in range(1, 100))]
    return next(name for name in names if not os.path.lexists(os.path.join(os.path.dirname(data), name)))


def _make_parent(data: str) -> None:
    """Create the parent directory, for the lock and the journal, on a host that never had a cluster."""
    try:
        os.makedirs(os.path.dirname(data), exist_ok=True)
    except OSError as exc:
        raise RestoreError(f"{os.path.dirname(data)} cannot be made: {exc.strerror}; nothing was touched") from exc


def _make_directory(data: str, user: str | None) -> None:
    """Create an empty data directory if there is none."""
    if os.path.isdir(data):
        return
    os.makedirs(data, mode=0o700)
    if user is not None and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(data, entry.pw_uid, entry.pw_gid)


def _resume(cluster: Cluster, was_running: bool) -> None:
    if was_running and cluster.running() is None:
        cluster.start()
        recovery.wait(cluster, False, _RESUME_LIMIT)
