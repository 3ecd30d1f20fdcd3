# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Views of a database as evidence: what is read sequentially, what is slow, what is big, what nobody uses.

Relations are known by OID, never by a name put together; partitions count for their root.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.postgres.metrics import NamedMetric, Rows, since
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    counted,
    format_bytes,
    format_duration,
    format_number,
)

Read = Callable[[str], Rows]


def lines(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns below their names, as wide as what is in them; the last one as it is."""
    cells = [list(map(str, row)) for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head) - 1)]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in cells]


# Statistics of partitions count for their root.
_SEQUENTIAL = """
SELECT coalesce(pg_partition_root(relid), relid)::regclass::text AS relation,
       sum(seq_scan)::int8 AS scans, sum(seq_tup_read)::int8 AS read,
       sum(coalesce(idx_scan, 0))::int8 AS index_scans, sum(coalesce(idx_tup_fetch, 0))::int8 AS fetched,
       sum(n_live_tup)::int8 AS rows,
       (SELECT extract(epoch FROM now() - stats_reset)::float8 FROM pg_stat_database
         WHERE datname = current_database()) AS age
  FROM pg_stat_user_tables GROUP BY coalesce(pg_partition_root(relid), relid)
 ORDER BY sum(seq_tup_read) DESC, 1 LIMIT 10"""


def _sequential(rows: Rows) -> Observation:
    if not rows.rows:
        return Observation(0, "the database has no tables")
    name, scans, read, _index, _fetched, _rows, age = rows.rows[0]
    head = ("table", "seq scans", "rows read", "index scans", "rows fetched", "rows")
    text = f"{name} was read most: {counted(read, 'row')} in {counted(scans, 'sequential scan')} {since(age)}"
    return Observation(int(read), text, evidence=lines(head, [row[:6] for row in rows.rows]))


_STATEMENTS = """
SELECT quote_ident(n.nspname) || '.pg_stat_statements', array_agg(a.attname::text)
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE e.extname = 'pg_stat_statements' GROUP BY n.nspname"""
_SLOW = """
SELECT {total}::float8, {mean}::float8, calls, rows, query FROM {view}
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY {total} DESC LIMIT 10"""
_NOT_AVAILABLE = (
    "not available: pg_stat_statements is not {state}. Add it to shared_preload_libraries, restart, and"
    " CREATE EXTENSION pg_stat_statements; until then log_min_duration_statement logs what is slow"
)


def _statements_sql(read: Read) -> str:
    found = read(_STATEMENTS).rows
    preloaded = read("SELECT current_setting('shared_preload_libraries')").rows[0][0]
    if "pg_stat_statements" not in preloaded:
        raise Undetermined(_NOT_AVAILABLE.format(state="preloaded"))
    if not found:
        raise Undetermined(_NOT_AVAILABLE.format(state="installed in this database"))
    view, columns = found[0]
    # The extension's version 1.8 split planning from execution, and named the columns anew.
    total, mean = ("total_exec_time", "mean_exec_time") if "total_exec_time" in columns else ("total_time", "mean_time")
    # The view's name was quoted by the server itself.
    return _SLOW.format(view=view, total=total, mean=mean)


def _statements(rows: Rows) -> Observation:
    if not rows.rows:
        return Observation(0.0, "no statement has been counted yet")
    hidden = sum(1 for row in rows.rows if row[4] == "<insufficient privilege>")
    slowest = max(rows.rows, key=lambda row: float(row[1]))
    table = [
        (format_duration(total / 1000), format_duration(mean / 1000), calls, count, " ".join(query.split())[:160])
        for total, mean, calls, count, query in rows.rows
    ]
    text = f"of the {counted(len(rows.rows), 'statement')} with most total time the slowest takes"
    text += f" {format_duration(float(slowest[1]) / 1000)} on average ({counted(slowest[2], 'call')})"
    if hidden:
        text += f"; {counted(hidden, 'is', 'are')} hidden from this role: GRANT pg_read_all_stats to it"
    evidence = lines(("total", "mean", "calls", "rows", "statement"), table)
    return Observation(round(float(slowest[1]), 3), text, evidence=evidence)


# Partitions of an index count together. What enforces something is needed even when nobody reads by it.
_UNUSED = """
WITH found AS (
  SELECT coalesce(pg_partition_root(s.indexrelid), s.indexrelid) AS index,
         coalesce(pg_partition_root(s.relid), s.relid) AS relation,
         sum(s.idx_scan) AS scans, sum(pg_relation_size(s.indexrelid)) AS size
    FROM pg_stat_user_indexes s JOIN pg_index i ON i.indexrelid = s.indexrelid
   WHERE i.indisvalid AND NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisreplident
     AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = s.indexrelid)
   GROUP BY 1, 2)
SELECT index::regclass::text, relation::regclass::text, size::int8,
       count(*) OVER ()::int8, (sum(size) OVER ())::int8,
       (SELECT extract(epoch FROM now() - stats_reset)::float8 FROM pg_stat_database
         WHERE datname = current_database()),
       (SELECT count(*) FROM pg_stat_replication)
  FROM found WHERE scans = 0 ORDER BY size DESC, 1 LIMIT 19"""


def _unused(rows: Rows) -> Observation:
    if not rows.rows:
        return Observation(0, "every index that enforces nothing has been used")
    _index, _relation, _size, count, total, age, standbys = rows.rows[0]
    text = f"{counted(count, 'index')} ({format_bytes(total)}) {'was' if count == 1 else 'were'} not used {since(age)}"
    if standbys:
        text += "; standbys count for themselves"
    table = [(format_bytes(row[2]), row[1], row[0]) for row in rows.rows]
    return Observation(int(count), text, evidence=lines(("size", "table", "index"), table))


_INVALID = """
SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text FROM pg_index i
 WHERE NOT i.indisvalid
   AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
   AND i.indexrelid NOT IN (SELECT oid FROM pg_class WHERE relkind = 'I')
 ORDER BY 1 LIMIT 1000"""


def _invalid(rows: Rows) -> Observation:
    count = len(rows.rows)
    evidence = [f"{index} on {table}: DROP INDEX CONCURRENTLY, then build it again" for index, table in rows.rows]
    broken = f"{counted(count, 'index is', 'indexes are')} invalid (a CREATE INDEX CONCURRENTLY that failed)"
    text = broken if count else "all indexes are valid"
    return Observation(count, text, evidence=evidence)


_SIZES = """
SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text, sum(pg_total_relation_size(c.oid))::int8,
       sum(pg_table_size(c.oid))::int8, sum(pg_indexes_size(c.oid))::int8,
       sum(greatest(c.reltuples, 0))::int8, count(*) FILTER (WHERE c.relispartition)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
 GROUP BY coalesce(pg_partition_root(c.oid), c.oid) ORDER BY 2 DESC, 1 LIMIT 19"""


def _sizes(rows: Rows) -> Observation:
    if not rows.rows:
        return Observation(0, "the database has no tables")
    name, size = rows.rows[0][:2]
    table = [
        (format_bytes(row[1]), format_bytes(row[2]), format_bytes(row[3]), format_number(row[4]), row[5] or "", row[0])
        for row in rows.rows
    ]
    head = ("total", "table", "indexes", "rows (estimate)", "partitions", "name")
    return Observation(int(size), f"{name} is the largest table with {format_bytes(size)}", evidence=lines(head, table))


TABLES: dict[str, NamedMetric] = {
    "sequential_scans": NamedMetric(
        "Rows read sequentially from the table of which most were; the first ten as evidence.",
        "rows",
        _SEQUENTIAL,
        _sequential,
    ),
    "slow_statements": NamedMetric(
        "Mean time of the slowest of the ten statements with most total time (pg_stat_statements).",
        "ms",
        _statements_sql,
        _statements,
    ),
    "unused_indexes": NamedMetric(
        "Indexes that no scan used and that enforce nothing, with the age of the statistics.",
        "indexes",
        _UNUSED,
        _unused,
    ),
    "invalid_indexes": NamedMetric(
        "Indexes that a failed CREATE INDEX CONCURRENTLY left behind.", "indexes", _INVALID, _invalid
    ),
    "table_sizes": NamedMetric("Size of the largest table; the largest ones as evidence.", "B", _SIZES, _sizes),
}
