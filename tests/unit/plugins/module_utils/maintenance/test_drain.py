# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that are being answered are waited for, as long as the limit: with a clock of the test's."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import drain as drain_module
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.drain import Drained, drain
from ansible_collections.day2.ops.plugins.module_utils.network import sockets


def drained(limit: float, **open_until: float) -> Drained:
    """Connections by their names, each with the second at which it is closed; a later one begins after a second."""
    now = [0.0]

    def look() -> frozenset[str]:
        return frozenset(
            name for name, end in open_until.items() if now[0] < end and (now[0] >= 1 or not name.startswith("later"))
        )

    def pause(seconds: float) -> None:
        now[0] += seconds

    return drain(limit, look, lambda: now[0], pause)


def test_nothing_is_waited_for_where_nothing_is_open() -> None:
    assert drained(30) == Drained(0, 0, pytest.approx(0.3))


def test_it_ends_with_the_last_request() -> None:
    assert drained(30, a=2, b=5) == Drained(2, 0, pytest.approx(5, abs=0.2))


def test_it_ends_at_the_limit() -> None:
    assert drained(3, a=2, b=60, c=60) == Drained(3, 2, pytest.approx(3, abs=0.2))


def test_what_comes_later_is_not_waited_for() -> None:
    assert drained(30, a=2, later=60) == Drained(1, 0, pytest.approx(2, abs=0.2))


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 20 1
   2: 0100007F:9E80 0100007F:1F90 01 00000000:00000000 00:00000000 00000000    33        0 31 1
   3: 0100007F:01BB 0100007F:8000 01 00000000:00000000 00:00000000 00000000    33        0 32 1
   4: 0100007F:9E81 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 40 1
   5: 0100007F:9E82 0100007F:1538 01 00000000:00000000 00:00000000 00000000    33        0 33 1
"""
FILES = {
    "/proc/net/tcp": TCP, "/proc/1/comm": "nginx\n", "/proc/2/comm": "nginx\n", "/proc/3/comm": "python3\n",
    "/proc/3/cgroup": "0::/system.slice/shop.service\n", "/proc/1/status": "Uid:\t0\t0\t0\t0\n",
    "/proc/2/status": "Name:\tnginx\nUid:\t33\t33\t33\t33\n",
}  # fmt: skip
PASSED_ON, TO_ANOTHER = "0100007F:9E80 0100007F:1F90", "0100007F:9E82 0100007F:1538"


@pytest.mark.parametrize(
    ("worker", "application", "found"),
    [
        ({"31", "32", "33"}, {"20"}, {PASSED_ON}), (set(), {"20"}, {PASSED_ON}),
        (set(), set(), {PASSED_ON, TO_ANOTHER}), ({"31", "32"}, set(), {PASSED_ON}),
    ],
)  # fmt: skip
def test_connections_of_workers_whose_descriptors_root_may_not_see(
    monkeypatch: pytest.MonkeyPatch, worker: set[str], application: set[str], found: set[str]
) -> None:
    """Of a container: what the workers' user has connected is theirs. Somebody else's connection never is."""
    inodes = {"1": {"10"}, "2": worker, "3": application}
    monkeypatch.setattr(sockets, "processes", lambda: iter(inodes))
    monkeypatch.setattr(sockets, "inodes", lambda process: inodes[process])
    monkeypatch.setattr(sockets, "content", lambda path: FILES.get(path, ""))
    assert drain_module.connections(["shop.service"], []) == found
