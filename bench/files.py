# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many `file` checks in one call: how long, and whether twice as many cost twice as much."""

from __future__ import annotations

from typing import Any

from bench.measure import Figure, alternate, timed


def run() -> list[Figure]:
    from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

    def checks(number: int) -> list[dict[str, Any]]:
        entry = {"title": "File", "probe": "file", "path": "/etc/passwd", "warning": "> 10000d"}
        return [{"id": f"f{place}", **entry} for place in range(number)]

    def work(number: int) -> float:
        return timed(lambda: run_checklist(checks(number)))

    few, many = alternate(5, lambda: work(1000), lambda: work(4000))
    return [
        Figure("1,000 file checks", few, 3, "one call", "s"),
        Figure("4,000 against 1,000", many / few, 4.6, "linear is 4"),
    ]
