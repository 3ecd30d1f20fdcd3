# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a session before anything is asked in it, whatever the site has set for its applications.

ALTER ROLE, ALTER DATABASE and postgresql.conf set defaults of sessions: limits of time, read-only transactions, a
search_path by which somebody's own function takes the place of the server's (CVE-2018-1058). Work on a server needs
none of that. Names come in as they are stored: those of roles and databases are common to databases of different
encodings, and nobody converts them.
"""

from __future__ import annotations

import codecs
from typing import Any

# Limits of time, and since which version of PostgreSQL there are such. A snapshot is held, a lock waited for and an
# index read for as long as it takes.
_LIMITS = {
    "statement_timeout": 0,
    "lock_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "idle_session_timeout": 140000,
    "transaction_timeout": 170000,
}
# A standby refuses every statement of a serializable transaction.
_TRANSACTIONS = {"default_transaction_read_only": "off", "default_transaction_isolation": "read committed"}
_SETTINGS = {**dict.fromkeys(_LIMITS, "0"), **_TRANSACTIONS}
# The settings of one version: others are no error. Only a superuser may have the server speak English, by which
# failures are recognized.
_BEGIN = """
SET search_path = '';
SELECT set_config(s.name, v.value, false) FROM unnest(%s::text[], %s::text[]) v (name, value)
  JOIN pg_settings s ON s.name = v.name;
SELECT set_config('lc_messages', 'C', false) WHERE current_setting('is_superuser') = 'on';
COMMIT"""
# Encodings of servers whose text is read as it is stored; of others the server converts.
AS_STORED = ("UTF8", "SQL_ASCII")
_CODEC = "day2_as_stored"


class Pooled(Exception):
    """The session at the server is not this connection's own: a pooler lends it."""


def parameters() -> dict[str, Any]:
    """What psycopg2 needs for a login. An encoding that the site sets for its applications may not go with the
    database's; with this one nothing is converted."""
    import psycopg2.extensions

    for name in ("SQL_ASCII", "SQLASCII"):
        psycopg2.extensions.encodings[name] = _CODEC
    return {"client_encoding": "SQL_ASCII"}


def begin(connection: Any) -> None:
    """Set the state of a new connection, whose own it has to be: Pooled otherwise, before anything is set."""
    # Outside a transaction: a rollback would set the settings again.
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_catalog.pg_backend_pid()")
        if cursor.fetchone()[0] != connection.get_backend_pid():
            raise Pooled
        cursor.execute(_BEGIN, (list(_SETTINGS), list(_SETTINGS.values())))
    if connection.get_parameter_status("server_encoding") not in AS_STORED:
        connection.set_client_encoding("UTF8")
    connection.autocommit = False


def session_options(version: int, superuser: bool = False) -> str:
    """The same for libpq's programs (PGOPTIONS) at a server of this version, as in `150018`. Pure.

    These programs empty search_path themselves.
    """
    settings = {name: "0" for name, since in _LIMITS.items() if version >= since}
    settings |= _TRANSACTIONS | ({"lc_messages": "C"} if superuser else {})
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _encode(text: str, _errors: str = "strict") -> tuple[bytes, int]:
    return text.encode("utf-8", "surrogateescape"), len(text)


def _decode(content: Any, _errors: str = "strict") -> tuple[str, int]:
    return bytes(content).decode("utf-8", "surrogateescape"), len(content)


def _codec(name: str) -> codecs.CodecInfo | None:
    return codecs.CodecInfo(_encode, _decode, name=_CODEC) if name == _CODEC else None


codecs.register(_codec)
