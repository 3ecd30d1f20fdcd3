# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill of physical backups: recovers the end of the archive into a scratch cluster, checks it, and removes it.

The result is stored as an annotation of the backup in pgBackRest.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from glob import glob
from typing import Any, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault
from ansible_collections.day2.ops.plugins.module_utils.drill.newest_row import newest_row
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Drill
from ansible_collections.day2.ops.plugins.module_utils.drill.result import Drilled, outcome_of
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import open_archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import PROVEN
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.isolation import check_preloaded, isolate
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.request import SCRATCH_PORT, Request
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.restore import into_scratch
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import Scratch, discard, is_scratch
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import parse_target
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster, programs_of
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import prove_site
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

_PREFIX = "day2-pitr-drill-"
_SUPERUSER = "postgres"
# Options that apply to backup sets only.
_LOGICAL = {
    "repository": None, "series": None, "copy_to": None, "place": "cluster", "sets": 1, "disk_budget": None,
    "identity": None,
}  # fmt: skip


def run(drill: Drill, params: Mapping[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """Recover, check, remove. Remains of interrupted drills are removed first."""
    given = [name for name, default in _LOGICAL.items() if params[name] not in (None, default)]
    if given:
        raise ArgumentFault(f"{', '.join(repr(name) for name in given)}: not with method physical")
    check_preloaded(drill.settings)
    if os.geteuid() == 0:
        raise Day2Error("PostgreSQL does not run as root: run this as another user, such as postgres (become_user)")
    with _folder(drill) as folder:
        if check_mode:
            _client, _scratch, planned = _restored(drill, params, folder, True)
            return {"changed": True, "drills": [], "steps": [], "msg": planned["msg"]}
        drilled = _one(drill, params, folder)
    return outcome_of([drilled], drill.targets, f"Recovery drill of {drill.database}")


def _restored(
    drill: Drill, params: Mapping[str, Any], folder: str, check_mode: bool
) -> tuple[Client, Scratch, dict[str, Any]]:
    """Restore into a scratch cluster in the folder, or plan it."""
    client = arguments.client(params)
    scratch = Scratch(folder, SCRATCH_PORT, client.user)
    request = Request(
        target=parse_target("latest" if params["source"] in (None, "latest") else {"time": params["source"]}),
        pause=False,
        data=client.setting("pg1-path") or "",
        keep_data=True,
        force=False,
        limit=drill.time_budget,
        scratch=scratch,
        settings=drill.settings,
        jobs=params["jobs"],
    )
    return client, scratch, into_scratch(open_archive(client, drill.bin_dir), request, scratch, check_mode)


def _one(drill: Drill, params: Mapping[str, Any], folder: str) -> Drilled:
    began, begun = time.time(), time.monotonic()
    drilled = Drilled("physical", began)
    try:
        client, scratch, done = _restored(drill, params, folder, False)
        drilled.name = done["plan"]["backup"]["label"]
        login = Login(host=scratch.folder, port=scratch.port, user=_SUPERUSER)
        isolate(login)
        proof = prove_site(login, drill.database, drill.expectations, drill.amcheck)
        drilled.words, drilled.rto = proof.words, time.monotonic() - begun
        drilled.failure = "; ".join(proof.faults[:10]) or None
        if drill.newest_row is not None:
            # Without the site's query the RPO is unknown: an old last commit may only mean that nothing was written.
            drilled.rpo = max(0.0, began - newest_row(drill.newest_row, login, drill.database))
        if drilled.failure is None:
            proven = f"--annotation={PROVEN}={rfc3339_ms(drilled.began + drilled.rto)}"
            client.log("annotate", f"--set={drilled.name}", proven, f"--repo={client.repo}")
    except Day2Error as exc:
        drilled.failure, drilled.rto = str(exc), time.monotonic() - begun
    return drilled


@contextmanager
def _folder(drill: Drill) -> Iterator[str]:
    """A new empty directory for this drill, removed afterwards."""
    _clear(drill)
    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=drill.scratch)
    except OSError as exc:
        raise Day2Error(f"the scratch directory {drill.scratch}: {exc.strerror}") from exc
    # Held as long as this process runs, so that no other drill removes the directory.
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _remove(drill, folder)
            os.unlink(lock.name)


def _clear(drill: Drill) -> None:
    """Remove clusters of drills whose process has ended."""
    for path in glob(os.path.join(drill.scratch, f"{_PREFIX}*.lock")):
        if os.stat(path).st_uid != os.geteuid():
            continue
        with open(path, encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(drill, path[: -len(".lock")])
            os.unlink(path)


def _remove(drill: Drill, folder: str) -> None:
    """Remove a scratch cluster without the repository, so that its server is stopped even if that is unreachable."""
    if not is_scratch(folder):
        # Nothing was restored yet.
        with suppress(OSError):
            os.rmdir(folder)
        return
    data = os.path.join(folder, "data")
    discard(Cluster(data, programs_of(data, drill.bin_dir)), folder)
