# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rights restored roles would gain because a role of this server has the name of another one of the source.

A power is a word of CREATE ROLE that gives rights over a whole server, or the name of a predefined role that does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.roles import ATTRIBUTES
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask
from ansible_collections.day2.ops.plugins.module_utils.restore.globals_sql import Definitions, Membership

_WORDS = ("SUPERUSER", "CREATEROLE", "REPLICATION", "BYPASSRLS")
# Those that read or write what no grant gives, or run programs (PostgreSQL's manual, "Predefined Roles").
_PREDEFINED = (
    "pg_create_subscription",
    "pg_execute_server_program",
    "pg_maintain",
    "pg_read_all_data",
    "pg_read_server_files",
    "pg_write_all_data",
    "pg_write_server_files",
)
# Of every role the powers that it has or may take by SET ROLE.
_POWERS = """
SELECT r.rolname, g.rolname, ARRAY[{words}]
  FROM pg_roles r JOIN pg_roles g ON pg_has_role(r.oid, g.oid, 'MEMBER')
 WHERE true = ANY(ARRAY[{words}]) OR g.rolname = ANY(%s)"""


@dataclass(frozen=True)
class Here:
    """What this server's roles may do: powers by role. `same_cluster`: a name is the role that the set means."""

    powers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    same_cluster: bool = False


# A drill's cluster is its own: whoever gains rights in it is gone with it.
NOTHING = Here()


def look(connection: Any) -> dict[str, frozenset[str]]:
    """Powers of the server's roles; of those that have none there is no entry."""
    words = ", ".join(f"g.{ATTRIBUTES[word]}" for word in _WORDS)
    found: dict[str, set[str]] = {}
    for role, source, has in ask(connection, _POWERS.format(words=words), (list(_PREDEFINED),)):
        found.setdefault(str(role), set()).update(_powers(str(source), [w for w, given in zip(_WORDS, has) if given]))
    return {role: _shortest(powers) for role, powers in found.items()}


def gains(definitions: Definitions, memberships: Sequence[Membership], made: set[str], here: Here) -> list[str]:
    """Memberships that would give powers which the set does not give, a sentence each. Pure.

    A made role gains them by a role of this server that may do more than in the source. A role of another server gains
    them by a made one: that it has the name of a member in the source says nothing about who it is.
    """
    found = []
    for membership in memberships:
        role, member = membership.role, membership.member
        if role not in made:
            more = _beyond(here.powers.get(role, frozenset()), of_source(definitions, member))
            why = f"{role}, which has {', '.join(more)} on this server and not in the set"
        elif member not in made and not here.same_cluster:
            more = _beyond(of_source(definitions, role), here.powers.get(member, frozenset()))
            why = f"{role}, which is made with {', '.join(more)}"
        else:
            continue
        if more:
            found.append(f"{member} {'of this server ' if role in made else ''}would become a member of {why}")
    return found


def of_source(definitions: Definitions, name: str) -> frozenset[str]:
    """Powers of a role as the set has them, with those of the roles that it is a member of. Pure."""
    seen, left, powers = set[str](), [name], set[str]()
    while left:
        role = left.pop()
        if role not in seen:
            seen.add(role)
            defined = definitions.roles.get(role)
            powers |= _powers(role, defined.attributes if defined else ())
            left += [membership.role for membership in definitions.memberships if membership.member == role]
    return _shortest(powers)


def _powers(role: str, attributes: Iterable[str]) -> set[str]:
    return {word for word in attributes if word in _WORDS} | ({role} if role in _PREDEFINED else set())


def _shortest(powers: set[str]) -> frozenset[str]:
    """A superuser has all others."""
    return frozenset({"SUPERUSER"} if "SUPERUSER" in powers else powers)


def _beyond(powers: frozenset[str], others: frozenset[str]) -> list[str]:
    return [] if "SUPERUSER" in others else sorted(powers - others)
