# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a lab host: dumps a database into a repository that hangs at the first rows of a large table.

Arguments: the database, the directory of the repository, a folder for signals, the lock limit in seconds. `pid` there
is this process, `hangs` appears when the repository does, and it goes on when `free` appears. The result is JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup import postgresql
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Writer
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository


class Hanging:
    """A repository like any other, but for the rows of large tables."""

    def __init__(self, place: str, signals: Path) -> None:
        self._repository, self._signals = open_repository(place), signals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    @contextmanager
    def writer(self, key: str) -> Iterator[Writer]:
        with self._repository.writer(key) as writer:
            if "/data" in key:
                (self._signals / "hangs").touch()
                while not (self._signals / "free").exists():
                    time.sleep(0.1)
            yield writer


def main(database: str, place: str, signals: str, limit: str) -> None:
    (Path(signals) / "pid").write_text(str(os.getpid()))
    options = postgresql.Options([database], jobs=1, split_bytes=1 << 20, lock_timeout=float(limit))
    made = postgresql.dump(Login(), options, Hanging(place, Path(signals)), "postgresql/hanging")
    json.dump({"warnings": made.warnings, "rows": made.about["databases"][0]["rows"]}, sys.stdout)


main(*sys.argv[1:])
