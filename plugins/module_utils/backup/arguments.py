# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that the modules of backups share, and what they mean."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy, PolicyError, parse_policy
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.process.coding import DEFAULT_LEVEL
from ansible_collections.day2.ops.plugins.module_utils.repositories import opening
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository, RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    QuantityError,
    Unit,
    convert,
    parse_duration,
    parse_quantity,
)

# What is read where a module does not convert it.
_TYPES = {"duration": "str"}
_SERIES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_KEY_PREFIX = "AGE-SECRET-KEY"
_SECRET_KEY = re.compile(rf"(?i){_KEY_PREFIX}[0-9a-z-]*")
_RECIPIENT = re.compile(r"age1[0-9a-z]{58}")

LOGIN: dict[str, dict[str, Any]] = {
    # Resolved on the controller, where its secrets are parted from what is logged.
    "connection": {"type": "raw"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "service": {"type": "str"},
    "sslmode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "maintenance_database": {"type": "str", "default": "postgres"},
}
PLACE: dict[str, Any] = {"type": "raw"}
REPOSITORY: dict[str, dict[str, Any]] = {
    "repository": PLACE,
    "series": {"type": "str"},
    **{
        name: {"type": _TYPES.get(argument.kind, argument.kind), "no_log": argument.secret}
        for name, argument in opening.beside_options().items()
    },
}
MAKING: dict[str, dict[str, Any]] = {
    "copy_to": PLACE,
    "encrypt_to": {"type": "list", "elements": "str", "default": []},
    "identity": {"type": "path"},
    "keep": {"type": "dict"},
    "copy_keep": {"type": "dict"},
    "max_age": {"type": "str"},
    "planned_directories": {"type": "list", "elements": "path", "default": []},
    "verify": {"type": "str", "default": "read", "choices": ["none", "read"]},
    "lock_wait": {"type": "str", "default": "0s"},
    "jobs": {"type": "int"},
    "compression_level": {"type": "int", "default": DEFAULT_LEVEL},
    "spool_max": {"type": "str", "default": "64MiB"},
    "timeout": {"type": "str"},
    "run_id": {"type": "str"},
}


class ArgumentFault(Day2Error):
    """An argument that cannot be meant; the message names it."""


def login(params: Mapping[str, Any]) -> Login:
    if params["service"] is not None and params["host"] is not None:
        raise ArgumentFault("'host' does not go with 'service', which names the host")
    if params["connection"] is not None:
        raise ArgumentFault("'connection' was not resolved: that is done on the controller, by the action plugin")
    return Login(**{name: params[name] for name in LOGIN if name != "connection"})


def repository(params: Mapping[str, Any], name: str = "repository", streams: int = 1) -> Repository:
    beside = opening.read_beside(params)
    try:
        place = opening.locate(params[name], beside)
    except RepositoryError as exc:
        raise ArgumentFault(f"'{name}' {exc}") from None
    return place.open(size("spool_max", params["spool_max"]) // max(1, streams) if params.get("spool_max") else 0)


def secret_values(params: Mapping[str, Any]) -> list[str]:
    """What nobody may see in a result, an invocation or a log: parts of repositories that are mappings, and keys."""
    secrets = [secret for name in ("repository", "copy_to") for secret in opening.secret_values(params.get(name))]
    return [*secrets, *secret_keys(params)]


def secret_keys(params: Mapping[str, Any]) -> list[str]:
    """Secret keys of age that were given by mistake. Public ones are shown: they say who may read a set."""
    return _SECRET_KEY.findall(f"{params.get('encrypt_to')} {params.get('identity')}")


def series(params: Mapping[str, Any], default: str) -> str:
    name = params["series"] or default
    if not _SERIES.fullmatch(name):
        raise ArgumentFault(f"'series' is {name!r}: letters, digits, - and _, beginning with a letter or a digit")
    return str(name)


def policy(params: Mapping[str, Any], name: str = "keep") -> Policy:
    try:
        return parse_policy(params[name])
    except PolicyError as exc:
        raise ArgumentFault(f"'{name}': {exc}") from exc


def seconds(params: Mapping[str, Any], name: str, read: Callable[[object], float] = parse_duration) -> float | None:
    if params[name] in (None, ""):
        return None
    try:
        value = read(params[name])
    except QuantityError as exc:
        raise ArgumentFault(f"'{name}': {exc}") from exc
    if value < 0:
        raise ArgumentFault(f"'{name}' is {params[name]}; it cannot be less than nothing")
    return value


def size(name: str, text: str) -> int:
    try:
        number, unit = parse_quantity(text)
        return int(convert(number, unit or Unit("B", BYTES), Unit("B", BYTES)))
    except QuantityError as exc:
        raise ArgumentFault(f"'{name}': {exc}") from exc


def recipients(params: Mapping[str, Any]) -> list[str]:
    """Public keys of age. A secret key in their place would be on every command line: it is refused unseen."""
    for number, recipient in enumerate(params["encrypt_to"], start=1):
        if _KEY_PREFIX in recipient.upper():
            raise ArgumentFault(f"'encrypt_to' {number} is a secret key; give the public one, which begins with age1")
        if not _RECIPIENT.fullmatch(recipient) and not recipient.startswith(("ssh-ed25519 ", "ssh-rsa ")):
            raise ArgumentFault(f"'encrypt_to' {number} is no recipient of age (age1…, ssh-ed25519 …, ssh-rsa …)")
    return list(params["encrypt_to"])


def lock_timeout(params: Mapping[str, Any]) -> float:
    value = seconds(params, "lock_timeout")
    if value is None or value < 1:
        raise ArgumentFault(f"'lock_timeout' is {params['lock_timeout']}; a second is the least")
    return value


def identity(params: Mapping[str, Any]) -> str | None:
    """The path of a key file. The key itself would be in argv."""
    path = params["identity"]
    if path is not None and _KEY_PREFIX in path.upper():
        raise ArgumentFault("'identity' is a secret key; give the path of the file that has it")
    return str(path) if path is not None else None


def jobs(params: Mapping[str, Any]) -> int:
    wanted = params["jobs"]
    if wanted is not None and wanted < 1:
        raise ArgumentFault(f"'jobs' is {wanted}; one stream is the least")
    return wanted or os.cpu_count() or 1


def level(params: Mapping[str, Any]) -> int:
    wanted = params["compression_level"]
    if not 1 <= wanted <= 19:
        raise ArgumentFault(f"'compression_level' is {wanted}; zstd has 1 to 19")
    return int(wanted)


def plan(params: Mapping[str, Any], default_series: str) -> dict[str, Any]:
    """What all kinds of backups have in common, as arguments of a Plan."""
    return {
        "series": series(params, default_series),
        "policy": policy(params),
        "copy_policy": policy(params, "copy_keep") if params["copy_keep"] is not None else None,
        "identity": identity(params),
        "verify": params["verify"] == "read",
        "max_age": seconds(params, "max_age"),
        "lock_wait": seconds(params, "lock_wait") or 0.0,
        "run_id": params["run_id"],
        "planned_directories": [os.path.normpath(path) for path in params["planned_directories"]],
    }
