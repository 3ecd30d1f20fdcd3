# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the variables of a role, known before anything is changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import locate
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    QuantityError,
    Unit,
    convert,
    parse_duration,
    parse_lifetime,
    parse_quantity,
)


def problems(
    host: str,
    durations: Mapping[str, Any] | None = None,
    lifetimes: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Any] | None = None,
    needed: Mapping[str, str] | None = None,
    databases: Mapping[str, Any] | None = None,
    repositories: Mapping[str, Any] | None = None,
) -> list[str]:
    """A sentence for each variable that cannot be meant; all arguments are values by names of variables.

    Empty durations and sizes are not set. `lifetimes` are durations after which something is removed or ends.
    `needed` are texts that may not be empty. `databases` are names, or lists of names, that are by default those of
    `day2_database`. `repositories` are addresses, or mappings of them.
    """
    found = []
    for name, value in (durations or {}).items():
        found += _wrong(name, value, parse_duration)
    for name, value in (lifetimes or {}).items():
        found += _wrong(name, value, parse_lifetime)
    for name, value in (sizes or {}).items():
        found += _wrong(name, value, _size)
    found += [f"{name} is empty: set it" for name, value in (needed or {}).items() if not value]
    for name, value in (databases or {}).items():
        names = value if isinstance(value, list) else [value]
        if "" in names or None in names:
            found.append(f"day2_database of {host} has no 'name': set it, or {name}")
    for name, value in (repositories or {}).items():
        found += _no_repository(name, value) if value else []
    return found


def _no_repository(name: str, value: object) -> list[str]:
    try:
        locate(value)
    except RepositoryError as error:
        # Its sentence begins after its subject.
        return [f"{name} {error}"]
    return []


def seconds(duration: object) -> float:
    """A duration that problems() has found to be one, for programs that read other units."""
    return parse_duration(duration)


def _wrong(name: str, value: object, read: Callable[[Any], float]) -> list[str]:
    if value is None or value == "":
        return []
    try:
        number = read(value)
    except QuantityError as error:
        return [f"{name}: {error}"]
    return [f"{name}: '{value}' is less than nothing"] if number < 0 else []


def _size(value: object) -> float:
    number, unit = parse_quantity(str(value))
    return convert(number, unit or Unit("B", BYTES), Unit("B", BYTES))
