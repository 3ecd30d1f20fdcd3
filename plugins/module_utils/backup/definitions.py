# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_dump reads of a catalogue as it is now and not as its snapshot has it: views, rules, sequences and the like.

Locks of tables keep tables as they are. Other definitions may change while pg_dump reads them, and what the server's
functions say of them (`pg_get_viewdef` and its like, the value of a sequence) is always the newest: the archive could
have a view of a column that it does not have. So they are compared afterwards, in the snapshot and as they are.
Labels of enumerations are read with every row that has one, so they are compared once more when all rows were read.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask

# Kind, name and what must not change, of everything that is no part of the server itself (whose OIDs are lower). `xmin`
# is the transaction that wrote the row: VACUUM, ANALYZE and the writing of rows leave it alone. A REFRESH changes no
# definition, and what is temporary is nobody else's.
_QUERY = """
WITH relation AS MATERIALIZED (
  SELECT c.*, c.oid AS own_oid, concat(c.relnamespace::regnamespace, '.', c.relname) AS full_name
    FROM pg_class c
   WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace)
SELECT 'schema', n.nspname, n.oid::text FROM pg_namespace n WHERE n.oid >= 16384 AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'sequence', full_name, concat_ws(' ', own_oid, relname, relnamespace, relfilenode)
  FROM relation WHERE relkind = 'S'
UNION ALL
SELECT 'relation', full_name, concat_ws(' ', own_oid, relname, relnamespace)
  FROM relation WHERE relkind IN ('v', 'm', 'f', 'c', 'i', 'I')
UNION ALL
SELECT 'column of', full_name, concat_ws(' ', own_oid, a.attnum, a.xmin)
  FROM pg_attribute a JOIN relation ON own_oid = a.attrelid WHERE a.attnum > 0 AND relkind IN ('v', 'm', 'f', 'c')
UNION ALL
SELECT 'view or rule of', full_name, concat_ws(' ', r.oid, r.xmin)
  FROM pg_rewrite r JOIN relation ON own_oid = r.ev_class
UNION ALL
SELECT 'trigger of', full_name, concat_ws(' ', t.oid, t.xmin)
  FROM pg_trigger t JOIN relation ON own_oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'statistics', s.stxname, concat_ws(' ', s.oid, s.xmin) FROM pg_statistic_ext s
UNION ALL
SELECT 'function', p.proname, concat_ws(' ', p.oid, p.proname, p.pronamespace, p.proargnames, p.pronargdefaults,
                                       p.proargdefaults, {body})
  FROM pg_proc p
 WHERE p.oid >= 16384 AND p.pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_temp_')
UNION ALL
SELECT 'type', t.typname, concat_ws(' ', t.oid, t.typname, t.typnamespace) FROM pg_type t
 WHERE t.oid >= 16384 AND t.typcategory <> 'A'
   AND t.typnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(temp|toast)')
UNION ALL
SELECT 'constraint of a domain', o.conname, concat_ws(' ', o.oid, o.xmin)
  FROM pg_constraint o WHERE o.oid >= 16384 AND o.contypid <> 0
UNION ALL
SELECT 'constraint of', full_name, concat_ws(' ', o.oid, o.conname, o.convalidated)
  FROM pg_constraint o JOIN relation ON own_oid = o.conrelid
UNION ALL
{labels}"""
_LABELS = """
SELECT 'values of type', t.typname, concat_ws(' ', e.oid, e.enumlabel)
  FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE e.enumtypid >= 16384"""
# Definitions are many: whether any is another one the server says without them.
_DIGEST = (
    "SELECT count(*), sum(hashtextextended(concat_ws(' ', d.*), 0)::numeric) FROM ({query}) AS d (kind, name, state)"
)
# A body that is kept as a tree is written out as the catalogue is now.
_BODY = "CASE WHEN p.prosqlbody IS NOT NULL THEN p.xmin::text END"

Definitions = set[tuple[str, str, str]]


class Part(Enum):
    """What is compared: all definitions, or labels of enumerations alone."""

    DEFINITIONS = _QUERY
    LABELS = _LABELS


def query(version: int, part: Part = Part.DEFINITIONS) -> str:
    """For a server of this version (as in `150018`): kind, name and state of each definition. Pure."""
    body = _BODY if version >= 140000 else "NULL"
    return part.value.replace("{body}", body).replace("{labels}", _LABELS)


def compare(before: Any, now: Any, part: Part) -> str | None:
    """What is not as it was, by two connections to one database: of the snapshot, and as it is."""
    statement = query(before.server_version, part)
    digest = _DIGEST.replace("{query}", statement)
    if ask(before, digest) == ask(now, digest):
        return None
    return changed(set(ask(before, statement)), set(ask(now, statement)))


def changed(before: Definitions, now: Definitions) -> str | None:
    """What is not as it was; what came new is no part of the snapshot. Pure."""
    gone = sorted(before - now)
    if not gone:
        return None
    kind, name, _state = gone[0]
    more = f" and {len(gone) - 1} more definitions" if len(gone) > 1 else ""
    return f"{kind} {name}{more}"
