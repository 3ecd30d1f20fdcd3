# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module log_rotation is asked for, in people's quantities; every refusal names the field. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from signal import Signals
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault, recipients, secret_keys
from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import secret_words
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.repositories import opening
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.rotation.entries import TABOO, is_taboo
from ansible_collections.day2.ops.plugins.module_utils.rotation.globs import meet, own_piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.logrotate import Turn
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import (
    CLASSES,
    WRITER,
    Hold,
    LogPolicyError,
    Policy,
    parse_name,
    parse_size,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "rotated", "verified", "absent"], "default": "present"},
    "paths": {"type": "list", "elements": "str", "default": []},
    "log_class": {"type": "str", "default": "application"},
    "max_age": {"type": "str"},
    "max_size": {"type": "str"},
    "holds": {"type": "list", "elements": "dict", "default": []},
    "encrypt_to": {"type": "list", "elements": "str", "default": []},
    "level": {"type": "int", "default": 3},
    "copy_to": {"type": "raw"},
    "host": {"type": "str"},
    "frequency": {"type": "str", "choices": ["hourly", "daily", "weekly", "monthly"], "default": "daily"},
    "size": {"type": "str"},
    "reopen": {"type": "dict"},
    "copytruncate": {"type": "bool", "default": False},
    "take_over": {"type": "bool", "default": False},
    "renamed_by": {"type": "str", "choices": ["logrotate", "writer"], "default": "logrotate"},
    "anchors": {"type": "list", "elements": "dict", "default": []},
}
_REOPEN = ("service", "signal", "reload", "command")
_HOLD = ("pattern", "until", "reason")


@dataclass(frozen=True)
class Wanted:
    """A policy, and how its log is rotated."""

    policy: Policy
    turn: Turn
    take_over: bool


def parse(params: Mapping[str, Any]) -> Wanted:
    """LogPolicyError, with the field."""
    name = parse_log(params["name"])
    log_class = params["log_class"]
    if log_class not in CLASSES:
        raise LogPolicyError(f"'log_class' is {log_class!r}, which is no class of logs; {meant(log_class, CLASSES)}")
    usual = CLASSES[log_class]
    by_writer = params["renamed_by"] == WRITER
    reopen, service = _reopen(params["reopen"])
    if by_writer and params["copytruncate"]:
        raise LogPolicyError("'copytruncate' is logrotate's, and does not go with 'renamed_by: writer'")
    if params["copytruncate"] and reopen:
        raise LogPolicyError("'copytruncate' does not go with 'reopen': a writer that reopens its log loses no line")
    if not 1 <= params["level"] <= 19:
        raise LogPolicyError(f"'level' is {params['level']}; zstd has 1 to 19")
    try:
        encrypt_to = tuple(recipients(params))
    except ArgumentFault as exc:
        raise LogPolicyError(str(exc)) from None
    if usual.sealed and not encrypt_to:
        raise LogPolicyError(f"'encrypt_to' is missing: class {log_class} is encrypted. Give a public key of age")
    policy = Policy(
        name=name,
        log_class=log_class,
        paths=_paths(params["paths"], by_writer),
        max_age=_read("lifetime", "max_age", params["max_age"]) if params["max_age"] is not None else usual.max_age,
        max_size=parse_size("max_size", params["max_size"]) if params["max_size"] is not None else usual.max_size,
        reopen=reopen,
        renamed_by=params["renamed_by"],
        encrypt_to=encrypt_to,
        level=params["level"],
        copy_to=_place(params["copy_to"]),
        host=_host(params["host"]),
        holds=tuple(_hold(number, raw) for number, raw in enumerate(params["holds"], start=1)),
    )
    size = parse_size("size", params["size"]) if params["size"] is not None else None
    return Wanted(policy, Turn(params["frequency"], size, params["copytruncate"], reopen, service), params["take_over"])


def secret_values(params: Mapping[str, Any]) -> list[str]:
    """What nobody may see in a result, an invocation or a log, also where it is malformed."""
    reopen = params.get("reopen")
    command = reopen.get("command") if isinstance(reopen, Mapping) else None
    words = [str(word) for word in command] if isinstance(command, (list, tuple)) else [str(command or "")]
    return [*opening.secret_values(params.get("copy_to")), *secret_words(words), *secret_keys(params)]


def _place(raw: object) -> Any:
    try:
        opening.locate(raw) if raw else None
    except RepositoryError as exc:
        raise LogPolicyError(f"'copy_to' {exc}") from None
    return opening.as_given(raw) if raw else None


def _host(raw: str | None) -> str:
    if raw and ("/" in raw or raw.startswith(".")):
        raise LogPolicyError(f"'host' is {raw!r}, which cannot be a part of a path")
    return raw or ""


def parse_log(raw: str) -> str:
    name = parse_name(raw)
    if is_taboo(TABOO, name):
        raise LogPolicyError(f"'name' is {name!r}: logrotate does not read files whose names end like that")
    return name


def _read(kind: str, field: str, value: object) -> Any:
    try:
        return Argument(kind, "").read(value)
    except ArgumentError as exc:
        raise LogPolicyError(f"'{field}': {exc}") from exc


def _paths(raw: Sequence[str], by_writer: bool) -> tuple[str, ...]:
    if not raw:
        raise LogPolicyError("'paths' is missing: the files that are written to, absolute, with shell patterns")
    for number, path in enumerate(raw):
        if not path.startswith("/") or os.path.normpath(path) != path or path.count("/") < 2:
            raise LogPolicyError(f"'paths': {path!r} is not an absolute path of a log, without '..', '.' and '//'")
        wrong = next((char for char in "\n\r\0{}" if char in path), None)
        if wrong is not None:
            raise LogPolicyError(f"'paths': {path!r} has {wrong!r}, which logrotate cannot read; write ? in its place")
        if not by_writer and own_piece(path):
            raise LogPolicyError(
                f"'paths': {path} would match its own pieces, such as …-20260131-1769817600, which would be rotated as"
                " logs: say how the names of the logs themselves end"
            )
        twice = next((other for other in raw[:number] if meet(path, other)), None)
        if twice is not None:
            raise LogPolicyError(f"'paths': {twice} and {path} can be the same file, and logrotate takes no file twice")
    return tuple(raw)


def _reopen(raw: Mapping[str, Any] | None) -> tuple[tuple[str, ...], str]:
    """The command, and the service that it is for."""
    if not raw:
        return (), ""
    given = {field: value for field, value in raw.items() if value not in (None, False)}
    unknown = next((field for field in given if field not in _REOPEN), None)
    if unknown is not None:
        raise LogPolicyError(f"'reopen': '{unknown}' is no field of it; {meant(unknown, _REOPEN)}")
    if set(given) == {"command"}:
        return _command(given["command"]), ""
    if set(given) not in ({"service", "signal"}, {"service", "reload"}):
        raise LogPolicyError(
            "'reopen': one of {service, signal}, {service, reload: true} and {command: [program, argument …]}"
        )
    service = _read("str", "reopen.service", given["service"])
    service = service if "." in service else f"{service}.service"
    if "reload" in given:
        return ("systemctl", "reload", service), service
    signal = signal_of(given["signal"])
    return ("systemctl", "kill", f"--signal={signal.name}", "--kill-who=main", service), service


def signal_of(raw: object) -> Signals:
    """`HUP`, `SIGHUP` or its number."""
    text = str(_read("str", "reopen.signal", raw)).upper()
    known = {sign.name.removeprefix("SIG"): sign for sign in Signals}
    found = known.get(text.removeprefix("SIG")) or next((sign for sign in Signals if str(sign.value) == text), None)
    if found is None:
        raise LogPolicyError(f"'reopen.signal' is {raw!r}, which is no signal; {meant(text, known)}")
    return found


def _command(raw: object) -> tuple[str, ...]:
    argv: tuple[str, ...] = _read("argv", "reopen.command", raw)
    if not argv[0].startswith("/"):
        raise LogPolicyError(f"'reopen.command': {argv[0]!r} is not the absolute path of a program")
    if any("\n" in word or "\0" in word for word in argv):
        raise LogPolicyError("'reopen.command': an argument has a line break, which logrotate's file cannot have")
    if secret_words(argv):
        raise LogPolicyError(
            "'reopen.command' has a secret, which everybody could read in the process list and in logrotate's file:"
            " have the program read it from a file"
        )
    return argv


def _hold(number: int, raw: Mapping[str, Any]) -> Hold:
    unknown = next((field for field in raw if field not in _HOLD), None)
    if unknown is not None:
        raise LogPolicyError(f"'holds' {number}: '{unknown}' is no field of it; {meant(unknown, _HOLD)}")
    missing = next((field for field in _HOLD if not raw.get(field)), None)
    if missing is not None:
        raise LogPolicyError(f"'holds' {number}: '{missing}' is missing")
    try:
        day = datetime.strptime(str(raw["until"]), "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        raise LogPolicyError(f"'holds' {number}: 'until' is {raw['until']!r}, and not a day, as 2026-12-31") from None
    # It holds until that day is over, everywhere.
    return Hold(str(raw["pattern"]), day.timestamp() + 36 * 3600, str(raw["reason"]))
