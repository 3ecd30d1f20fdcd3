# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is kept of a log, how long and how: one policy a log, in a file of root's on its host."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    ROOT_ONLY,
    Trust,
    check_directory,
    make_directories,
    read_text,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    QuantityError,
    Unit,
    convert,
    parse_quantity,
)

# Where policies are, and where it is remembered what became of the logs.
POLICIES, STATE = "/etc/day2/logs", "/var/lib/day2/logs"
SCHEMA = 1
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_DAY, _GB = 86400.0, 10**9

# Who renames the file that is written to: logrotate, or the writer itself (PostgreSQL's logging collector).
LOGROTATE, WRITER = "logrotate", "writer"


class LogPolicyError(Day2Error):
    """A policy that cannot be meant or read; the message names the log, and the field or the file."""


@dataclass(frozen=True)
class LogClass:
    """What a class of logs is kept like: seconds since the rotation, and bytes of all logs of the class together.

    What is `sealed` is in a chain of digests, is encrypted, and goes by its age alone.
    """

    max_age: float
    max_size: int
    sealed: bool = False


# As the manual of entasis has them: EN-L01, EN-L02, EN-L03.
CLASSES: Mapping[str, LogClass] = {
    "application": LogClass(30 * _DAY, 10 * _GB),
    "system": LogClass(90 * _DAY, 50 * _GB),
    "audit": LogClass(365 * _DAY, 100 * _GB, sealed=True),
}


@dataclass(frozen=True)
class Hold:
    """Files that stay whatever their age, by a shell pattern of their names, until a day (POSIX seconds)."""

    pattern: str
    until: float
    reason: str


@dataclass(frozen=True)
class Policy:
    """Of one log. `paths` are absolute, with shell patterns; `reopen` is the command that has the writer reopen it."""

    name: str
    log_class: str
    paths: tuple[str, ...]
    max_age: float
    max_size: int
    reopen: tuple[str, ...] = ()
    renamed_by: str = LOGROTATE
    encrypt_to: tuple[str, ...] = ()
    level: int = 3
    # A repository (its address, or a mapping of it), and the host's name there; empty: its own.
    copy_to: Any = None
    host: str = ""
    holds: tuple[Hold, ...] = field(default_factory=tuple)

    @property
    def sealed(self) -> bool:
        return CLASSES[self.log_class].sealed

    def hold_on(self, path: str, now: float) -> Hold | None:
        """What keeps a file beyond its age. A pattern with a slash is one of whole paths."""
        name = os.path.basename(path)
        return next(
            (
                hold
                for hold in self.holds
                if hold.until > now and fnmatchcase(path if "/" in hold.pattern else name, hold.pattern)
            ),
            None,
        )


def parse_name(name: str) -> str:
    """LogPolicyError where it cannot be a part of file names."""
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise LogPolicyError(f"'name' is {name!r}: small letters and digits, joined by '.', '_' or '-', at most 64")
    return name


def parse_size(field: str, value: object) -> int:
    """Bytes, of a text such as `10GB`. LogPolicyError names the field."""
    try:
        number, unit = parse_quantity(str(value))
        size = int(convert(number, unit, Unit("B", BYTES))) if unit is not None else 0
    except QuantityError as exc:
        raise LogPolicyError(f"'{field}': {exc}") from exc
    if unit is None:
        raise LogPolicyError(f"'{field}': {value} has no unit; write {value}GB, {value}MB or {value}B")
    if size < 1:
        raise LogPolicyError(f"'{field}': {value} is less than a byte")
    return size


def render(policy: Policy) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(policy)}, indent=1, sort_keys=True) + "\n"


def parse(text: str) -> Policy:
    """What `render` wrote. Raises ValueError, KeyError or TypeError."""
    values: dict[str, Any] = json.loads(text)
    if values.pop("schema") != SCHEMA or values["log_class"] not in CLASSES:
        raise ValueError("it is of another version")
    for name in ("paths", "reopen", "encrypt_to"):
        values[name] = tuple(values[name])
    values["holds"] = tuple(Hold(**hold) for hold in values["holds"])
    return Policy(**values)


class Policies:
    """All policies of a host. `load` reads one that root alone could have written."""

    def __init__(self, directory: str = POLICIES, trust: Trust = ROOT_ONLY) -> None:
        self.directory, self._trust = directory, trust

    def path(self, name: str) -> str:
        return os.path.join(self.directory, f"{parse_name(name)}.json")

    def names(self) -> list[str]:
        try:
            check_directory(self.directory, self._trust)
            found = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []
        return [name[:-5] for name in found if name.endswith(".json") and _NAME.fullmatch(name[:-5])]

    def load(self, name: str) -> Policy | None:
        """None where there is none; LogPolicyError, Untrusted or NeedsRoot where it cannot be used."""
        try:
            return parse(read_text(self.path(name), self._trust))
        except FileNotFoundError:
            return None
        except PermissionError:
            raise NeedsRoot(f"{self.path(name)} cannot be read: only root can") from None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise LogPolicyError(
                f"{self.path(name)} cannot be read ({exc}): run role log_management again, which writes it anew"
            ) from exc

    def get(self, name: str) -> Policy:
        """LogPolicyError where there is none."""
        policy = self.load(name)
        if policy is None:
            known = ", ".join(self.names()) or "none"
            raise LogPolicyError(f"there is no policy of a log '{name}' on this host; there are: {known}")
        return policy

    def all(self) -> list[Policy]:
        return [policy for name in self.names() for policy in [self.load(name)] if policy is not None]

    def save(self, policy: Policy) -> None:
        make_directories(self.directory, self._trust)
        write_atomic(self.path(policy.name), render(policy), 0o600)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.path(name))


def check_together(policy: Policy, others: Sequence[Policy]) -> None:
    """Refuse what contradicts the policies of other logs: the limit of a class is one for all of them."""
    for other in others:
        if other.name != policy.name and other.log_class == policy.log_class and other.max_size != policy.max_size:
            raise LogPolicyError(
                f"'max_size' of {policy.name} is {policy.max_size} bytes, and {other.name} of the same class"
                f" ({policy.log_class}) has {other.max_size}: it is the limit of the class, one for all of its logs"
            )
