# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of backups without a server: sets of bytes in repositories in memory, by a clock that tests set."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.made import Made
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import State, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import Make, Plan, run
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository
from memory_repository import Memory

HOUR = 3600.0
DAY = 24 * HOUR
# 2026-01-31 02:00:00 UTC
NIGHT = 1769824800.0
APP = Contents(frozenset(["/srv/app"]))
# Encrypted, and no key here: what is given back is compared with what was written, without a program.
PLAN = Plan("files", "app", Policy(), recipients=["age1"], contents=APP, origin="host-1")


class Clock:
    """The time of this host."""

    def __init__(self) -> None:
        self.now = NIGHT


def stored(path: str, content: bytes) -> StoredFile:
    return StoredFile(path, "archive", len(content), hashlib.sha256(content).hexdigest(), encrypted=True)


def maker(content: bytes = b"rows", paths: tuple[str, ...] = ("/srv/app",), origin: str = "host-1") -> Make:
    """What makes a set of two files."""

    def make(repository: Repository, folder: str) -> Made:
        files = []
        for number in (1, 2):
            with repository.writer(f"{folder}/{number}.age") as writer:
                writer.write(content)
                writer.commit()
            files.append(stored(f"{number}.age", content))
        return Made(files, {"paths": [{"path": path} for path in paths], "host": origin})

    return make


def nights(repository: Memory, clock: Clock, count: int, copy: Memory | None = None) -> list[str]:
    """Sets of this many nights; their ids, oldest first."""
    for _night in range(count):
        run(PLAN, repository, copy, maker())
        clock.now += DAY
    return ids(repository)[::-1]


def ids(repository: Memory) -> list[str]:
    return [backup_set.manifest.id for backup_set in sets.load(repository, "app").sets]


def state(repository: Memory, name: str) -> State:
    return next(found.state for found in sets.load(repository, "app").sets if found.manifest.id == name)


def mark(repository: Memory, name: str, **verdict: Any) -> None:
    (found,) = (found for found in sets.load(repository, "app").sets if found.manifest.id == name)
    found.state = replace(found.state, **verdict)
    sets.save_state(repository, found)


def whole(repository: Memory) -> None:
    """Every set that is published has all that was written."""
    for found in sets.load(repository, "app").sets:
        for file in found.manifest.files:
            content = repository.files[f"app/{found.manifest.id}/{file.path}"]
            assert hashlib.sha256(content).hexdigest() == file.sha256
