# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report says about each finding: it is there, it is gone, or nobody looked. Reads report.json's document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import FINDINGS
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import plain

LONGEST_KEY = 255
_FOUND = tuple(status.value for status in FINDINGS)


class DocumentError(Day2Error):
    """The report is none."""


@dataclass(frozen=True)
class Finding:
    """One thing that is bad now. `key` is the same in every run; `host` and `check` are empty for a message."""

    key: str
    severity: str
    title: str
    message: str
    host: str = ""
    check: str = ""
    probe: str = ""
    started: str = ""
    ref: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    acknowledged: bool = False


@dataclass
class Seen:
    """A run, by what it says about findings. `looked` has the hosts whose checklist ran to its end."""

    system: str
    cadence: str | None
    run_id: str
    findings: dict[str, Finding]
    answers: dict[tuple[str, str], tuple[str, str]]
    reached: set[str]
    looked: set[str]

    def gone(self, host: str, check: str, cadence: str | None) -> str | None:
        """How a finding of an earlier run ended: in words, or None where this run does not know."""
        status, message = self.answers.get((host, check), ("", ""))
        if status and cadence != self.cadence:
            # Another checklist asks its own question under this name.
            return None
        if status:
            # A skipped check has not looked: the finding may still be there.
            return message or "is fine" if status == Status.OK.value else None
        if check == "reachable":
            return "answers again" if host in self.reached else None
        if host not in self.looked or cadence != self.cadence:
            return None
        return "the checklist ran again" if check == "checklist" else "is not checked any more"


def dedup_key(*parts: str) -> str:
    """`<system>/<host>/<check id>`; one that is too long for PagerDuty keeps its beginning and gets a hash."""
    key = "/".join(plain(part) for part in parts if part)
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode("utf-8")).hexdigest()[:40]
    return f"{key[: LONGEST_KEY - 1 - len(digest)]}-{digest}"


def read(document: object) -> Seen:
    """The findings of a report's document, worst host first as the report has them."""
    if not isinstance(document, Mapping) or not isinstance(document.get("hosts"), list):
        raise DocumentError("it is not the document of a run: it has no hosts")
    system = plain(document.get("system") or "")
    seen = Seen(
        system=system,
        cadence=plain(document["cadence"]) if document.get("cadence") else None,
        run_id=plain(document.get("run_id") or ""),
        findings={},
        answers={},
        reached=set(),
        looked=set(),
    )
    for host in _mappings(document["hosts"]):
        name, rows = plain(host.get("host") or ""), list(_mappings(host.get("results")))
        if host.get("reachable", True):
            seen.reached.add(name)
        if name in seen.reached and not any(row.get("probe") == "checklist" for row in rows):
            seen.looked.add(name)
        for row in rows:
            status, check = plain(row.get("status") or ""), plain(row.get("id") or "")
            # Rows come worst first: of two with one name the worse counts.
            seen.answers.setdefault((name, check), (status, plain(row.get("message") or "")))
            if status in _FOUND:
                finding = _finding(system, name, check, row, seen.cadence)
                seen.findings.setdefault(finding.key, finding)
    return seen


def _mappings(entries: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(entries, (list, tuple)):
        yield from (entry for entry in entries if isinstance(entry, Mapping))


def _finding(system: str, host: str, check: str, row: Mapping[str, Any], cadence: str | None) -> Finding:
    # A checklist that did not run has a key of its own for each cadence; what a check finds has one key in all.
    named = (cadence or "", check) if row.get("probe") == "checklist" else (check,)
    return Finding(
        key=dedup_key(system, host, *named),
        severity=plain(row["status"]),
        title=plain(row.get("title") or check),
        message=plain(row.get("message") or ""),
        host=host,
        check=check,
        probe=plain(row.get("probe") or ""),
        started=plain(row.get("started") or ""),
        ref=_texts(row.get("ref")),
        evidence=_texts(row.get("evidence")),
        details={name: row[name] for name in ("value", "unit", "warning", "critical") if row.get(name) is not None},
        acknowledged=bool(row.get("acknowledged")),
    )


def _texts(raw: object) -> tuple[str, ...]:
    entries: Iterable[object] = raw if isinstance(raw, (list, tuple)) else () if raw is None else (raw,)
    return tuple(plain(entry) for entry in entries)
