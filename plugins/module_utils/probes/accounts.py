# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of the host: who is root by number, who has no password, who is never seen, who may become root."""

from __future__ import annotations

import os
import pwd
import struct
import time
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.baseline.subjects import password_states, sudo_lines
from ansible_collections.day2.ops.plugins.module_utils.baseline.sudoers import read_sudoers
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if metric != "unused" and args["days"] is not None:
        raise FieldError("days", "is for metric 'unused'")


SPEC = ProbeSpec(
    doc="Accounts of the host, as its programs see them. A second account with uid 0 and one with an empty password, in"
    " /etc/passwd or in /etc/shadow, are critical.",
    arguments={
        "days": Argument("count", "For `unused`: after so many days without a login; without it 90."),
        "exclude": Argument("strings", "Accounts that are left out."),
    },
    metrics={
        "login": Metric("Accounts that can log in: their shell is one.", "accounts"),
        "uid_zero": Metric("Accounts besides root with its number; any is critical.", "accounts"),
        "empty_passwords": Metric("Accounts with an empty password; any is critical. Needs root.", "accounts"),
        "unused": Metric(
            "Accounts that can log in and have not for `days`; those that never have count once their home is as old.",
            "accounts",
        ),
        "sudo": Metric(
            "Rules of the files that sudo reads, and members of the groups that they are about, by their primary group"
            " too. Needs root.",
            "rules",
        ),
    },
    default_metric="login",
    validate=_validate,
)
_NO_SHELLS = ("nologin", "false", "sync", "halt", "shutdown", "true")
_LASTLOG, _WTMP = "/var/log/lastlog", "/var/log/wtmp"
# lastlog(5): a 32-bit time, a line of 32 bytes, a host of 256, at uid times the record's size.
_RECORD = struct.Struct("=I32s256s")
# utmp(5) of Linux, 64-bit: type, pid, line, id, user, host, exit, session, time and address.
_UTMP = struct.Struct("=hxxi32s4s32s256shhiii4i20x")
_USER_PROCESS = 7
_DAYS = 90
_DAY = 86400
_SHOWN = 20
_SWITCH = "/etc/nsswitch.conf"


def observe(_source: object, check: Check) -> Observation:
    excluded = check.args["exclude"] or ()
    users = [user for user in pwd.getpwall() if user.pw_name not in excluded]
    return _METRICS[check.metric.name](users, check)


def can_log_in(user: pwd.struct_passwd) -> bool:
    return os.path.basename(user.pw_shell) not in _NO_SHELLS


def _login(users: list[pwd.struct_passwd], _check: Check) -> Observation:
    found = [user for user in users if can_log_in(user)]
    evidence = [f"{user.pw_name} uid={user.pw_uid} {user.pw_dir} {user.pw_shell}" for user in found[:_SHOWN]]
    return Observation(len(found), f"{len(found)} of {counted(len(users), 'account')} can log in", evidence=evidence)


def _uid_zero(users: list[pwd.struct_passwd], _check: Check) -> Observation:
    found = [user.pw_name for user in users if user.pw_uid == 0 and user.pw_name != "root"]
    if not found:
        return Observation(0, "only root has uid 0")
    verb = "has" if len(found) == 1 else "have"
    return Observation(len(found), f"{', '.join(found)} {verb} uid 0 beside root", unexpected="only root should")


def _empty_passwords(users: list[pwd.struct_passwd], _check: Check) -> Observation:
    found = [user.pw_name for user in users if not user.pw_passwd]
    try:
        states = password_states(users)
        found = [user.pw_name for user in users if states.get(user.pw_name) == "empty"]
    except NeedsRoot:
        # What stands in /etc/passwd is known without it.
        if not found:
            raise
    if not found:
        return Observation(0, "no account has an empty password")
    return Observation(
        len(found), f"{', '.join(found)}: no password is needed", unexpected="one should be", evidence=found
    )


def _sudo(_users: list[pwd.struct_passwd], check: Check) -> Observation:
    excluded = check.args["exclude"] or ()
    sudoers = read_sudoers()
    rules = [line for line in sudo_lines(sudoers) if not any(line.endswith(f": {name}") for name in excluded)]
    free = sum("NOPASSWD" in rule or "!authenticate" in rule for rule in rules)
    text = f"{counted(len(rules), 'line')} of sudo's rules and members of their groups"
    text += f", {free} without a password" if free else ""
    elsewhere = _other_sources()
    if elsewhere:
        text += f"; rules of {' and '.join(elsewhere)} (/etc/nsswitch.conf) are not read"
    ignored = [f"ignored by sudo: {line}" for line in sudoers.ignored]
    return Observation(len(rules), text, evidence=rules + ignored)


def _other_sources() -> list[str]:
    """Where sudo has rules from beside its files: `sudoers: files sss`."""
    try:
        with open(_SWITCH, encoding="utf-8", errors="replace") as lines:
            found = [line.split("#")[0].split()[1:] for line in lines if line.startswith("sudoers:")]
    except OSError:
        return []
    return [word for words in found for word in words if word != "files" and not word.startswith("[")]


def last_logins(users: list[pwd.struct_passwd]) -> dict[str, float]:
    """POSIX time of each account's last login, of those that have one, by lastlog and wtmp."""
    found: dict[str, float] = {}
    readable = False
    try:
        with open(_LASTLOG, "rb") as stream:
            readable = True
            for user in users:
                stream.seek(user.pw_uid * _RECORD.size)
                data = stream.read(_RECORD.size)
                moment = _RECORD.unpack(data)[0] if len(data) == _RECORD.size else 0
                if moment:
                    found[user.pw_name] = float(moment)
    except FileNotFoundError:
        readable = False
    except PermissionError:
        raise NeedsRoot(f"{_LASTLOG} cannot be read") from None
    try:
        with open(_WTMP, "rb") as stream:
            readable = True
            for name, moment in wtmp(stream.read()):
                found[name] = max(found.get(name, 0.0), moment)
    except PermissionError:
        raise NeedsRoot(f"{_WTMP} cannot be read") from None
    except FileNotFoundError:
        pass
    if not readable:
        raise Undetermined(f"neither {_LASTLOG} nor {_WTMP} is there to tell who logged in")
    return found


def wtmp(data: bytes) -> list[tuple[str, float]]:
    """Name and time of each login in a wtmp file."""
    logins = []
    for place in range(0, len(data) - _UTMP.size + 1, _UTMP.size):
        fields = _UTMP.unpack_from(data, place)
        if fields[0] == _USER_PROCESS:
            name = fields[4].split(b"\0", 1)[0].decode("utf-8", "replace")
            logins.append((name, float(fields[9] & 0xFFFFFFFF)))
    return logins


def _unused(users: list[pwd.struct_passwd], check: Check) -> Observation:
    days, now = check.args["days"] or _DAYS, time.time()
    able = [user for user in users if can_log_in(user)]
    states = _known_states(able)
    # An account that is locked is nobody's way in.
    able = [user for user in able if states.get(user.pw_name) != "locked" or user.pw_name == "root"]
    logins = last_logins(able)
    evidence = []
    for user in able:
        last = logins.get(user.pw_name)
        since = last if last is not None else _made(user)
        if since is not None and now - since <= days * _DAY:
            continue
        history = f"last login {format_duration(now - last)} ago" if last is not None else "never logged in"
        evidence.append(f"{user.pw_name}: {history}")
    verb = "has" if len(evidence) == 1 else "have"
    text = f"{len(evidence)} of {counted(len(able), 'account')} {verb} not logged in for {counted(days, 'day')}"
    return Observation(len(evidence), text, evidence=evidence)


def _known_states(users: list[pwd.struct_passwd]) -> dict[str, str]:
    """Who may not read that takes accounts for open."""
    try:
        return password_states(users)
    except NeedsRoot:
        return {}


def _made(user: pwd.struct_passwd) -> float | None:
    """About when the account was made: nothing in its home is older than its skeleton's copy."""
    try:
        return os.stat(os.path.join(user.pw_dir, ".bash_logout")).st_ctime
    except OSError:
        return None


_METRICS = {
    "login": _login,
    "uid_zero": _uid_zero,
    "empty_passwords": _empty_passwords,
    "unused": _unused,
    "sudo": _sudo,
}
