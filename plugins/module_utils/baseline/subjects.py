# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a baseline is made of: a host's accounts, rights, rules and modes as lines that can be compared."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import stat
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.files import entries
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_SHADOW = "/etc/shadow"
_SUDOERS = ("/etc/sudoers", "/etc/sudoers.d/*")
_SUDO_GROUPS = ("sudo", "wheel", "admin")
# Packet and byte counters move all the time.
_COUNTERS = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+")


def accounts(_args: Mapping[str, Any]) -> list[str]:
    """One line an account: ids, groups, shell, and whether it has a password (never the hash of it)."""
    groups: dict[str, list[str]] = {}
    for group in grp.getgrall():
        for member in group.gr_mem:
            groups.setdefault(member, []).append(group.gr_name)
    states = passwords()
    return [
        f"{user.pw_name} uid={user.pw_uid} gid={user.pw_gid} groups={','.join(sorted(groups.get(user.pw_name, [])))}"
        f" shell={user.pw_shell} password={states.get(user.pw_name, 'none')}"
        for user in sorted(pwd.getpwall(), key=lambda user: user.pw_name)
    ]


def passwords() -> dict[str, str]:
    try:
        with open(_SHADOW, encoding="utf-8", errors="replace") as lines:
            fields = [line.rstrip("\n").split(":") for line in lines]
    except PermissionError:
        raise NeedsRoot(f"{_SHADOW} cannot be read") from None
    except OSError as exc:
        raise Undetermined(f"{_SHADOW}: {exc.strerror}") from exc
    words = {"": "empty", "!": "locked", "*": "locked", "!!": "locked"}
    return {
        entry[0]: words.get(entry[1], "locked" if entry[1].startswith("!") else "set")
        for entry in fields
        if len(entry) > 1
    }


def sudo(_args: Mapping[str, Any]) -> list[str]:
    """Rules of the sudoers files, and who is in the groups that they are usually about."""
    lines = []
    for path in (name for pattern in _SUDOERS for name in sorted(glob.glob(pattern))):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read().replace("\\\n", " ")
        except PermissionError:
            raise NeedsRoot(f"{path} cannot be read") from None
        except OSError as exc:
            raise Undetermined(f"{path}: {exc.strerror}") from exc
        rules = (" ".join(line.split()) for line in text.split("\n"))
        lines += [f"{path}: {rule}" for rule in rules if rule and not re.match(r"#(?!include)", rule)]
    for name in _SUDO_GROUPS:
        try:
            members = grp.getgrnam(name).gr_mem
        except KeyError:
            continue
        lines += [f"group {name}: {member}" for member in sorted(members)]
    return lines


def firewall(_args: Mapping[str, Any]) -> list[str]:
    """The rules that the kernel has, whoever wrote them; without counters."""
    if os.geteuid() != 0:
        raise NeedsRoot("the firewall's rules cannot be read")
    try:
        answer = run(["nft", "--stateless", "list", "ruleset"], cap=1 << 24)
    except Undetermined:
        answer = run(["iptables-save"], cap=1 << 24)
    if answer.code != 0:
        raise Undetermined(f"the firewall's rules cannot be read: {answer.complaint}")
    text = _COUNTERS.sub("", answer.stdout.decode("utf-8", "replace"))
    return [line.rstrip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def modes(args: Mapping[str, Any]) -> list[str]:
    """Mode, owner and group of everything below a directory."""
    return sorted(
        f"{path}: {stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"
        for path, status in entries(args["path"], args["pattern"], args["exclude"])
    )


COLLECT: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "accounts": accounts,
    "sudo": sudo,
    "firewall": firewall,
    "modes": modes,
}
