# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files sudo reads, whom their rules are about, and which accounts need no password."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.baseline import subjects
from ansible_collections.day2.ops.plugins.module_utils.baseline.sudoers import Sudoers, read_sudoers
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined

RULE = "ops ALL=(ALL) ALL"


def written(folder: Path, files: dict[str, str]) -> Sudoers:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("HERE", str(folder)))
        path.chmod(0o440)
    return read_sudoers((str(folder / "sudoers"),), owner=os.getuid())


@pytest.mark.parametrize(
    ("files", "read", "ignored"),
    [
        ({"sudoers": f"{RULE}\n"}, [RULE], 0),
        ({"sudoers": f"# a comment\n{RULE} # why\n#!also one\n"}, [RULE], 0),
        # A number after # is a user's.
        ({"sudoers": "#1000 ALL=(ALL) ALL\n#1 reason for it\n"}, ["#1000 ALL=(ALL) ALL"], 0),
        ({"sudoers": "ops ALL=(ALL) \\\n  NOPASSWD: ALL\n"}, ["ops ALL=(ALL) NOPASSWD: ALL"], 0),
        (
            {"sudoers": "@includedir HERE/d\n", "d/ops": RULE, "d/old.bak": "x ALL=ALL", "d/ops~": "y ALL=ALL"},
            [RULE],
            2,
        ),
        ({"sudoers": "#includedir HERE/d\n", "d/ops": RULE}, [RULE], 0),
        # Nobody includes the directory.
        ({"sudoers": "Defaults env_reset\n", "d/ops": RULE}, ["Defaults env_reset"], 0),
        ({"sudoers": "@include HERE/more\n", "more": RULE}, [RULE], 0),
        ({"sudoers": "#include more\n", "more": RULE}, [RULE], 0),
        ({"sudoers": '@include "HERE/more rules"\n', "more rules": RULE}, [RULE], 0),
        ({"sudoers": "@include HERE/more\\ rules\n", "more rules": RULE}, [RULE], 0),
        ({"sudoers": "@include HERE/sudoers.%h\n", f"sudoers.{socket.gethostname().split('.')[0]}": RULE}, [RULE], 0),
        ({"sudoers": "@include HERE/file.with.dots\n", "file.with.dots": RULE}, [RULE], 0),
        ({"sudoers": "@include HERE/gone\n@includedir HERE/nowhere\n"}, [], 1),
        ({"sudoers": "@include HERE/one\n", "one": "@include HERE/two\n", "two": RULE}, [RULE], 0),
    ],
)
def test_files_that_sudo_reads(tmp_path: Path, files: dict[str, str], read: list[str], ignored: int) -> None:
    found = written(tmp_path, files)
    rules = [rule for _path, rule in found.lines if not rule.startswith(("@include", "#include"))]
    assert rules == read and len(found.ignored) == ignored, found


def test_files_that_sudo_refuses(tmp_path: Path) -> None:
    found = written(tmp_path, {"sudoers": "@includedir HERE/d\n", "d/ops": RULE})
    assert len(found.lines) == 2
    (tmp_path / "d/ops").chmod(0o666)
    found = read_sudoers((str(tmp_path / "sudoers"),), owner=os.getuid())
    assert len(found.lines) == 1 and "everybody may write it" in found.ignored[0]
    other = read_sudoers((str(tmp_path / "sudoers"),), owner=os.getuid() + 1)
    assert other.lines == [] and "sudo refuses it" in other.ignored[0]


def test_no_end_of_includes(tmp_path: Path) -> None:
    with pytest.raises(Undetermined, match="without an end"):
        written(tmp_path, {"sudoers": "@include HERE/sudoers\n"})


def test_no_sudo(tmp_path: Path) -> None:
    assert read_sudoers((str(tmp_path / "none"),)) == Sudoers()


@pytest.mark.parametrize(
    ("rule", "groups"),
    [
        ("%ops ALL=(ALL) ALL", ["ops"]),
        ("bob, %ops, %#27 ALL = ALL", ["ops", "#27"]),
        ("ALL, !%guests ALL=(ALL) ALL", []),
        ("User_Alias ADMINS = bob, %ops : WEB = %web", ["ops", "web"]),
        (r"%domain\ admins ALL=(ALL) ALL", ["domain admins"]),
        ('"%domain admins" ALL=(ALL) ALL', ["domain admins"]),
        ('%"domain admins" ALL=(ALL) ALL', ["domain admins"]),
        ("%:plugin ALL=ALL", []),
        ("bob ALL=(%runas) ALL", []),
        ("bob ALL=(ALL) /bin/date +%s", []),
        ("Defaults:%wheel !authenticate", []),
        ("+netgroup ALL=ALL", []),
    ],
)
def test_groups_that_rules_are_about(rule: str, groups: list[str]) -> None:
    assert Sudoers([("f", rule)]).groups() == groups


def user(name: str, password: str) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, password, 1000, 1000, "", "/", "/bin/sh"))


@pytest.mark.parametrize(
    ("password", "shadow", "state"),
    [
        ("x", "x:$6$hash:1::::::", "set"), ("x", "x::1::::::", "empty"), ("x", "x:!:1::::::", "locked"),
        ("x", "x:!!:1::::::", "locked"), ("x", "x:*:1::::::", "locked"), ("x", "x:!$6$hash:1::::::", "locked"),
        ("x", "x:*LK*:1::::::", "locked"), ("x", "other::1::::::", None), ("", "x:$6$hash:1::::::", "empty"),
        ("", "", "empty"), ("$1$hash", "", "set"), ("*", "x::1::::::", "locked"), ("!", "", "locked"),
    ],
)  # fmt: skip
def test_accounts_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, shadow: str, state: str | None
) -> None:
    (tmp_path / "shadow").write_text(f"root:$6$hash:1::::::\n{shadow}\n")
    monkeypatch.setattr(subjects, "_SHADOW", str(tmp_path / "shadow"))
    assert subjects.password_states([user("x", password)]).get("x") == state


def test_members_by_primary_group(monkeypatch: pytest.MonkeyPatch) -> None:
    group = grp.struct_group(("ops", "x", 1000, ["carol"]))
    monkeypatch.setattr(grp, "getgrnam", {"ops": group}.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", {1000: group}.__getitem__)
    monkeypatch.setattr(pwd, "getpwall", lambda: [user("bob", "x")])
    expected = ["group ops: bob", "group ops: carol"]
    for rule in ("%ops ALL=ALL", "%#1000 ALL=ALL", "User_Alias A = %ops"):
        assert subjects.sudo_lines(Sudoers([("f", rule)]))[1:] == expected, rule
    assert subjects.sudo_lines(Sudoers([("f", "%nobodys ALL=ALL"), ("f", "%#99999999999999999999 ALL=ALL")]))[2:] == []


def test_who_may_not_read_shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(NeedsRoot):
        subjects.password_states([user("x", "x")])
