# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The newest row of a restored database, by the site's own query."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ask, connected, execute


def newest_row(query: str, login: Login, name: str) -> float:
    """Its time as the query answers, POSIX seconds; Day2Error where there are no rows."""
    from psycopg2 import sql

    with connected(login, name) as connection:
        # The site's query is asked as the site would.
        execute(connection, "RESET search_path")
        connection.commit()
        connection.set_session(readonly=True)
        asked = sql.SQL("SELECT extract(epoch FROM (SELECT ({})::timestamptz))").format(
            sql.SQL("SELECT * FROM ({}) newest LIMIT 1").format(sql.SQL(query.rstrip().rstrip(";")))
        )
        ((moment,),) = ask(connection, asked)
    if moment is None:
        raise Day2Error("the query of the newest row answers nothing: there are no rows")
    return float(moment)
