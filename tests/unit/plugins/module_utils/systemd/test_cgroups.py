# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""To which unit a process belongs."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.systemd.cgroups import below, cgroup_of, unit_of


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/system.slice/nginx.service\n", "/system.slice/nginx.service"),
        ("9:pids:/x\n1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service"),
        ("", ""),
    ],
)
def test_the_cgroup_of_either_version(text: str, path: str) -> None:
    assert cgroup_of(text) == path


def test_a_container_has_its_own_root() -> None:
    root = "/machine/libpod-1.scope/init.scope"
    assert below("/machine/libpod-1.scope/system.slice/nginx.service", root) == "/system.slice/nginx.service"
    assert below("/machine/libpod-1.scope", root) == "/"
    assert below("/machine/libpod-12.scope/system.slice/nginx.service", root).startswith("/machine")
    assert below("/system.slice/nginx.service", "/init.scope") == "/system.slice/nginx.service"


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service"),
        ("/system.slice/docker.service/worker", "docker.service"),
        ("/user.slice/user-0.slice/user@0.service/app.slice/x.service", None),
        ("/user.slice/user-0.slice/session-1.scope", None), ("/init.scope", None), ("/", None),
        ("/machine.slice/libpod-1.scope/system.slice/nginx.service", None),
        ("/system.slice/docker-1.scope/system.slice/nginx.service", None),
    ],
)  # fmt: skip
def test_the_unit_of_a_process(path: str, unit: str | None) -> None:
    assert unit_of(path) == unit
