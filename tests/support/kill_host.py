# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run kill_runs.py and its like in a lab host, with the modules and their part of Ansible as they are here."""

from __future__ import annotations

import json
from typing import Any

from lab_host import LabHost


def kill_backups(host: LabHost, seed: int, kills: int) -> dict[str, Any]:
    """What kill_runs found, with its seed; the host is as it was before."""
    return _killed(host, "postgres", "kill_runs.py", "runs", str(seed), str(kills))


def kill_restores(host: LabHost, seed: int, kills: int) -> dict[str, Any]:
    """What kill_restores found, likewise."""
    return _killed(host, "postgres", "kill_restores.py", "runs", str(seed), str(kills))


def kill_maintenance(host: LabHost, *arguments: str) -> dict[str, Any]:
    """What kill_maintenance found."""
    return _killed(host, "root", "kill_maintenance.py", *arguments)


def _killed(host: LabHost, user: str, script: str, *arguments: str) -> dict[str, Any]:
    done = host.direct.run(script, *arguments, user=user)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.rstrip().rsplit("\n", maxsplit=1)[-1])
    return found
