# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes go on with old files, and what is restarted for it."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.upkeep.stale import (
    NeverError,
    Process,
    awake,
    deleted,
    outcome,
    plan,
    refuse,
)

MAPS = """\
5581-5582 r--p 00000000 08:01 12   /usr/sbin/nginx (deleted)
5582-5583 r-xp 00001000 08:01 12   /usr/sbin/nginx (deleted)
7f00-7f01 r-xp 00000000 08:01 13                         /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f01-7f02 r-xp 00000000 08:01 13                         /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f02-7f03 r-xp 00000000 08:01 14                         /usr/lib/x86_64-linux-gnu/libc.so.6
7f03-7f04 r-xp 00000000 00:01 15                         /memfd:code (deleted)
7f04-7f05 rwxp 00000000 08:01 16                         /var/tmp/jit.1234 (deleted)
7f05-7f06 rw-s 00000000 00:01 17                         /var/lib/shop/mapped data (deleted)
7f06-7f07 r-xp 00000000 00:00 0                          [vdso]
"""


def test_programs_and_libraries_count_but_no_scratch_files() -> None:
    assert deleted(MAPS) == ("/usr/sbin/nginx", "/usr/lib/x86_64-linux-gnu/libssl.so.3")


def process(unit: str, *files: str, pid: int = 1) -> Process:
    return Process(pid, "x", f"/system.slice/{unit}.service", files)


def test_what_nobody_should_restart_is_left_and_told() -> None:
    found = [process("nginx", "/a", "/b"), process("nginx", "/a", pid=2), process("ssh", "/a"),
             process("sshd@1", "/a"),
             Process(9, "bash", "/user.slice/user-0.slice/session-1.scope", ("/a",))]  # fmt: skip
    made = plan(found, ["ssh", "sshd@*"], ["app"])
    assert (
        list(made.restart) == ["nginx.service", "app.service"]
        and "2 processes use /a and 1 more" in made.restart["nginx.service"]
    )
    assert list(made.left) == ["ssh.service", "sshd@1.service"] and made.others == ["process 9 (bash): /a"]
    told = outcome(made, planning=False)
    assert told["status"] == "warning" and told["message"].startswith("restarted nginx.service, app.service; not")


def test_one_that_cannot_be_looked_at_matters_where_it_could_be_restarted() -> None:
    made = plan([process("dbus"), process("app"), process("web"), process("web", "/a", pid=2)], ["dbus"])
    assert list(made.left) == ["app.service"] and list(made.restart) == ["web.service"]
    assert outcome(plan([process("dbus")], ["dbus"]), planning=False)["status"] == "ok"


@pytest.mark.parametrize(
    ("unit", "pattern"),
    [("ssh@1", "ssh@*"), ("user@0.service", "user@*"), ("day2-maintenance.timer", "day2-maintenance*.timer"),
     ("day2-maintenance-boot", "day2-maintenance*"), ("ssh.service", "ssh"), ("ssh", "ssh.service")],
)  # fmt: skip
def test_a_pattern_of_never_fits_what_somebody_names(unit: str, pattern: str) -> None:
    with pytest.raises(NeverError, match="maintenance_steps_never_restart"):
        refuse(["app", unit], ["dbus", pattern])
    with pytest.raises(NeverError):
        plan([], [pattern], [unit])
    refuse([unit], ["dbus", "sshd"])


def test_what_does_not_run_or_is_held_is_not_started() -> None:
    made = plan([process("nginx", "/a"), process("web", "/a")], [], ["app", "old"])
    states = {"nginx.service": "active", "web.service": "active", "app.service": "inactive", "old.service": "failed"}
    rest = awake(made, states, ["web.service"])
    assert list(rest.restart) == ["nginx.service"]
    assert "held by maintenance mode" in rest.resting["web.service"] and "inactive" in rest.resting["app.service"]
    told = outcome(rest, planning=False)
    assert told["status"] == "ok"
    assert (
        "restarted nginx.service; not restarted, because they do not run: web.service, app.service" in told["message"]
    )
