# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs of a system as its inventory lists them: what collides, and what data may be lost between two backups.

Nothing on the host is looked at. Whether a timer is armed there, probe `timer` says.
"""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration, parse_unit
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import first_match
from ansible_collections.day2.ops.plugins.module_utils.schedule import words
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import Job, JobsError, parse_jobs
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import collisions, worst_loss


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if args.get("jobs") is None:
        return
    try:
        parse_jobs(args["jobs"])
    except JobsError as exc:
        raise FieldError("jobs", str(exc)) from exc
    if args["archive_timeout"] is not None and metric != "worst_loss":
        raise FieldError("archive_timeout", "is for the metric 'worst_loss'")


SPEC = ProbeSpec(
    doc="The jobs of role `schedule`, as the inventory lists them. Jobs that collide are a warning.",
    arguments={
        "jobs": Argument("mappings", "The jobs: what `schedule_jobs` holds.", required=True),
        "archive_timeout": Argument(
            "duration", "For `worst_loss`: WAL is archived at least so often, and no more than that is lost."
        ),
    },
    metrics={
        "collisions": Metric("Jobs that are due while one that excludes them runs, over the next year.", "collisions"),
        "worst_loss": Metric(
            "The greatest loss of data that the backups allow: from the start of one until the next is complete. A"
            " threshold is the RPO. No backup at all is critical.",
            "s",
        ),
    },
    default_metric="collisions",
    validate=_validate,
)


def observe(_source: object, check: Check) -> Observation:
    return judge_jobs(check, time.time())


def judge_jobs(check: Check, now: float) -> Observation:
    jobs = parse_jobs(check.args["jobs"])
    if check.metric.name == "worst_loss":
        return _worst_loss(check, jobs, now)
    found = [words.collision(each) for each in collisions(jobs, now)]
    if not found:
        return Observation(0, f"none of {len(jobs)} jobs collides with another")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Observation(len(found), found[0] + more, evidence=found, status=Status.WARNING)


def _worst_loss(check: Check, jobs: list[Job], now: float) -> Observation:
    names = ", ".join(job.name for job in jobs if job.backup)
    if not names:
        return Observation(None, "", failure="no job of the list is a backup (backup: true)")
    loss = worst_loss(jobs, now)
    if loss is None:
        return Observation(None, "", failure=f"{names} makes no two backups in the time looked at")
    archived = check.args["archive_timeout"]
    if archived is not None and archived < loss.seconds:
        # Archived WAL brings the newest backup forward to the last segment, whatever the time between backups.
        return Observation(archived, f"up to {format_duration(archived)} can be lost: WAL is archived so often")
    text = words.loss(loss)
    if first_match((*check.critical, *check.warning), loss.seconds, parse_unit("s")) is not None:
        text += "; what shortens it is archiving WAL (archive_timeout), or more backups"
    return Observation(loss.seconds, text)
