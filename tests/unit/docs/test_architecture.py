# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports go where docs/architecture.md says: to the own area and to layers above it in its table, in no circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.day2.ops.plugins."
# Areas of hosts that have a part on the controller.
_BOTH = ("maintenance", "failover")


def layers() -> dict[str, int]:
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    return {area: int(layer) for layer, areas in rows for area in re.findall(r"`(.*?)`", areas)}


def files() -> dict[str, Path]:
    found = (path.relative_to(PLUGINS).with_suffix("") for path in PLUGINS.rglob("*.py"))
    return {".".join(name.parts).removesuffix(".__init__"): PLUGINS / name.with_suffix(".py") for name in found}


def area(name: str) -> str:
    first, _dot, rest = name.partition(".")
    inner = rest.partition(".")[0]
    if first not in ("module_utils", "plugin_utils"):
        return first
    return f"{inner} (controller)" if first == "plugin_utils" and inner in _BOTH else inner


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Files that a file imports, also within functions."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            module = str(node.module).removeprefix(PACKAGE)
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in known else module


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = files()
    return {name: set(imported(path, known)) & known.keys() for name, path in known.items()}


def test_every_area_has_a_layer(graph: dict[str, set[str]]) -> None:
    assert {area(name) for name in graph if area(name) not in ("doc_fragments", "")} - {"module_utils"} == set(layers())


def test_imports_go_to_higher_layers_only(graph: dict[str, set[str]]) -> None:
    of = layers()
    wrong = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if area(name) != area(other) and not of.get(area(other), 99) < of.get(area(name), 0)
    ]
    assert wrong == []


def test_files_import_each_other_in_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))
