# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a drill. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login


@dataclass(frozen=True)
class Targets:
    """RTO and RPO in seconds; None: there is no target."""

    rto: float | None = None
    rpo: float | None = None


@dataclass(frozen=True)
class Expectation:
    """A query of the site (one column, one row) and the expected answer, as psql would print it."""

    query: str
    result: str
    title: str = ""

    @property
    def called(self) -> str:
        return self.title or self.query


@dataclass(frozen=True)
class Drill:
    """Options of a run of drills. Times are seconds, sizes bytes; `login` None: a scratch cluster."""

    database: str
    jobs: int
    scratch: str
    login: Login | None = None
    identity: str | None = None
    bin_dir: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    expectations: Sequence[Expectation] = ()
    amcheck: bool = True
    newest_row: str | None = None
    targets: Targets = field(default_factory=Targets)
    most: int = 1
    time_budget: float = 3600.0
    disk_budget: int | None = None
    source: str | None = None
    timeout: float | None = None
    # As Allowed.extensions.
    allow_extensions: bool = False
