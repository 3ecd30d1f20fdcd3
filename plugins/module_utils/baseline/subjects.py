# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subjects of baselines: accounts, sudo rules, firewall rules and file modes of a host as comparable lines."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import stat
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.baseline.sudoers import Sudoers, read_sudoers
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.files import entries
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_SHADOW = "/etc/shadow"
# passwd(5): x means that the password is in /etc/shadow.
_SHADOWED = "x"
_SUDO_GROUPS = ("sudo", "wheel", "admin")
# Packet and byte counters change all the time.
_COUNTERS = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+")


def accounts(_args: Mapping[str, Any]) -> list[str]:
    """One line an account: ids, groups, shell, and whether it has a password (never the hash of it)."""
    groups: dict[str, list[str]] = {}
    for group in grp.getgrall():
        for member in group.gr_mem:
            groups.setdefault(member, []).append(group.gr_name)
    users = pwd.getpwall()
    states = password_states(users)
    return [
        f"{user.pw_name} uid={user.pw_uid} gid={user.pw_gid} groups={','.join(sorted(groups.get(user.pw_name, [])))}"
        f" shell={user.pw_shell} password={states.get(user.pw_name, 'none')}"
        for user in sorted(users, key=lambda user: user.pw_name)
    ]


def password_states(users: Sequence[pwd.struct_passwd]) -> dict[str, str]:
    """`set`, `locked` or `empty` by name: from /etc/passwd, unless it refers to /etc/shadow (x)."""
    states = {user.pw_name: _password_state(user.pw_passwd) for user in users if user.pw_passwd != _SHADOWED}
    shadow = _shadow()
    return {**{user.pw_name: shadow[user.pw_name] for user in users if user.pw_name in shadow}, **states}


def _password_state(hashed: str) -> str:
    """crypt(5): no hash begins with ! or *, which lock an account."""
    return "empty" if not hashed else "locked" if hashed.startswith(("!", "*")) else "set"


def _shadow() -> dict[str, str]:
    try:
        with open(_SHADOW, encoding="utf-8", errors="replace") as lines:
            fields = [line.rstrip("\n").split(":") for line in lines]
    except PermissionError:
        raise NeedsRoot(f"{_SHADOW} cannot be read") from None
    except OSError as exc:
        raise Undetermined(f"{_SHADOW}: {exc.strerror}") from exc
    return {entry[0]: _password_state(entry[1]) for entry in fields if len(entry) > 1}


def sudo(_args: Mapping[str, Any]) -> list[str]:
    """Rules of the files that sudo reads, and the members of the groups in them and of the usual groups."""
    return sudo_lines(read_sudoers())


def sudo_lines(sudoers: Sudoers) -> list[str]:
    lines = [f"{path}: {rule}" for path, rule in sudoers.lines]
    users = pwd.getpwall()
    for name in dict.fromkeys((*_SUDO_GROUPS, *sudoers.groups())):
        try:
            group = grp.getgrgid(int(name[1:])) if name.startswith("#") else grp.getgrnam(name)
        except (KeyError, ValueError, OverflowError):
            continue
        # Users with this primary group are not in the list of members.
        members = {*group.gr_mem, *(user.pw_name for user in users if user.pw_gid == group.gr_gid)}
        lines += [f"group {group.gr_name}: {member}" for member in sorted(members)]
    return lines


def firewall(_args: Mapping[str, Any]) -> list[str]:
    """All firewall rules of the kernel, without counters."""
    if os.geteuid() != 0:
        raise NeedsRoot("the firewall's rules cannot be read")
    return [line for lines in rulesets().values() for line in lines]


def rulesets(both: bool = False) -> dict[str, list[str]]:
    """The kernel's rulesets by the program that shows them: nftables, iptables, ip6tables. Without counters.

    nft shows what iptables has written unless that is its older kind (legacy), which has tables of its own. Where nft
    is not installed, or with `both`, iptables shows all that is its own.
    """
    found = {}
    with_nft = shutil.which("nft") is not None
    if with_nft:
        found["nftables"] = _ruleset(["nft", "--stateless", "list", "ruleset"])
    for name, family in (("iptables", "ip"), ("ip6tables", "ip6")):
        lines: list[str] = []
        if (both or not with_nft) and shutil.which(f"{name}-save") is not None:
            lines += _ruleset([f"{name}-save"])
        legacy = shutil.which(f"{name}-legacy-save") or f"{name}-save"
        if _has_legacy_tables(family) and (not lines or not _is_legacy(name)):
            lines += _ruleset([legacy])
        if lines:
            found[name] = lines
    if not with_nft and all(shutil.which(f"{name}-save") is None for name in ("iptables", "ip6tables")):
        raise Undetermined("neither nftables nor iptables is installed")
    return found


def _has_legacy_tables(family: str) -> bool:
    """Whether the kernel holds tables of the older kind; asking their program would make them."""
    try:
        with open(f"/proc/net/{family}_tables_names", encoding="ascii") as stream:
            return bool(stream.read().strip())
    except OSError:
        return False


def _is_legacy(name: str) -> bool:
    return b"legacy" in run([name, "--version"]).stdout


def _ruleset(argv: list[str]) -> list[str]:
    answer = run(argv, cap=1 << 24)
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
