# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that sudo reads, in its order, and the files it ignores: sudoers(5), "Including other files".

A directory counts only where a file includes it, and of its files those without a dot in their name and without a
final ~. A file that is not root's, or that others may write, is refused by sudo.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined

PLACES = ("/etc/sudoers", "/usr/etc/sudoers")
_DEEPEST = 128
_INCLUDE = re.compile(r"[@#](include|includedir)\s+(?:\"([^\"]+)\"|((?:\\.|\S)+))\s*$")
# `#1000 ALL=(ALL) ALL` is a rule for a number, and no comment.
_COMMENT = re.compile(r"#(?!-?\d+\b[^=]*=)")
_TRAILING = re.compile(r"\s#(?!\d).*$")
_GROUP = re.compile(r"(?<![\w!\\])(?:\"%([^\"]+)\"|%\"([^\"]+)\"|%((?:\\.|[^\s,=\"])+))")


@dataclass
class Sudoers:
    """`lines` are pairs of file and rule (also settings and aliases); `ignored` are files that sudo ignores."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def groups(self) -> list[str]:
        """Groups that rules are about, by name or, as `#27`, by number; those that a rule excludes are left out."""
        found = []
        for _path, rule in self.lines:
            if rule.startswith(("Defaults", "@", "#include", "Host_Alias", "Cmnd_Alias", "Cmd_Alias", "Runas_Alias")):
                continue
            users = rule if rule.startswith("User_Alias") else rule.partition("=")[0]
            for names in _GROUP.findall(users):
                name = re.sub(r"\\(.)", r"\1", next(filter(None, names)))
                # `%:` is a group of a plug-in, which is not in this host's groups.
                if not name.startswith(":") and name not in found:
                    found.append(name)
        return found


def read_sudoers(places: tuple[str, ...] = PLACES, owner: int = 0) -> Sudoers:
    """All rules of a host; none where there is no sudoers file."""
    found = Sudoers()
    for path in places:
        if os.path.lexists(path):
            _read(path, found, owner, 0)
            break
    return found


def _read(path: str, found: Sudoers, owner: int, depth: int) -> None:
    if depth > _DEEPEST:
        raise Undetermined(f"{path}: sudoers files include each other without an end")
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            refused = _refused(os.fstat(stream.fileno()), owner)
            text = "" if refused else stream.read()
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be read") from None
    except FileNotFoundError:
        refused, text = "it does not exist", ""
    except OSError as exc:
        raise Undetermined(f"{path}: {exc.strerror}") from exc
    if refused:
        found.ignored.append(f"{path}: {refused}")
        return
    for line in text.replace("\\\n", " ").split("\n"):
        rule = _TRAILING.sub("", " ".join(line.split()))
        include = _INCLUDE.match(rule)
        if include is not None:
            found.lines.append((path, rule))
            _include(include[1], _target(include[2] or re.sub(r"\\(.)", r"\1", include[3]), path), found, owner, depth)
        elif rule and not _COMMENT.match(rule):
            found.lines.append((path, rule))


def _target(name: str, path: str) -> str:
    """The path of an included file: relative to the including file, with %h as the host's short name."""
    return os.path.join(os.path.dirname(path), name.replace("%h", os.uname().nodename.partition(".")[0]))


def _include(kind: str, target: str, found: Sudoers, owner: int, depth: int) -> None:
    if kind == "include":
        _read(target, found, owner, depth + 1)
        return
    try:
        names = sorted(os.listdir(target))
    except PermissionError:
        raise NeedsRoot(f"{target} cannot be read") from None
    except OSError:
        # sudo treats a missing directory as empty, too.
        return
    for name in names:
        path = os.path.join(target, name)
        if "." in name or name.endswith("~"):
            found.ignored.append(f"{path}: sudo reads no file with a dot in its name, or with a final ~")
        elif not os.path.isdir(path):
            _read(path, found, owner, depth + 1)


def _refused(status: os.stat_result, owner: int) -> str | None:
    """Why sudo does not trust a file."""
    if status.st_uid != owner:
        return f"it belongs to uid {status.st_uid}, so sudo refuses it"
    if status.st_mode & stat.S_IWOTH:
        return "everybody may write it, so sudo refuses it"
    return None
