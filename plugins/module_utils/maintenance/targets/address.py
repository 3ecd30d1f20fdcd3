# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses as people see them: without the credentials in them."""

from __future__ import annotations

import re

_HOST = r"(?:\[[\da-fA-F:.]+\]|[\w.-]+)(?::\d{1,5})?(?:[/?#]|$)"
# A password may hold / and @ (`http://me:a/b@host`): then up to the last @ before a query. A port is none.
_USER = re.compile(
    rf"^([^/?#]*//)?(?:[^/?#]*@(?={_HOST})"
    r"|[^\s:/?#@\[]*:(?!//|\d{1,5}(?:[/?#]|$))(?:(?![?#][\w.-]*=)[^\r\n])*@|[^/?#]*@)"
)
_PLAIN_USER = re.compile(r"^(?:[^/?#]*//)?([^/?#]*@)")


def shown(url: str) -> str:
    """Scheme, host, port and path: without user, password, query and fragment, which may all be secrets."""
    plain = _USER.sub(lambda match: match.group(1) or "", re.sub(r"\s", "", str(url)))
    return re.split(r"[?#]", plain, maxsplit=1)[0]


def secrets(url: object) -> list[str]:
    """What of an address nobody may see: the user (a token, or a name with its password), the query.

    Each in a form that is found nowhere else: a password of two letters alone would mask half of every message.
    """
    text = str(url or "")
    user = _USER.match(text)
    found = [user.group()[len(user.group(1) or "") :]] if user else []
    plain = _PLAIN_USER.match(text)
    if plain is not None and plain[1] not in found:
        found.append(plain[1])
    query = text[user.end() if user else 0 :].partition("#")[0].partition("?")[2]
    return found + ([f"?{query}"] if query else [])


def fault(url: object) -> str | None:
    """Why something is no address that can be asked, without any part of it."""
    text = str(url or "")
    user = _USER.match(text)
    if user and re.search(r"[/?#]", user.group()[len(user.group(1) or "") :]):
        return "its password has '/', '?' or '#': write them as %2F, %3F and %23 (and '@' as %40)"
    return None
