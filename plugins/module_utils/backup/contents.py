# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a set is of. Sets of other databases or paths in the same series are no substitute for one another. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_SHOWN = 3


@dataclass(frozen=True)
class Contents:
    """Names of databases, or paths. `everything`: whatever databases there were, so that it is a set like any other
    that was asked for so, before a database came and after it went."""

    names: frozenset[str] = frozenset()
    everything: bool = False

    def has(self, other: Contents) -> bool:
        """All of the other's databases or paths are in this."""
        return self.names >= other.names

    def replaces(self, other: Contents) -> bool:
        """For retention: a set of this makes an older one of the other superfluous."""
        return self.everything or (not other.everything and self.has(other))

    def __str__(self) -> str:
        if self.everything:
            return "all databases"
        names = sorted(self.names)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more


# Every set has it: no databases or paths in particular.
ANYTHING = Contents()
