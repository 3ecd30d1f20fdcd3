# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a certificate says about itself: the few fields of X.509 that a check needs, read from DER.

RFC 5280, section 4.1: Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serialNumber, signature,
issuer, validity SEQUENCE { notBefore, notAfter }, subject, … }, … }. The standard library reads a peer's certificate
only after it has verified it, and an expired one is what a check is for.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timezone

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END", re.DOTALL)
_INTEGER, _OID, _SEQUENCE, _SET = 0x02, 0x06, 0x30, 0x31
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _BMP_STRING = 0xA0, 0x1E
# id-at-commonName and id-at-organizationName, 2.5.4.3 and 2.5.4.10
_NAMES = (bytes([0x55, 0x04, 0x03]), bytes([0x55, 0x04, 0x0A]))


class CertificateError(ValueError):
    """Bytes that are no certificate."""


@dataclass(frozen=True)
class Certificate:
    """`subject` and `issuer` are the common name, or the organization where there is none. Times are aware, in UTC."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    serial: int


def read_all(data: bytes) -> list[Certificate]:
    """All certificates of a PEM file, or the one of a DER file."""
    blocks = _PEM.findall(data)
    if not blocks:
        if data[:1] != bytes([_SEQUENCE]):
            raise CertificateError("there is no certificate in it")
        return [read(data)]
    try:
        return [read(base64.b64decode(block)) for block in blocks]
    except binascii.Error as exc:
        raise CertificateError(f"its text is damaged: {exc}") from exc


def read(der: bytes) -> Certificate:
    """One certificate of DER bytes."""
    try:
        whole = _children(_only(der, _SEQUENCE))
        fields = _children(_expect(whole[0], _SEQUENCE))
        if fields[0][0] == _VERSION:
            fields = fields[1:]
        serial, _signature, issuer, validity, subject = fields[:5]
        begin, end = _children(_expect(validity, _SEQUENCE))[:2]
        return Certificate(
            subject=_name(_expect(subject, _SEQUENCE)),
            issuer=_name(_expect(issuer, _SEQUENCE)),
            not_before=_time(*begin),
            not_after=_time(*end),
            serial=int.from_bytes(_expect(serial, _INTEGER), "big"),
        )
    except (IndexError, ValueError) as exc:
        raise CertificateError("it is not a certificate, or a damaged one") from exc


def _element(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Tag, content and end of the element at a place."""
    tag, length, place = data[place], data[place + 1], place + 2
    if length & 0x80:
        width = length & 0x7F
        length = int.from_bytes(data[place : place + width], "big")
        place += width
    if place + length > len(data):
        raise ValueError("an element is longer than what holds it")
    return tag, data[place : place + length], place + length


def _children(data: bytes) -> list[tuple[int, bytes]]:
    found, place = [], 0
    while place < len(data):
        tag, content, place = _element(data, place)
        found.append((tag, content))
    return found


def _only(data: bytes, tag: int) -> bytes:
    return _expect(_element(data, 0)[:2], tag)


def _expect(element: tuple[int, bytes], tag: int) -> bytes:
    if element[0] != tag:
        raise ValueError(f"tag {element[0]} instead of {tag}")
    return element[1]


def _name(content: bytes) -> str:
    """The common name of a distinguished name, or its organization."""
    found: dict[bytes, str] = {}
    for _tag, relative in _children(content):
        for _set, attribute in _children(relative):
            (_oid, kind), (string, value) = _children(attribute)[:2]
            found.setdefault(kind, value.decode("utf-16-be" if string == _BMP_STRING else "utf-8", "replace"))
    return next((found[kind] for kind in _NAMES if kind in found), "?")


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii").rstrip("Z")
    if tag == _UTC_TIME:
        # RFC 5280: two digits of 50 and above are of the last century.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {tag} is no time")
    return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
