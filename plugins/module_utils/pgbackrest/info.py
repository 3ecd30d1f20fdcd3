# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of a stanza from `pgbackrest info --output=json`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import TargetError, parse_time
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn, parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

# The annotation in which a drill stores its proof.
PROVEN = "day2-proven"


class InfoError(Day2Error):
    """A stanza that cannot be used, or an answer of another shape."""


class Kind(str, Enum):
    """How a backup refers to earlier ones; the values are pgBackRest's."""

    FULL = "full"
    DIFFERENTIAL = "diff"
    INCREMENTAL = "incr"

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Backup:
    """Times are POSIX seconds, sizes bytes. `size` is that of the database, `stored` what this one added."""

    label: str
    kind: Kind
    start: float
    stop: float
    start_lsn: int
    stop_lsn: int
    start_wal: str
    stop_wal: str
    size: int
    delta: int
    stored: int
    prior: str | None
    references: Sequence[str]
    error: bool
    database: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def timeline(self) -> int:
        return int(self.start_wal[:8], 16)

    @property
    def proven(self) -> float | None:
        """When a drill restored it, POSIX seconds; None for a value that no drill wrote."""
        try:
            return parse_time(self.annotations[PROVEN])
        except (KeyError, TargetError):
            return None

    def describe(self) -> dict[str, Any]:
        """For people and playbooks: times RFC 3339 in UTC, LSNs as PostgreSQL writes them."""
        return {
            "label": self.label,
            "type": self.kind.word,
            "started": rfc3339_ms(self.start),
            "stopped": rfc3339_ms(self.stop),
            "duration": round(self.stop - self.start, 3),
            "start_lsn": format_lsn(self.start_lsn),
            "stop_lsn": format_lsn(self.stop_lsn),
            "start_wal": self.start_wal,
            "stop_wal": self.stop_wal,
            "size": self.size,
            "delta": self.delta,
            "stored": self.stored,
            "prior": self.prior,
            "references": list(self.references),
            "error": self.error,
            "run_id": self.annotations.get("run-id"),
            "proven_at": self.annotations.get(PROVEN),
        }


@dataclass(frozen=True)
class Database:
    """A version of the cluster in the stanza; `archive` is the folder of its WAL, such as 15-1."""

    id: int
    version: str
    system_identifier: str
    archive: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


@dataclass(frozen=True)
class Stanza:
    """Backups from the oldest to the newest, of every version of the cluster."""

    name: str
    backups: Sequence[Backup]
    databases: Sequence[Database]
    cipher: str
    locked: bool

    @property
    def current(self) -> Database | None:
        """The cluster since its last upgrade."""
        return self.databases[-1] if self.databases else None

    @property
    def usable(self) -> list[Backup]:
        """Backups of the current cluster without page errors."""
        now = self.current
        return [backup for backup in self.backups if now and backup.database == now.id and not backup.error]


def parse_info(answer: Any, name: str, repo: int = 1) -> Stanza:
    """One stanza in one repository. InfoError for a bad status of the repository, whatever the exit status."""
    try:
        found = [stanza for stanza in answer if stanza["name"] == name]
        if not found:
            raise InfoError(f"there is no stanza '{name}' in the configuration or the repository")
        entry = found[0]
        _check_status(entry, repo)
        return Stanza(
            name=name,
            backups=sorted(
                (_backup(backup) for backup in entry["backup"] if backup["database"]["repo-key"] == repo),
                key=lambda backup: (backup.stop, backup.label),
            ),
            databases=_databases(entry, repo),
            cipher=str(entry.get("cipher", "none")),
            locked=bool(entry["status"].get("lock", {}).get("backup", {}).get("held", False)),
        )
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise InfoError(f"pgbackrest info answers in a shape that is not known: {exc!r}") from exc


# pgBackRest exits with 0 whatever it finds; the codes are its own (command/info).
_FINE, _NO_BACKUP = 0, 2
_MISSING = (1, 3)


def _check_status(entry: Mapping[str, Any], repo: int) -> None:
    status = next((repository["status"] for repository in entry["repo"] if repository["key"] == repo), None)
    if status is None:
        known = ", ".join(str(repository["key"]) for repository in entry["repo"])
        raise InfoError(f"'repo' is {repo}; the configuration has {known or 'none'}")
    code, words = int(status["code"]), str(status["message"])
    if code in (_FINE, _NO_BACKUP):
        return
    clean = "; ".join(line.strip() for line in words.split("\n") if line.strip().isprintable())
    hint = " (has stanza-create been run, and is this the right repository?)" if code in _MISSING else ""
    raise InfoError(f"the repository of stanza '{entry['name']}' cannot be used: {clean[:500]}{hint}")


def _databases(entry: Mapping[str, Any], repo: int) -> list[Database]:
    archives = {archive["database"]["id"]: str(archive["id"]) for archive in entry["archive"]}
    found = []
    for database in entry["db"]:
        if database.get("repo-key", repo) == repo:
            number = int(database["id"])
            version = str(database["version"])
            # Before anything was archived the directory is not listed; this is its name.
            archive = archives.get(number, f"{version}-{number}")
            found.append(Database(number, version, str(database["system-id"]), archive))
    return sorted(found, key=lambda database: database.id)


def _backup(raw: Mapping[str, Any]) -> Backup:
    return Backup(
        label=str(raw["label"]),
        kind=Kind(raw["type"]),
        start=float(raw["timestamp"]["start"]),
        stop=float(raw["timestamp"]["stop"]),
        start_lsn=parse_lsn(raw["lsn"]["start"]),
        stop_lsn=parse_lsn(raw["lsn"]["stop"]),
        start_wal=str(raw["archive"]["start"]),
        stop_wal=str(raw["archive"]["stop"]),
        size=int(raw["info"]["size"]),
        delta=int(raw["info"]["delta"]),
        stored=int(raw["info"]["repository"]["delta"]),
        prior=raw["prior"],
        references=tuple(raw["reference"] or ()),
        error=bool(raw["error"]),
        database=int(raw["database"]["id"]),
        annotations={str(name): str(value) for name, value in (raw.get("annotation") or {}).items()},
    )
