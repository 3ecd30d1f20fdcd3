# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What whoever makes a set hands over to the run that publishes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile


@dataclass(frozen=True)
class Made:
    """Files of a set and what its manifest says about them.

    `taken` is when the state was true that they hold (POSIX seconds); None: when the run began.
    """

    files: list[StoredFile]
    about: dict[str, Any]
    taken: float | None = None
    warnings: list[str] = field(default_factory=list)
