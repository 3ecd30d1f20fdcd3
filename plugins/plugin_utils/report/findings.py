# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings of all hosts, the same one on many hosts told once: what to look at first."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import RANK, Report


@dataclass
class Finding:
    """A check that found the same on one or more hosts. Places index report.hosts and its results."""

    status: Status
    first: Result
    places: list[tuple[int, int]]


def group(report: Report) -> list[Finding]:
    """Worst first; within a status hosts that are gone, then what concerns most hosts."""
    groups: dict[tuple[Status, str, str], Finding] = {}
    for host_number, host in enumerate(report.hosts):
        for row_number, row in enumerate(host.results):
            if not row.alarming:
                break  # rows are sorted worst first
            key = (row.status, row.id, row.title)
            finding = groups.setdefault(key, Finding(row.status, row, []))
            finding.places.append((host_number, row_number))
    return sorted(groups.values(), key=_urgency)


def _urgency(finding: Finding) -> tuple[int, bool, int]:
    return RANK[finding.status], finding.first.probe != "connection", -len(finding.places)
