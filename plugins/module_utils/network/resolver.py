# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A question to one DNS server, and its answer."""

from __future__ import annotations

import secrets
import socket
import struct
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import dns
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host

PORT = 53
# A datagram may be lost: it is sent again after so many seconds.
AGAIN = (1.0, 2.0, 4.0, 8.0, 30.0)


def ask(name: str, kind: str, server: str, port: int = PORT, patience: Sequence[float] = AGAIN) -> dns.Answer:
    """Its answer. Undetermined when none comes: after each of `patience` seconds the question is sent again."""
    number = secrets.randbelow(1 << 16)
    try:
        asked = dns.question(name, kind, number)
        host = ascii_host(server)
        family, _type, _protocol, _canonical, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        answer = _by_datagram(asked, kind, number, family, address, patience)
        return _by_stream(asked, kind, number, address[:2], sum(patience)) if answer.truncated else answer
    except socket.gaierror as exc:
        raise Undetermined(f"the server {server} cannot be resolved: {exc.strerror}") from exc
    except AddressError as exc:
        raise Undetermined(f"the server {exc}") from exc
    except dns.DnsError as exc:
        raise Undetermined(f"{server}: {exc}") from exc
    except (OSError, UnicodeError) as exc:
        raise Undetermined(f"{server} cannot be asked: {getattr(exc, 'strerror', None) or exc}") from exc


def _by_datagram(
    asked: bytes, kind: str, number: int, family: int, address: Any, patience: Sequence[float]
) -> dns.Answer:
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        for seconds in patience:
            channel.send(asked)
            channel.settimeout(seconds)
            try:
                return dns.read(channel.recv(65535), kind, number)
            except socket.timeout:
                continue
    raise TimeoutError("no answer")


def _by_stream(asked: bytes, kind: str, number: int, address: Any, limit: float) -> dns.Answer:
    with socket.create_connection(address, timeout=limit) as channel, channel.makefile("rwb") as stream:
        stream.write(struct.pack(">H", len(asked)) + asked)
        stream.flush()
        head = stream.read(2)
        if len(head) < 2:
            raise dns.DnsError("the server closed the connection without an answer")
        (length,) = struct.unpack(">H", head)
        message = stream.read(length)
        if len(message) < length:
            raise dns.DnsError(f"the answer is cut: {len(message)} of {length} bytes came before the connection closed")
        return dns.read(message, kind, number)
