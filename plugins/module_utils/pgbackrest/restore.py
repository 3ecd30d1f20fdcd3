# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A physical restore: into the cluster itself, whose old files are kept or reused, or into a scratch cluster.

Everything that can be refused is refused before anything is touched. A restore that fails while the old files are kept
puts them back.
"""

from __future__ import annotations

import os
import pwd
import shutil
import time
from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault, seconds
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments, record, recovery
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive, open_archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client, as_user
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.preview import (
    Preview,
    RestoreError,
    check_live,
    check_scratch,
    log_folder,
    preview,
    stamp,
    unarchived,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import Scratch, discard
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target, parse_target
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster, unit_of

# With arguments.STANZA: the options of pg_restore with method physical, as fragment `physical.restore` documents them.
RESTORE: dict[str, dict[str, Any]] = {
    "recover_to": {"type": "raw"},
    "recovery_action": {"type": "str", "default": "promote", "choices": ["promote", "pause"]},
    "data_dir": {"type": "path"},
    "keep_data": {"type": "bool", "default": True},
    "unit": {"type": "str"},
    "scratch_cluster": {"type": "path"},
    "scratch_state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "scratch_port": {"type": "int", "default": 54329},
    "scratch_settings": {"type": "dict", "default": {}},
    "recovery_timeout": {"type": "str", "default": "1h"},
}
# What pg_restore takes with method physical: these, and options of the module itself that are read here too.
PHYSICAL = frozenset((*RESTORE, "method", "force", "jobs", "bin_dir", "timeout"))


@dataclass(frozen=True)
class Request:
    """What is asked for. `scratch` has the place of a scratch cluster, or nothing is one."""

    target: Target
    pause: bool
    data: str
    keep_data: bool
    force: bool
    limit: float
    scratch: Scratch | None
    settings: Mapping[str, Any]
    jobs: int | None = None
    unit: str | None = None


def run_physical(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """From a module's parameters to its outcome; a Day2Error says what was refused or what stands."""
    begun = time.monotonic()
    client = arguments.client(params)
    if params["scratch_state"] == "absent":
        return _discard(params, client, check_mode)
    request = _request(params, client)
    archive = open_archive(client, params.get("bin_dir"))
    cluster = _cluster(archive, request)
    if request.scratch is not None:
        check_scratch(archive, request.scratch)
        plan = preview(archive, request.target, request.scratch.folder, None)
    else:
        check_live(archive, cluster, request.keep_data, request.force)
        reuse = request.data if not request.keep_data and os.path.isdir(request.data) else None
        plan = preview(archive, request.target, request.data, reuse)
    outcome: dict[str, Any] = {"changed": True, "plan": plan.describe()}
    if check_mode:
        return {**outcome, "msg": f"would restore {plan}"}
    if request.scratch is not None:
        outcome = _into_scratch(archive, request, request.scratch, cluster, plan, outcome)
    else:
        outcome = _in_place(archive, request, cluster, plan, outcome)
    return {**outcome, "seconds": round(time.monotonic() - begun, 3)}


def _request(params: Mapping[str, Any], client: Client) -> Request:
    target = parse_target(params["recover_to"])
    pause = params["recovery_action"] == "pause"
    if pause and target.aim is Aim.LATEST:
        raise ArgumentFault("'recovery_action' is pause, which needs a target before the end of the archive")
    jobs = params.get("jobs")
    if jobs is not None and jobs < 1:
        raise ArgumentFault(f"'jobs' is {jobs}; one process is the least")
    folder = (params["scratch_cluster"] or "").rstrip("/")
    data = params["data_dir"] or client.setting("pg1-path")
    if not data and not folder:
        raise ArgumentFault("'data_dir' is not given, and pgBackRest's configuration has no pg1-path for this stanza")
    if not 1 <= params["scratch_port"] <= 65535:
        raise ArgumentFault(f"'scratch_port' is {params['scratch_port']}; ports are 1 to 65535")
    return Request(
        target=target,
        pause=pause,
        data=data or "",
        keep_data=params["keep_data"],
        force=params["force"],
        limit=seconds(params, "recovery_timeout") or 0.0,
        scratch=Scratch(folder, params["scratch_port"], client.user) if folder else None,
        settings=params["scratch_settings"],
        jobs=jobs,
        unit=params["unit"],
    )


def _cluster(archive: Archive, request: Request) -> Cluster:
    bin_dir, prefix = os.path.dirname(archive.pg_waldump), as_user(archive.client.user)
    if request.scratch is not None:
        return Cluster(request.scratch.data, bin_dir, prefix)
    return Cluster(request.data, bin_dir, prefix, request.unit or unit_of(request.data))


def _discard(params: Mapping[str, Any], client: Client, check_mode: bool) -> dict[str, Any]:
    folder = (params["scratch_cluster"] or "").rstrip("/")
    if not folder:
        raise ArgumentFault(
            "'scratch_state' absent needs 'scratch_cluster', the directory of the cluster that is to go"
        )
    pg_ctl = _program_folder(params, client, folder)
    gone = discard(Cluster(os.path.join(folder, "data"), pg_ctl, as_user(client.user)), folder, check_mode)
    return {"changed": gone, "msg": f"{folder} {'is gone' if gone else 'is not there'}"}


def _program_folder(params: Mapping[str, Any], client: Client, folder: str) -> str:
    if not os.path.isdir(os.path.join(folder, "data")):
        return ""
    return os.path.dirname(open_archive(client, params.get("bin_dir")).pg_waldump)


def _options(archive: Archive, request: Request, plan: Preview) -> list[str]:
    target = request.target
    options = [f"--set={plan.backup.label}", f"--repo={archive.client.repo}", f"--type={target.aim.value}"]
    if target.value is not None:
        options.append(f"--target={target.value}")
    if target.aim is not Aim.LATEST:
        options.append(f"--target-action={'pause' if request.pause else 'promote'}")
    if target.timeline is not None:
        options.append(f"--target-timeline={target.timeline}")
    return options + ([f"--process-max={request.jobs}"] if request.jobs else [])


def _into_scratch(
    archive: Archive, request: Request, scratch: Scratch, cluster: Cluster, plan: Preview, outcome: dict[str, Any]
) -> dict[str, Any]:
    scratch.prepare({"stanza": archive.stanza.name, "backup": plan.backup.label, "target": str(request.target)})
    options = [f"--pg1-path={scratch.data}", "--archive-mode=off", f"--tablespace-map-all={scratch.tablespaces}"]
    try:
        begun = time.monotonic()
        archive.client.log("restore", *_options(archive, request, plan), *options)
        taken = time.monotonic() - begun
        scratch.configure(cluster.control(), request.settings)
        cluster.start(scratch.log)
        done = _recover(archive, request, cluster, plan, taken, scratch.log)
    except Day2Error as exc:
        cluster.stop()
        raise RestoreError(f"{exc}. What there is of the scratch cluster is in {scratch.folder}") from exc
    return _told({**outcome, **done, "scratch": scratch.describe()}, plan, f"into {scratch.folder}")


def _in_place(
    archive: Archive, request: Request, cluster: Cluster, plan: Preview, outcome: dict[str, Any]
) -> dict[str, Any]:
    was_running = cluster.running() is not None
    cluster.stop()
    waiting = unarchived(request.data)
    if waiting and not request.keep_data:
        _resume(cluster, was_running)
        raise RestoreError(
            f"{len(waiting)} segments of WAL had not reached the archive ({waiting[0]} is the first) and would be lost:"
            " repair the archiving, or use 'keep_data'; nothing was touched"
        )
    try:
        kept = _put_aside(request.data) if request.keep_data and os.path.isdir(request.data) else None
    except OSError as exc:
        _resume(cluster, was_running)
        raise RestoreError(
            f"{request.data} cannot be renamed ({exc.strerror}): use 'keep_data' false; nothing was touched"
        ) from exc
    try:
        _make_directory(request.data, archive.client.user)
        begun = time.monotonic()
        archive.client.log("restore", *_options(archive, request, plan), f"--pg1-path={request.data}",
                           *([] if request.keep_data else ["--delta"]))  # fmt: skip
        taken = time.monotonic() - begun
        cluster.start()
        done = _recover(archive, request, cluster, plan, taken, None)
    except Day2Error as exc:
        if kept is None:
            raise RestoreError(
                f"{exc}. {request.data} is not whole: repair the cause and restore again, nothing else can start it"
            ) from exc
        raise RestoreError(f"{exc}. {_put_back(cluster, request.data, kept, was_running)}") from exc
    where = f"in {request.data}" + (f"; the old files are in {kept}" if kept else "")
    return _told({**outcome, **done, "kept": kept}, plan, where)


def _recover(
    archive: Archive, request: Request, cluster: Cluster, plan: Preview, taken: float, log: str | None
) -> dict[str, Any]:
    begun = time.monotonic()
    state = recovery.wait(cluster, request.pause, request.limit, log)
    waited = time.monotonic() - begun
    recovery.check(state, request.target, plan.found_lsn)
    past = record.Past(
        time.time(), archive.stanza.name, plan.backup.label, plan.backup.size, taken, plan.segments, waited
    )
    warning = record.remember(log_folder(archive), past)
    return {
        "restore_seconds": round(taken, 3),
        "recovery_seconds": round(waited, 3),
        "recovered": state.describe(),
        "warnings": [warning] if warning else [],
    }


def _told(outcome: dict[str, Any], plan: Preview, where: str) -> dict[str, Any]:
    taken = format_duration(outcome["restore_seconds"] + outcome["recovery_seconds"])
    last = outcome["recovered"]
    told = f"restored {plan.target} from {plan.backup.label} {where}, in {taken}"
    return {**outcome, "msg": f"{told}; the last commit is of {last['time']}" if last["time"] else told}


def _put_aside(data: str) -> str:
    """The old files under a dated name."""
    data = data.rstrip("/")
    kept = f"{data}.{stamp(time.time())}"
    os.rename(data, kept)
    return kept


def _make_directory(data: str, user: str | None) -> None:
    """An empty data directory, where there is none."""
    if os.path.isdir(data):
        return
    os.makedirs(data, mode=0o700)
    if user is not None and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(data, entry.pw_uid, entry.pw_gid)


def _put_back(cluster: Cluster, data: str, kept: str, was_running: bool) -> str:
    """The old files where they were; what stands, for the message."""
    try:
        cluster.stop()
        shutil.rmtree(data)
        os.rename(kept, data)
        _resume(cluster, was_running)
    except (Day2Error, OSError) as exc:
        return f"The old files are in {kept}; putting them back failed: {exc}"
    return f"The old files are back in {data}" + (" and the cluster runs again" if was_running else "")


def _resume(cluster: Cluster, was_running: bool) -> None:
    if was_running:
        cluster.start()
        recovery.wait(cluster, False, 600.0)
