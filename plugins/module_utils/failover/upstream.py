# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server that a standby streams from, asked with the standby's own login: who it is, where its timelines forked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.local import QUESTION, Member, MemberError, is_ready
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import parse_history
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import NoAnswer
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, conninfo
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)

# A conninfo string, as libpq reads it: words with values in quotes or without.
_PAIR = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)", re.DOTALL)


def parse_conninfo(text: str) -> dict[str, str]:
    """The parts of a connection string (not of a URI). Pure."""
    parts, place = {}, 0
    while text[place:].strip():
        match = _PAIR.match(text, place)
        if match is None:
            raise MemberError(
                "primary_conninfo is not a list of name=value, such as host=db1 port=5432 user=replicator"
            )
        value = match[2] if match[2] is not None else match[3]
        parts[match[1]] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        place = match.end()
    return parts


_ENVIRONMENT = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT", "sslcrl": "PGSSLCRL", "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE", "krbsrvname": "PGKRBSRVNAME", "service": "PGSERVICE",
}  # fmt: skip


def login_environment(parts: Mapping[str, str], limit: float) -> dict[str, str]:
    """Environment of libpq's programs for the login of a connection string: no password gets into argv. Pure."""
    given = {_ENVIRONMENT[name]: value for name, value in parts.items() if name in _ENVIRONMENT}
    return {**given, "PGCONNECT_TIMEOUT": f"{max(2, limit):.0f}"}


_SLOT = re.compile(r"[a-z0-9_]{1,63}")
# SQLSTATE duplicate_object.
_EXISTS = "ERROR:  42710: "
# Before a session is there, no SQLSTATE is shown: too many sessions of a server, and of replication.
_FULL = re.compile(r"too many|reserved for|standby connections|max_wal_senders")


@dataclass(frozen=True)
class Upstream:
    """A server by a connection string's parts, as a member of this host reaches it."""

    member: Member
    parts: Mapping[str, str]

    def identify(self, limit: float = QUESTION) -> tuple[str, int, str]:
        """System identifier, timeline, and the LSN up to which its WAL is on disk."""
        identifier, timeline, end, *_rest = self._replicate("IDENTIFY_SYSTEM", limit).strip().split("|")
        return identifier, int(timeline), end

    def forks(self, timeline: int) -> Sequence[tuple[int, int]]:
        """The ancestors of a timeline: (timeline, LSN where the next one left it)."""
        return (
            () if timeline == 1 else parse_history(self._replicate(f"TIMELINE_HISTORY {timeline:d}").partition("|")[2])
        )

    def make_slot(self, name: str) -> bool:
        """Make a physical slot that keeps WAL from now on; whether there was none of that name."""
        if not _SLOT.fullmatch(name):
            raise MemberError(f"'slot' is {name!r}, expected lower-case letters, digits and '_'")
        try:
            self._replicate(f"CREATE_REPLICATION_SLOT {name} PHYSICAL RESERVE_WAL")
        except ServerError as exc:
            if _EXISTS not in str(exc):
                raise
            return False
        return True

    def accepts_login(self, limit: float = 4.0) -> bool | None:
        """Whether the login works; None where the server does not answer, or has no room for one more."""
        try:
            self.identify(limit)
        except NoAnswer:
            return None
        except ServerError as exc:
            answers = is_ready(self.member.cluster.bin_dir, self.parts.get("host", ""), self.port, limit) == 0
            return False if answers and not _FULL.search(str(exc)) else None
        return True

    @property
    def port(self) -> int:
        return int(self.parts.get("port", "5432"))

    @property
    def address(self) -> str:
        return f"{self.parts.get('host') or self.parts.get('hostaddr') or 'this host'}:{self.port}"

    def ask(self, sql: str, database: str, limit: float = QUESTION) -> str:
        """What psql prints of statements in a database of the server."""
        return self._psql(conninfo(dbname=database, application_name="day2.ops"), sql, limit).strip()

    def _replicate(self, command: str, limit: float = QUESTION) -> str:
        """What the server answers to a command of the replication protocol."""
        # As a standby logs in: password files name such sessions by this database.
        login = conninfo(dbname="replication", replication="true", application_name="day2.ops")
        return self._psql(login, command, limit)

    def _psql(self, login: str, command: str, limit: float) -> str:
        cluster = self.member.cluster
        argv = [os.path.join(cluster.bin_dir, "psql"), "-XAtqw", "-v", "VERBOSITY=verbose"]
        argv += ["-d", login, "-c", command]
        said: list[bytes] = []
        try:
            program = Program([*cluster.prefix, *argv], login_environment(self.parts, limit), "psql")
            run_pipeline([program], said.append, timeout=limit)
        except PipelineTimeout as exc:
            raise NoAnswer(f"{self.address} did not answer within {limit:g} s") from exc
        except PipelineError as exc:
            lines = [line.strip() for line in exc.stderr.split("\n") if line.strip()]
            error = next((line for line in lines if "ERROR:" in line or "FATAL:" in line), lines[-1] if lines else "")
            raise ServerError(f"{self.address}: {error or exc}") from exc
        return b"".join(said).decode("utf-8", "replace")
