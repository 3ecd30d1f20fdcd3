# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill of the physical backups: the end of the archive recovered into a scratch cluster, asked, and thrown away.

The verdict stays with the backup as an annotation of pgBackRest's.
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
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, rfc3339
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import PROVEN
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.isolation import check_preloaded, isolate
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.restore import RESTORE, run_physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import discard, is_scratch
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster, programs_of
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.restore.drill import Drill, newest_row, outcome_of
from ansible_collections.day2.ops.plugins.module_utils.restore.drills import Drilled
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import prove_site

_PREFIX = "day2-pitr-drill-"
_SUPERUSER = "postgres"
# What means something for backup sets only.
_LOGICAL = {
    "repository": None, "series": None, "copy_to": None, "place": "cluster", "sets": 1, "disk_budget": None,
    "identity": None,
}  # fmt: skip


def run(drill: Drill, params: Mapping[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """Recover, ask, remove. What is left of interrupted drills is removed first."""
    given = [name for name, default in _LOGICAL.items() if params[name] not in (None, default)]
    if given:
        raise ArgumentFault(f"{', '.join(repr(name) for name in given)}: not with method physical")
    check_preloaded(drill.settings)
    if os.geteuid() == 0:
        raise Day2Error("PostgreSQL does not run as root: run this as another user, such as postgres (become_user)")
    with _folder(drill) as folder:
        call = _call(drill, params, folder)
        if check_mode:
            return {"changed": True, "drills": [], "steps": [], "msg": run_physical(call, True)["msg"]}
        drilled = _one(drill, params, call)
    return outcome_of([drilled], drill.targets, f"Recovery drill of {drill.database}")


def _call(drill: Drill, params: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The parameters of a restore into the folder."""
    return {
        **{name: about.get("default") for name, about in RESTORE.items()},
        **{name: params[name] for name in arguments.STANZA},
        "state": "present",
        "force": False,
        "jobs": params["jobs"],
        "bin_dir": drill.bin_dir,
        "timeout": params["timeout"],
        "recovery_timeout": params["time_budget"],
        "recover_to": "latest" if params["source"] in (None, "latest") else {"time": params["source"]},
        "scratch_cluster": folder,
        "scratch_settings": dict(drill.settings),
    }


def _one(drill: Drill, params: Mapping[str, Any], call: Mapping[str, Any]) -> Drilled:
    began, begun = time.time(), time.monotonic()
    drilled = Drilled(_named("physical", params["stanza"], began), began)
    try:
        done = run_physical(call, False)
        drilled.manifest = _named(done["plan"]["backup"]["label"], params["stanza"], began)
        login = Login(host=call["scratch_cluster"], port=call["scratch_port"], user=_SUPERUSER)
        isolate(login)
        proof = prove_site(login, drill.database, drill.expectations, drill.amcheck)
        drilled.words, drilled.rto = proof.words, time.monotonic() - begun
        drilled.failure = "; ".join(proof.faults[:10]) or None
        if drill.newest_row is not None:
            # Without the site's query nobody knows: that the last commit is old may only mean that nothing was written.
            drilled.rpo = max(0.0, began - newest_row(drill, login, drill.database, began))
        if drilled.failure is None:
            _annotate(params, drilled)
    except Day2Error as exc:
        drilled.failure, drilled.rto = str(exc), time.monotonic() - begun
    return drilled


@contextmanager
def _folder(drill: Drill) -> Iterator[str]:
    """An empty directory of this drill's own, and nothing of it afterwards."""
    _clear(drill)
    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=drill.scratch)
    except OSError as exc:
        raise Day2Error(f"the scratch directory {drill.scratch}: {exc.strerror}") from exc
    # Held as long as this process lives: the next drill leaves this one alone.
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _remove(drill, folder)
            os.unlink(lock.name)


def _clear(drill: Drill) -> None:
    """Clusters of drills whose process is gone."""
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
    """Needs no repository: that it cannot be reached is no reason to let a server run."""
    if not is_scratch(folder):
        # Nothing was restored yet.
        with suppress(OSError):
            os.rmdir(folder)
        return
    data = os.path.join(folder, "data")
    discard(Cluster(data, programs_of(data, drill.bin_dir)), folder)


def _named(label: str, stanza: str, moment: float) -> Manifest:
    """What a drill's line has to know of a backup."""
    return Manifest(label, "physical", stanza, 0, moment, moment, [])


def _annotate(params: Mapping[str, Any], drilled: Drilled) -> None:
    label = drilled.manifest.id
    proven = f"--annotation={PROVEN}={rfc3339(drilled.began + drilled.rto)}"
    arguments.client(params).log("annotate", f"--set={label}", proven, f"--repo={params['pgbackrest_repo']}")
