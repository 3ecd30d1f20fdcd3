# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is a fence and what is none."""

from __future__ import annotations

import signal

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.fence import Fenced, FenceError, Sight, bounded
from ansible_collections.day2.ops.plugins.module_utils.failover.postmasters import Server, Servers
from ansible_collections.day2.ops.plugins.module_utils.systemd.cgroups import unit_of

UNIT = "postgresql@15-main.service"
MASKED = {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked", "Job": ""}
HELD = {
    "LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled", "NeedDaemonReload": "no",
    "DropInPaths": f"/run/systemd/system/x.conf /etc/systemd/system/{UNIT}.d/zzz-day2-fenced.conf",
}  # fmt: skip
SERVER = Server(812, 1, "S", UNIT, f"/system.slice/{UNIT}")


@pytest.mark.parametrize(
    ("fields", "servers", "missing"),
    [
        (MASKED, Servers(), ""),
        ({**MASKED, "ActiveState": "failed"}, Servers(), ""),
        ({**MASKED, "Job": "0"}, Servers(), ""),
        (HELD, Servers(), ""),
        # A mask of one boot, none at all, one that systemd has not read.
        ({**MASKED, "UnitFileState": "masked-runtime"}, Servers(), "can be started (masked-runtime)"),
        ({**MASKED, "LoadState": "loaded", "UnitFileState": "disabled"}, Servers(), "can be started (disabled)"),
        ({**MASKED, "LoadState": "loaded"}, Servers(), "can be started"),
        ({**HELD, "NeedDaemonReload": "yes"}, Servers(), "can be started"),
        ({**HELD, "DropInPaths": ""}, Servers(), "can be started"),
        ({}, Servers(), "can be started"),
        # Masked while it runs, or while it is being started.
        ({**MASKED, "ActiveState": "active"}, Servers(), "is active"),
        ({**MASKED, "ActiveState": "deactivating"}, Servers(), "is deactivating"),
        ({**MASKED, "ActiveState": "activating"}, Servers(), "is activating"),
        ({**MASKED, "Job": "4711"}, Servers(), f"{UNIT} is inactive"),
        # Whatever systemd says, the kernel has the last word.
        (MASKED, Servers((SERVER,)), "process 812 works on the data directory"),
        (MASKED, Servers((Server(812, 1, "T", None, "/"),)), "process 812 works on the data directory"),
        (MASKED, Servers((Server(812, 1, "D", None, "/"),)), "process 812 works on the data directory"),
        (MASKED, Servers((), (813,)), "process 813, a server of PostgreSQL, cannot be looked at"),
    ],
)
def test_a_fence_is_a_lasting_mask_and_no_process(fields: dict[str, str], servers: Servers, missing: str) -> None:
    found = Sight({UNIT: fields}, servers, frozenset({UNIT})).missing()
    assert missing in "; ".join(found) and bool(found) == bool(missing)


def test_a_unit_that_is_being_stopped_and_has_no_process_rests() -> None:
    # systemd hears of an empty control group late, where it has version 1 of them in a container.
    stopping = {**MASKED, "ActiveState": "deactivating", "Job": "501"}
    assert Sight({UNIT: stopping}, Servers()).missing() == []
    assert Sight({UNIT: stopping}, Servers(), frozenset({UNIT})).missing() == [f"{UNIT} is deactivating"]
    assert Sight({UNIT: {**stopping, "ActiveState": "activating"}}, Servers()).missing() == [f"{UNIT} is activating"]


def test_every_unit_that_may_start_it_has_to_be_kept_down() -> None:
    seen = Sight({"own.service": MASKED, UNIT: {**MASKED, "UnitFileState": "disabled"}}, Servers())
    assert not seen.lasting() and seen.missing() == [f"{UNIT} can be started (disabled)"]
    assert Sight({"own.service": MASKED, UNIT: MASKED}, Servers()).lasting()


def test_a_backend_without_its_postmaster_is_a_server_too() -> None:
    postmaster, backend = Server(10, 1, "S", UNIT, "/"), Server(11, 10, "S", UNIT, "/")
    assert Servers((postmaster, backend)).postmasters == (postmaster,)
    assert Servers((backend,)).postmasters == (backend,)


@pytest.mark.parametrize(
    ("group", "keeper"),
    [
        (f"/system.slice/system-postgresql.slice/{UNIT}", UNIT),
        ("/system.slice/patroni.service", "patroni.service"),
        ("/system.slice/supervisor.service", "supervisor.service"),
        ("/user.slice/user-0.slice/session-1.scope", None),
        ("/init.scope", None),
        ("/", None),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/pg.service", "pg.service of a user's own systemd"),
        ("/machine.slice/libpod-4f1c.scope/container", "a container (/machine.slice/libpod-4f1c.scope/container)"),
        ("/system.slice/docker-4f1c.scope", "a container (/system.slice/docker-4f1c.scope)"),
        ("/kubepods.slice/pod1.slice/cri-containerd-4f.scope",
         "a container (/kubepods.slice/pod1.slice/cri-containerd-4f.scope)"),
    ],
)  # fmt: skip
def test_what_would_start_a_server_again_is_named(group: str, keeper: str | None) -> None:
    assert Server(812, 1, "S", unit_of(group), group).keeper == keeper


def test_a_disk_that_hangs_keeps_nobody_waiting_and_is_no_fence() -> None:
    def hangs() -> Fenced:
        signal.pause()
        raise AssertionError

    late = bounded(hangs, "service", 0.2)
    assert not late.proven and not late.survives_reboot and "did not end within 0.2 s" in late.msg


def test_what_the_act_says_is_passed_on() -> None:
    done = Fenced(True, True, "service", True, ["no server works on /data"], "fenced")

    def refuses() -> Fenced:
        raise FenceError("no such unit. Nothing was done")

    assert bounded(lambda: done, "service", 10.0) == done
    with pytest.raises(FenceError, match="no such unit"):
        bounded(refuses, "service", 10.0)
