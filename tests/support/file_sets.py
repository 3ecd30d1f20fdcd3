# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets of files on this machine, as tests make them, and the ways to damage bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import Plan, run
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import KIND, Options, pack
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository

Damage = Callable[[bytes, random.Random], bytes]


def make_data(folder: Path, files: int = 5, size: int = 200_000) -> Path:
    """A directory of files: half of each is random, half compresses."""
    (folder / "in").mkdir(parents=True)
    chance = random.Random(1)
    for number in range(files):
        (folder / "in" / f"file {number} é").write_bytes(chance.randbytes(size) + b"x" * size)
    return folder


def plan(**about: Any) -> Plan:
    return Plan(**{"kind": KIND, "series": "files", "policy": Policy(), "jobs": 2, **about})


def backup(repository: Repository, data: Path, copy: Repository | None = None, **about: Any) -> dict[str, Any]:
    make = partial(pack, Options([str(data)], recipients=about.get("recipients", ())))
    return run(plan(**about), repository, copy, make)


def as_given(repository: Any) -> dict[str, Any]:
    """A repository as a task or a check names it: a mapping, whatever kind it is."""
    options = dict(getattr(repository, "_options", {}))
    server = getattr(repository, "_server", None)
    if server is not None:
        options = {"key_file": server.key_file, "known_hosts": server.known_hosts}
    return {"url": repository.name, **{name: value for name, value in options.items() if value is not None}}


def only(repository: Repository) -> sets.BackupSet:
    (found,) = sets.load(repository, "files").sets
    return found


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flipped(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]


def grown(content: bytes, chance: random.Random) -> bytes:
    return content + chance.randbytes(1)


def swapped(content: bytes, chance: random.Random) -> bytes:
    half = len(content) // 2
    return content[half:] + content[:half]


def odd(inner: Repository, **calls: Callable[..., Any]) -> Any:
    """A repository that does something else with one call."""
    return _Odd(inner, **calls)


class _Odd:
    def __init__(self, inner: Repository, **calls: Callable[..., Any]) -> None:
        self._inner, self._calls = inner, calls
        self.name = inner.name

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name, getattr(self._inner, name))
