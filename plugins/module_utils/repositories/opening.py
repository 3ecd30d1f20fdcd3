# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository by its address, or by a mapping of address and options. A kind of repository is registered here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.repositories import directory, s3, sftp
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Kind, Repository, RepositoryError

KINDS: tuple[Kind, ...] = (directory.KIND, s3.KIND, sftp.KIND)
URL = "url"
_PASSWORD = re.compile(r"://[^/]*?:([^/]*)@")
_UNKNOWN_PASSWORD = re.compile(r":(?!//).*@", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a repository is, read: nothing in it can be refused any more but by the place itself."""

    kind: Kind
    url: str
    options: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return self.url

    def open(self, spool: int = 0) -> Repository:
        return self.kind.open(self.url, dict(self.options), spool)


def open_repository(place: object, spool: int = 0) -> Repository:
    """The repository that `locate` finds. `spool` is how many bytes of a stream may wait in memory."""
    return locate(place).open(spool)


def beside_options() -> dict[str, Argument]:
    """Options of repositories that stand beside them, by the names that modules have for them: `s3_region`."""
    return {name: argument for kind in KINDS for name, argument in _beside(kind).items()}


def read_beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of them that are given, read; RepositoryError names the one that is not what it should be."""
    known = beside_options()
    return {
        name: _read(known[name], name, value) for name, value in given.items() if name in known and _is_given(value)
    }


def _beside(kind: Kind) -> dict[str, Argument]:
    if kind.prefix is None:
        return {}
    return {f"{kind.prefix}{name}": argument for name, argument in kind.options.items()}


def locate(place: object, beside: Mapping[str, Any] | None = None) -> Place:
    """Read an address, or a mapping of `url` and options of its kind.

    `beside` is what `read_beside` has read: it holds where the mapping does not say the same itself. What
    RepositoryError says begins after its subject, the name of what was given, and shows nothing that may be a secret.
    """
    given = as_given(place)
    if not isinstance(given, Mapping):
        given = {URL: given}
    url = given.get(URL)
    if not isinstance(url, str) or not url:
        raise RepositoryError(f"has no '{URL}', such as {_examples()}")
    kind = _kind(url)
    values = {}
    for name, value in given.items():
        if name == URL or not _is_given(value):
            continue
        if name not in kind.options:
            raise RepositoryError(f"has no option '{name}'; {meant(name, [URL, *kind.options])}")
        values[name] = _read(kind.options[name], name, value)
    for own, value in (beside or {}).items():
        name = own[len(kind.prefix or "") :]
        if own in _beside(kind) and values.setdefault(name, value) != value:
            raise RepositoryError(f"has '{name}', and '{own}' beside it is another; give one of them")
    return Place(kind, url, tuple((name, values.get(name)) for name in kind.options))


def _is_given(value: object) -> bool:
    return value is not None and value != ""


def as_given(place: object) -> object:
    """What was given, where it came as text of JSON (`-e`, an ad hoc command): read."""
    if not isinstance(place, str) or not place.lstrip().startswith("{"):
        return place
    try:
        return json.loads(place)
    except ValueError:
        # It may hold a secret: it is not shown.
        return {}


def secret_values(place: object) -> list[str]:
    """What nobody may see of it, also where it is malformed: secrets, and whatever no kind has an option for."""
    given = as_given(place)
    if isinstance(place, str) and given == {}:
        return [place]
    if not isinstance(given, Mapping):
        given = {URL: given} if isinstance(given, str) else {"": given}
    shown = {URL, *(name for kind in KINDS for name, argument in kind.options.items() if not argument.secret)}
    found = [_password(given.get(URL)), *(text for name in given if name not in shown for text in _texts(given[name]))]
    return [secret for secret in found if secret]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)
    elif value is not None:
        yield str(value)


def _password(url: object) -> str:
    match = _PASSWORD.search(url) if isinstance(url, str) else None
    return match[1] if match is not None else ""


def _kind(url: str) -> Kind:
    scheme, colon, _rest = url.partition("://")
    wanted = scheme if colon else "" if url.startswith("/") else None
    if _password(url):
        raise RepositoryError("has a password in its address, where everybody sees it")
    for kind in KINDS:
        if kind.scheme == wanted:
            return kind
    # Of an address that is none, nobody knows what is a password in it: `user:password@host:/directory`.
    shown = _UNKNOWN_PASSWORD.sub(":***@", url)
    raise RepositoryError(f"is '{shown}', which is no absolute path and no address such as {_examples()}")


def _examples() -> str:
    return " or ".join(kind.example for kind in KINDS)


def _read(argument: Argument, name: str, value: object) -> Any:
    try:
        return argument.read(value)
    except ArgumentError as exc:
        raise RepositoryError(f"'{name}' cannot be read" if argument.secret else f"'{name}': {exc}") from None
