# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates as a step: what is asked for, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.probes.packages import Update
from ansible_collections.day2.ops.plugins.module_utils.upkeep.packages import (
    Survey,
    changes,
    outcome,
    parse_installed,
    plan,
    specs,
)

NGINX, SSL = Update("nginx", "1", "2", False), Update("libssl3", "3.0.1", "3.0.2", True)


def survey(*waiting: Update, **more: Any) -> Survey:
    return Survey(**{"installed": {"nginx": "1", "libssl3": "3.0.1"}, "waiting": waiting, "held": [], **more})


def test_only_what_is_installed_counts() -> None:
    said = "installed nginx 1\nconfig-files gone 1\ninstalled kernel.x86_64 5.2\ninstalled kernel.x86_64 5.1\n"
    assert parse_installed(said) == {"nginx": "1", "kernel.x86_64": "5.1 5.2"}


def test_apt_is_told_the_version() -> None:
    found = survey(NGINX, SSL)
    assert specs(found, security=True) == ["libssl3=3.0.2"] and len(specs(found, security=False)) == 2
    assert specs(survey(SSL, manager="dnf"), security=True) == ["libssl3"]


def test_changes_name_both_versions() -> None:
    assert changes({"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": "1", "d": "1"}) == [
        "a 1 -> 2", "c 1 removed", "d 1 new",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("after", "status", "said"),
    [
        (survey(installed={"nginx": "2", "libssl3": "3.0.2"}), "ok", "2 packages changed by 2 updates"),
        (survey(NGINX, installed={"nginx": "1", "libssl3": "3.0.2"}), "warning", "1 could not be installed"),
        (survey(reboot=["linux"]), "warning", "a reboot is required"),
        (survey(held=["nginx"]), "ok", "1 held"),
    ],
)
def test_what_is_left_or_due_is_a_warning(after: Survey, status: str, said: str) -> None:
    told = outcome({"nginx": "1", "libssl3": "3.0.1"}, ["nginx=2", "libssl3=3.0.2"], after, security=False)
    assert told["status"] == status and said in told["message"], told


def test_an_update_that_came_meanwhile_is_not_one_that_failed() -> None:
    later = survey(Update("nginx", "2", "3", False), installed={"nginx": "2", "libssl3": "3.0.2"})
    assert outcome({"nginx": "1"}, ["nginx=2"], later, security=False)["status"] == "ok"


def test_the_plan_is_no_verdict() -> None:
    told = plan(survey(NGINX, SSL, held=["x"]), security=True)
    assert told["status"] == "skipped" and told["evidence"] == ["held: x", "libssl3 3.0.1 -> 3.0.2 (security)"]
