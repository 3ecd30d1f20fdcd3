# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small Redis client for queries: RESP2 over a socket, pipelined. Nothing has to be installed on the target.

Protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/ (simple strings, errors, integers, bulk strings,
arrays).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host
from ansible_collections.day2.ops.plugins.module_utils.network.trust import client_context

_MOST = 64 << 20


class RedisError(Day2Error):
    """An error of the server, or of the connection to it."""


@dataclass(frozen=True)
class Address:
    """Address of a server, and the login. `path` is that of a Unix socket."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    user: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    validate_certs: bool = True
    ca_path: str | None = None

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class Connection:
    """One connection. It has no time limit: the calling child process is killed at its own limit."""

    def __init__(self, address: Address) -> None:
        self._channel = _connect(address)
        self._stream = self._channel.makefile("rb")
        if address.password is not None:
            words = [address.user, address.password] if address.user is not None else [address.password]
            self.ask("AUTH", *words)
        if address.database:
            self.ask("SELECT", str(address.database))

    def ask(self, *words: str | bytes) -> Any:
        """Run one command; RedisError if the server refuses it."""
        (answer,) = self.ask_all([words])
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def ask_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
        """Run many commands in one round trip; an error is returned in place of the command's answer."""
        self._channel.sendall(b"".join(map(_encode, commands)))
        return [self._read() for _command in commands]

    def close(self) -> None:
        self._stream.close()
        self._channel.close()

    def _read(self) -> Any:
        line = self._stream.readline(_MOST)
        if not line.endswith(b"\r\n"):
            raise RedisError("the server closed the connection, or it does not speak Redis's protocol")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode("utf-8", "replace")
        if kind == b"-":
            return RedisError(rest.decode("utf-8", "replace"))
        try:
            number = int(rest)
        except ValueError:
            raise RedisError(f"what answers does not speak Redis's protocol: {line[:80]!r}") from None
        if kind == b":":
            return number
        if kind == b"$":
            return None if number < 0 else self._bulk(number)
        if kind == b"*":
            return None if number < 0 else [self._read() for _element in range(number)]
        raise RedisError(f"what answers does not speak Redis's protocol: {line[:80]!r}")

    def _bulk(self, length: int) -> bytes:
        if length > _MOST:
            raise RedisError(f"an answer has {length} bytes, more than the {_MOST} that are read")
        data = self._stream.read(length + 2)
        if len(data) != length + 2:
            raise RedisError(f"the server closed the connection within an answer: {len(data)} of {length} bytes came")
        return data[:-2]


def _encode(words: Sequence[str | bytes]) -> bytes:
    parts = [word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _connect(address: Address) -> socket.socket:
    if address.path is not None:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.connect(address.path)
        return channel
    try:
        host = ascii_host(address.host)
    except AddressError as exc:
        raise RedisError(f"the address {exc}") from exc
    channel = socket.create_connection((host, address.port))
    if not address.tls:
        return channel
    wrapped: socket.socket = client_context(address.ca_path, address.validate_certs).wrap_socket(
        channel, server_hostname=host
    )
    return wrapped


def parse_info(text: str) -> dict[str, str]:
    """INFO's fields by name."""
    pairs = (line.partition(":") for line in text.replace("\r", "").split("\n") if line and not line.startswith("#"))
    return {name: value for name, _colon, value in pairs}
