# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named connections: how a server is reached stands once in `day2_connections`, and tasks and checks name it.

They are resolved on the controller, before secrets are parted from what is shown and logged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.request import UNRESOLVED, parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError, Day2Error
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain

VARIABLE = "day2_connections"
# Of a check: whoever it runs as may log in without a password.
RUN_AS = "run_as"
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*(?:\|\s*default\([^|]*\)\s*)?\}\}")
# So far one variable is followed to another: a role's default names another role's.
_STEPS = 5
# An address is one thing: whoever gives one of these does not mean the others of the connection.
_INSTEAD = {"host": ("service", "path"), "service": ("host", "port"), "path": ("host", "port")}

Find = Callable[[str], Mapping[str, Any]]


class ConnectionFault(Day2Error):
    """A connection that is not there, or one that does not fit what names it."""


def finder(raw: object, template: Callable[[Any], Any], omit: object = None) -> Find:
    """What returns the fields of a connection by its name.

    `raw` is the value of the variable, `template` resolves it: only of the connection that is named, so that nothing
    that another one lacks is in the way. A field whose value is `omit` is none.
    """

    def find(name: str) -> Mapping[str, Any]:
        known = template(raw) if isinstance(raw, str) else raw
        if not isinstance(known, Mapping):
            there = "is not set" if known is None else "is no mapping of names"
            raise ConnectionFault(f"'{name}' is looked for in {VARIABLE}, which {there}")
        if name not in known:
            raise ConnectionFault(f"'{name}' is not in {VARIABLE}; {meant(name, map(str, known))}")
        fields = plain(template(known[name]))
        if not isinstance(fields, Mapping):
            raise ConnectionFault(f"{VARIABLE}['{name}'] is no mapping of fields such as host and user")
        return {str(field): value for field, value in fields.items() if omit is None or value != omit}

    return find


def of_task(task_vars: Mapping[str, Any], templar: Any) -> Find:
    """What finds the connections of a task's host."""
    return finder(task_vars.get(VARIABLE), templar.template, task_vars.get("omit"))


def fill(
    given: Mapping[str, Any],
    name: str,
    fields: Mapping[str, Any],
    known: Sequence[str],
    user: str,
    ignored: Iterable[str] = (),
) -> dict[str, Any]:
    """`given` with the connection's fields; what it says itself counts. `user` is who asks, in a fault."""
    for field in fields:
        if field not in known and field not in ignored:
            fault = f"'{name}' has the field '{field}', which {user} does not take; {meant(field, known)}"
            raise ConnectionFault(fault)
    own = {field: value for field, value in given.items() if value is not None}
    others = {other for field in own for other in _INSTEAD.get(field, ())}
    reached = {
        field: value
        for field, value in fields.items()
        if field in known and value is not None and field not in own and field not in others
    }
    return {**given, **reached}


def fill_checks(checks: Any, find: Find) -> Any:
    """The checks with the fields of the connections that they name; CheckError has every fault of the checks."""
    if not isinstance(checks, list):
        return checks
    problems: list[str] = []
    filled = [_filled(place, check, find, problems) for place, check in enumerate(checks, start=1)]
    if problems:
        raise CheckError([*problems, *_others(filled)])
    return filled


def _others(checks: list[Any]) -> list[str]:
    """What else is wrong with checks of which some have an unknown connection: nobody mends a list twice."""
    try:
        parse_checks(checks, lambda name: registry.load(name).SPEC, registry.PROBES, 1.0)
    except CheckError as error:
        return [problem for problem in error.problems if UNRESOLVED not in problem]
    return []


def _filled(place: int, check: Any, find: Find, problems: list[str]) -> Any:
    if not isinstance(check, dict):
        return check
    if "of" in check:
        check = {**check, "of": _filled(place, check["of"], find, problems)}
    name, probe = check.get("connection"), check.get("probe")
    if name is None or probe not in registry.PROBES:
        # An unknown probe is refused with all that is wrong with the check.
        return check
    try:
        return _connected(check, name, str(probe), find)
    except ConnectionFault as fault:
        label = f"check '{check['id']}'" if isinstance(check.get("id"), str) else f"check {place}"
        problems.append(f"{label}, field 'connection': {fault}")
        return check


def _connected(check: Mapping[str, Any], name: object, probe: str, find: Find) -> dict[str, Any]:
    known = registry.load(probe).SPEC.connection
    if not known:
        raise ConnectionFault(f"probe '{probe}' takes none")
    if not isinstance(name, str):
        raise ConnectionFault(f"it is the name of one in {VARIABLE}")
    rest = {field: value for field, value in check.items() if field != "connection"}
    return fill(rest, name, find(name), (*known, RUN_AS), f"probe '{probe}'")


def written_as(raw: object, variables: Mapping[str, Any]) -> str | None:
    """The variable that holds what a task says as nothing but a variable: of a role's, the one that a user set."""
    name = None
    for _step in range(_STEPS):
        match = _VARIABLE.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None or match[1] not in variables:
            break
        name = match[1]
        raw = variables[name]
    return name


def _of_task(source: object) -> object:
    """Option `connection`, as the file of the task has it."""
    parts = source.values() if isinstance(source, Mapping) else ()
    return next((part["connection"] for part in parts if isinstance(part, Mapping) and "connection" in part), None)


class Connected:
    """Part of a module's action half: option `connection` becomes the options that it stands for.

    It is a name in `day2_connections`, or a mapping of the fields themselves.
    """

    fields: ClassVar[Sequence[str]] = ("host", "port", "user", "password", "service", "sslmode")
    # What a connection has for checks and for pg_backup: a task says itself on what it works, and Ansible as whom.
    ignored: ClassVar[Sequence[str]] = ("database", "standby", RUN_AS)

    _task: Any
    _templar: Any

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        arguments = dict(self._task.args)
        given = arguments.pop("connection", None)
        try:
            if given not in (None, "", {}):
                named = not isinstance(given, Mapping)
                fields = of_task(task_vars or {}, self._templar)(str(given)) if named else given
                name = str(given) if named else "connection"
                arguments = fill(arguments, name, fields, self.fields, self._user, self.ignored)
        except ConnectionFault as fault:
            written = written_as(_of_task(self._task.get_ds()), task_vars or {}) or "'connection'"
            return {"failed": True, "msg": f"{written}: {fault}"}
        self._task.args = arguments
        return dict(super().run(tmp, task_vars))  # type: ignore[misc]

    @property
    def _user(self) -> str:
        return f"module {self._task.action.rsplit('.', 1)[-1]}"
