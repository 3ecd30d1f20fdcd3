# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether units that were started go on running: by their states over some seconds, with a clock of the test's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.graph import Unit
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.systemd import watch

WELL = {"Id": "app.service", "LoadState": "loaded", "ActiveState": "active", "InvocationID": "1", "Type": "simple",
        "Result": "success", "NRestarts": "0"}  # fmt: skip


def watched(later: dict[str, str], **always: str) -> str | None:
    """What is said of a unit that is well at first and like `later` from the second second on."""
    now = [0.0]

    def look(names: Sequence[str]) -> list[Unit]:
        return [Unit({**WELL, **always, **(later if now[0] >= 1 else {})}) for name in names if name == "app.service"]

    def pause(seconds: float) -> None:
        now[0] += seconds

    found = watch({"app.service": "1"}, 3.0, look, lambda: now[0], pause)
    assert now[0] >= (1 if later and found else 3), "it was watched to the end"
    return found.get("app.service")


def test_one_that_goes_on_running() -> None:
    assert watched({}) is None and watched({"ActiveState": "reloading"}) is None


@pytest.mark.parametrize(
    ("later", "words"),
    [
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}, "is failed (failed, exit-code) 1 s"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "oom-kill"}, "oom-kill"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "signal"}, "auto-restart"),
        ({"ActiveState": "activating", "SubState": "start-pre", "InvocationID": "2"}, "started again by systemd"),
        ({"InvocationID": "2", "NRestarts": "1"}, "started again by systemd"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "is inactive (dead, success)"),
        ({"ActiveState": "deactivating", "SubState": "stop-sigterm"}, "is deactivating"),
    ],
)  # fmt: skip
def test_one_that_does_not(later: dict[str, str], words: str) -> None:
    found = watched(later)
    assert found is not None and words in found and found.endswith("after its start"), found


@pytest.mark.parametrize(
    "always",
    [{"Type": "oneshot"}, {"BusName": "org.example"}, {"TriggeredBy": "app.socket"}, {"TriggeredBy": "app.timer"}],
)
def test_one_that_is_to_end_may(always: dict[str, str]) -> None:
    assert watched({"ActiveState": "inactive", "SubState": "dead"}, **always) is None
    assert watched({"ActiveState": "deactivating", "SubState": "final-sigterm"}, **always) is None
    assert watched({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}, **always) is not None


def test_one_that_somebody_asks_for_again_may_start_again() -> None:
    assert watched({"InvocationID": "2"}, TriggeredBy="app.socket") is None
    assert watched({"InvocationID": "2", "NRestarts": "1"}, TriggeredBy="app.socket") is not None
    assert watched({"LoadState": "not-found", "ActiveState": "inactive"}) is None
