# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module reports of a failure of pg_restore: the object, the error, and what to do.

The texts are cut short, and otherwise as pg_restore writes them.
"""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.explain import explain

TOC = "pg_restore: while PROCESSING TOC:\npg_restore: from TOC entry 3350; 0 16402 {entry} postgres\n"
ERROR = "pg_restore: error: could not execute query: ERROR:  {error}\n"
COMMAND = "Command was: REFRESH MATERIALIZED VIEW public.m;\nERROR:  not this\n\n\n"
PATH = ("empty search_path", "name the schemas", "make a new backup")


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        ("MATERIALIZED VIEW DATA public m",
         'relation "rates" does not exist\nLINE 2:  SELECT rate FROM rates\n                         ^\nQUERY:  \n'
         ' SELECT rate FROM rates\nCONTEXT:  SQL function "latest_rate" during inlining', ("latest_rate", *PATH)),
        ("INDEX public words_idx",
         "text search dictionary \"unaccent\" does not exist\nCONTEXT:  SQL function \"f_unaccent\" statement 1",
         ("f_unaccent", *PATH)),
        ("TABLE DATA public places",
         "function ll_to_earth(double precision, double precision) does not exist\nHINT:  No function matches the given"
         " name and argument types.\nCONTEXT:  PL/pgSQL function public.place(integer) line 3 at RETURN",
         ("public.place(integer)", *PATH)),
        ("TABLE public t", "type \"geometry\" does not exist", PATH),
        ("CONSTRAINT public c", "operator does not exist: public.ltree @> public.ltree", PATH),
        ("EXTENSION - pg_cron",
         "can only create extension in database postgres\nDETAIL:  Jobs must be scheduled from the database configured"
         " in cron.database_name", ("one database of a server only", "Jobs must be scheduled", "physical")),
        ("EXTENSION - pg_cron", "pg_cron can only be loaded via shared_preload_libraries", ("preloaded", "settings")),
        ("EXTENSION - pgaudit", 'pgaudit must be loaded via "shared_preload_libraries"', ("preloaded",)),
        ("EXTENSION - vector", 'extension "vector" is not available\nDETAIL:  Could not open extension control file'
         ' "/usr/share/postgresql/15/extension/vector.control": No such file or directory.', ("package",)),
        ("EXTENSION - postgis", 'extension "postgis" has no installation script nor update path for version "3.1"',
         ("package",)),
        ("FUNCTION public f()", 'could not access file "$libdir/rum": No such file or directory', ("package",)),
        ("TABLE public t", 'role "app" does not exist', ("allow: [create_roles]",)),
        ("TABLE public t", 'tablespace "fast" does not exist', ("CREATE TABLESPACE",)),
        ("TABLE DATA public t", 'could not extend file "base/1/2": No space left on device\nHINT:  Check free disk'
         " space.", ("make room",)),
        ("MATERIALIZED VIEW DATA public m", 'user mapping not found for "postgres"', ("foreign server",)),
        ("TABLE public t", "out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.",
         ("raise max_locks_per_transaction",)),
        ("TABLE DATA public t", 'new row for relation "t" violates check constraint "t_check"\nDETAIL:  Failing row'
         " contains (1).", ("reads other tables",)),
        ("FK CONSTRAINT public t", 'insert or update on table "t" violates foreign key constraint "t_fkey"',
         ("not satisfy",)),
        ("CONSTRAINT public t_pkey", 'could not create unique index "t_pkey"\nDETAIL:  Key (id)=(1) is duplicated.',
         ("amcheck", "Key (id)=(1) is duplicated.")),
        ("SECURITY LABEL public COLUMN t.a", 'security label provider "anon" is not loaded', ("preloaded",)),
        ("ENCODING - ENCODING", 'unrecognized configuration parameter "transaction_timeout"', ("bin_dir",)),
        ("TABLE DATA public t", 'invalid byte sequence for encoding "UTF8": 0x80', ("encoding",)),
    ],
)  # fmt: skip
def test_the_message_names_object_error_and_remedy(entry: str, error: str, words: tuple[str, ...]) -> None:
    said = TOC.format(entry=entry) + ERROR.format(error=error) + COMMAND
    failure = explain(said)
    assert failure is not None and failure.number == 3350
    message = str(failure)
    assert message.startswith(f"{entry} postgres: {error.splitlines()[0]}"), message
    assert [word for word in words if word not in message] == [], message
    assert "not this" not in message


def test_which_failures_are_of_foreign_servers() -> None:
    for error, foreign in (
        ('user mapping not found for "postgres"', True),
        ('foreign-data wrapper "postgres_fdw" has no handler', True),
        ('materialized view "m" has not been populated', False),
        ('could not connect to server "other"', True),
        ('relation "m" does not exist', False),
    ):
        failure = explain(TOC.format(entry="MATERIALIZED VIEW DATA public m") + ERROR.format(error=error))
        assert failure is not None and failure.foreign is foreign, error


@pytest.mark.parametrize("name", ["m", "sums of a day", 'a "quoted" one', "größe"])
def test_which_view_a_failure_waits_for(name: str) -> None:
    error = f'materialized view "{name}" has not been populated\nHINT:  Use the REFRESH MATERIALIZED VIEW command.'
    failure = explain(TOC.format(entry="MATERIALIZED VIEW DATA public a") + ERROR.format(error=error))
    assert failure is not None and failure.awaited == name
    assert "WITH NO DATA" in str(failure)
    other = explain(TOC.format(entry="MATERIALIZED VIEW DATA public a") + ERROR.format(error='relation "m" is gone'))
    assert other is not None and other.awaited is None


def test_the_command_where_no_entry_is_named() -> None:
    failure = explain(ERROR.format(error='relation "rates" does not exist') + COMMAND)
    assert failure is not None and failure.number is None
    assert str(failure).startswith('REFRESH MATERIALIZED VIEW public.m;: relation "rates" does not exist')
    long = explain(ERROR.format(error="x") + f"Command was: CREATE VIEW {'v' * 300}")
    assert long is not None and len(long.entry) < 130 and long.entry.endswith("…")
    copied = explain(
        'pg_restore: error: COPY failed for table "big t": ERROR:  invalid byte sequence\nCONTEXT:  COPY x'
    )
    assert copied is not None and copied.entry == "rows of big t"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("pg_restore: error: connection to server failed: FATAL:  the database system is shutting down", "shutting"),
        ('pg_restore: error: COPY failed for table "t": ERROR:  missing data\nCONTEXT:  COPY t, line 1', "missing"),
    ],
)
def test_a_failure_without_an_entry(said: str, words: str) -> None:
    failure = explain(said)
    assert failure is not None and failure.number is None and words in str(failure)


@pytest.mark.parametrize("said", ["", "pg_restore: error: could not read from input file: end of file"])
def test_no_error_of_a_server(said: str) -> None:
    assert explain(said) is None
