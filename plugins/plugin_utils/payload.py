# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that carry only those probes which their checks name, and nothing that only people read.

Ansible sends with a module what its import statements name, whether or not a call uses it. So a module of the
collection is written anew for a call: without its documentation, and with an import of each probe after its end, where
nothing runs. What it imports is written beside it without docstrings and comments, as a package of utilities of its
own; lines keep their numbers, so that a traceback is read beside the sources.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Iterable

from ansible.plugins.loader import module_utils_loader
from ansible_collections.day2.ops.plugins.plugin_utils.closure import UTILS, closure, imported, without_words

_MODULES = Path(__file__).resolve().parents[1] / "modules"
_DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}


def with_probes(module: str, probes: Iterable[str]) -> str:
    """The source of a module, such as `checklist`, that carries these probes. Pure but for reading it."""
    source = (_MODULES / f"{module}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and {target.id for target in node.targets if isinstance(target, ast.Name)} & (
            _DOCUMENTATION
        ):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    imports = [f"import {UTILS}.probes.{name}" for name in sorted(probes)]
    return "\n".join([*lines, *imports, ""])


def files(module: str, probes: Iterable[str], name: str) -> dict[str, str]:
    """That module under a name of its own, and the package of the same name that it imports: paths and contents."""
    source = with_probes(module, probes)
    package = f"ansible.module_utils.{name}"
    found = {f"{name}.py": source.replace(UTILS, package), f"module_utils/{name}/__init__.py": ""}
    root = UTILS.replace(".", "/")
    for path, text in closure(imported(source)).items():
        found[f"module_utils/{name}{path.removeprefix(root)}"] = without_words(text).replace(UTILS, package)
    return found


def place(loader: Any, module: str, probes: Iterable[str], folder: str) -> str:
    """Write that module below `folder`, which lasts as long as the run, and tell the loaders; the module's name."""
    names = sorted(probes)
    digest = hashlib.sha256(" ".join([module, *names]).encode()).hexdigest()[:12]
    name = f"day2_ops_{module}_{digest}"
    # A folder each: a loader looks into one that it knows only once.
    own = os.path.join(folder, name)
    if not os.path.exists(own):
        _write(own, files(module, names, name))
    loader.add_directory(own)
    module_utils_loader.add_directory(os.path.join(own, "module_utils"))
    # By this name it is found in roles of collections too, which look nowhere else than in collections.
    return f"ansible.legacy.{name}"


def _write(folder: str, content: dict[str, str]) -> None:
    """A folder with these files, there as a whole or not at all: other hosts' processes write the same."""
    beside = f"{folder}.{os.getpid()}"
    for path, text in content.items():
        whole = os.path.join(beside, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as stream:
            stream.write(text)
    try:
        os.rename(beside, folder)
    except OSError:
        if not os.path.isdir(folder):
            raise
        shutil.rmtree(beside)
