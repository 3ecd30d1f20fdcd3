# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be put into maintenance. A target surveys, enters and leaves; what leaving needs is in its record."""

from __future__ import annotations

from typing import Any, Mapping, Protocol

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

Record = dict[str, Any]
# ActiveState of units that a stop or restart finds running.
RUNNING = ("active", "activating", "reloading", "refreshing")


class TargetError(Day2Error):
    """A target that does not do what it should; the message names the part and what it said."""


class Target(Protocol):
    """One kind of thing. Leaving has to work from any point between survey and entered, and twice."""

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        """What is now, and whether it could enter; TargetError when it could not. It changes nothing."""

    def steps(self, record: Record) -> list[str]:
        """What entering does, in words."""

    def enter(self, record: Record) -> None:
        """Do it; what leaving has to know besides goes into the record."""

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        """What somebody else asks for beside what was entered, in words."""

    def prolong(self, record: Record, until: float) -> bool:
        """The end has moved; whether something was changed (in the record too)."""

    def leave(self, record: Record) -> None:
        """Back to what the survey saw."""
