# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exact numbers of rows of a snapshot, counted in sessions of their own.

The session that holds the snapshot's locks must never wait, and counting may: for an index that is being rebuilt, as
long as that takes, and for a while for a REFRESH. Where somebody waits for the backup meanwhile, the watch ends it.
Each table is a transaction of its own, so that no lock of an index lasts longer than its count.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup.snapshot import Snapshot
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import Table
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    connected,
    execute,
    notice_lost_clients,
)

# Rows are read where pg_dump reads them: what an index has is no proof. Hidden rows (row security) are an error.
_SETTINGS = "SET row_security = off; SET enable_indexonlyscan = off; SET enable_indexscan = off"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '{}'"
# No backup needs the number of a materialized view.
_SHORT = "SET LOCAL lock_timeout = '{}ms'"


class RowCounter:
    """`cancel` ends a count from another thread; `count` raises then."""

    def __init__(self, login: Login, limit: float, application: str) -> None:
        self._login, self._limit, self._application = login, limit, application
        self._connection: Any = None
        self._stop = threading.Event()

    def count(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """`schema`, `table` and `rows` of each table. A materialized view has no number (None) when it has no rows to
        count: a dump does not have them either."""
        with connected(self._login, snapshot.database, self._application) as connection:
            notice_lost_clients(connection)
            execute(connection, _SETTINGS)
            self._connection = connection
            return [
                {"schema": table.schema, "table": table.name, "rows": self._rows(connection, snapshot, table)}
                for table in snapshot.tables
            ]

    def cancel(self) -> None:
        self._stop.set()
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(Exception):
                connection.cancel()

    def _rows(self, connection: Any, snapshot: Snapshot, table: Table) -> int | None:
        import psycopg2

        if self._stop.is_set():
            raise Day2Error("rows are not counted any more, because another part of the backup failed")
        if not table.populated:
            return None
        try:
            execute(connection, _BEGIN.format(snapshot.exported))
            if table.kind == "m":
                execute(connection, _SHORT.format(f"{self._limit * 1000:.0f}"))
            rows = catalogue.count_rows(connection, table)
        except psycopg2.Error:
            if connection.closed or self._stop.is_set():
                raise
            execute(connection, "ROLLBACK")
            if table.kind == "m":
                # It is being refreshed, was dropped, or is not for this role: pg_dump does not read it.
                return None
            raise
        execute(connection, "COMMIT")
        return rows
