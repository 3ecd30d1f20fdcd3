# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small Redis client for questions: RESP2 over a socket, pipelined. Nothing to install on the target.

Protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/ (simple strings, errors, integers, bulk strings,
arrays).
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

_MOST = 64 << 20


class RedisError(Day2Error):
    """What the server refused, or why it cannot be asked."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and who asks it. `path` is a socket's."""

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
    """One connection. There is no time limit in it: who asks is a child that is killed at its own."""

    def __init__(self, address: Address) -> None:
        self._channel = _connect(address)
        self._stream = self._channel.makefile("rb")
        if address.password is not None:
            words = [address.user, address.password] if address.user is not None else [address.password]
            self.ask("AUTH", *words)
        if address.database:
            self.ask("SELECT", str(address.database))

    def ask(self, *words: str | bytes) -> Any:
        """One command's answer; RedisError when the server refuses it."""
        (answer,) = self.ask_all([words])
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def ask_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
        """Many commands in one round trip; an error stands in its command's place."""
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
            return None if number < 0 else self._stream.read(min(number, _MOST) + 2)[:-2]
        if kind == b"*":
            return None if number < 0 else [self._read() for _each in range(number)]
        raise RedisError(f"what answers does not speak Redis's protocol: {line[:80]!r}")


def _encode(words: Sequence[str | bytes]) -> bytes:
    parts = [word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape") for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _connect(address: Address) -> socket.socket:
    if address.path is not None:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.connect(address.path)
        return channel
    channel = socket.create_connection((address.host, address.port))
    if not address.tls:
        return channel
    context = ssl.create_default_context(cafile=address.ca_path)
    if not address.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(channel, server_hostname=address.host)


def parse_info(text: str) -> dict[str, str]:
    """INFO's fields by name."""
    pairs = (line.partition(":") for line in text.replace("\r", "").split("\n") if line and not line.startswith("#"))
    return {name: value for name, _colon, value in pairs}
