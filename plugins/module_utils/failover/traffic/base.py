# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kind of traffic: it observes where it leads, leads elsewhere, or cuts a server off. What kinds have in common."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic

# A name or an address, as poolers and proxies read it without quotes.
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
# Seconds that a connection to the new primary may take.
_REACH = 5.0


class TrafficError(Day2Error):
    """Traffic that cannot be led where it should; the message says where it leads now."""


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def read(cls, raw: Mapping[str, Any] | None, option: str) -> Endpoint | None:
        """Of a module's option; TrafficError names it."""
        if raw is None:
            return None
        if not _HOST.fullmatch(str(raw["host"])):
            raise TrafficError(f"'{option}': {raw['host']!r} is no name of a host and no address")
        if not 0 < int(raw["port"]) < 65536:
            raise TrafficError(f"'{option}': {raw['port']} is no port")
        return cls(str(raw["host"]), int(raw["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def addresses(self) -> list[str]:
        """As this host resolves it, IPv4 first; TrafficError where nobody knows it."""
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise TrafficError(f"{self.host} does not resolve on this host: {getattr(exc, 'strerror', exc)}") from exc
        return list(dict.fromkeys(str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0])))

    def known_addresses(self) -> list[str]:
        """The same; none where nobody knows it, as of a server that is gone."""
        with suppress(TrafficError):
            return self.addresses()
        return []


# Where connections are refused at once, for those who are cut off: nobody listens at this port.
NOWHERE = Endpoint("127.0.0.1", 1)


@dataclass(frozen=True)
class Wish:
    """What is wanted: traffic at `primary`, or with `cut` none at `old`. `limit` in seconds."""

    primary: Endpoint | None
    old: Endpoint | None
    cut: bool
    limit: float

    @property
    def target(self) -> Endpoint:
        """Where traffic shall lead."""
        if self.cut or self.primary is None:
            return NOWHERE
        return self.primary

    @property
    def words(self) -> str:
        return "nowhere" if self.cut else str(self.target)


@dataclass
class Seen:
    """Where traffic leads. `unproven` (why) is for a cut: that it is not, or that nobody can say."""

    leads: str
    is_done: bool
    unproven: str = ""
    evidence: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


class Kind(ABC):
    """One kind. Acting has to work from any point at which a run before was killed, and twice."""

    # The options of module dr_traffic that are its own, as an argument spec; `needs` are those that have to be given.
    options: ClassVar[Mapping[str, Mapping[str, Any]]]
    needs: ClassVar[tuple[str, ...]] = ()
    # Whether it can prove that the old server is cut off.
    cuts: bool = False
    # Seconds that it may take, where nobody says.
    limit: ClassVar[float] = 30.0

    def __init__(self, options: Mapping[str, Any], wish: Wish) -> None:
        self.given, self.wish = options, wish

    @abstractmethod
    def observe(self) -> Seen:
        """Where traffic leads now. It changes nothing."""

    @abstractmethod
    def steps(self, seen: Seen) -> list[str]:
        """What acting would do, in words."""

    @abstractmethod
    def act(self, seen: Seen) -> list[str]:
        """Do it; what was done, in words. On failure traffic leads where it led before, unless that was cut off."""

    def cannot_cut(self) -> str:
        """Why it cannot, for kinds that do not."""
        return f"kind {type(self).__name__} cannot cut a server off"


def check_reach(endpoint: Endpoint) -> None:
    """TrafficError where nobody listens: traffic that leads there now would be lost."""
    try:
        socket.create_connection((endpoint.host, endpoint.port), timeout=_REACH).close()
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        raise TrafficError(
            f"the new primary {endpoint} cannot be reached from this host ({why}): nothing is changed here; see that it"
            " listens there, and that no firewall is between"
        ) from exc


def content(path: str) -> str:
    """A configuration as it is stored; bytes that are no text come back by `rewrite`."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except OSError as exc:
        raise TrafficError(f"{path}: {exc.strerror}") from exc


def rewrite(path: str, text: str) -> bool:
    """Replace a file, with its owner and mode, behind links too. False where it had to be written in place.

    A file that is mounted by itself, as /etc/hosts of a container, cannot be replaced: it is written in one piece.
    """
    real = os.path.realpath(path)
    raw = text.encode("utf-8", "surrogateescape")
    try:
        before = os.stat(real)
        try:
            write_atomic(real, raw, stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid))
        except OSError as exc:
            if exc.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            _write_in_place(real, raw)
            return False
    except OSError as exc:
        raise TrafficError(f"{path} cannot be written: {exc.strerror}") from exc
    return True


def _write_in_place(path: str, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        # What is shorter than before is cut only when it is there.
        written = 0
        while written < len(raw):
            written += os.pwrite(descriptor, raw[written:], written)
        os.ftruncate(descriptor, len(raw))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
