# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A physical backup: made by pgBackRest when one is due, checked, verified, and only then others are expired."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault, seconds
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import CLOCK_TOLERANCE
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import open_archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup, Kind, Stanza, parse_info
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.retention import (
    Keep,
    parse_expired,
    parse_keep,
    reasons,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.share import watched
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.verify import judge
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import name_runs
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)

AUTO = "auto"
TYPES = (AUTO, *(kind.word for kind in Kind))
_LABEL = re.compile(r"new backup label = (\S+)")
# Types of backups that count for `max_age` of a type: an incremental backup does not replace a full one.
_COUNTS = {
    AUTO: tuple(Kind),
    "incremental": tuple(Kind),
    "differential": (Kind.FULL, Kind.DIFFERENTIAL),
    "full": (Kind.FULL,),
}
_SHOWN = 5


@dataclass(frozen=True)
class Plan:
    """Options of a run. Times are seconds."""

    type: str
    keep: Keep
    max_age: float | None
    verify: bool
    lock_wait: float
    jobs: int | None = None
    run_id: str | None = None


def run_physical(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Run with the module's parameters. BackupFailed has the results of the steps before the failure."""
    jobs = params["jobs"]
    if jobs is not None and jobs < 1:
        raise ArgumentFault(f"'jobs' is {jobs}; one process is the least")
    plan = Plan(
        type=params["type"],
        keep=parse_keep(params["keep"]),
        max_age=seconds(params, "max_age"),
        verify=params["verify"] == "read",
        lock_wait=seconds(params, "lock_wait") or 0.0,
        jobs=jobs,
        run_id=params["run_id"],
    )
    began, clock = time.time(), time.monotonic()
    outcome = run(plan, arguments.client(params), check_mode)
    outcome["step"] = _step(params["stanza"], outcome, began, time.monotonic() - clock)
    return outcome


def run(plan: Plan, client: Client, check_mode: bool = False) -> dict[str, Any]:
    """Back up, check, verify, expire. BackupFailed if a step fails; then nothing is expired."""
    stanza, now = _info(client), time.time()
    due, age = _due(stanza, plan, now), _age(stanza, plan, now)
    outcome: dict[str, Any] = {"changed": False, "made": False, "backup": None, "expired": _no_expiry(), "kept": []}
    if due and plan.type in ("incremental", "differential") and not _full(stanza):
        raise BackupFailed(
            f"there is no full backup for one of type {plan.type} to build on: use type full or auto", outcome
        )
    if check_mode:
        outcome.update(made=due)
    elif due:
        progress.phase(f"{plan.type} backup of {client.stanza}", usual=_usual(stanza, plan))
        stanza = _make(plan, client, outcome)
    newest = stanza.usable[-1] if stanza.usable else None
    if newest:
        outcome["backup"] = newest.describe()
    _expire(plan, client, stanza, outcome, check_mode)
    outcome["changed"] = outcome["made"] or bool(outcome["expired"]["backups"]) or bool(outcome["expired"]["wal"])
    outcome["msg"] = _sentence(plan, outcome, age, check_mode)
    return outcome


def _info(client: Client) -> Stanza:
    return parse_info(client.ask("info", f"--repo={client.repo}"), client.stanza, client.repo)


def _full(stanza: Stanza) -> bool:
    return any(backup.kind is Kind.FULL for backup in stanza.usable)


def _due(stanza: Stanza, plan: Plan, now: float) -> bool:
    age = _age(stanza, plan, now)
    # A backup dated in the future was made with a wrong clock: its age is unknown.
    return age is None or plan.max_age is None or age >= plan.max_age or age < -CLOCK_TOLERANCE


def _age(stanza: Stanza, plan: Plan, now: float) -> float | None:
    """Seconds since the newest backup that counts for this type."""
    known = [backup for backup in stanza.usable if backup.kind in _COUNTS[plan.type]]
    return now - known[-1].stop if known else None


def _usual(stanza: Stanza, plan: Plan) -> float | None:
    """Seconds that the newest backup of this type took."""
    last = next((made for made in reversed(stanza.usable) if made.kind in _COUNTS[plan.type]), None)
    return last.stop - last.start if last else None


def _make(plan: Plan, client: Client, outcome: dict[str, Any]) -> Stanza:
    kind = {word.word: word.value for word in Kind}.get(plan.type, Kind.INCREMENTAL.value)
    # Backups expire only after the new one was verified.
    options = [f"--type={kind}", f"--repo={client.repo}", "--no-expire-auto"]
    options += [f"--process-max={plan.jobs}"] if plan.jobs else []
    options += [f"--annotation=run-id={plan.run_id}"] if plan.run_id else []
    begun = time.monotonic()
    try:
        with watched(client):
            said = client.log("backup", *options, wait=plan.lock_wait)
    except Day2Error as exc:
        raise BackupFailed(f"no backup was made, and nothing was expired: {exc}", outcome) from exc
    taken = time.monotonic() - begun
    label = next((found[1] for line in said for found in [_LABEL.search(line.text)] if found), None)
    stanza = _info(client)
    made = next((backup for backup in stanza.backups if backup.label == label), None)
    if made is None:
        raise BackupFailed("pgbackrest reported a backup that its repository does not have", outcome)
    outcome.update(
        made=True, changed=True, backup=made.describe(), seconds=round(taken, 3),
        throughput=round(made.delta / max(taken, 1e-6)),
    )  # fmt: skip
    _prove(plan, client, made, outcome)
    return stanza


def _prove(plan: Plan, client: Client, made: Backup, outcome: dict[str, Any]) -> None:
    if made.error:
        raise BackupFailed(
            f"the backup {made.label} has pages whose checksum is wrong: the server's files are damaged (pgbackrest"
            f" info --set={made.label} names them); nothing was expired",
            outcome,
        )
    try:
        client.log("check", wait=plan.lock_wait)
    except Day2Error as exc:
        raise BackupFailed(
            f"the backup {made.label} is there, but the server's WAL does not reach the archive, and nothing was"
            f" expired: {exc}",
            outcome,
        ) from exc
    if not plan.verify:
        return
    begun = time.monotonic()
    progress.phase(f"reading the repository of {client.stanza}")
    verdict = judge(client.log("verify", "--output=text", "--verbose", f"--repo={client.repo}", wait=plan.lock_wait))
    outcome["verify_seconds"] = round(time.monotonic() - begun, 3)
    outcome["verified"] = {"files": verdict.files, "wal": verdict.wal, "faults": list(verdict.faults)}
    if verdict.faults:
        more = f" and {len(verdict.faults) - _SHOWN} more" if len(verdict.faults) > _SHOWN else ""
        raise BackupFailed(
            f"the repository of stanza '{client.stanza}' is damaged, and nothing was expired:"
            f" {'; '.join(verdict.faults[:_SHOWN])}{more}",
            outcome,
        )
    # pgbackrest verify reports a missing segment only as the start of another range.
    for gap in open_archive(client).reach().gaps:
        outcome.setdefault("warnings", []).append(
            f"the archive lacks WAL of timeline {gap.timeline}: {name_runs(gap.segments)}; no recovery reaches a time"
            " in there, or gets over it from a backup before it"
        )


def _no_expiry() -> dict[str, Any]:
    return {"backups": [], "wal": [], "held": None}


def _expire(plan: Plan, client: Client, stanza: Stanza, outcome: dict[str, Any], check_mode: bool) -> None:
    if not stanza.backups:
        return
    held = _why_held(stanza)
    gone: list[str] = []
    if held is None:
        options = [*plan.keep.options(client.repo), f"--repo={client.repo}", *(["--dry-run"] if check_mode else [])]
        try:
            said = parse_expired(client.log("expire", *options, wait=plan.lock_wait))
        except Day2Error as exc:
            raise BackupFailed(f"the backup is there, but what is to go could not: {exc}", outcome) from exc
        gone = list(dict.fromkeys(said.backups))
        outcome["expired"].update(backups=gone, wal=[{"from": first, "to": last} for first, last in said.wal])
    outcome["expired"]["held"] = held
    stay = [backup for backup in stanza.backups if backup.label not in gone]
    why_kept = reasons(stay, plan.keep, time.time())
    outcome["kept"] = [
        {"label": label, "because": [*why, *([held] if held else [])]} for label, why in why_kept.items()
    ]


def _why_held(stanza: Stanza) -> str | None:
    """pgBackRest counts backups with page errors as well, so the last one without errors could expire."""
    good = [backup for backup in stanza.usable if backup.kind is Kind.FULL]
    bad = [backup for backup in stanza.backups if backup.error and (not good or backup.stop > good[-1].stop)]
    return (
        f"nothing is expired: {bad[-1].label} is newer than the last good full backup and has wrong pages"
        if bad
        else None
    )


def _sentence(plan: Plan, outcome: Mapping[str, Any], age: float | None, check_mode: bool) -> str:
    newest = outcome["backup"]
    if outcome["made"] and check_mode:
        message = f"a backup of type {plan.type} would be made"
    elif outcome["made"]:
        size = format_quantity(newest["stored"], Unit("B", BYTES))
        proof = ", verified" if plan.verify else ""
        message = f"{newest['label']} ({newest['type']}) {size} in {format_duration(outcome['seconds'])}{proof}"
    else:
        message = "no backup is due" + (f", the newest is {newest['label']}" if newest else "")
        if age is not None and plan.max_age is not None:
            old = format_duration(max(age, 0.0))
            message += f" (one of this type is {old} old; max_age is {format_duration(plan.max_age)})"
    expired = outcome["expired"]
    if expired["held"]:
        return f"{message}; {expired['held']}"
    count = len(expired["backups"])
    gone = f"{count} backup{'s' * (count != 1)} {'would be ' if check_mode else ''}expired"
    return f"{message}; {gone if count else 'no backup to expire'}"


def _step(stanza: str, outcome: Mapping[str, Any], began: float, taken: float) -> dict[str, Any]:
    """The report line of the run."""
    newest = outcome["backup"] if outcome["made"] and "seconds" in outcome else None
    return Result.make(
        f"backup-{stanza}",
        f"Physical backup of {stanza}",
        Status.OK if outcome["backup"] else Status.SKIPPED,
        str(outcome["msg"]),
        began,
        taken,
        value=newest["stored"] if newest else None,
        unit="B" if newest else None,
        evidence=[f"{label} was expired" for label in outcome["expired"]["backups"]] if newest else [],
    ).to_dict()
