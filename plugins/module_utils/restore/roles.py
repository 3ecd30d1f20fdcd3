# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles of a set that are missing on a server: planned before anything is changed, then created in one transaction.

Definitions come from the catalogue of the source, as recorded in the manifest (sets of earlier releases have only
pg_dumpall's output). Statements are built from that, with every name and value quoted; no text of the set is executed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.streams import fetch
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.roles import ATTRIBUTES
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask, execute, first_line, named
from ansible_collections.day2.ops.plugins.module_utils.restore import powers
from ansible_collections.day2.ops.plugins.module_utils.restore.globals_sql import (
    Definition,
    Definitions,
    Membership,
    decode,
    from_catalogue,
    parse,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.load import Archives
from ansible_collections.day2.ops.plugins.module_utils.restore.properties import set_clause

_PLAIN = re.compile(r"[\w.$-]+")
# Since this version a membership has options of its own.
_OPTIONS = 160000
# A statement with a password must not get into the server's log.
_UNLOGGED = """
SELECT set_config(s.name, v.value, true) FROM pg_settings s
  JOIN (VALUES ('log_statement', 'none'), ('log_min_duration_statement', '-1'), ('log_min_error_statement', 'panic'),
               ('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0')) v (name, value) USING (name)
 WHERE current_setting('is_superuser') = 'on'"""


@dataclass(frozen=True)
class RolePlan:
    """Roles to create, their memberships, and what of them is not restored (a sentence each).

    `gains` are memberships that give rights which the set does not give (powers.gains), a sentence each.
    """

    roles: Sequence[Definition] = ()
    memberships: Sequence[Membership] = ()
    warnings: Sequence[str] = field(default_factory=list)
    gains: Sequence[str] = ()

    def describe(self) -> str:
        """`app (LOGIN, CREATEROLE; member of pg_monitor), clerk`."""
        return ", ".join(self._describe_role(role) for role in self.roles)

    def _describe_role(self, role: Definition) -> str:
        shown = _shown(role.name)
        groups = [
            f"{_shown(membership.role)}{' WITH ADMIN' if membership.admin else ''}"
            for membership in self.memberships
            if membership.member == role.name
        ]
        members = [_shown(membership.member) for membership in self.memberships if membership.role == role.name]
        has = [word for word in ATTRIBUTES if word in role.attributes and word != "INHERIT"]
        parts = [", ".join(has)] if has else []
        parts += [f"member of {', '.join(groups)}"] if groups else []
        parts += [f"with member {', '.join(members)}"] if members else []
        parts += [f"sets {', '.join(name for name, _values in role.settings)}"] if role.settings else []
        return f"{shown} ({'; '.join(parts)})" if parts else shown


def _shown(name: str) -> str:
    """A name as one line that cannot be mistaken for text of a message."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def plan(
    archives: Archives,
    entry: Mapping[str, Any],
    missing: Iterable[str],
    there: set[str],
    here: powers.Here = powers.NOTHING,
) -> RolePlan:
    """Plan the creation of missing roles; Day2Error if the set does not define one. `there` are roles of the server.

    It reads the set's globals (the only place with passwords), and does not query a server.
    """
    wanted = sorted(missing)
    if not wanted:
        return RolePlan()
    written = parse(_globals(archives))
    recorded = entry.get("role_definitions")
    definitions = _merged(from_catalogue(recorded), written) if recorded else written
    planned = choose(definitions, wanted, there, archives.manifest.id, here)
    lacking = _without_passwords(planned, written, archives.manifest.about.get("role_passwords") is not False)
    return replace(planned, warnings=[*planned.warnings, *lacking])


def _without_passwords(planned: RolePlan, written: Definitions, passwords: bool) -> list[str]:
    """Roles that can log in and whose passwords, if they had any, are not in the set: as one sentence. Pure.

    `passwords`: whether the globals have those of the roles that they define.
    """
    names = [
        _shown(role.name)
        for role in planned.roles
        if "LOGIN" in role.attributes and role.password is None and not (passwords and role.name in written.roles)
    ]
    if not names:
        return []
    return [f"the set has no passwords of {', '.join(names)}: ALTER ROLE … PASSWORD where they need one to log in"]


def _globals(archives: Archives) -> str:
    content = bytearray()
    globals_files = [stored for stored in archives.manifest.files if stored.role == "globals"]
    if not globals_files:
        raise Day2Error(f"{archives.manifest.id} has no roles and grants (globals)")
    fetch(archives.repository, archives.folder, globals_files[0], content.extend, archives.identity)
    return decode(bytes(content))


def _merged(recorded: Definitions, written: Definitions) -> Definitions:
    """Roles as recorded from the catalogue, with their passwords; others as pg_dumpall wrote them. Pure."""
    roles = dict(written.roles)
    for name, role in recorded.roles.items():
        other = written.roles.get(name)
        roles[name] = replace(role, password=other.password if other else None)
    others = [
        membership
        for membership in written.memberships
        if not {membership.role, membership.member} & set(recorded.roles)
    ]
    return Definitions(roles, [*recorded.memberships, *others], written.left_out)


def choose(
    definitions: Definitions,
    wanted: Sequence[str],
    there: set[str],
    set_id: str,
    here: powers.Here = powers.NOTHING,
) -> RolePlan:
    """Select wanted roles, and memberships among them and existing roles. Pure."""
    lacking = [name for name in wanted if name not in definitions.roles]
    if lacking:
        raise Day2Error(f"{set_id} does not define roles {', '.join(lacking)}: CREATE ROLE them first")
    known, made = there | set(wanted), set(wanted)
    ours = [membership for membership in definitions.memberships if {membership.role, membership.member} & made]
    chosen = [membership for membership in ours if {membership.role, membership.member} <= known]
    warnings = [
        f"{membership.member} is not made a member of {membership.role} again: this server has no role"
        f" {membership.role if membership.role not in known else membership.member}"
        for membership in ours
        if membership not in chosen
    ]
    for name in wanted:
        warnings += [f"{name} had {what}, which are not restored" for what in definitions.left_out.get(name, [])[:1]]
    memberships = _single(chosen)
    gained = powers.gains(definitions, memberships, made, here)
    return RolePlan([definitions.roles[name] for name in wanted], memberships, warnings, gained)


def _single(memberships: Sequence[Membership]) -> list[Membership]:
    """Merge memberships of the same pair: several grantors may have granted it, and here only one does."""
    found: dict[tuple[str, str], Membership] = {}
    for membership in memberships:
        key = (membership.role, membership.member)
        before = found.get(key, membership)
        found[key] = Membership(
            *key,
            admin=before.admin or membership.admin,
            inherit=_either(before.inherit, membership.inherit),
            may_set=_either(before.may_set, membership.may_set),
        )
    return list(found.values())


def _either(one: bool | None, other: bool | None) -> bool | None:
    return None if one is None and other is None else bool(one) or bool(other)


def make(connection: Any, planned: RolePlan, labels: bool = True) -> None:
    """Create roles with attributes, passwords, settings, comments and labels, then memberships, in one transaction."""
    if not planned.roles:
        return
    import psycopg2

    execute(connection, "BEGIN")
    try:
        ask(connection, _UNLOGGED)
        for name, statement in _statements(planned, connection.server_version, labels):
            try:
                execute(connection, statement)
            except psycopg2.Error as exc:
                # The statement itself may have a password.
                raise Day2Error(f"role {name} cannot be made as the set has it: {first_line(exc)}") from exc
        execute(connection, "COMMIT")
    except BaseException:
        if not connection.closed:
            execute(connection, "ROLLBACK")
        raise


def _statements(planned: RolePlan, version: int, labels: bool) -> Iterable[tuple[str, Any]]:
    """Pairs of a role's name and a statement."""
    from psycopg2 import sql

    for role in planned.roles:
        yield role.name, _create(role)
    for role in planned.roles:
        called = named(role.name)
        for parameter, values in role.settings:
            yield role.name, sql.SQL("ALTER ROLE {} {}").format(called, set_clause(parameter, values))
        if role.comment is not None:
            yield role.name, sql.SQL("COMMENT ON ROLE {} IS {}").format(called, sql.Literal(role.comment))
        for provider, label in role.labels if labels else ():
            template = sql.SQL("SECURITY LABEL FOR {} ON ROLE {} IS {}")
            yield role.name, template.format(named(provider), called, sql.Literal(label))
    for membership in planned.memberships:
        grant = sql.SQL("GRANT {} TO {}").format(named(membership.role), named(membership.member))
        yield membership.member, sql.SQL("{}{}").format(grant, sql.SQL(grant_options(membership, version)))


def _create(role: Definition) -> Any:
    from psycopg2 import sql

    words = [word if word in role.attributes else f"NO{word}" for word in ATTRIBUTES]
    parts = [sql.SQL("CREATE ROLE {} WITH").format(named(role.name)), sql.SQL(" ".join(words))]
    parts.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(role.connection_limit)))
    if role.password is not None:
        parts.append(sql.SQL("PASSWORD {}").format(sql.Literal(role.password)))
    if role.valid_until is not None:
        parts.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(role.valid_until)))
    return sql.SQL(" ").join(parts)


def grant_options(membership: Membership, version: int) -> str:
    """What follows a GRANT of a role on a server of this version, as in `150018`. Pure."""
    if version < _OPTIONS:
        return " WITH ADMIN OPTION" if membership.admin else ""
    given = [("ADMIN", membership.admin or None), ("INHERIT", membership.inherit), ("SET", membership.may_set)]
    options = [f"{name} {str(value).upper()}" for name, value in given if value is not None]
    return f" WITH {', '.join(options)}" if options else ""
