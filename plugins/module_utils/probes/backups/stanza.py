# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pgBackRest's backups of a stanza."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.file_sets.dated_files import BackupFile
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import open_client
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import parse_info
from ansible_collections.day2.ops.plugins.module_utils.probes.backup import PROVEN, Kind, proven


def open_kind(args: Mapping[str, Any]) -> Kind:
    try:
        client = open_client(args["stanza"], args["pgbackrest_config"], args["pgbackrest_repo"])
        stanza = parse_info(client.ask("info", f"--repo={client.repo}"), client.stanza, client.repo)
    except Day2Error as exc:
        if isinstance(exc.__cause__, PermissionError):
            raise NeedsRoot(f"pgBackRest's configuration of stanza '{args['stanza']}' cannot be read") from None
        raise Undetermined(str(exc)) from None
    usable = list(reversed(stanza.usable))
    moments = [backup.proven for backup in usable if backup.proven is not None]
    files = [BackupFile(backup.label, backup.stop, backup.size) for backup in usable]
    return Backups(files, max(moments, default=None))


@dataclass(frozen=True)
class Backups(Kind):
    """Those of a stanza, and when one was proven last (POSIX seconds)."""

    proven: float | None

    def answer(self, args: Mapping[str, Any], metric: str, now: float) -> Observation | None:
        return proven(self.proven, now) if self.files and metric == PROVEN else None
