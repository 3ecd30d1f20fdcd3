# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of roles: what is documented is what holds, and what cannot be meant is refused first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
TYPES = {"str": str, "path": str, "bool": bool, "int": int, "float": (int, float), "list": list, "dict": dict}
# A template of these is no default that the documentation of a role may have.
NO_TEXT = {"bool", "dict", "int", "float"}


def read(role: str, name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "roles" / role / name).read_text(encoding="utf-8")))


def options(role: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Entry point, name and specification of every option of a role."""
    specs = read(role, "meta/argument_specs.yml")["argument_specs"]
    return [(point, name, of) for point, spec in specs.items() for name, of in (spec.get("options") or {}).items()]


def fault(spec: dict[str, Any], default: Any) -> str | None:
    """What is wrong with an option's default, beside that of defaults/main.yml."""
    template = isinstance(default, str) and "{{" in default
    if spec.get("required"):
        return "is required, and has a default"
    if "default" not in spec:
        fine = template and NO_TEXT & {spec["type"], spec.get("elements")}
        return None if fine else "has no default in argument_specs"
    if type(spec["default"]) is not type(default) or spec["default"] != default:
        return f"is {spec['default']!r} in argument_specs, and {default!r} in defaults"
    expected = TYPES.get(spec["type"], object)
    if not template and (not isinstance(default, expected) or (isinstance(default, bool) and expected is not bool)):
        return f"is no {spec['type']}: {default!r}"
    choices = spec.get("choices")
    return f"is none of {choices}: {default!r}" if choices and not template and default not in choices else None


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_those_of_the_arguments(role: str) -> None:
    defaults = read(role, "defaults/main.yml")
    faults = [f"{point}, {name} {fault(spec, defaults[name])}" for point, name, spec in options(role)
              if name in defaults and fault(spec, defaults[name])]  # fmt: skip
    assert faults == []
    assert {name for _point, name, _spec in options(role)} == set(defaults)


@pytest.mark.parametrize("role", ROLES)
def test_an_argument_is_the_same_at_every_entry_point(role: str) -> None:
    shapes: dict[str, set[str]] = {}
    for _point, name, spec in options(role):
        shape = {key: value for key, value in spec.items() if key in ("type", "elements", "choices", "default")}
        shapes.setdefault(name, set()).add(repr(sorted(shape.items())))
    assert {name: found for name, found in shapes.items() if len(found) > 1} == {}


# Parts of a maintenance, whose preflight is a play of its own; and what refuses to run at all.
AFTER_PREFLIGHT = {
    ("maintenance_window", "enter"), ("maintenance_window", "verify"), ("maintenance_window", "leave"),
    ("maintenance_window", "main"),
}  # fmt: skip


def included(tasks: Path, name: str) -> set[str]:
    """The files of a role that an entry point may run, itself included."""
    found, waiting = set(), {name}
    while waiting:
        name = waiting.pop()
        found.add(name)
        text = (tasks / name).read_text(encoding="utf-8")
        waiting |= set(re.findall(r"(?:include|import)_tasks: (\w+\.yml)", text)) - found
    return found


@pytest.mark.parametrize("role", ROLES)
def test_entry_points_refuse_what_cannot_be_meant(role: str) -> None:
    tasks = ROOT / "roles" / role / "tasks"
    assert (tasks / "preflight.yml").is_file()
    without = {
        point
        for point in read(role, "meta/argument_specs.yml")["argument_specs"]
        if "preflight.yml" not in included(tasks, f"{point}.yml")
    }
    assert without == {point for of, point in AFTER_PREFLIGHT if of == role}


@pytest.mark.parametrize(
    ("spec", "default", "wrong"),
    [
        ({"type": "str", "default": "a"}, "a", False), ({"type": "str", "default": "a"}, "b", True),
        ({"type": "int", "default": 1}, True, True), ({"type": "bool", "default": 1}, True, True),
        ({"type": "str", "default": "1"}, 1, True), ({"type": "str", "default": 1}, 1, True),
        ({"type": "str"}, "", True), ({"type": "str", "required": True}, "", True),
        ({"type": "dict"}, "{{ x }}", False), ({"type": "list"}, "{{ x }}", True), ({"type": "dict"}, {}, True),
        ({"type": "str", "choices": ["a"], "default": "b"}, "b", True), ({"type": "list", "default": []}, [], False),
        ({"type": "int", "default": True}, True, True), ({"type": "float", "default": 1}, 1, False),
    ],
)  # fmt: skip
def test_what_is_found(spec: dict[str, Any], default: Any, wrong: bool) -> None:
    assert (fault(spec, default) is not None) is wrong


@pytest.mark.parametrize(
    "path", sorted([*(ROOT / "roles").rglob("*.yml"), *(ROOT / "playbooks").rglob("*.yml")]), ids=str
)
def test_a_database_without_a_name_is_not_undefined(path: Path) -> None:
    """The name is read with a default, which the preflight of each role refuses in its own words."""
    expressions = re.findall(r"\{\{.*?\}\}", path.read_text(encoding="utf-8"), re.DOTALL)
    assert [text for text in expressions if re.search(r"day2_database[.\[]", text)] == []
