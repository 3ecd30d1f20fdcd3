# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of a failover on four hosts: controllers killed at each instant of each step, partitions, and others
(faults_cases.py). `DAY2_CASES` names those to run, with commas; without it, all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from bench.measure import Figure


def _cases() -> Iterator[tuple[str, Callable[[object], list[str]]]]:
    from faults_cases import CASES, INSTANTS, PARTITIONS, POINTS, kills, partition

    # A chain goes through all steps, by one instant.
    for instant in INSTANTS:
        points = [point for point in POINTS if point.endswith(instant)]
        yield f"killed {instant}", lambda site, points=points: kills(site, points)  # type: ignore[misc]
    for name in PARTITIONS:
        yield name, lambda site, name=name: partition(site, name)  # type: ignore[misc]
    yield from CASES.items()  # type: ignore[misc]


def run() -> list[Figure]:
    from faults_site import faults_site

    wanted = [name for name in os.environ.get("DAY2_CASES", "").split(",") if name]
    ran, wrong, runs = 0, [], 0
    with faults_site("bench-failover-faults") as site:
        for name, case in _cases():
            if wanted and name not in wanted:
                continue
            began = time.monotonic()
            site.reset()
            found = case(site)
            ran, runs = ran + 1, site.runs
            wrong += [name] if found else []
            print(f"  {name:36}{time.monotonic() - began:7.1f} s  {'well' if not found else 'WRONG'}", flush=True)
            for line in found:
                print(f"    {line}", flush=True)
    return [
        Figure("faults of a failover", ran, len(wanted) or 1, f"{runs} runs", unit="", at_least=True),
        Figure("faults that came out wrong", len(wrong), 0, ", ".join(wrong), unit=""),
    ]
