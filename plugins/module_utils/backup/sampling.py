# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sample of a table's rows, and what each way to compress makes of it.

It only ever decides between ways that all work: where no sample can be had, the usual one does.
"""

from __future__ import annotations

import threading
from typing import Callable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.compression import (
    CANDIDATES,
    USUAL,
    Compression,
    choose,
    framed,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import compressor
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import Table
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import CHUNK, Program, run_pipeline

# For smaller tables it does not matter.
SAMPLED_FROM = 16 << 20
_SAMPLE = 1 << 20
# From its beginning to its end, rows that lie side by side: what repeats itself in them decides. Asked for by their
# places, as PostgreSQL 13 looks through the whole table for ranges of these. A page has few more rows than 1/56 of
# its bytes.
_RUNS, _PAGES = 8, 16
_ROWS = """COPY (SELECT * FROM ONLY {table} WHERE ctid = ANY (ARRAY(
  SELECT format('(%s,%s)', run * greatest(pages - {run}, 0) / ({runs} - 1) + page, line)::tid
    FROM (SELECT pg_relation_size({name}::regclass) / size AS pages, size
            FROM (SELECT current_setting('block_size')::bigint AS size) of_page) of_table,
         generate_series(0, {runs} - 1) run, generate_series(0, {run} - 1) page, generate_series(1, size / 56) line
))) TO STDOUT"""
# A sample is not waited for: whoever locks a table keeps pg_dump waiting, too, but that has its own limit. Policies of
# row security may call anybody's functions: with them there is an error instead, as pg_dump has it.
_SETTINGS = "SET lock_timeout = '2s'; SET row_security = off; SET standard_conforming_strings = on"
_PATIENCE = 30.0


class _Enough(Exception):
    """Ends a pipeline that has given what was wanted of it."""


def chosen(
    login: Login, psql: str | None, database: str, table: Table, stop: threading.Event | None = None
) -> Compression:
    """How the table's rows are compressed best."""
    if psql is None or table.size < SAMPLED_FROM:
        return USUAL
    try:
        return best(_sample(login, psql, database, table, stop), stop)
    except Day2Error:
        return USUAL


def best(sample: bytes, stop: threading.Event | None = None) -> Compression:
    """How rows such as these, each with its newline, are compressed best."""
    each_framed = framed(sample.splitlines(keepends=True))
    sizes = {each: _compressed(each, sample if each.packed else each_framed, stop) for each in CANDIDATES}
    return choose(sizes, len(sample))


def _sample(login: Login, psql: str, database: str, table: Table, stop: threading.Event | None) -> bytes:
    """Whole rows; of one that is very long, its beginning."""
    rows = bytearray()
    name = "'" + table.quoted.replace("'", "''") + "'"
    copy = _ROWS.format(table=table.quoted, name=name, runs=_RUNS, run=_PAGES)
    program = login.program([psql, "-X", "-q", "-w", "-c", _SETTINGS, "-c", copy], database)
    _until(program, _SAMPLE, rows.extend, stop)
    return bytes(rows[: rows.rfind(b"\n") + 1] or rows)


def _until(program: Program, most: int, sink: Callable[[bytes], None], stop: threading.Event | None) -> None:
    seen = 0

    def take(piece: bytes) -> None:
        nonlocal seen
        sink(piece[: most - seen])
        seen += len(piece)
        if seen >= most:
            raise _Enough

    try:
        run_pipeline([program], take, timeout=_PATIENCE, stop=stop)
    except _Enough:
        return


def _compressed(how: Compression, content: bytes, stop: threading.Event | None) -> int:
    size = 0

    def count(piece: bytes) -> None:
        nonlocal size
        size += len(piece)

    run_pipeline([compressor(how.parameters)], count, _pieces(content), _PATIENCE, stop=stop)
    return size


def _pieces(content: bytes) -> Sequence[bytes]:
    return [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
