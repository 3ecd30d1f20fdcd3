# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions by their names, of whatever Ansible hands over."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.day2.ops.plugins.filter.decide import AREAS, decide
from ansible_collections.day2.ops.plugins.filter.rows import rows
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[4]


def texts(value: Any) -> Iterator[str]:
    """Every text of a file that calls the filter, as a template; conditions have no braces."""
    if isinstance(value, str) and "day2.ops.decide" in value:
        yield value if "{{" in value else f"{{{{ {value} }}}}"
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(entry)


CALLS = sorted(
    {
        (call.node.value, tuple(sorted(argument.key for argument in call.kwargs)))
        for place in ("roles", "playbooks")
        for path in (ROOT / place).rglob("*.yml")
        for text in texts(yaml.safe_load(path.read_text()))
        for call in Environment().parse(text).find_all(nodes.Filter)
        if call.name == "day2.ops.decide"
    }
)


@pytest.mark.parametrize("name", ["recovery.nothing", "nothing.plan", "plan", "recovery._titles", "", "recovery."])
def test_a_decision_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"knows no decision '{name}'"):
        decide(name)


def test_values_of_tasks_are_plain() -> None:
    told = decide("recovery.failed_elsewhere", failed=wrap_var({"a": "no", "b": ""}), host=wrap_var("b"))
    assert told == ["a"] and told[0].__class__ is str
    made = rows(
        wrap_var({"step": {"id": "m", "message": "made"}, "made": False}), wrap_var("R-1"), unmade=wrap_var("x")
    )
    assert made == [{"id": "m", "message": "made; x", "ref": ["R-1"]}] and made[0]["message"].__class__ is str


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _arguments in CALLS])
def test_roles_ask_for_decisions_that_are_there(name: str, arguments: tuple[str, ...]) -> None:
    area, _dot, function = name.partition(".")
    inspect.signature(getattr(AREAS[area], function)).bind(**dict.fromkeys(arguments))
    inspect.signature(decide).bind(name, **dict.fromkeys(arguments))


def test_every_decision_is_asked_for() -> None:
    known = {
        f"{area}.{name}"
        for area, module in AREAS.items()
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert known == {name for name, _arguments in CALLS}
