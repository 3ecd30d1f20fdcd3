# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a program needs of the collection's module_utils: the files it names and what these import, directly or not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterable

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections/day2/ops"
UTILS = f"{PACKAGE}/plugins/module_utils".replace("/", ".")

# These files are formatted by one program: so they are read here by their lines. A test compares that, in all of them,
# with what Python reads itself, which takes ten times as long, in each run.
_IMPORT = re.compile(rf"^ *(?:from ({UTILS}\S*) import (\([^)]*\)|.*)|import ({UTILS}\S*))", re.MULTILINE)
_TEXT = '"""'


def closure(names: Iterable[str]) -> dict[str, str]:
    """Each file's path, as Python knows it, and its source; from the names of modules. Also what functions import."""
    found: dict[str, str] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        path = _path(name)
        if path is None or path in found:
            continue
        found[path] = (ROOT / path.removeprefix(f"{PACKAGE}/")).read_text(encoding="utf-8")
        # Python imports a module's packages before it.
        wanted += [*imported(found[path]), name.rpartition(".")[0]]
    return found


def _path(name: str) -> str | None:
    """The file of a module or package of ours."""
    path = name.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py") if name.startswith(f"{UTILS}.") else ()
    return next((file for file in files if (ROOT / file.removeprefix(f"{PACKAGE}/")).is_file()), None)


def imported(source: str) -> list[str]:
    """Modules of ours that are imported, and what may be one: `from package import module`. Pure."""
    found = []
    for package, names, module in _IMPORT.findall(source):
        found += [package, *(f"{package}.{name}" for name in re.findall(r"\w+", names))] if package else [module]
    return found


def without_words(source: str) -> str:
    """The same program without docstrings and comments; each statement stays in its line. Pure."""
    lines = source.splitlines()
    # A file begins as a body does.
    before, inside, number = ":", False, 0
    while number < len(lines):
        bare = lines[number].strip()
        if not inside and bare.startswith(_TEXT) and before.endswith(":"):
            number = _leave_out(lines, number)
            before = ""
        elif not inside and bare.startswith("#"):
            lines[number] = ""
        elif bare:
            inside ^= bare.count(_TEXT) % 2 == 1
            before = bare.partition("  #")[0]
        number += 1
    return "\n".join(lines)


def _leave_out(lines: list[str], first: int) -> int:
    """A docstring and its last line's number."""
    last = first
    if lines[first].count(_TEXT) == 1:
        last = next(number for number in range(first + 1, len(lines)) if _TEXT in lines[number])
    indent = lines[first].partition(_TEXT)[0]
    lines[first : last + 1] = [""] * (last + 1 - first)
    after = next((line for line in lines[last + 1 :] if line.strip() and not line.strip().startswith("#")), "")
    if not after.startswith(indent):
        # What has nothing else is no program without it.
        lines[first] = f"{indent}pass"
    return last
