# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup files of a shell pattern."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.file_sets.dated_files import BackupFile, fault, find
from ansible_collections.day2.ops.plugins.module_utils.probes.backup import Kind, within


def open_kind(args: Mapping[str, Any]) -> Kind:
    # A directory that may not be read looks empty to glob.
    folder = os.path.dirname(args["path"])
    while folder and not os.path.isdir(folder) and any(mark in folder for mark in "*?["):
        folder = os.path.dirname(folder)
    try:
        os.listdir(folder)
        return Files(find(args["path"]))
    except PermissionError:
        raise NeedsRoot(f"{folder} cannot be read") from None
    except FileNotFoundError:
        # No backup lies where none can.
        return Files([])
    except OSError as exc:
        raise Undetermined(f"{folder}: {exc.strerror}") from exc


class Files(Kind):
    """Files that are read to their end when asked."""

    def answer(self, args: Mapping[str, Any], metric: str, now: float) -> Observation | None:
        files = within(self.files, args["since"], now)
        if metric != "unreadable" or not files:
            return None
        return _read_whole(files[: args["last"]] if args["since"] is None else files)


def _read_whole(files: list[BackupFile]) -> Observation:
    try:
        faults = {backup.path: fault(backup.path) for backup in files}
    except PermissionError as exc:
        raise NeedsRoot(f"{exc.filename} cannot be read") from None
    bad = [f"{path} {wrong}" for path, wrong in faults.items() if wrong is not None]
    text = f"{len(files) - len(bad)} of {len(files)} backups read to their end"
    evidence = bad + [f"{path} reads" for path, wrong in faults.items() if wrong is None]
    wrong = "all should" if bad else None
    return Observation(len(bad), text, evidence=evidence, unexpected=wrong)
