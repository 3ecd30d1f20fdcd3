# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""day2ctl as one file: it has all that it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ansible_collections.day2.ops.plugins.plugin_utils.runtime import zipapp

IMPORTS = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
print(len(sys.argv[2:]))
"""


def isolated(*words: str) -> str:
    """What Python says that knows neither the collection nor what else is installed here."""
    argv = [sys.executable, "-I", "-S", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_the_program_has_what_it_imports_and_no_more(tmp_path: Path) -> None:
    path = zipapp.write(str(tmp_path), "1.2.3")
    names = [name[: -len(".py")].replace("/", ".").replace(".__init__", "") for name in zipapp.sources()]
    assert "1.2.3" in isolated(path, "--version")
    assert isolated("-c", IMPORTS, path, *names) == str(len(names)) and len(names) > 20
    areas = {name.split(".")[5] for name in names if len(name.split(".")) > 5}
    assert {"ctl", "maintenance", "units"} <= areas and not {"backup", "pgbackrest", "probes", "restore"} & areas
