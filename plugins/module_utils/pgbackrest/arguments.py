# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of physical backups and restores, and their conversion."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault, seconds
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client, open_client

# As the documentation fragment `physical` has them.
STANZA: dict[str, dict[str, Any]] = {
    "stanza": {"type": "str", "default": "main"},
    "pgbackrest_config": {"type": "path"},
    "pgbackrest_repo": {"type": "int", "default": 1},
}


def client(params: Mapping[str, Any]) -> Client:
    limit = seconds(params, "timeout") if "timeout" in params else None
    if params["pgbackrest_repo"] < 1:
        raise ArgumentFault(f"'pgbackrest_repo' is {params['pgbackrest_repo']}; repositories are numbered from 1")
    return open_client(params["stanza"], params["pgbackrest_config"], params["pgbackrest_repo"], limit)


def refuse_logical(params: Mapping[str, Any], spec: Mapping[str, Mapping[str, Any]], both: frozenset[str]) -> None:
    """Refuse options that have no effect with pgBackRest, by name: the user relies on them."""
    given = [
        name for name, about in spec.items()
        if name not in both and name not in STANZA and params[name] not in (None, about.get("default"))
    ]  # fmt: skip
    if given:
        names = ", ".join(f"'{name}'" for name in sorted(given))
        raise ArgumentFault(f"{names}: not with method physical (pgBackRest's configuration says where and how)")


def refuse_physical(params: Mapping[str, Any], spec: Mapping[str, Mapping[str, Any]], more: frozenset[str]) -> None:
    given = [name for name in (*STANZA, *more) if params[name] not in (None, spec[name].get("default"))]
    if given:
        raise ArgumentFault(f"{', '.join(repr(name) for name in sorted(given))}: only with method physical")
