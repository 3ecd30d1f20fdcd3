# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a checklist: validate it, group checks by what they read, let killable children answer, judge."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import replace
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge, settle
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import secret_values, secret_words
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import (
    Observation,
    Result,
    Status,
    summarise,
    worst,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Group, Outcome, Pool, Progress
from ansible_collections.day2.ops.plugins.module_utils.process.programs import become
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import convert, format_duration, parse_unit

Emit = Callable[[int, dict[str, Any]], None]


def find_spec(probe: str) -> ProbeSpec:
    spec: ProbeSpec = registry.load(probe).SPEC
    return spec


def run_checklist(
    raw: Sequence[object],
    *,
    timeout: float = 10.0,
    deadline: float = 60.0,
    workers: int = 8,
    secrets: Mapping[int, Mapping[str, Any]] | None = None,
    planned: bool = False,
) -> dict[str, Any]:
    """Answer all checks of a host. Raises CheckError when one is malformed, before any of them runs.

    `timeout` (of each check) and `deadline` (of the whole) are seconds. `secrets` holds fields that were kept
    apart, by the check's place and the field's name. `planned` validates the checks and runs none. Returns status,
    summary, duration (seconds) and results.
    """
    begun = time.monotonic()
    secrets = secrets or {}
    whole = with_secrets(raw, secrets)
    checks = [
        replace(check, index=place)
        for place, check in enumerate(parse_checks(whole, find_spec, registry.PROBES, timeout))
    ]
    hidden = [text for check in checks for text in _secret_values(check, secrets.get(check.index, {}))]
    settled = {check.index: early for check in checks for early in [_settle_early(check, planned)] if early is not None}
    groups = _in_order(_group(check for check in checks if check.index not in settled), checks, workers)
    _load_shared(groups, checks)
    pool = Pool(_Work(checks), become, [check.timeout for check in checks], workers)
    outcomes = pool.run(groups, max(0.0, begun + deadline - time.monotonic()))
    results = [
        settled[check.index] if check.index in settled else _conclude(check, outcomes[check.index], deadline, hidden)
        for check in checks
    ]
    return {
        "status": worst(result.status for result in results).value,
        "summary": summarise(result.status for result in results),
        "duration": round(time.monotonic() - begun, 4),
        "results": [result.to_dict() for result in results],
    }


def run_until_well(run: Callable[[], dict[str, Any]], wait: float) -> dict[str, Any]:
    """Answers in which nothing is critical or unknown, or the last ones after `wait` seconds."""
    until = time.monotonic() + wait
    while True:
        outcome = run()
        left = until - time.monotonic()
        if outcome["status"] not in (Status.CRITICAL.value, Status.UNKNOWN.value) or left <= 0:
            return outcome
        time.sleep(min(1.0, left))


def with_secrets(raw: Sequence[object], secrets: Mapping[int, Mapping[str, Any]]) -> list[object]:
    """The checks with the fields that were kept apart, by their place."""
    return [
        {**entry, **secrets.get(place, {})} if isinstance(entry, dict) else entry for place, entry in enumerate(raw)
    ]


def in_one_sentence(outcome: Mapping[str, Any]) -> str:
    """How many results have which status, and the first of the worst in words."""
    counts = ", ".join(f"{count} {status}" for status, count in outcome["summary"].items() if count)
    worst_ones = [row for row in outcome["results"] if row["status"] == outcome["status"]]
    if not worst_ones or outcome["status"] in ("ok", "skipped"):
        return counts or "no check"
    shown = "; ".join(f"{row['title']}: {row['message']}" for row in worst_ones[:3])
    return f"{counts}: {shown}"


def _secret_values(check: Check, kept_apart: Mapping[str, Any]) -> list[str]:
    """What must not be shown, longest first, so that one secret within another leaves nothing over."""
    spec = find_spec(check.probe)
    values: list[str] = []
    for name, value in check.args.items():
        if name in spec.arguments and spec.arguments[name].secret and value is not None:
            values += secret_values(value, name == "environment") if isinstance(value, dict) else [str(value)]
    for name in kept_apart:
        words = check.args.get(name)
        # A URL with a password in it is masked by its shape; a program may say its password without one.
        values += secret_words(words if isinstance(words, tuple) else [words] if isinstance(words, str) else [])
    return sorted(set(values), key=len, reverse=True)


def _settle_early(check: Check, planned: bool) -> Result | None:
    """What needs no probe to know."""
    if not check.enabled:
        return settle(check, Status.SKIPPED, "disabled", started=time.time())
    if planned:
        return settle(check, Status.SKIPPED, "would be run afterwards", started=time.time())
    if check.run_as is None:
        return None
    try:
        user = pwd.getpwnam(check.run_as)
    except KeyError:
        return settle(check, Status.UNKNOWN, f"there is no user {check.run_as} on this host", started=time.time())
    if os.geteuid() not in (0, user.pw_uid):
        return settle(check, Status.SKIPPED, f"needs root to run as {check.run_as}", started=time.time())
    return None


def _group(checks: Any) -> list[Group]:
    """Checks that read the same, as the same user, in one group; groups in the order of their first check."""
    groups: dict[Any, Group] = {}
    for check in checks:
        module = registry.load(check.probe)
        key = module.source_key(check) if hasattr(module, "source_key") else check.index
        user = check.run_as if os.geteuid() == 0 and check.run_as != "root" else None
        groups.setdefault((check.probe, key, user), Group([], user)).items.append(check.index)
    return list(groups.values())


def _in_order(groups: Sequence[Group], checks: Sequence[Check], workers: int) -> list[Group]:
    """What measures how busy the host is (QUIET) goes before the other checks, whose work it would measure too.

    What only waits (PATIENT: the echoes of a ping) is no work, and may wait meanwhile.
    """

    def declares(group: Group, word: str) -> bool:
        return bool(getattr(registry.load(checks[group.items[0]].probe), word, False))

    quiet = [group for group in groups if declares(group, "QUIET")]
    if not quiet:
        return list(groups)
    # Half of the children at most, so that nobody waits for a child until a ping has ended.
    patient = [group for group in groups if declares(group, "PATIENT")][: workers // 2]
    measured = [item for group in quiet for item in group.items]
    others = [Group(group.items, group.user, measured) for group in groups if group not in quiet + patient]
    return patient + quiet + others


def _load_shared(groups: Sequence[Group], checks: Sequence[Check]) -> None:
    """Load here, before the fork, what several children would each load for themselves."""
    used = [checks[group.items[0]].probe for group in groups]
    for probe in set(used):
        module = registry.load(probe)
        if used.count(probe) > 1 and hasattr(module, "prepare"):
            module.prepare()


class _Work:
    """What a child does with a group: open the source once, answer its checks in turn."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks

    def prepare(self, items: Sequence[int]) -> None:
        module = registry.load(self._checks[items[0]].probe)
        if hasattr(module, "prepare"):
            module.prepare()

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        checks = [self._checks[item] for item in items]
        module = registry.load(checks[0].probe)
        started, begun = time.time(), time.monotonic()
        source: Any = None
        trouble: dict[str, Any] | None = None
        if hasattr(module, "open_source"):
            source, trouble = _guarded(lambda: module.open_source(checks, progress))
        opening = time.monotonic() - begun
        for check in checks:
            progress.start(check.index)
            if source is None:
                started = time.time()
            begun = time.monotonic()
            record = trouble
            if record is None:
                seen, record = _guarded(lambda check=check: module.observe(source, check))  # type: ignore[misc]
                record = record or {"seen": seen.to_dict()}
            emit(check.index, {"started": started, "duration": opening + time.monotonic() - begun, **record})
        if hasattr(source, "close"):
            # Every answer is given already; what goes wrong now is nobody's.
            _guarded(source.close)


def _guarded(work: Callable[[], Any]) -> tuple[Any, dict[str, Any] | None]:
    """The result of a probe's function, or what it says instead of one."""
    try:
        return work(), None
    except Undetermined as exc:
        return None, {"unknown": str(exc), "evidence": exc.evidence}
    except NeedsRoot as exc:
        return None, {"needs_root": str(exc)}
    except MemoryError:
        return None, {"unknown": "there was not enough memory to answer", "evidence": []}
    except Exception as exc:  # noqa: BLE001 - the process boundary: a faulty probe must not cost the others' results
        return None, {"unknown": f"the probe failed: {type(exc).__name__}: {exc}", "evidence": []}


def _conclude(check: Check, outcome: Outcome, deadline: float, hidden: Sequence[str]) -> Result:
    record = outcome.record
    if "seen" in record:
        seen = Observation.from_dict(record["seen"])
        return judge(check, seen, started=outcome.started, duration=outcome.duration, secrets=hidden)
    status, evidence = Status.UNKNOWN, record.get("evidence", [])
    if "unknown" in record:
        message = record["unknown"]
    elif "needs_root" in record:
        message, status = _rights(check, record["needs_root"])
    elif outcome.kind == "timeout":
        message = f"no answer within {format_duration(check.timeout)}"
        if check.metric.elapsed and check.metric.source_unit is not None:
            # It took longer than that, whatever it would have taken.
            least = convert(check.timeout, parse_unit("s"), check.metric.source_unit)
            late = judge(check, Observation(least, message), started=outcome.started, duration=outcome.duration)
            if late.status in (Status.CRITICAL, Status.WARNING):
                return late
    elif outcome.kind == "deadline":
        message = f"no answer before the deadline of the whole checklist ({format_duration(deadline)})"
    elif outcome.kind == "refused":
        message = f"no process can be started on this host: {record['reason']}"
    else:
        message = "the probe's process ended without an answer"
    return settle(
        check,
        status,
        message,
        started=outcome.started,
        duration=outcome.duration,
        evidence=evidence,
        secrets=hidden,
    )


def _rights(check: Check, reason: str) -> tuple[str, Status]:
    """A right that is missing: skipped, unless the check itself chose the user, or root lacks it too."""
    if os.geteuid() != 0:
        return f"needs root: {reason}", Status.SKIPPED
    who = check.run_as or "root"
    return f"{reason} by {who}", Status.UNKNOWN
