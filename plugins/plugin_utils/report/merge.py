# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One report of the reports of a run's parts. Files in, a report out; no ansible."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import (
    SCHEMA_VERSION,
    HostReport,
    Report,
    Run,
    parse_time,
)
from ansible_collections.day2.ops.plugins.plugin_utils.report.rows import read_row
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import plain

_FILE = "report.json"
_NEEDED = ("run_id", "title", "started", "finished", "hosts", "versions", "notes", "steps")
_EPOCH = datetime.fromtimestamp(0, timezone.utc)


class MergeError(Day2Error):
    """Reports that cannot be joined; the message names the file."""


@dataclass(frozen=True)
class Part:
    """The report of a part, as it was read."""

    path: Path
    document: Mapping[str, Any]

    @property
    def joined(self) -> bool:
        return self.document.get("joined") is True

    @property
    def finished(self) -> datetime:
        return parse_time(str(self.document["finished"])) or _EPOCH


def find(places: Sequence[Path], run_id: str) -> list[Part]:
    """The parts of a run among files, directories of reports, and directories of those; oldest first.

    A report that was joined already is no part.
    """
    parts: dict[Path, Part] = {}
    for place in places:
        for path in _files(place, run_id):
            part = read(path)
            if part.document["run_id"] == run_id and not part.joined:
                parts[path.resolve()] = part
    if not parts:
        raise MergeError(f"there is no report of run {run_id} in {', '.join(map(str, places))}")
    return sorted(parts.values(), key=lambda part: (part.finished, str(part.path)))


def _files(place: Path, run_id: str) -> Iterator[Path]:
    """A report that is named, or those below a directory whose own directory is named as this run's are.

    What another run left there, whole or not, or a part that is still being written, is not looked at.
    """
    if place.is_file():
        yield place
        return
    if not place.is_dir():
        raise MergeError(f"{place} is neither a report nor a directory of reports")
    if (place / _FILE).is_file():
        yield place / _FILE
    for folder in sorted(place.glob("*")) + sorted(place.glob("*/*")):
        named = folder.name == run_id or folder.name.startswith(f"{run_id}.")
        if named and not folder.is_symlink() and (folder / _FILE).is_file():
            yield folder / _FILE


def read(path: Path) -> Part:
    """A report; MergeError says what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MergeError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, Mapping) or "schema_version" not in document:
        raise MergeError(f"{path} is no report")
    version = str(document["schema_version"])
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise MergeError(f"{path} follows schema {version}; this release knows {SCHEMA_VERSION}")
    missing = [field for field in _NEEDED if field not in document]
    if missing or not isinstance(document["hosts"], list):
        raise MergeError(f"{path} has no '{missing[0] if missing else 'hosts'}' as schema {SCHEMA_VERSION} wants it")
    return Part(path, document)


def merge(parts: Sequence[Part], fail_on: str) -> Report:
    """One report of parts, oldest first. Of a host in several parts the last one counts, and a note says so."""
    last = parts[-1].document
    for part in parts:
        for field in ("title", "cadence"):
            if part.document.get(field) != last.get(field):
                raise MergeError(
                    f"{part.path} and {parts[-1].path} are of one run and have another {field}:"
                    f" '{part.document.get(field)}' and '{last.get(field)}'"
                )
    hosts: dict[str, HostReport] = {}
    steps: dict[str, list[dict[str, Any]]] = {}
    notes: dict[str, None] = {}
    for part in parts:
        notes.update((plain(note), None) for note in part.document["notes"])
        for raw in part.document["hosts"]:
            host = _host(part, raw)
            if host.host in hosts:
                notes[f"{host.host} is in several parts; the last one counts"] = None
            hosts[host.host] = host
            steps[host.host] = _steps(part, host.host)
    systems = dict.fromkeys(name for part in parts for name in plain(part.document.get("system") or "").split(", "))
    run = Run(
        run_id=plain(last["run_id"]),
        title=plain(last["title"]),
        system=", ".join(name for name in systems if name),
        cadence=plain(last["cadence"]) if last.get("cadence") else None,
        fail_on=fail_on,
        versions={plain(name): plain(version) for name, version in last["versions"].items()},
        joined=True,
    )
    started = min(parse_time(str(part.document["started"])) or part.finished for part in parts)
    in_order = sorted((step for taken in steps.values() for step in taken), key=lambda step: str(step["started"]))
    return Report(run, list(hosts.values()), started, parts[-1].finished, in_order, list(notes))


def _steps(part: Part, host: str) -> list[dict[str, Any]]:
    """The steps that a part has of a host."""
    found = [step for step in part.document["steps"] if isinstance(step, Mapping) and step.get("host") == host]
    return [{"host": host, **_row(step, part.finished).to_dict()} for step in found]


def _host(part: Part, raw: object) -> HostReport:
    if not isinstance(raw, Mapping) or not raw.get("host") or not isinstance(raw.get("results"), list):
        raise MergeError(f"{part.path} has a host without a name or results")
    rows = [_row(row, part.finished) for row in raw["results"]]
    if not rows:
        raise MergeError(f"{part.path} has no result of {plain(raw['host'])}")
    refused = plain(raw["refused"]) if raw.get("refused") else None
    duration = raw.get("duration")
    return HostReport(
        plain(raw["host"]),
        rows,
        float(duration) if isinstance(duration, (int, float)) else 0.0,
        raw.get("reachable") is not False,
        refused,
    )


def _row(raw: object, now: datetime) -> Result:
    row = read_row(raw, now)
    if not isinstance(raw, Mapping):
        return row
    known, curves = raw.get("acknowledged"), raw.get("curves")
    return replace(
        row,
        acknowledged={plain(k): plain(v) for k, v in known.items()} if isinstance(known, Mapping) else None,
        curves=list(curves) if isinstance(curves, list) else None,
    )
