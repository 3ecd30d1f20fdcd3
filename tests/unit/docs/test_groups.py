# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups of modules for `module_defaults`: those that take the options of a fragment, all of them and no others."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MODULES = {path.stem: path for path in (ROOT / "plugins" / "modules").glob("*.py")}
GROUPS: dict[str, list[str]] = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]
# Groups by the options that their modules share, which the fragment of the same name documents.
SHARED = ("postgres", "repository")


def documentation(path: Path) -> dict[str, Any]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            read: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))
            return read
    return {}


def test_all_modules_are_in_the_group_of_the_collection() -> None:
    assert GROUPS["day2"] == sorted(f"day2.ops.{name}" for name in MODULES) and set(GROUPS) == {"day2", *SHARED}


@pytest.mark.parametrize("group", SHARED)
def test_a_group_has_the_modules_that_take_its_options(group: str) -> None:
    fragments = {name: documentation(path).get("extends_documentation_fragment") for name, path in MODULES.items()}
    takes = [name for name, extended in fragments.items() if f"day2.ops.{group}" in (extended or ())]
    assert takes and GROUPS[group] == sorted(f"day2.ops.{name}" for name in takes)
