# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of HTTP requests: what a person or a redirect wrote, as it goes over the wire. Pure: no name is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PORTS = {"http": 80, "https": 443}
# What a URL may hold as it is (RFC 3986); everything else is percent-encoded, and a percent sign stays.
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class AddressError(ValueError):
    """What is wrong with an address; reads on from 'the address …'."""


@dataclass(frozen=True)
class Address:
    """`url` is ASCII, without a user and a fragment. `user` and `password` are those of the address, if any."""

    url: str
    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port (RFC 6454): what has to be the same for secrets to be sent."""
        return self.scheme, self.host, self.port

    @property
    def loopback(self) -> bool:
        """Whether it is an address of this host itself."""
        import ipaddress

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


def parse_address(text: str) -> Address:
    """Read an address that a person wrote; AddressError says what is wrong with it."""
    if not re.match(r"https?://", text, re.IGNORECASE):
        raise AddressError("is no http:// or https:// address")
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise AddressError("has a blank or a control character in it (write %20 for a blank)")
    return _parse(text)


def redirect_target(base: Address, location: str | None) -> Address:
    """Where a redirect leads: absolute, or relative to the address that was asked."""
    from urllib.parse import quote, urljoin

    if location is None or not location.strip():
        raise AddressError("is missing: there is no Location")
    # Header values come as Latin-1; what a server sends there is UTF-8 nowadays.
    target = location.strip().encode("latin-1", "replace").decode("utf-8", "replace")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", target) is None:
        try:
            target = urljoin(base.url, target)
        except ValueError as exc:
            raise AddressError(f"cannot be read: {exc}") from exc
    scheme = target.partition(":")[0].lower()
    if scheme not in _PORTS:
        raise AddressError(f"has the scheme {scheme}, which is not followed")
    return _parse(quote(target, safe=_SAFE) if re.search(r"[\s\x00-\x20\x7f]", target) else target)


def _parse(text: str) -> Address:
    # Imported here: who only needs ascii_host does not pay for it.
    from urllib.parse import quote, unquote, urlsplit

    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise AddressError(f"cannot be read: {exc}") from exc
    if not host:
        raise AddressError("names no host")
    scheme = parts.scheme.lower()
    name = ascii_host(host)
    port = port or _PORTS[scheme]
    shown = f"[{name}]" if ":" in name else name
    netloc = shown if port == _PORTS[scheme] else f"{shown}:{port}"
    path = quote(parts.path or "/", safe=_SAFE)
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    user = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    return Address(f"{scheme}://{netloc}{path}{query}", scheme, name, port, user, password)


def ascii_host(name: str) -> str:
    """A host's name in small letters as DNS has it: `bücher.example` is xn--bcher-kva.example."""
    # The codec of Python lets empty labels pass; a final dot ends a whole name.
    whole = all(name.rstrip(".").split("."))
    try:
        wire = name.lower().encode("idna").decode("ascii") if whole else ""
    except UnicodeError:
        wire = ""
    if not wire:
        raise AddressError(f"has a host that cannot be a name in DNS ({name})")
    return wire
