# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be put into maintenance. A target surveys, enters and leaves; what leaving needs is in its record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Callable, ClassVar, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import mask, printable
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

Record = dict[str, Any]


class OptionError(Day2Error):
    """An option of a target that cannot be meant; the message names it."""


class TargetError(Day2Error):
    """A target that does not do what it should; the message names the part and what it said.

    It is kept in a file that everybody reads, and shown on terminals: secrets are masked, control characters escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(mask(message)))


class Target(ABC):
    """One kind of thing. Leaving has to work from any point between survey and entered, and twice."""

    # What it means for people that it is entered, as `day2ctl maintenance status` says it.
    meaning: ClassVar[str]
    # The options of module maintenance_mode that are its own, as an argument spec.
    options: ClassVar[Mapping[str, Mapping[str, Any]]]
    # Whether others than this host can end it, so that each tick of the timer calls `prolong`.
    watched: ClassVar[bool] = False
    # Whether its record says how things were before, so that who enters it again half way goes on with that record.
    remembers: ClassVar[bool] = False

    def __init__(self, service: str, flag: str) -> None:
        """For one service; `flag` is a file that this target has for itself while it is entered."""
        self._service, self._flag = service, flag

    @classmethod
    @abstractmethod
    def config(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the module's parameters ask of it; OptionError when they cannot be meant."""

    @classmethod
    def addresses(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """Addresses that may have credentials, by the options' names; of parameters that may still be malformed."""
        return {}

    @classmethod
    def commands(cls, params: Mapping[str, Any]) -> list[list[str]]:
        """Commands whose words may be secrets; of parameters that may still be malformed."""
        return []

    @abstractmethod
    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        """What is now, and whether it could enter; TargetError when it could not. It changes nothing."""

    @abstractmethod
    def steps(self, record: Record) -> list[str]:
        """What entering does, in words."""

    @abstractmethod
    def enter(self, record: Record) -> list[str]:
        """Do it and return what was done, in words. What leaving has to know besides goes into the record.

        A record with `unmet` (why) is one whose owner is content without it; the timer goes on trying. One with
        `unproven` (why) is in effect as far as anybody knows.
        """

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        """What somebody else asks for beside what was entered, in words."""
        return None

    def prolong(self, record: Record, until: float) -> str | None:
        """See that it is in effect until then (POSIX seconds of this host); what was done about it, in words."""
        return None

    @abstractmethod
    def leave(self, record: Record) -> None:
        """Back to what the survey saw."""

    def boot(self) -> None:
        """It is wanted no more, and the host comes up: what would start by itself is not kept from it."""
        return

    @abstractmethod
    def salvaged(self) -> list[str]:
        """What `salvage` would do, in words. The record is lost: what is left on the host is found by its names."""

    def salvage(self) -> list[str]:
        """Remove every trace without the record. Returns what did not come back, and where trying again is no help.

        TargetError: it has to be tried again.
        """
        return []


def mapping(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping of the parameters, empty where it is something else."""
    found = params.get(name)
    return found if isinstance(found, dict) else {}


def seconds(params: Mapping[str, Any], name: str, read: Callable[[object], float] = parse_duration) -> float | None:
    """A duration among the parameters, `web.drain` being that of a mapping; None where there is none."""
    *above, last = name.split(".")
    for key in above:
        params = mapping(params, key)
    if params.get(last) in (None, ""):
        return None
    try:
        return read(params[last])
    except QuantityError as exc:
        raise OptionError(f"'{name}': {exc}") from exc
