# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role log_management asks of its hosts: options of module log_rotation, and files for journald. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import Entries, EntriesError, meant
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.rotation import arguments
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import CLASSES, LogPolicyError, parse_size
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted

# The limit is of the class, one for all of its logs; the others are the role's own.
_FIELDS = tuple(name for name in arguments.OPTIONS if name not in ("max_size", "anchors", "state"))
_IN_CLASS = ("max_age", "max_size")
_SHOWN = 100
_STORAGE = ("auto", "persistent", "volatile")


def logs(
    logs: Sequence[Mapping[str, Any]], classes: Mapping[str, Any], encrypt_to: Sequence[str], copy_to: Any, host: str
) -> list[dict[str, Any]]:
    """The options of the module, of each log."""
    made = []
    for entry in logs:
        of_class = classes.get(entry.get("log_class") or "application") or {}
        of = CLASSES.get(str(entry.get("log_class")))
        usual = {"encrypt_to": list(encrypt_to) if of and of.sealed else None, "copy_to": copy_to, "host": host}
        given = {**usual, **{name: of_class[name] for name in _IN_CLASS if name in of_class}, **entry}
        made.append({name: value for name, value in given.items() if value not in (None, "")})
    return made


def problems(
    logs: Sequence[Mapping[str, Any]], classes: Mapping[str, Any], journals: Sequence[Mapping[str, Any]], **others: Any
) -> list[str]:
    """A sentence for each entry that cannot be meant, known before a host is asked."""
    found = [
        f"log_management_classes: '{name}' is no class of logs; {meant(name, CLASSES)}"
        for name in classes
        if name not in CLASSES
    ]
    for name, values in classes.items():
        found += [f"log_management_classes.{name}: '{field}' is no field of a class; {meant(field, _IN_CLASS)}"
                  for field in values if field not in _IN_CLASS]  # fmt: skip
    names = [entry.get("name") for entry in logs]
    for place, entry in enumerate(logs, start=1):
        label = f"log_management_logs: log '{entry.get('name') or place}'"
        unknown = [field for field in entry if field not in _FIELDS]
        found += [f"{label}: '{field}' is no field of a log; {meant(field, _FIELDS)}" for field in unknown]
        if names.count(entry.get("name")) > 1:
            found.append(f"{label}: two logs have this name")
        if not unknown:
            found += _refused(label, _options([entry], classes, **others))
    try:
        _journals(journals)
    except _JournalsError as exc:
        found += [f"log_management_journals: {problem}" for problem in exc.problems]
    return found


def _options(entries: Sequence[Mapping[str, Any]], classes: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    usual = {name: spec.get("default") for name, spec in arguments.OPTIONS.items()}
    return {**usual, **logs(entries, classes, **others)[0]}


def _refused(label: str, options: Mapping[str, Any]) -> list[str]:
    if not isinstance(options["name"], str) or not isinstance(options["paths"], list):
        return [f"{label}: 'name' is a text, and 'paths' a list"]
    try:
        arguments.parse(options)
    except (Day2Error, TypeError, AttributeError) as exc:
        return [f"{label}: {exc}"]
    return []


def often(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the logs for which logrotate has to run more than once a day."""
    return [str(entry["name"]) for entry in logs if entry.get("frequency") == "hourly" or entry.get("size")]


def rotated(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The outcome of the step, by what module log_rotation returned of each log."""
    made = [piece for result in results for piece in result.get("pieces", [])]
    lines = sum(sum(result["lines"]["before"].values()) for result in results if "lines" in result)
    message = f"{counted(len(made), 'piece')} of {counted(len(results), 'log')}, {counted(lines, 'line')}, none missing"
    return {
        "status": Status.OK.value,
        "message": message,
        "evidence": made[:_SHOWN],
        "value": len(made),
        "unit": "pieces",
    }


def verified(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The outcome of the step: every piece is as it was sealed, or the module had failed."""
    heads = [f"{result['item']['name']}: record {result['head']['number']} is the last, {result['head']['digest']}"
             for result in results if "head" in result]  # fmt: skip
    message = f"{counted(len(heads), 'sealed log')}: every piece is as it was sealed"
    return {"status": Status.OK.value, "message": message, "evidence": heads[:_SHOWN]}


class _JournalsError(EntriesError):
    """Journals that are malformed."""


class _Journal(dict[str, Any]):
    """What becomes of an entry."""

    @property
    def name(self) -> str:
        return str(self["unit"])


def journals(journals: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each journal: its drop-in (`path` and `text`), its `unit`, its directory, and whether it is to stay."""
    return [dict(made) for made in _journals(journals)]


def _size(value: object) -> int:
    try:
        return parse_size("max_size", value)
    except LogPolicyError as exc:
        # The entry's reader names the field.
        raise ArgumentError(str(exc).partition(": ")[2]) from exc


_ENTRIES = Entries(
    "journal",
    {
        "namespace": Argument("str", "").read,
        "max_age": Argument("lifetime", "").read,
        "max_size": _size,
        "storage": Argument("str", "", choices=_STORAGE).read,
    },
    required=("max_age", "max_size"),
)


def _journals(raw: Sequence[Mapping[str, Any]]) -> list[_Journal]:
    return _ENTRIES.read(raw, _journal, _JournalsError)


def _journal(_entry: Mapping[str, Any], values: dict[str, Any], report: Any) -> _Journal:
    name = str(values.get("namespace") or "")
    if "/" in name or name.startswith("."):
        report("namespace", f"{name!r} is no name of a namespace of journald")
    at = f"@{name}" if name else ""
    storage = values.get("storage") or "auto"
    lines = ["# Made by role log_management of day2.ops: a change here is lost.", "[Journal]"]
    lines += [f"Storage={storage}"] if storage != "auto" else []
    # Only whole files go by their age: none is to have more than a day in it.
    lines += [f"SystemMaxUse={values.get('max_size', 0)}", f"RuntimeMaxUse={values.get('max_size', 0)}",
              f"MaxRetentionSec={int(values.get('max_age', 0))}s", "MaxFileSec=1day"]  # fmt: skip
    return _Journal(
        unit=f"systemd-journald{at}.service",
        path=f"/etc/systemd/journald{at}.conf.d/day2.conf",
        text="\n".join(lines) + "\n",
        namespace=name,
        storage=storage,
    )
