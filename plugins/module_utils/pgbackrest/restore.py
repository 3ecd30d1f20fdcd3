# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A physical restore: into the cluster itself, whose old files are kept or reused, or into a scratch cluster.

All checks run before anything is changed.
"""

from __future__ import annotations

import os
import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments, in_place
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive, open_archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client, as_user
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.preview import RestoreError, check_scratch, preview
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.request import (
    PHYSICAL,
    RESTORE,
    Request,
    options,
    parse_request,
    recover,
    with_message,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import Scratch, discard
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster, programs_of, unit_of
from ansible_collections.day2.ops.plugins.module_utils.process import progress

__all__ = ["PHYSICAL", "RESTORE", "run_physical"]


def run_physical(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Restore with the module's parameters; a Day2Error names what was refused, or the state after a failure."""
    begun = time.monotonic()
    client = arguments.client(params)
    if params["scratch_state"] == "absent":
        return _discard(params, client, check_mode)
    request = parse_request(params, client)
    if params["state"] == "reverted":
        return _reverted(params, client, request, check_mode)
    archive = open_archive(client, params.get("bin_dir"))
    if request.scratch is not None:
        outcome = into_scratch(archive, request, request.scratch, check_mode)
    else:
        outcome = in_place.restore(
            archive, request, _live(client, request, os.path.dirname(archive.pg_waldump)), check_mode
        )
    return outcome if check_mode else {**outcome, "seconds": round(time.monotonic() - begun, 3)}


def _live(client: Client, request: Request, bin_dir: str) -> Cluster:
    return Cluster(request.data, bin_dir, as_user(client.user), request.unit or unit_of(request.data))


def _reverted(params: Mapping[str, Any], client: Client, request: Request, check_mode: bool) -> dict[str, Any]:
    if request.scratch is not None:
        raise ArgumentFault("'state' reverted is of a restore in place: 'scratch_state' absent removes a scratch one")
    return in_place.revert(_live(client, request, in_place.programs(request.data, params["bin_dir"])), check_mode)


def _discard(params: Mapping[str, Any], client: Client, check_mode: bool) -> dict[str, Any]:
    folder = (params["scratch_cluster"] or "").rstrip("/")
    if not folder:
        raise ArgumentFault(
            "'scratch_state' absent needs 'scratch_cluster', the directory of the cluster that is to go"
        )
    pg_ctl = programs_of(os.path.join(folder, "data"), params.get("bin_dir"))
    gone = discard(Cluster(os.path.join(folder, "data"), pg_ctl, as_user(client.user)), folder, check_mode)
    return {"changed": gone, "msg": f"{folder} {'is gone' if gone else 'is not there'}"}


def into_scratch(archive: Archive, request: Request, scratch: Scratch, check_mode: bool) -> dict[str, Any]:
    """Restore into a scratch cluster, which runs afterwards."""
    check_scratch(archive, scratch)
    plan = preview(archive, request.target, scratch.folder, None)
    outcome: dict[str, Any] = {"changed": True, "plan": plan.describe()}
    if check_mode:
        return {**outcome, "msg": f"would restore {plan}"}
    cluster = Cluster(scratch.data, os.path.dirname(archive.pg_waldump), as_user(archive.client.user))
    about = {"stanza": archive.stanza.name, "backup": plan.backup.label, "target": str(request.target)}
    try:
        scratch.prepare(about)
    except OSError as exc:
        raise RestoreError(f"'scratch_cluster' {scratch.folder} cannot be made: {exc.strerror}") from exc
    place = [f"--pg1-path={scratch.data}", "--archive-mode=off", f"--tablespace-map-all={scratch.tablespaces}"]
    try:
        begun = time.monotonic()
        progress.phase(f"restoring {plan.backup.label}")
        archive.client.log("restore", *options(archive, request, plan), *place)
        taken = time.monotonic() - begun
        scratch.configure(cluster.control(), request.settings)
        cluster.start(scratch.log)
        done = recover(archive, request, cluster, plan, taken, scratch.log)
    except (Day2Error, OSError) as exc:
        cluster.stop()
        raise RestoreError(f"{exc}. What there is of the scratch cluster is in {scratch.folder}") from exc
    return with_message({**outcome, **done, "scratch": scratch.describe()}, plan, f"into {scratch.folder}")
