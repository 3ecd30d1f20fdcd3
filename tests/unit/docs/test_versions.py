# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation says of versions is what the collection's own version allows."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
_ADDED = re.compile(r"^\s*version_added: [\"']?([0-9.]+)", re.MULTILINE)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_nothing_was_added_in_a_version_that_is_not_there_yet() -> None:
    current = _version(yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"])
    files = [
        path for folder in ("plugins", "roles") for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yml")
    ]
    added = {path: _version(found) for path in files for found in _ADDED.findall(path.read_text())}
    assert added
    assert {path.name: version for path, version in added.items() if version > current} == {}


def test_every_module_says_since_when_it_is_there() -> None:
    modules = [path for path in (ROOT / "plugins" / "modules").glob("*.py") if path.name != "__init__.py"]
    assert modules
    assert [path.name for path in modules if not _ADDED.search(path.read_text())] == []


def test_the_smoke_runs_on_the_oldest_core_that_is_promised() -> None:
    promised = re.search(r'requires_ansible: ">=(\d+\.\d+)', (ROOT / "meta" / "runtime.yml").read_text())
    tested = (ROOT / "tests" / "support" / "core_requirements" / "oldest.txt").read_text()
    assert promised is not None and re.search(rf"^ansible-core=={re.escape(promised[1])}\.", tested, re.MULTILINE)
