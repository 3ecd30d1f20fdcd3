# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with roles and a table space that people have reported, and the modules in its host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shop import quoted

REPOSITORY = "/var/lib/postgresql/day2-foreign"
SPACE, SHIMS = "/var/lib/postgresql/foreign-space", "/opt/foreign-shims"
SPACE_NAME = "sp ac'e%ü"
REAL = "/usr/lib/postgresql/15/bin"
# What the test asks is answered by the server's own functions.
PLAIN = "-c default_transaction_read_only=off -c client_min_messages=warning"
SAFE = "-c search_path=pg_catalog"
# What databases share is stored in UTF-8, whatever their own encoding.
OWNER = quoted("für alle")
CLUSTER = f"""
CREATE ROLE {OWNER} LOGIN PASSWORD 'fictional';
ALTER ROLE {OWNER} SET search_path = "ä", public;
COMMENT ON ROLE {OWNER} IS E'grüße\\nneu';
CREATE ROLE foreign_reader LOGIN PASSWORD 'fictional-reader' IN ROLE pg_read_all_data;
CREATE ROLE foreign_nobody LOGIN PASSWORD 'fictional-reader';
"""


class Site:
    """The server of the lab, and the modules in its host."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def call(self, name: str, **arguments: Any) -> Any:
        return self.host.direct.answer(name, {"repository": REPOSITORY, **arguments}, "postgres")

    def psql(self, text: str, database: str = "postgres", encoding: str = "UTF8", options: str = PLAIN) -> str:
        """`text` is given to the server in this encoding, whatever the database's."""
        client = "UTF8" if encoding == "UTF8" else "SQL_ASCII"
        typed = f'iconv -f UTF8 -t {encoding} | env PGCLIENTENCODING={client} "$@"'
        words = ["env", f"PGDATABASE={database}", f"PGOPTIONS={options}", "psql", "-XAtqv", "ON_ERROR_STOP=1"]
        return str(self.host.run("runuser", "-u", "postgres", "--", "sh", "-c", typed, "sh", *words, text=text))

    def ask(self, query: str, database: str) -> str:
        return self.psql(query, database, "ASCII", SAFE)

    def drop(self) -> None:
        every = "SELECT format('{}', datname) FROM pg_database WHERE datname ~ '^foreign' \\gexec\n"
        self.psql("UPDATE pg_database SET datistemplate = false WHERE datname ~ '^foreign'")
        self.psql(every.replace("{}", "DROP DATABASE %I WITH (FORCE)"))
        self.psql(
            f'DROP TABLESPACE IF EXISTS "sp ac\'e%ü"; DROP ROLE IF EXISTS {OWNER}, foreign_reader, foreign_nobody, '
            "foreign_taker"
        )
        self.host.run("rm", "-rf", REPOSITORY, SPACE, SHIMS)

    @contextmanager
    def login_settings(self, *settings: str) -> Iterator[None]:
        for setting in settings:
            self.psql(f"ALTER ROLE postgres SET {setting}")
        try:
            yield
        finally:
            self.psql("ALTER ROLE postgres RESET ALL")

    def shims(self, script: str) -> str:
        """A directory of PostgreSQL's programs that do this first; `$0 $*` says what is called."""
        lines = f'#!/bin/sh\n{script}\nexec {REAL}/$(basename $0) "$@"\n'
        for name in ("pg_dump", "pg_dumpall", "pg_restore"):
            self.host.run("sh", "-c", f"mkdir -p {SHIMS}; cat > {SHIMS}/{name}; chmod 755 {SHIMS}/{name}", text=lines)
        return SHIMS


@contextmanager
def foreign_site(host: Any) -> Iterator[Site]:
    made = Site(host)
    made.drop()
    try:
        made.psql(CLUSTER)
        host.run("install", "-d", "-o", "postgres", "-m", "700", SPACE)
        made.psql(f"CREATE TABLESPACE \"{SPACE_NAME}\" LOCATION '{SPACE}'")
        yield made
    finally:
        made.drop()
