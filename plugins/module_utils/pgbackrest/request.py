# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of a physical restore, and the steps that restores in place and scratch clusters share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault, seconds
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import record, recovery
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.preview import Preview, log_folder
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import Scratch
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target, parse_target
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

SCRATCH_PORT = 54329
# With arguments.STANZA: the options of pg_restore with method physical, as fragment `physical.restore` documents them.
RESTORE: dict[str, dict[str, Any]] = {
    "recover_to": {"type": "raw"},
    "recovery_action": {"type": "str", "default": "promote", "choices": ["promote", "pause"]},
    "data_dir": {"type": "path"},
    "keep_data": {"type": "bool", "default": True},
    "archiving": {"type": "str", "default": "auto", "choices": ["auto", "preserve", "disable"]},
    "unit": {"type": "str"},
    "scratch_cluster": {"type": "path"},
    "scratch_state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "scratch_port": {"type": "int", "default": SCRATCH_PORT},
    "scratch_settings": {"type": "dict", "default": {}},
    "recovery_timeout": {"type": "str", "default": "1h"},
}
# Parameters of pg_restore with method physical: these, and options of the module itself that are read here too.
PHYSICAL = frozenset((*RESTORE, "method", "state", "force", "jobs", "bin_dir", "timeout"))


@dataclass(frozen=True)
class Request:
    """Options of a restore. `scratch` is the scratch cluster, if one is requested; `archives` is whether the restored
    cluster archives, None if that depends on the existing cluster."""

    target: Target
    pause: bool
    data: str
    keep_data: bool
    force: bool
    limit: float
    scratch: Scratch | None
    settings: Mapping[str, Any]
    archives: bool | None = None
    jobs: int | None = None
    unit: str | None = None

    @property
    def words(self) -> str:
        """Equal for equal targets."""
        narrowed = [f"backup {self.target.backup}"] if self.target.backup else []
        narrowed += [f"timeline {self.target.timeline}"] if self.target.timeline else []
        return ", ".join([f"to {self.target}", *narrowed, *(["paused there"] if self.pause else [])])


def parse_request(params: Mapping[str, Any], client: Client) -> Request:
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
        data=(data or "").rstrip("/"),
        keep_data=params["keep_data"],
        force=params["force"],
        limit=seconds(params, "recovery_timeout") or 0.0,
        scratch=Scratch(folder, params["scratch_port"], client.user) if folder else None,
        settings=params["scratch_settings"],
        archives={"preserve": True, "disable": False}.get(params["archiving"]),
        jobs=jobs,
        unit=params["unit"],
    )


def options(archive: Archive, request: Request, plan: Preview) -> list[str]:
    """Options of pgBackRest for the target."""
    target, aim, value = request.target, request.target.aim, request.target.value
    if aim is Aim.NAME and plan.found_lsn is not None:
        # The LSN of its record is known; a name would be written to postgresql.auto.conf without quoting.
        aim, value = Aim.LSN, format_lsn(plan.found_lsn)
    chosen = [f"--set={plan.backup.label}", f"--repo={archive.client.repo}", f"--type={aim.value}"]
    if value is not None:
        chosen.append(f"--target={value}")
    if target.aim is not Aim.LATEST:
        chosen.append(f"--target-action={'pause' if request.pause else 'promote'}")
    if target.timeline is not None:
        chosen.append(f"--target-timeline={target.timeline}")
    return chosen + ([f"--process-max={request.jobs}"] if request.jobs else [])


def recover(
    archive: Archive, request: Request, cluster: Cluster, plan: Preview, taken: float | None, log: str | None
) -> dict[str, Any]:
    """Wait for the recovery, and record its duration. `taken` is None if an earlier run restored the files."""
    begun = time.monotonic()
    progress.phase(f"recovering {archive.stanza.name} to {plan.target}")
    state = recovery.wait(cluster, request.pause, request.limit, log)
    waited = time.monotonic() - begun
    recovery.check(state, request.target, plan.found_lsn)
    warning = None
    if taken is not None:
        past = record.Past(
            time.time(), archive.stanza.name, plan.backup.label, plan.backup.size, taken, plan.segments, waited
        )
        warning = record.remember(log_folder(archive), past)
    return {
        "restore_seconds": round(taken or 0.0, 3),
        "recovery_seconds": round(waited, 3),
        "recovered": state.describe(),
        "warnings": [warning] if warning else [],
    }


def with_message(outcome: dict[str, Any], plan: Preview, where: str) -> dict[str, Any]:
    """The outcome with its message."""
    taken = format_duration(outcome["restore_seconds"] + outcome["recovery_seconds"])
    last = outcome["recovered"]
    sentence = f"restored {plan.target} from {plan.backup.label} {where}, in {taken}"
    return {**outcome, "msg": f"{sentence}; the last commit is of {last['time']}" if last["time"] else sentence}
