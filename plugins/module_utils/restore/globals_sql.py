# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles as a manifest, or the output of `pg_dumpall --globals-only`, defines them. Pure.

Statements are parsed whole and only in the forms that pg_dumpall 13 to 18 writes; they are never executed. What a
comment, a setting or a name has in its text is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.lexer import Kind, LexerError, Token, statements
from ansible_collections.day2.ops.plugins.module_utils.postgres.roles import ATTRIBUTES
from ansible_collections.day2.ops.plugins.module_utils.restore.properties import setting_values

_ENCODING = re.compile(rb"^SET client_encoding = '([A-Za-z0-9_-]+)';", re.MULTILINE)
# PostgreSQL's names of encodings that Python's codecs do not know; SQL_ASCII is any bytes, UTF-8 nearly always.
_CODECS = {
    "SQL_ASCII": "utf-8", "UTF8": "utf-8", "WIN866": "cp866", "WIN874": "cp874", "EUC_JIS_2004": "euc_jis_2004",
    "EUC_CN": "gb2312", "LATIN5": "iso8859-9", "LATIN6": "iso8859-10", "LATIN7": "iso8859-13", "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15", "LATIN10": "iso8859-16", "KOI8R": "koi8_r", "KOI8U": "koi8_u",
}  # fmt: skip
_WINDOWS = re.compile(r"WIN(125\d)")
_ISO = re.compile(r"ISO_8859_(\d)")


class GlobalsError(Day2Error):
    """Roles and grants of a set that are incomplete, or not what pg_dumpall writes."""


@dataclass(frozen=True)
class Definition:
    """A role. `attributes` are words of CREATE ROLE that it has; `settings` a parameter with its values each;
    `labels` a provider and its security label each; `password` as pg_authid has it."""

    name: str
    attributes: frozenset[str] = frozenset({"INHERIT"})
    connection_limit: int = -1
    password: str | None = None
    valid_until: str | None = None
    settings: Sequence[tuple[str, Sequence[str]]] = ()
    comment: str | None = None
    labels: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Membership:
    """`member` is in `role`. `inherit` and `may_set` None: by the server's default (before PostgreSQL 16)."""

    role: str
    member: str
    admin: bool = False
    inherit: bool | None = None
    may_set: bool | None = None


@dataclass
class Definitions:
    """Roles by name, memberships, and by role what of it is not restored."""

    roles: dict[str, Definition] = field(default_factory=dict)
    memberships: list[Membership] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)


def from_catalogue(record: Mapping[str, Any]) -> Definitions:
    """Definitions from a manifest's entry, as postgres.roles.definitions made it."""
    roles = {
        str(role["name"]): Definition(
            name=str(role["name"]),
            attributes=frozenset(word for word in role["attributes"] if word in ATTRIBUTES),
            connection_limit=int(role["connection_limit"]),
            valid_until=role["valid_until"],
            settings=[_setting(*setting.split("=", 1)) for setting in role["settings"]],
            comment=role["comment"],
            labels=[(str(provider), str(label)) for provider, label in role["labels"]],
        )
        for role in record["roles"]
    }
    memberships = [
        Membership(
            str(membership["role"]),
            str(membership["member"]),
            bool(membership["admin"]),
            membership["inherit"],
            membership["set"],
        )
        for membership in record["memberships"]
    ]
    return Definitions(roles, memberships)


def _setting(parameter: str, value: str) -> tuple[str, Sequence[str]]:
    return parameter, setting_values(parameter, value)


def decode(content: bytes) -> str:
    """Decode pg_dumpall's output, which is in the encoding that it names."""
    found = _ENCODING.search(content)
    name = found[1].decode().upper() if found else "UTF8"
    windows, iso = _WINDOWS.fullmatch(name), _ISO.fullmatch(name)
    codec = f"cp{windows[1]}" if windows else f"iso8859-{iso[1]}" if iso else _CODECS.get(name, name)
    # Names are common to databases of different encodings, and need not be in this one.
    errors = "surrogateescape" if codec in ("utf-8", "UTF8") else "strict"
    try:
        return content.decode(codec, errors)
    except (LookupError, ValueError) as exc:
        raise GlobalsError(f"the set's roles and grants are in encoding {name} and cannot be read as such") from exc


def parse(text: str) -> Definitions:
    """Roles, settings, comments, labels and memberships; other statements are ignored. GlobalsError names statements
    that pg_dumpall does not write."""
    reader = _Reader()
    try:
        for tokens in statements(text):
            reader.read(_Cursor(tokens))
    except LexerError as exc:
        raise GlobalsError(f"the set's roles and grants are not whole: {exc}") from exc
    return reader.found


class _Cursor:
    """Tokens of one statement, read from the left."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens, self._at = tokens, 0

    def has(self, *words: str) -> bool:
        """Whether these words come next; if so, they are consumed."""
        here = self._tokens[self._at : self._at + len(words)]
        if len(here) < len(words) or not all(token.is_word(word) for token, word in zip(here, words)):
            return False
        self._at += len(words)
        return True

    def symbol(self, *symbols: str) -> bool:
        if self.ended or self._tokens[self._at] not in [Token(Kind.SYMBOL, symbol) for symbol in symbols]:
            return False
        self._at += 1
        return True

    def name(self) -> str:
        return self._take("a name", Kind.NAME, Kind.WORD)

    def literal(self) -> str:
        return self._take("a literal", Kind.STRING)

    def value(self) -> str:
        minus = "-" if self.symbol("-") else ""
        return minus + self._take("a value", Kind.STRING, Kind.WORD, Kind.NAME)

    def one_of(self, words: Mapping[str, Any]) -> str:
        word = self._take("a word", Kind.WORD).upper()
        if word not in words:
            raise self.fault(f"{word} is unknown")
        return word

    @property
    def ended(self) -> bool:
        return self._at >= len(self._tokens)

    def finish(self) -> None:
        if not self.ended:
            raise self.fault(f"{self._tokens[self._at].text[:40]!r} is not expected there")

    def has_anywhere(self, *words: str) -> bool:
        return any(
            all(token.is_word(word) for token, word in zip(self._tokens[start:], words))
            for start in range(len(self._tokens) - len(words) + 1)
        )

    def last_name(self) -> str:
        return self._tokens[-1].text

    def fault(self, why: str) -> GlobalsError:
        # Literals may be passwords, so they are not shown.
        shown = " ".join("'…'" if token.kind is Kind.STRING else token.text for token in self._tokens[:8])
        return GlobalsError(f"the set's roles and grants have a statement that is not pg_dumpall's ({shown}): {why}")

    def _take(self, what: str, *kinds: Kind) -> str:
        if self.ended or self._tokens[self._at].kind not in kinds:
            raise self.fault(f"{what} is missing")
        self._at += 1
        return self._tokens[self._at - 1].text


class _Reader:
    """Collects the definitions of all statements so far."""

    def __init__(self) -> None:
        self.found = Definitions()
        self._described: set[str] = set()

    def read(self, cursor: _Cursor) -> None:
        if cursor.has("CREATE", "ROLE"):
            self._create(cursor)
        elif cursor.has("ALTER", "ROLE"):
            self._alter(cursor)
        elif cursor.has("COMMENT", "ON", "ROLE"):
            name = cursor.name()
            if not cursor.has("IS"):
                raise cursor.fault("IS is missing")
            self._change(cursor, name, comment=cursor.literal())
        elif cursor.has("SECURITY", "LABEL", "FOR"):
            self._label(cursor)
        elif cursor.has("GRANT"):
            self._grant(cursor)

    def _create(self, cursor: _Cursor) -> None:
        name = cursor.name()
        cursor.finish()
        if name in self.found.roles:
            raise cursor.fault("the role is created twice")
        self.found.roles[name] = Definition(name)

    def _alter(self, cursor: _Cursor) -> None:
        name = cursor.name()
        if cursor.has("IN", "DATABASE"):
            # Settings of a role in a database are restored with that database.
            return
        if cursor.has("SET"):
            self._set(cursor, name)
            return
        if not cursor.has("WITH"):
            raise cursor.fault("WITH is missing")
        if name in self._described:
            raise cursor.fault("the role is described twice")
        self._described.add(name)
        has, lacks = set(), {f"NO{word}" for word in ATTRIBUTES}
        more: dict[str, Any] = {}
        while not cursor.ended:
            if cursor.has("CONNECTION", "LIMIT"):
                more["connection_limit"] = int(cursor.value())
            elif cursor.has("PASSWORD"):
                more["password"] = cursor.literal()
            elif cursor.has("VALID", "UNTIL"):
                more["valid_until"] = cursor.literal()
            else:
                word = cursor.one_of({**ATTRIBUTES, **dict.fromkeys(lacks)})
                has.update({word} - lacks)
        self._change(cursor, name, attributes=frozenset(has), **more)

    def _set(self, cursor: _Cursor, name: str) -> None:
        parameter = cursor.name()
        while cursor.symbol("."):
            parameter += f".{cursor.name()}"
        if not (cursor.has("TO") or cursor.symbol("=")):
            raise cursor.fault("TO is missing")
        values = [cursor.value()]
        while cursor.symbol(","):
            values.append(cursor.value())
        role = self.found.roles.get(name)
        before = role.settings if role else ()
        self._change(cursor, name, settings=[*before, (parameter, values)])

    def _label(self, cursor: _Cursor) -> None:
        provider = cursor.value()
        if not cursor.has("ON", "ROLE"):
            # Of a tablespace, say.
            return
        name = cursor.name()
        if not cursor.has("IS"):
            raise cursor.fault("IS is missing")
        role = self.found.roles.get(name)
        before = role.labels if role else ()
        self._change(cursor, name, labels=[*before, (provider, cursor.literal())])

    def _grant(self, cursor: _Cursor) -> None:
        if cursor.has_anywhere("ON", "PARAMETER"):
            self.found.left_out.setdefault(cursor.last_name(), []).append("privileges on parameters of the server")
            return
        role = cursor.name()
        if not cursor.has("TO"):
            # Of a tablespace.
            return
        given = Membership(role, cursor.name())
        while not cursor.ended:
            if cursor.has("GRANTED", "BY"):
                cursor.name()
            elif cursor.has("WITH") or cursor.symbol(","):
                given = _option(cursor, given)
            else:
                cursor.finish()
        self.found.memberships.append(given)

    def _change(self, cursor: _Cursor, name: str, **fields: Any) -> None:
        cursor.finish()
        if name not in self.found.roles:
            raise cursor.fault("the role is not created before")
        self.found.roles[name] = replace(self.found.roles[name], **fields)


def _option(cursor: _Cursor, given: Membership) -> Membership:
    """`ADMIN OPTION`, `INHERIT TRUE` and the like."""
    option = cursor.one_of({"ADMIN": None, "INHERIT": None, "SET": None})
    on = cursor.one_of({"OPTION": True, "TRUE": True, "FALSE": False}) != "FALSE"
    if option == "ADMIN":
        return replace(given, admin=on)
    return replace(given, inherit=on) if option == "INHERIT" else replace(given, may_set=on)
