# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup set says of itself (`manifest.json`, immutable) and what was found of it since (`state.json`). Pure.

The fields are described in docs/backup.md. Times are RFC 3339 in UTC, sizes are bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

SCHEMA_VERSION = "1.0"
_MAJOR = SCHEMA_VERSION.partition(".")[0]
MANIFEST, STATE = "manifest.json", "state.json"
_SAFE_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SEAL = "digest"
# Verdicts in a state.
_REMEMBERED = 20
# Files that a sentence names.
_NAMED = 3


class ManifestError(Day2Error):
    """A manifest or a state that cannot be taken; the message says what is wrong with it."""


@dataclass(frozen=True)
class StoredFile:
    """One file of a set as it lies in the repository.

    `role` is globals, main (everything of a database but the data of its largest tables), data (that of one table)
    or archive (files). `bytes` and `sha256` are of what is stored.
    """

    path: str
    role: str
    bytes: int
    sha256: str
    compression: str = "zstd"
    encrypted: bool = False
    database: str | None = None
    table: str | None = None


@dataclass
class Manifest:
    """A set. `time` is when its snapshot was taken, POSIX seconds; `sequence` the order in which sets were made."""

    id: str
    kind: str
    series: str
    sequence: int
    time: float
    finished: float
    files: list[StoredFile]
    recipients: list[str] = field(default_factory=list)
    run_id: str | None = None
    # What is peculiar to the kind: server, tools, databases with their rows; or paths.
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def encrypted(self) -> bool:
        return bool(self.recipients)

    @property
    def contents(self) -> Contents:
        """Of which databases or paths it is."""
        entries = [("name", entry) for entry in self._entries("databases")]
        entries += [("path", entry) for entry in self._entries("paths")]
        names = frozenset(str(entry[key]) for key, entry in entries if entry.get(key))
        return Contents(names, self.about.get("all_databases") is True)

    @property
    def origin(self) -> str | None:
        """The cluster (its system identifier) or the host that it is of; None where that is not known."""
        server = self.about.get("server")
        found = server.get("system_identifier") if isinstance(server, Mapping) else self.about.get("host")
        return str(found) if found else None

    def _entries(self, kind: str) -> list[Mapping[str, Any]]:
        found = self.about.get(kind)
        return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []

    @property
    def size(self) -> int:
        """Bytes of all its files as they are stored."""
        return sum(stored.bytes for stored in self.files)

    def render(self) -> bytes:
        record: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "id": self.id,
            "kind": self.kind,
            "series": self.series,
            "sequence": self.sequence,
            "started": rfc3339_ms(self.time),
            "finished": rfc3339_ms(self.finished),
            "run_id": self.run_id,
            "recipients": self.recipients,
            **self.about,
            "files": [asdict(stored) for stored in self.files],
        }
        return _encoded(json.dumps(_sealed(record), ensure_ascii=False, indent=1))


@dataclass
class State:
    """Verdicts of a set, the newest of each kind: times are POSIX seconds."""

    # none, digest (the repository gives back what was written) or read (it also decrypts, decompresses and parses).
    verified: str = "none"
    verified_at: float | None = None
    # When a restore of it was proven, and what it took.
    proven_at: float | None = None
    proven: dict[str, Any] = field(default_factory=dict)
    # What is wrong with it, once something was found.
    damaged: str | None = None
    # Verdicts of damage and those that took them back, oldest first: at, found (damaged, lost, whole), by, why.
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """The repository has given back what was written."""
        return self.verified in ("digest", "read") and self.damaged is None

    @property
    def good(self) -> bool:
        """It was read to its end, or restored: what has only its digests may still be a file that no key opens."""
        return (self.verified == "read" or self.proven_at is not None) and self.damaged is None

    def found_damaged(self, why: str, at: float, by: str) -> State:
        return replace(self, damaged=why, history=self._and("damaged", at, by, why))

    @property
    def lost(self) -> bool:
        """The damage is what a listing showed, so that it is over when another one shows the files again."""
        return self.damaged is not None and bool(self.history) and self.history[-1].get("found") == "lost"

    def found_lost(self, why: str, at: float, by: str) -> State:
        """By a listing. A damage that somebody read stands: no listing takes it back."""
        if self.damaged is not None and not self.lost:
            return self
        return replace(self, damaged=why, history=self._and("lost", at, by, why))

    def without_loss(self) -> State:
        """What is known where all files are there: a damage of other kinds stands."""
        return replace(self, damaged=None) if self.lost else self

    def found_whole(self, at: float, by: str, **verdict: Any) -> State:
        """It was read or restored whole: an earlier verdict of damage is history. `verdict` are fields of this."""
        history = self.history if self.damaged is None else self._and("whole", at, by, None)
        return replace(self, damaged=None, history=history, **verdict)

    def _and(self, found: str, at: float, by: str, why: str | None) -> list[dict[str, Any]]:
        return [*self.history, {"at": rfc3339_ms(at), "found": found, "by": by, "why": why}][-_REMEMBERED:]

    def render(self) -> bytes:
        return _encoded(json.dumps(_sealed({"schema_version": SCHEMA_VERSION, **asdict(self)}), ensure_ascii=False))


def lost(manifest: Manifest, listed: Mapping[str, int]) -> str | None:
    """What a listing (bytes by path) shows of a set that is not as it was written; None: each file has its size."""
    faults = []
    for stored in manifest.files:
        size = listed.get(stored.path)
        if size is None:
            faults.append(f"{stored.path} is missing")
        elif size < stored.bytes:
            faults.append(f"{stored.path} has {size:,} of {stored.bytes:,} bytes")
        elif size > stored.bytes:
            faults.append(f"{stored.path} has {size:,} bytes, and {stored.bytes:,} were written")
    more = f"; and {len(faults) - _NAMED} more files" if len(faults) > _NAMED else ""
    return "; ".join(faults[:_NAMED]) + more if faults else None


def _record(text: bytes, what: str) -> Mapping[str, Any]:
    try:
        record = json.loads(text)
        digest = _digest(record) if isinstance(record, dict) else ""
    except (ValueError, RecursionError) as exc:
        raise ManifestError(f"its {what} is no JSON: {exc}") from exc
    if not isinstance(record, dict):
        raise ManifestError(f"its {what} is no object")
    version = str(record.get("schema_version"))
    if version.partition(".")[0] != _MAJOR:
        raise ManifestError(f"its {what} follows schema {version}; this release knows {SCHEMA_VERSION}")
    if record.get(_SEAL) != digest:
        raise ManifestError(f"its {what} is not what was written: its own digest differs")
    return record


def _encoded(text: str) -> bytes:
    """JSON in UTF-8. Bytes of names that are no text stay what they are: half a character's escape of JSON."""
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _sealed(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, _SEAL: _digest(record)}


def _digest(record: Mapping[str, Any]) -> str:
    """Of all fields but itself, however they are laid out: a flipped bit in a number of rows shows as well."""
    fields = {name: value for name, value in record.items() if name != _SEAL}
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True, sort_keys=True).encode()).hexdigest()


def _take(record: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = record.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ManifestError(f"its manifest has no {name} that could be used")
    return value


def _moment(record: Mapping[str, Any], name: str) -> float:
    text = _take(record, name, str)
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError as exc:
        raise ManifestError(f"its manifest says {name} {text!r}, which is no time") from exc


_KNOWN = (
    "schema_version", "id", "kind", "series", "sequence", "started", "finished", "run_id", "recipients", "files", _SEAL,
)  # fmt: skip


def parse_manifest(text: bytes) -> Manifest:
    """A manifest that was rendered; ManifestError names what is wrong. No path of it can leave its set."""
    record = _record(text, "manifest")
    files = [_file(entry) for entry in _take(record, "files", list)]
    if len({stored.path for stored in files}) != len(files):
        raise ManifestError("its manifest names a file twice")
    run_id = record.get("run_id")
    return Manifest(
        id=_take(record, "id", str),
        kind=_take(record, "kind", str),
        series=_take(record, "series", str),
        sequence=_take(record, "sequence", int),
        time=_moment(record, "started"),
        finished=_moment(record, "finished"),
        files=files,
        recipients=[str(recipient) for recipient in _take(record, "recipients", list)],
        run_id=str(run_id) if run_id is not None else None,
        about={name: value for name, value in record.items() if name not in _KNOWN},
    )


def _file(entry: object) -> StoredFile:
    if not isinstance(entry, Mapping):
        raise ManifestError("its manifest has a file that is no object")
    path = _take(entry, "path", str)
    if not _SAFE_PATH.fullmatch(path) or ".." in path.split("/") or path in (MANIFEST, STATE):
        raise ManifestError(f"its manifest names the file {path!r}, which is no name of a file of a set")
    digest = _take(entry, "sha256", str)
    if not _SHA256.fullmatch(digest):
        raise ManifestError(f"its manifest has no SHA-256 of {path}")
    database, table = entry.get("database"), entry.get("table")
    return StoredFile(
        path=path,
        role=_take(entry, "role", str),
        bytes=_take(entry, "bytes", int),
        sha256=digest,
        compression=_take(entry, "compression", str),
        encrypted=entry.get("encrypted") is True,
        database=str(database) if database is not None else None,
        table=str(table) if table is not None else None,
    )


def parse_state(text: bytes | None) -> State:
    """A state that was rendered. None, when nothing was ever found of the set, is a fresh one."""
    if text is None:
        return State()
    record = _record(text, "state")
    verified = record.get("verified")
    proven = record.get("proven")
    return State(
        verified=verified if verified in ("none", "digest", "read") else "none",
        verified_at=_number(record.get("verified_at")),
        proven_at=_number(record.get("proven_at")),
        proven=dict(proven) if isinstance(proven, Mapping) else {},
        damaged=str(record["damaged"]) if record.get("damaged") else None,
        history=[dict(verdict) for verdict in record.get("history") or [] if isinstance(verdict, Mapping)],
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
