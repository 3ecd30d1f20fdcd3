# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks of failovers decide from what their tasks registered. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status


def rows(rows: Sequence[Any], now: float, text: str, lost: bool = False) -> list[Any]:
    """The rows of a host, or one that says why it has none: no host is left without a line. `lost`: it did not answer
    Ansible, which is why there is a failover, and no reason for it to have failed."""
    if lost:
        said = "the host does not answer Ansible: nothing was done on it, and its checks did not run"
        return [*rows, Result.make("dr-lost", "Connection", Status.WARNING, said, now).to_dict()]
    return _some(rows, now, text)


def _some(rows: Sequence[Any], now: float, text: str) -> list[Any]:
    return list(rows) or [Result.make("dr-nothing", "Failover", Status.SKIPPED, text, now).to_dict()]


def assessed(rows: Sequence[Any], now: float, text: str, kept: Mapping[str, Any]) -> list[Any]:
    """The same of an assessment. `kept`: what the host answered that had to keep what was seen of the primary."""
    if not (kept.get("failed") or kept.get("unreachable")):
        return _some(rows, now, text)
    said = f"what was seen of the primary is not kept: {kept.get('msg') or 'the host does not answer Ansible'}"
    return [*rows, Result.make("dr-kept", "Evidence of the primary", Status.WARNING, said, now).to_dict()]


def answers(done: Mapping[str, Any]) -> list[Any]:
    """What the orders of a host came to, from the loop that gave them; [] where it gave none or the host was lost."""
    return [result["answer"] for result in done.get("results", []) if "answer" in result]


def all_answers(done: Mapping[str, Any], carried: Mapping[str, Any]) -> list[Any]:
    """The same of all hosts, and after them what came of orders that took several tasks; both by host."""
    return [answer for found in [*map(answers, done.values()), *carried.values()] for answer in found]
