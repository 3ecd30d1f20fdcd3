# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovery does, and what is reverted and started where it fails. Pure.

`stop`, `start`, `files` and `database` are what the tasks of role recovery registered: loops over units and over series
of files, and one result.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import (
    Result,
    changed,
    items,
    message,
    went_well,
)
from ansible_collections.day2.ops.plugins.plugin_utils.steps.record import reason


def plan(
    state: str,
    scope: str,
    services: Sequence[str],
    migrate: Sequence[str],
    checks: Sequence[Mapping[str, Any]],
    files: Result,
    database: Result,
) -> dict[str, Any]:
    """Whether there is anything to do, and all that would be done."""
    present, of_database = state == "present", [] if scope == "configuration" else [database]
    due = present or any(changed(result) for result in [*items(files), *of_database])
    lines = [f"stop {', '.join(services)}"] if services and due else []
    lines += [message(result) for result in items(files)]
    for result in of_database:
        lines += map(str, result.get("steps") or [message(result)])
    if migrate and present:
        lines.append(f"run {' '.join(migrate)}")
    if services:
        lines.append(f"start {', '.join(reversed(services))}")
    if checks:
        lines.append(f"wait until this is ok: {_titles(checks)}")
    return {"due": due, "lines": lines}


def undo(
    task: str, result: Result, stop: Result, start: Result, files: Result, database: Result, name: str
) -> dict[str, Any]:
    """What has to be reverted after a restore that failed, and what is said of it.

    `result` is that of `task`, which failed; `name` is the database's. A unit that could not be stopped was running,
    and still is.
    """
    stopped, down = _stopped(stop), _down(stop)
    restored = [entry for entry in reversed(items(files)) if changed(entry)]
    replaced = went_well(database) and bool(database.get("old"))
    stays = changed(database) and not database.get("old")
    why = f"{task}: {reason(result)[0]}"
    what = f"the restored {name} stays, for there was none before; everything else" if stays else "everything"
    after = f"{why} - {what} is as it was before"
    after += f", and these units run again: {', '.join(stopped)}" if stopped else ""
    after += f", and these units are down as they were: {', '.join(down)}" if down else ""
    return {
        "why": why,
        # Whether the names were exchanged is not known: to exchange them again may be to exchange them once.
        "uncertain": bool(result.get("uncertain")),
        "started": [str(entry.get("item")) for entry in reversed(items(start))],
        "stopped": stopped,
        "database": replaced,
        "series": [str(entry.get("item")) for entry in restored],
        "paths": {str(entry.get("item")): _paths(entry) for entry in restored},
        "unknown": f"{why} - nothing was put back, because nobody knows what there is. Look, then start these units by"
        f" hand: {', '.join(stopped) or 'none was stopped'}",
        "reverted": after,
    }


def stuck(undo: Mapping[str, Any], task: str, result: Result) -> str:
    """Why a revert that failed as well starts no unit."""
    return (
        f"{undo['why']} - and going back failed as well ({task}: {reason(result)[0]}). Look at what there is before"
        f" these units are started by hand: {', '.join(undo['stopped']) or 'none'}"
    )


def taken_back(
    rows: Sequence[Mapping[str, Any]], undo: Mapping[str, Any], files: Result, database: Result, name: str
) -> list[dict[str, Any]]:
    """The rows of a report after a revert: what was restored is not ok, it is there no more."""
    said = {f"restore-{entry.get('item')}": message(entry) for entry in items(files) if undo["series"]}
    if undo["database"]:
        said[f"restore-{name}"] = message(database)
    back = {row["id"]: row for row in rows if row.get("id") in said}
    changed_rows = [
        {**back[key], "status": "warning", "message": f"taken back: {said[key]}"} for key in said if key in back
    ]
    return [dict(row) for row in rows if row.get("id") not in said] + changed_rows


def unreverted(
    task: str, result: Result, stop: Result, files: Result, database: Result, services: Sequence[str]
) -> dict[str, Any]:
    """After a revert of an earlier restore that failed: which units may start again, and why it failed.

    None, where something was reverted or nobody knows: services that start on half of the earlier state do more harm
    than services that stay down.
    """
    why = f"{task}: {reason(result)[0]}"
    done = [entry for entry in [database, *items(files)] if changed(entry)]
    if done or result.get("uncertain"):
        said = "; ".join(map(message, done)) or "nobody knows whether the names were exchanged"
        hand = ", ".join(services) or "none"
        return {
            "start": [],
            "message": f"{why} - {said}. Look at what there is before these units are started by hand: {hand}",
        }
    again = _stopped(stop)
    return {
        "start": again,
        "message": f"{why} - nothing was reverted"
        + (f", and these units run again: {', '.join(again)}" if again else ""),
    }


def command(
    scope: str,
    system: str,
    source: str,
    database: str,
    usual: str,
    files: Result,
    now: str,
    inventories: Sequence[str],
    host: str,
) -> str:
    """What makes the data that this run has replaced the live data again, for a shell.

    Files are reverted by the paths of a set: the run that made the sets selects it, or what chose them; `now` is the
    moment, after which newer sets may be made. `usual` is the name of the system's database.
    """
    variables = {"recovery_state": "reverted"}
    if scope != "database":
        runs = {str((entry.get("set") or {}).get("run_id") or "") for entry in items(files)}
        run = runs.pop() if len(runs) == 1 else ""
        variables["recovery_scope"] = scope
        if run:
            variables["recovery_run_id"] = run
        else:
            variables["recovery_source"] = source if source != "latest" else now
    if database != usual:
        variables["recovery_database"] = database
    variables["day2_confirm"] = system
    words = ["ansible-playbook", f"day2.ops.{'restore' if scope == 'database' else 'recover'}"]
    for inventory in inventories:
        words += ["-i", inventory]
    words += ["-l", host]
    for name, value in variables.items():
        plain = re.fullmatch(r"[A-Za-z0-9_.:+-]+", value)
        words += ["-e", f"{name}={value}" if plain else json.dumps({name: value})]
    return shlex.join(words)


def announcement(
    state: str,
    host: str,
    took: str,
    rows: Sequence[Mapping[str, Any]],
    services: Sequence[str],
    checks: Sequence[Result],
) -> dict[str, str]:
    """Subject and text for those who wait for the system."""
    lines = [str(row.get("message") or "") for row in rows]
    lines += [f"These units run again: {', '.join(services)}"] if services else []
    lines += [f"These checks are ok: {_titles(checks)}"] if checks else []
    what = f"The restore of {host} was reverted" if state == "reverted" else f"{host} was restored"
    return {"subject": f"{what} in {took}", "text": "\n".join(lines)}


def failed_elsewhere(failed: Mapping[str, Any], host: str) -> list[str]:
    """Other hosts of the play that could not be restored; `failed` says of hosts why."""
    return [name for name, why in failed.items() if why and name != host]


def _titles(checks: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(check.get("title") or check.get("id")) for check in checks)


def _stopped(stop: Result) -> list[str]:
    """Units that ran, in the order in which they are started again."""
    return [str(entry.get("item")) for entry in reversed(items(stop)) if changed(entry)]


def _down(stop: Result) -> list[str]:
    return [str(entry.get("item")) for entry in items(stop) if went_well(entry) and not changed(entry)]


def _paths(entry: Result) -> list[str]:
    return [str(path.get("path")) for path in entry.get("paths") or () if isinstance(path, Mapping)]
