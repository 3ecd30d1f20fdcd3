# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The member of a failover that is on this host: found by its port or its data directory, asked within limits."""

from __future__ import annotations

import json
import os
import pwd
import re
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from typing import Any, Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import as_user
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster, programs_of, unit_of
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError
from ansible_collections.day2.ops.plugins.module_utils.postgres.session import session_options
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.opened import GONE, pids
from ansible_collections.day2.ops.plugins.module_utils.process.opened import as_user as seen_by
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_DATA = re.compile(r"^\s*data_directory\s*=?\s*'([^']+)'", re.MULTILINE)
_PORT = re.compile(r"^\s*port\s*=?\s*'?(\d+)", re.MULTILINE)
# Where distributions put a data directory that has its own configuration in it.
_PLACES = ("/var/lib/pgsql/data", "/var/lib/pgsql/*/data", "/var/lib/postgresql/*/*")
_DEBIAN = "/etc/postgresql/*/*/postgresql.conf"
# The options of modules that act on a standby, as documentation fragment `standby` has them.
STANDBY = {
    "data": {"type": "path", "required": True},
    "port": {"type": "int"},
    "unit": {"type": "str"},
}
# What one question may take.
QUESTION = 10.0
# How long an act of another run on this host is waited for.
GUARD_WAIT = 30.0
# SQL: the timeline that a server is on. After a promotion the control file names the old one until the next checkpoint:
# a primary's is that of the WAL which it writes, and a standby's that of the newest which it has received.
TIMELINE = """CASE WHEN pg_is_in_recovery()
  THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline, (SELECT received_tli FROM pg_stat_wal_receiver),
                        (SELECT max(('x' || left(name, 8))::bit(32)::int) FROM pg_ls_waldir()
                          WHERE name ~ '^[0-9A-F]{24}$'))
          FROM pg_control_checkpoint() c, pg_control_recovery() r)
  ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END"""
_SEGMENT = re.compile(r"[0-9A-F]{24}")


class MemberError(Day2Error):
    """A member that is not what it has to be; nothing was changed, unless the message says so."""


@dataclass(frozen=True)
class Member:
    """A cluster of this host, with the user who owns it."""

    cluster: Cluster
    owner: str

    def ask(self, sql: str, database: str = "postgres", limit: float = QUESTION) -> str:
        """What the server answers to statements, whatever the site has set for its sessions."""
        return self.cluster.ask(sql, database, limit, self.options).strip()

    def record(self, sql: str, limit: float = QUESTION) -> dict[str, Any]:
        """One JSON object."""
        said = self.ask(sql, limit=limit)
        try:
            return dict(json.loads(said))
        except ValueError as exc:
            raise ServerError(f"the server's answer is no record: {said[:200]!r}") from exc

    def set(self, name: str, value: str) -> None:
        """ALTER SYSTEM, and reload. The value may hold a password: it is kept out of the server's log."""
        quiet = (
            "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';"
        )
        self.ask(f"{quiet}\nALTER SYSTEM SET {name} = {literal(value)};\nSELECT pg_reload_conf();")

    @property
    def options(self) -> str:
        major = int(os.path.basename(os.path.dirname(self.cluster.bin_dir)).rpartition("-")[2] or 13)
        return session_options(major * 10000, superuser=True)


def literal(text: str) -> str:
    """A string of SQL, whatever is in it."""
    if "\\" in text:
        return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + text.replace("'", "''") + "'"


def member_at(data: str, unit: str | None = None) -> Member:
    """The member in a data directory; MemberError where there is none."""
    path = os.path.realpath(data)
    try:
        owner = pwd.getpwuid(os.stat(os.path.join(path, "PG_VERSION")).st_uid).pw_name
    except (FileNotFoundError, NotADirectoryError):
        raise MemberError(f"{data} is no data directory of PostgreSQL: it has no PG_VERSION") from None
    except (OSError, KeyError) as exc:
        raise MemberError(f"{data} cannot be read: {exc}") from exc
    prefix = as_user(owner) if os.geteuid() == 0 else ()
    return Member(Cluster(path, programs_of(path), prefix, unit or unit_of(path)), owner)


def find(port: int, data: str | None) -> str | None:
    """The data directory of the server with this port: of one that runs, else of one that is configured."""
    if data is not None:
        return data if os.path.exists(os.path.join(data, "PG_VERSION")) else None
    running = [path for path, at in _running() if at == port]
    configured = [path for path, at in _configured() if at == port]
    found = sorted({os.path.realpath(path) for path in running or configured})
    if len(found) > 1:
        raise MemberError(f"{' and '.join(found)} both have port {port}: say which one is meant by 'data'")
    return found[0] if found else None


def _running() -> Iterator[tuple[str, int]]:
    """Directory and port of each server that runs here: it works in its data directory."""
    for pid in pids():
        with suppress(*GONE, PermissionError, ValueError, IndexError):
            folder = _works_in(pid)
            with open(os.path.join(folder, "postmaster.pid"), encoding="utf-8") as stream:
                lines = stream.read().split("\n")
            if int(lines[0]) == pid:
                yield lines[1], int(lines[3])


def _works_in(pid: int) -> str:
    path = f"/proc/{pid}/cwd"
    try:
        return os.readlink(path)
    except PermissionError:
        # Root in a container may lack the right to look at others, and the owner may look.
        owner = os.stat(f"/proc/{pid}")
        with seen_by(owner.st_uid, owner.st_gid):
            return os.readlink(path)


def _configured() -> Iterator[tuple[str, int]]:
    for path in sorted(glob(_DEBIAN)):
        text = _read(path)
        data = _DATA.search(text)
        if data and os.path.exists(os.path.join(data[1], "PG_VERSION")):
            folder = os.path.dirname(path)
            texts = [text, *map(_read, sorted(glob(os.path.join(folder, "conf.d", "*.conf"))))]
            yield data[1], _port([*texts, _read(os.path.join(data[1], "postgresql.auto.conf"))])
    for place in _PLACES:
        for folder in sorted(glob(place)):
            # Debian's clusters have theirs elsewhere; Patroni's have it here.
            if all(os.path.exists(os.path.join(folder, name)) for name in ("PG_VERSION", "postgresql.conf")):
                names = ("postgresql.conf", "postgresql.auto.conf")
                yield folder, _port([_read(os.path.join(folder, name)) for name in names])


def _port(texts: list[str]) -> int:
    """The last line applies."""
    said = [number for text in texts for number in _PORT.findall(text)]
    return int(said[-1]) if said else 5432


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def write_owned(member: Member, path: str, text: str | bytes) -> None:
    """A file of mode 0600 of the member's owner: a base backup fails at one that the server cannot read."""
    write_atomic(path, text)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(member.owner)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def newest_timeline(data: str) -> int | None:
    """The newest timeline of which there is WAL in a data directory."""
    try:
        names = [name for name in os.listdir(os.path.join(data, "pg_wal")) if _SEGMENT.fullmatch(name)]
    except OSError:
        return None
    return max((int(name[:8], 16) for name in names), default=None)


def readiness(member: Member, limit: float = 5.0) -> int:
    """What pg_isready says of the server's own socket: 0 it takes sessions, 1 it refuses them, 2 it is silent.

    Its words would be in the language of the server.
    """
    found = member.cluster.running()
    if found is None:
        return 2
    return is_ready(member.cluster.bin_dir, found.host, found.port, limit)


def is_ready(bin_dir: str, host: str, port: int, limit: float) -> int:
    argv = [os.path.join(bin_dir, "pg_isready"), "-q", "-h", host, "-p", str(port), "-t", f"{max(1, limit):.0f}"]
    return run(argv).code


def is_stopped_by_signal(pid: int) -> bool:
    """Whether a process is held by SIGSTOP: its sockets take connections, and nobody answers."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False
