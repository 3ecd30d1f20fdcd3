# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of a failover on four real hosts: killed and sleeping controllers, partitions, machines that are lost.

A sample: `python -m bench failover_faults` has them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults_cases import kills, lost, partition, woken
from faults_site import FaultsSite, faults_site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def made() -> Iterator[FaultsSite]:
    with faults_site("test-failover-faults") as site:
        yield site


@pytest.fixture
def site(made: FaultsSite) -> FaultsSite:
    made.reset()
    return made


def test_controllers_that_are_killed_are_continued(site: FaultsSite) -> None:
    assert kills(site, ["fence:after", "promote:during", "traffic:after"]) == []


def test_a_controller_that_wakes_up_changes_nothing(site: FaultsSite) -> None:
    assert woken(site) == []


def test_a_machine_that_is_lost_is_cut_off_by_its_traffic(site: FaultsSite) -> None:
    assert lost(site) == []


def test_who_is_cut_off_from_the_primary_does_not_replace_it(site: FaultsSite) -> None:
    assert partition(site, "controller and primary") == []
