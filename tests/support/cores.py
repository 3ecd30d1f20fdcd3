# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versions of ansible-core that this checkout has: the pinned one, and those that `bootstrap cores` made."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab_host import ROOT

FOLDER = ROOT / ".cache" / "cores"


@dataclass(frozen=True)
class Core:
    """`programs` is the directory of ansible-playbook."""

    name: str
    programs: Path

    def run(self, argv: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """ansible-playbook of this version, with the collections of the pinned environment."""
        places = [ROOT / ".collections", *(ROOT / ".venv" / "lib").glob("python3*/site-packages")]
        settings = {
            **{name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": ":".join(map(str, places)),
            "ANSIBLE_FORCE_COLOR": "0",
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            **environment,
        }
        program = [str(self.programs / "ansible-playbook"), *argv]
        return subprocess.run(program, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)


def cores() -> list[Core]:
    """The pinned version first."""
    made = sorted(FOLDER.glob("*/bin/ansible-playbook"))
    return [Core("pinned", Path(sys.executable).parent), *(Core(path.parts[-3], path.parent) for path in made)]
