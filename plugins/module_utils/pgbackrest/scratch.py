# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A scratch cluster: a separate restore without network or outgoing connections.

It listens on a socket in its own directory only, archives nothing, runs no subscription, no preloaded library (no cron)
and no autovacuum, and does not wait for standbys of the original.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
from dataclasses import dataclass
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.drill.isolation import ISOLATED
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster

MARKER = "day2-scratch.json"
# sockaddr_un has 108 bytes, one of them the end.
_SOCKET_MAX = 107
# Recovery is refused with smaller values than the original had (PostgreSQL, "Hot Standby").
_CONTROL = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


class ScratchError(Day2Error):
    """A directory that cannot be used for a scratch cluster, or does not have one."""


@dataclass(frozen=True)
class Scratch:
    """Its directory, which contains all of it, and the port number in its socket's name."""

    folder: str
    port: int
    user: str | None

    @property
    def data(self) -> str:
        return os.path.join(self.folder, "data")

    @property
    def tablespaces(self) -> str:
        return os.path.join(self.folder, "tablespaces")

    @property
    def log(self) -> str:
        return os.path.join(self.folder, "server.log")

    def describe(self) -> dict[str, object]:
        return {"directory": self.folder, "data_dir": self.data, "host": self.folder, "port": self.port}

    def check(self, live: str | None) -> None:
        """ScratchError for a directory that is not empty, or that belongs to the live cluster."""
        if not os.path.isabs(self.folder) or self.folder == "/":
            raise ScratchError(f"'scratch_cluster' is {self.folder}, not an absolute path of a directory of its own")
        socket = os.path.join(self.folder, f".s.PGSQL.{self.port}")
        if len(socket.encode()) > _SOCKET_MAX:
            raise ScratchError(
                f"'scratch_cluster' is too long a path for a socket ({len(socket.encode())} of {_SOCKET_MAX} bytes)"
            )
        mine = os.path.realpath(self.folder)
        other = os.path.realpath(live) if live else None
        if other and (os.path.commonpath([mine, other]) in (mine, other)):
            raise ScratchError(f"'scratch_cluster' {self.folder} is in or over the cluster's own directory {live}")
        if os.path.exists(self.folder) and (not os.path.isdir(self.folder) or os.listdir(self.folder)):
            known = " It holds a scratch cluster: 'scratch_state' absent removes it." if is_scratch(self.folder) else ""
            raise ScratchError(f"'scratch_cluster' {self.folder} is not empty.{known}")

    def prepare(self, about: Mapping[str, object]) -> None:
        """Create its directories, not accessible to others, and the marker without which it is never removed."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        os.chmod(self.folder, 0o700)
        with open(os.path.join(self.folder, MARKER), "w", encoding="utf-8") as stream:
            json.dump({**about, "port": self.port}, stream)
        for path in (self.data, self.tablespaces):
            os.mkdir(path, 0o700)
        self._own(self.folder, self.data, self.tablespaces)

    def configure(self, control: Mapping[str, str], more: Mapping[str, object]) -> None:
        """Write settings after those of the backup; the last one of a name applies."""
        hba, ident = os.path.join(self.folder, "pg_hba.conf"), os.path.join(self.folder, "pg_ident.conf")
        settings: dict[str, object] = {
            **ISOLATED,
            **{name: control[key] for name, key in _CONTROL.items() if key in control},
            "port": self.port,
            "unix_socket_directories": self.folder,
            "hba_file": hba,
            "ident_file": ident,
            **more,
        }
        # Only the owner and root can reach the socket.
        self._write(hba, "local all all trust\n")
        self._write(ident, "")
        self._write(os.path.join(self.data, "postgresql.conf"), "")
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a", encoding="utf-8") as stream:
            stream.write("\n# The isolation of a scratch cluster\n" + "".join(lines))

    def _write(self, path: str, text: str) -> None:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(path, 0o600)
        self._own(path)

    def _own(self, *paths: str) -> None:
        if os.geteuid() == 0 and self.user:
            entry = pwd.getpwnam(self.user)
            for path in paths:
                os.chown(path, entry.pw_uid, entry.pw_gid)


def _quoted(value: object) -> str:
    text = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    if "\n" in text:
        raise ScratchError("'scratch_settings': a value has a line break")
    return text.replace("'", "''")


def is_scratch(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, MARKER))


def discard(cluster: Cluster, folder: str, check_mode: bool = False) -> bool:
    """Stop and remove a scratch cluster, and nothing else. Returns whether there was one."""
    if not os.path.lexists(folder):
        return False
    if not is_scratch(folder):
        raise ScratchError(f"{folder} is no scratch cluster of this module (it has no {MARKER}): it was not touched")
    if os.stat(folder).st_uid not in (os.geteuid(), os.stat(os.path.join(folder, MARKER)).st_uid):
        raise ScratchError(f"{folder} is another user's: it was not touched")
    if not check_mode:
        cluster.stop()
        shutil.rmtree(folder)
    return True
