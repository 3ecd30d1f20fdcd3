# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs and windows of a system as its inventory lists them: what collides, and what data backups may lose.

Nothing on the host is looked at. Whether a timer is armed there, probe `timer` says.
"""

from __future__ import annotations

import time
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import first_match
from ansible_collections.day2.ops.plugins.module_utils.schedule import words
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import Job, JobsError, parse_jobs
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import collisions, horizon, worst_loss
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration, parse_unit
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import WindowsError, parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.rule import MissingLibrary
from ansible_collections.day2.ops.plugins.module_utils.windows.window import Window, tracks


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if args.get("jobs") is None and (args["windows"] is None or metric == "worst_loss"):
        raise FieldError("jobs", "is missing")
    if args["windows"] is not None and metric == "worst_loss":
        raise FieldError("windows", "is for the metric 'collisions'")
    try:
        parse_jobs(args["jobs"] or ())
    except JobsError as exc:
        raise FieldError("jobs", str(exc)) from exc
    try:
        parse_windows(args["windows"] or ())
    except WindowsError as exc:
        raise FieldError("windows", str(exc)) from exc
    except MissingLibrary:
        # Nothing is wrong with the check: the host cannot answer it, and says so then.
        pass
    if args["archive_timeout"] is not None and metric != "worst_loss":
        raise FieldError("archive_timeout", "is for the metric 'worst_loss'")


SPEC = ProbeSpec(
    doc="The jobs of role `schedule`, as the inventory lists them, and its windows of maintenance. What collides is a"
    " warning.",
    arguments={
        "jobs": Argument("mappings", "The jobs: what `schedule_jobs` holds. Needed but where there are `windows`."),
        "windows": Argument(
            "mappings",
            "For `collisions`: windows of maintenance, what `day2_windows` holds. They exclude each other and backups"
            " (jobs with `backup: true`). Needs python-dateutil on the host.",
        ),
        "archive_timeout": Argument(
            "duration", "For `worst_loss`: WAL is archived at least so often, and no more than that is lost."
        ),
    },
    metrics={
        "collisions": Metric(
            "Jobs that are due while one that excludes them runs, windows that meet a backup or each other, over the"
            " next year.",
            "collisions",
        ),
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
    jobs = parse_jobs(check.args["jobs"] or ())
    if check.metric.name == "worst_loss":
        return _worst_loss(check, jobs, now)
    windows = parse_windows(check.args["windows"] or ())
    end = horizon(jobs, now)
    found = [words.collision(pair) for pair in collisions(jobs, now, end, tracks(windows, now, end))]
    if not found:
        return Observation(0, f"none of {_counted(jobs, windows)} collides with another")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Observation(len(found), found[0] + more, evidence=found, status=Status.WARNING, is_default=True)


def _counted(jobs: Sequence[Job], windows: Sequence[Window]) -> str:
    return (
        " and ".join(counted(len(listed), noun) for noun, listed in (("job", jobs), ("window", windows)) if listed)
        or "0 jobs"
    )


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
