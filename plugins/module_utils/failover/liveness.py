# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a PostgreSQL server answers, as one vantage point sees it: a few attempts over a time, without a login.

An attempt sends an SSLRequest, to which every server answers one byte, or an error, before it asks who is there: also
one that is starting, stopping or full, that requires TLS, or that would refuse the login.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Callable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

# https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest
_REQUEST = struct.pack("!ii", 8, 80877103)
_LONGEST_ERROR = 30000  # libpq takes no longer one before the login
_SHOWN = 40
_MOST = 32
# Where a name has several addresses, whichever says most counts.
_ANSWERS_FIRST = ("answers", "silent", "refused", "unreachable", "unresolved")
# getent(1): one or more of the names were not found.
_NOT_FOUND = 2


class LivenessError(Day2Error):
    """A request that cannot be meant; the message names the field."""


class Verdict(str, Enum):
    """`silent` is no dead server: something accepts connections there, such as a postmaster under SIGSTOP."""

    ANSWERS = "answers"
    SILENT = "silent"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    MIXED = "mixed"


@dataclass(frozen=True)
class Attempt:
    """`at` is RFC 3339."""

    at: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Target:
    """A name or an address, never a socket in the file system: a vantage point comes from elsewhere."""

    address: str
    port: int


@dataclass(frozen=True)
class Patience:
    """`tries` attempts whose beginnings are spread over `over` seconds; each takes at most `timeout` seconds."""

    tries: int = 3
    over: float = 15.0
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise LivenessError(f"'tries' is {self.tries}, expected 1 or more")
        if self.over < 0 or self.timeout <= 0:
            raise LivenessError("'over' has to be 0s or more, 'timeout' more than 0s")


@dataclass(frozen=True)
class Seen:
    """What a vantage point saw of one target."""

    target: Target
    attempts: tuple[Attempt, ...]

    @property
    def verdict(self) -> Verdict:
        return conclude([attempt.verdict for attempt in self.attempts])

    def as_dict(self) -> dict[str, object]:
        attempts = [{**asdict(attempt), "verdict": attempt.verdict.value} for attempt in self.attempts]
        return {**asdict(self.target), "attempts": attempts, "verdict": self.verdict.value}


def target(address: str, port: int) -> Target:
    """Of a request; LivenessError names what is wrong."""
    if not 0 < port < 65536:
        raise LivenessError(f"'port' of {address} is {port}, expected 1 to 65535")
    try:
        known = _is_literal(address) or ("/" not in address and ":" not in address and bool(ascii_host(address)))
    except AddressError:
        known = False
    if not known:
        raise LivenessError(f"'address' is {address!r}, expected the name of a host or its address")
    return Target(address, port)


def _is_literal(address: str) -> bool:
    try:
        ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return True


def conclude(verdicts: Sequence[Verdict]) -> Verdict:
    """One answer is enough to be alive; failures that differ are `mixed`."""
    if Verdict.ANSWERS in verdicts:
        return Verdict.ANSWERS
    return verdicts[0] if len(set(verdicts)) == 1 else Verdict.MIXED


def judge(reply: bytes) -> tuple[Verdict, str]:
    """What a first reply to an SSLRequest says of who sent it; empty: the connection was closed instead."""
    if not reply:
        return Verdict.REFUSED, "the connection was closed without an answer, as by a proxy whose server is away"
    if reply == b"S":
        return Verdict.ANSWERS, "PostgreSQL, which takes TLS"
    if reply == b"N":
        return Verdict.ANSWERS, "PostgreSQL, which takes no TLS"
    # An error is `E`, a length and fields; a postmaster that cannot fork has no more than `E` and a text with its zero.
    long = len(reply) >= 5 and 4 < struct.unpack("!i", reply[1:5])[0] <= _LONGEST_ERROR
    if reply[:1] == b"E" and (long or reply.endswith(b"\n\0")):
        return Verdict.ANSWERS, f"PostgreSQL, with an error: {_text(reply[5:] if long else reply[1:])}"
    return Verdict.SILENT, f"what answers on this port is not PostgreSQL: {_text(reply)}"


def look(targets: Sequence[Target], patience: Patience) -> list[Seen]:
    """All targets at the same time, in their order."""
    if not targets:
        return []
    with ThreadPoolExecutor(min(_MOST, len(targets))) as pool:
        return list(pool.map(lambda one: watch(one, patience), targets))


def watch(
    one: Target,
    patience: Patience,
    attempt: Callable[[Target, float], tuple[Verdict, str]] | None = None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Seen:
    """Attempts until one is answered."""
    begun, attempts = clock(), list[Attempt]()
    for number in range(patience.tries):
        pause(max(0.0, begun + number * patience.over / max(1, patience.tries - 1) - clock()))
        at = rfc3339_ms(time.time())
        verdict, detail = (attempt or try_once)(one, patience.timeout)
        attempts.append(Attempt(at, verdict, detail))
        if verdict is Verdict.ANSWERS:
            break
    return Seen(one, tuple(attempts))


def try_once(one: Target, timeout: float) -> tuple[Verdict, str]:
    """One attempt, over before `timeout` seconds are. Of a name's addresses each gets its share of what is left."""
    end = time.monotonic() + timeout
    addresses = _resolve(one.address, timeout)
    if isinstance(addresses, str):
        return Verdict.UNRESOLVED, addresses
    found = []
    for number, address in enumerate(addresses):
        share = (end - time.monotonic()) / (len(addresses) - number)
        verdict, detail = _ask(address, one.port, max(0.05, share))
        found.append((verdict, detail if address == one.address else f"{address}: {detail}"))
        if verdict is Verdict.ANSWERS:
            break
    return min(found, key=lambda pair: _ANSWERS_FIRST.index(pair[0].value))


def _resolve(name: str, timeout: float) -> list[str] | str:
    """Addresses of a name, or why there are none: in a program that can be ended, as the resolver of libc cannot."""
    if _is_literal(name):
        return [name]
    said = bytearray()
    try:
        run_pipeline(
            [Program(["getent", "ahosts", "--", ascii_host(name)], accepted=(0, _NOT_FOUND))],
            said.extend,
            timeout=timeout,
        )
    except PipelineTimeout:
        return f"{name} was not resolved within {format_duration(timeout)}"
    except PipelineError as exc:
        return f"{name} cannot be resolved: {exc}"
    lines = said.decode("ascii", "replace").split("\n")
    return list(dict.fromkeys(line.split()[0] for line in lines if line.split())) or f"{name} has no address"


def _ask(address: str, port: int, limit: float) -> tuple[Verdict, str]:
    end, connected = time.monotonic() + limit, False
    try:
        with socket.create_connection((address, port), timeout=limit) as stream:
            connected = True
            stream.settimeout(max(0.01, end - time.monotonic()))
            stream.sendall(_REQUEST)
            stream.settimeout(max(0.01, end - time.monotonic()))
            return judge(stream.recv(4096))
    except socket.timeout:
        late = format_duration(limit)
        if connected:
            return (
                Verdict.SILENT,
                f"the connection stands, and nothing was said within {late}: a hung or stopped server",
            )
        return Verdict.UNREACHABLE, f"no connection within {late}"
    except OSError as exc:
        refused = connected or exc.errno in (errno.ECONNREFUSED, errno.ECONNRESET)
        return (Verdict.REFUSED if refused else Verdict.UNREACHABLE), exc.strerror or str(exc)


def _text(reply: bytes) -> str:
    """What was said, as far as people can read it."""
    shown = "".join(sign if sign.isprintable() else " " for sign in reply[:200].decode("utf-8", "replace"))
    return repr(" ".join(shown.split())[:_SHOWN])
