# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One DNS question and its answers, on the wire as RFC 1035 has it. Pure: bytes in, records out."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Optional

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
# RFC 1035, 4.1.1, and RFC 2136
CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN (no such name)", 4: "NOTIMP", 5: "REFUSED"}
_RECURSION_DESIRED, _TRUNCATED, _RESPONSE = 0x0100, 0x0200, 0x8000
_INTERNET = 1
_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_MOST_JUMPS = 64
_LONGEST_NAME = 255


class DnsError(ValueError):
    """An answer that cannot be read, or a name that cannot be asked."""


@dataclass(frozen=True)
class Answer:
    """`code` is RFC 1035's RCODE; `records` are what the name has of the type that was asked for, as text; `ttl` is the
    shortest of theirs, which a resolver that has kept them counts down."""

    code: int
    records: list[str]
    truncated: bool
    ttl: Optional[int] = None


def question(name: str, kind: str, number: int) -> bytes:
    """The message that asks for the records of a type."""
    whole = _reversed(name) if kind == "PTR" else name
    labels = whole.rstrip(".").split(".") if whole != "." else []
    try:
        parts = [label.encode("idna") for label in labels]
    except UnicodeError:
        parts = [b""]
    if not all(parts):
        raise DnsError(f"'{name}' cannot be a name in DNS: a part of it is empty, or longer than 63 bytes")
    encoded = b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    if len(encoded) > _LONGEST_NAME:
        raise DnsError(f"'{name}' cannot be a name in DNS: it is longer than {_LONGEST_NAME} bytes")
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + encoded + struct.pack(">HH", TYPES[kind], _INTERNET)


def _reversed(name: str) -> str:
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name


def read(message: bytes, kind: str, number: int) -> Answer:
    """The answer to question `number`. DnsError when it is another one's, or damaged."""
    try:
        flags, questions, answers = _head(message, number)
        place = _HEADER.size
        for _question in range(questions):
            _name, place = _read_name(message, place)
            place += 4
        records, ttls = [], []
        for _answer in range(answers):
            _name, place = _read_name(message, place)
            found, _class, ttl, length = _RECORD.unpack_from(message, place)
            place += _RECORD.size
            if found == TYPES[kind]:
                records.append(_shown(message, place, length, kind))
                ttls.append(ttl)
            place += length
    except DnsError:
        raise
    except (struct.error, IndexError, ValueError) as exc:
        raise DnsError(f"the answer is damaged, or cut: {len(message)} bytes came") from exc
    return Answer(flags & 0x000F, sorted(records), bool(flags & _TRUNCATED), min(ttls, default=None))


def same(record: str, kind: str) -> str:
    """A record in the one spelling in which equal ones are alike: names in small letters without the final dot.

    RFC 4343 has names the same whatever their case, RFC 5952 one spelling of an IPv6 address. Text (TXT) is as it is.
    """
    if kind == "TXT":
        return record
    return " ".join(_plain(word) for word in record.split())


def _plain(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        name = word.lower().rstrip(".") or "."
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def _head(message: bytes, number: int) -> tuple[int, int, int]:
    """Flags, and how many questions and answers follow."""
    received, flags, questions, answers, _authorities, _more = _HEADER.unpack_from(message)
    if received != number or not flags & _RESPONSE:
        raise DnsError("it is not the answer to what was asked")
    return flags, questions, answers


def _read_name(message: bytes, place: int) -> tuple[str, int]:
    """A name, which may point into what came before, and the place behind it."""
    labels: list[str] = []
    after = -1
    for _jump in range(_MOST_JUMPS * 4):
        length = message[place]
        if length & 0xC0:
            if after < 0:
                after = place + 2
            place = (length & 0x3F) << 8 | message[place + 1]
        elif length:
            labels.append(message[place + 1 : place + 1 + length].decode("ascii", "backslashreplace"))
            place += 1 + length
        else:
            return ".".join(labels), after if after >= 0 else place + 1
    raise DnsError("a name in the answer does not end")


def _shown(message: bytes, place: int, length: int, kind: str) -> str:
    data = message[place : place + length]
    if kind in ("A", "AAAA"):
        return str(ipaddress.ip_address(data))
    if kind in ("NS", "CNAME", "PTR"):
        return _read_name(message, place)[0]
    if kind == "MX":
        return f"{data[0] << 8 | data[1]} {_read_name(message, place + 2)[0]}"
    if kind == "SRV":
        priority, weight, port = struct.unpack_from(">HHH", data)
        return f"{priority} {weight} {port} {_read_name(message, place + 6)[0]}"
    if kind == "SOA":
        master, after = _read_name(message, place)
        _contact, after = _read_name(message, after)
        return f"{master} serial {struct.unpack_from('>I', message, after)[0]}"
    texts, at = [], 0
    while at < length:
        texts.append(data[at + 1 : at + 1 + data[at]].decode("utf-8", "backslashreplace"))
        at += 1 + data[at]
    return "".join(texts)
