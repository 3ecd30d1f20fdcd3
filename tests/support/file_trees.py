# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trees of all that a file system has, what they are as lstat says it, and sets of them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup.run import run
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import Options, pack
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import plan
from lab_host import ROOT

_NOBODY = 0xFFFFFFFF
# The user bin may read, as setfacl would write it: version, then tag, rights and id of each entry.
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, ~0 & 0xFFFFFFFF), (2, 4, 2), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
)
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def make_tree(folder: Path) -> None:
    """A directory with everything that is easily lost."""
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "conf").write_text("whole\n")
    (folder / "conf").chmod(0o640)
    os.chown(folder / "conf", 33, 4)
    (folder / "sub" / "gone").write_bytes(random.Random(1).randbytes(300_000))
    (folder / "sub" / "stays").write_text("x")
    os.link(folder / "conf", folder / "hard")
    os.symlink("../../elsewhere", folder / "link")
    os.symlink("/nowhere", folder / "absolute")
    os.mkfifo(folder / "pipe", 0o600)
    (folder / 'we"ird\n; rm \\ -> é').write_text("odd")
    os.truncate(os.open(folder / "sparse", os.O_CREAT | os.O_WRONLY, 0o600), 50_000_000)
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o4755)
    os.setxattr(folder / "program", "security.capability", _CAPABILITY)
    os.setxattr(folder / "program", "user.note", b"kept")
    os.setxattr(folder / "conf", "system.posix_acl_access", _ACL)
    (folder / "sub").chmod(0o2770)
    os.utime(folder / "sub" / "stays", ns=(1_577_836_800_123_456_789, 1_577_836_800_123_456_789))
    os.utime(folder / "sub" / "empty", (1_577_836_800, 1_577_836_800))


def fingerprint(root: Path) -> dict[str, Any]:
    """Everything of a tree by name: mode, owner, contents or target, extended attributes, links, times of files."""
    found: dict[str, Any] = {"": _of(root)}
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(place, name)
            found[str(path.relative_to(root))] = _of(path)
    return dict(sorted(found.items()))


def _of(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    names = [] if stat.S_ISLNK(status.st_mode) else sorted(os.listxattr(path))
    attributes = {name: os.getxattr(path, name).hex() for name in names}
    regular = stat.S_ISREG(status.st_mode)
    return (
        oct(status.st_mode), f"{status.st_uid}:{status.st_gid}", content, attributes,
        status.st_nlink if regular else 0, status.st_mtime_ns if not stat.S_ISDIR(status.st_mode) else 0,
    )  # fmt: skip


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own, in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Site:
    """A tree, its sets, and the module as a process of its own."""

    def __init__(self, base: Path) -> None:
        self.base, self.repository = base, base / "sets"
        self.tree = base / "etc" / "shop"

    def backup(self, *paths: Path, recipients: tuple[str, ...] = (), **about: Any) -> str:
        options = Options([str(each) for each in paths or (self.tree,)], recipients=recipients)
        place = open_repository(str(self.repository))
        outcome = run(plan(recipients=recipients, **about), place, None, partial(pack, options))
        return str(outcome["set"]["id"])

    def call(self, check_mode: bool = False, diff: bool = False, **arguments: Any) -> Any:
        running = self.start(_ansible_check_mode=check_mode, _ansible_diff=diff, **arguments)
        said, complaint = running.communicate()
        assert said, complaint
        return json.loads(said.strip().rpartition("\n")[2])

    def start(self, **arguments: Any) -> subprocess.Popen[str]:
        """The module, in a process group of its own."""
        argv = [sys.executable, str(ROOT / "tests" / "support" / "kill_runs.py"), "module", "file_restore"]
        return subprocess.Popen(
            [*argv, json.dumps({"repository": str(self.repository), **arguments})],
            env={**os.environ, "PYTHONPATH": str(ROOT / ".collections")},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def refused(self, **arguments: Any) -> str:
        """Why; and everything is what it was, but for what is known of a set (whose lock may have been taken)."""
        before = fingerprint(self.base)
        outcome = self.call(**arguments)
        assert outcome.get("failed"), outcome
        after = fingerprint(self.base)
        for found in (before, after):
            for name in [name for name in found if name.endswith((".day2-lock", "/state.json", "/files/.lock"))]:
                del found[name]
        assert after == before
        return str(outcome["msg"])

    def archive(self, name: str) -> Path:
        return self.repository / "files" / name / "archive001.tar.zst"

    def beside(self) -> list[str]:
        return sorted(each.name for each in self.tree.parent.iterdir() if each.name.startswith("."))
