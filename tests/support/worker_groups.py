# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tests one worker takes together. pytest-xdist's `loadgroup` does nothing with pytest 9.2; this is its base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdist.scheduler import LoadScopeScheduling


class ByGroup(LoadScopeScheduling):
    """Tests of one group, by a function of their node ids, go to one worker one after the other."""

    def __init__(self, config: Any, log: Any, group: Callable[[str], str]) -> None:
        super().__init__(config, log)
        self._group = group

    def _split_scope(self, nodeid: str) -> str:
        return self._group(nodeid)
