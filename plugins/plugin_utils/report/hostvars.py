# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the hosts of a run know: results that they registered, and variables of the inventory.

Values are not templated unless they have to be: 50,000 results have nothing to template, and it would take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.joined import join, names_of

Entry = TypeVar("Entry")


class VariableError(Day2Error):
    """A variable of a host that says something malformed; the message names host, variable and fault."""


class Hosts:
    """The hosts of a run by ansible's `hostvars`."""

    def __init__(self, hostvars: Any, names: list[str]) -> None:
        self._hostvars = hostvars
        self.names = names

    def _raw(self, host: str) -> Mapping[str, Any]:
        values = self._hostvars.raw_get(host)
        return values if isinstance(values, Mapping) else {}

    def registered(self, variable: str) -> Iterator[tuple[str, object]]:
        """Each host and what it registered."""
        for host in self.names:
            yield host, self._raw(host).get(variable)

    def values(self, variable: str) -> dict[str, Any]:
        """Each host and what it has in a variable; hosts without it are left out."""
        found = {host: self._raw(host) for host in self.names}
        return {
            host: self._plain(host, variable, values[variable]) for host, values in found.items() if variable in values
        }

    def systems(self) -> str:
        """The systems that the hosts belong to, in the order in which they come."""
        named = {host: self._raw(host).get("day2_system") for host in self.names}
        names = (self._plain(host, "day2_system", name) for host, name in named.items() if name)
        return ", ".join(dict.fromkeys(str(name) for name in names if name))

    def check_shared(self, variable: str) -> None:
        """Refuse a variable that hosts of one run have differently: a run has one."""
        found = {host: str(self._raw(host).get(variable) or "") for host in self.names}
        first = next(iter(found), "")
        other = next((host for host, value in found.items() if value != found[first]), None)
        if other is not None:
            raise VariableError(
                f"{variable} is not the same for {first} and {other}, and a run has one for all its hosts:"
                " set it in group_vars/all, or run each system by itself (day2_hosts)"
            )

    def read(self, variable: str, parse: Callable[[Any], list[Entry]]) -> dict[str, list[Entry]]:
        """Each host's entries of one variable; hosts without any are left out."""
        return self._read(lambda names: [variable] if variable in names else [], parse)

    def read_joined(self, variable: str, parse: Callable[[Any], list[Entry]]) -> dict[str, list[Entry]]:
        """Each host's entries of `variable` and of every `variable_<anything>`, as with lists of checks."""
        return self._read(lambda names: names_of(names, variable), parse)

    def _read(
        self, choose: Callable[[Mapping[str, Any]], list[str]], parse: Callable[[Any], list[Entry]]
    ) -> dict[str, list[Entry]]:
        # Hosts of one group share their lists, which are read once.
        known: dict[str, list[Entry]] = {}
        found: dict[str, list[Entry]] = {}
        for host in self.names:
            values = self._raw(host)
            names = [name for name in choose(values) if values[name]]
            if not names:
                continue
            lists = [self._plain(host, name, values[name]) for name in names]
            joined = lists[0] if len(lists) == 1 else join(lists)
            text = str(joined)
            if text not in known:
                try:
                    known[text] = parse(joined)
                except Day2Error as error:
                    raise VariableError(f"{', '.join(names)} of {host}: {error}") from error
            found[host] = known[text]
        return found

    def _plain(self, host: str, name: str, value: Any) -> Any:
        return self._hostvars[host][name] if "{{" in str(value) else value
