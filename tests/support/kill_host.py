# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run kill_runs.py and its like in a lab host, with the modules and their part of Ansible as they are here."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import ansible
from lab_host import ROOT, LabHost

_PLACE = "/opt/day2-kills"


def packed_modules() -> bytes:
    """An archive of the modules, what they need of Ansible, and these scripts."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:

        def add(source: Path, name: str) -> None:
            archive.add(source, name, filter=lambda entry: None if "__pycache__" in entry.name else entry)

        # Ansible's own __init__ wants the controller's parts.
        archive.addfile(tarfile.TarInfo("ansible/__init__.py"))
        add(Path(ansible.__file__).parent / "module_utils", "ansible/module_utils")
        add(Path(ansible.__file__).parent / "release.py", "ansible/release.py")
        for part in ("modules", "module_utils"):
            add(ROOT / "plugins" / part, f"ansible_collections/day2/ops/plugins/{part}")
        for script in ("kill_runs.py", "kill_restores.py", "kill_maintenance.py", "kill_pitr.py"):
            add(Path(__file__).with_name(script), script)
    return packed.getvalue()


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
    host.run("mkdir", "-p", _PLACE)
    try:
        unpack = [*host.inside, "tar", "-x", "--no-same-owner", "-C", _PLACE]
        subprocess.run(unpack, input=packed_modules(), capture_output=True, check=True)
        host.run("chmod", "-R", "a+rX", _PLACE)
        python = ["env", f"PYTHONPATH={_PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3"]
        said = host.run("runuser", "-u", user, "--", *python, f"{_PLACE}/{script}", *arguments)
        found: dict[str, Any] = json.loads(said.split("\n")[-1])
        return found
    finally:
        host.run("rm", "-rf", _PLACE)
