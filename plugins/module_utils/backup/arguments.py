# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that the modules of backups share, and what they mean."""

from __future__ import annotations

import os
import re
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository, open_repository
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy, PolicyError, parse_policy
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    BYTES,
    QuantityError,
    Unit,
    convert,
    parse_duration,
    parse_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login

_S3 = ("endpoint_url", "region", "access_key", "secret_key", "session_token", "ca_path", "validate_certs")
_SERIES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_RECIPIENT = re.compile(r"age1[0-9a-z]{58}")

LOGIN: dict[str, dict[str, Any]] = {
    "host": {"type": "str"},
    "port": {"type": "int"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "service": {"type": "str"},
    "sslmode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "maintenance_database": {"type": "str", "default": "postgres"},
}
REPOSITORY: dict[str, dict[str, Any]] = {
    "repository": {"type": "str", "required": True},
    "series": {"type": "str"},
    "s3_endpoint_url": {"type": "str"},
    "s3_region": {"type": "str"},
    "s3_access_key": {"type": "str", "no_log": False},
    "s3_secret_key": {"type": "str", "no_log": True},
    "s3_session_token": {"type": "str", "no_log": True},
    "s3_ca_path": {"type": "path"},
    "s3_validate_certs": {"type": "bool", "default": True},
    "s3_timeout": {"type": "str", "default": "60s"},
}
MAKING: dict[str, dict[str, Any]] = {
    "copy_to": {"type": "str"},
    "encrypt_to": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "identity": {"type": "path"},
    "keep": {"type": "dict"},
    "copy_keep": {"type": "dict"},
    "max_age": {"type": "str"},
    "verify": {"type": "str", "default": "read", "choices": ["none", "read"]},
    "lock_wait": {"type": "str", "default": "0s"},
    "jobs": {"type": "int"},
    "compression_level": {"type": "int"},
    "spool_max": {"type": "str", "default": "64MiB"},
    "timeout": {"type": "str"},
    "run_id": {"type": "str"},
}


class ArgumentFault(Day2Error):
    """An argument that cannot be meant; the message names it."""


def login(params: Mapping[str, Any]) -> Login:
    if params["service"] is not None and params["host"] is not None:
        raise ArgumentFault("'host' does not go with 'service', which names the host")
    return Login(**{name: params[name] for name in LOGIN})


def repository(params: Mapping[str, Any], name: str = "repository", streams: int = 1) -> Repository:
    options = {option: params[f"s3_{option}"] for option in _S3}
    options["timeout"] = seconds(params, "s3_timeout")
    if options["timeout"] is not None and options["timeout"] < 1:
        raise ArgumentFault(f"'s3_timeout' is {params['s3_timeout']}; a second is the least")
    spool = size("spool_max", params["spool_max"]) // max(1, streams) if params.get("spool_max") else 0
    return open_repository(params[name], {**options, "spool": spool})


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


def seconds(params: Mapping[str, Any], name: str) -> float | None:
    if params[name] in (None, ""):
        return None
    try:
        value = parse_duration(params[name])
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
    for number, each in enumerate(params["encrypt_to"], start=1):
        if each.upper().startswith("AGE-SECRET-KEY"):
            raise ArgumentFault(f"'encrypt_to' {number} is a secret key; give the public one, which begins with age1")
        if not _RECIPIENT.fullmatch(each) and not each.startswith(("ssh-ed25519 ", "ssh-rsa ")):
            raise ArgumentFault(f"'encrypt_to' {number} is no recipient of age (age1…, ssh-ed25519 …, ssh-rsa …)")
    return list(params["encrypt_to"])


def jobs(params: Mapping[str, Any]) -> int:
    wanted = params["jobs"]
    if wanted is not None and wanted < 1:
        raise ArgumentFault(f"'jobs' is {wanted}; one stream is the least")
    return wanted or os.cpu_count() or 1


def level(params: Mapping[str, Any]) -> int | None:
    """None: whoever makes the backup chooses."""
    wanted = params["compression_level"]
    if wanted is not None and not 1 <= wanted <= 19:
        raise ArgumentFault(f"'compression_level' is {wanted}; zstd has 1 to 19")
    return int(wanted) if wanted is not None else None


def plan(params: Mapping[str, Any], default_series: str) -> dict[str, Any]:
    """What all kinds of backups have in common, as arguments of a Plan."""
    return {
        "series": series(params, default_series),
        "policy": policy(params),
        "copy_policy": policy(params, "copy_keep") if params["copy_keep"] is not None else None,
        "identity": params["identity"],
        "verify": params["verify"] == "read",
        "max_age": seconds(params, "max_age"),
        "lock_wait": seconds(params, "lock_wait") or 0.0,
        "run_id": params["run_id"],
    }
