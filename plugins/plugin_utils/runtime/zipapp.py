# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl` as one file: what it needs of the collection's module_utils in a zip archive that Python runs.

That is its main file and what this imports, directly or not, also within functions. The same sources make the same
bytes, so that copying it again changes nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile

from ansible_collections.day2.ops.plugins.plugin_utils.closure import PACKAGE, UTILS, closure

_MAIN = """\
import sys
if sys.argv[1:] == ["logs", "tend"]:
    # Before anything else is imported: most ticks of the timer have nothing to do.
    from ansible_collections.day2.ops.plugins.module_utils.rotation.quiet import nothing_is_due
    if nothing_is_due():
        sys.exit()
from ansible_collections.day2.ops.plugins.module_utils.ctl.main import main
sys.exit(main(sys.argv[1:], "{version}"))
"""
_SHEBANG = b"#!/usr/bin/python3\n"
# The oldest time that a zip archive knows.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def sources() -> dict[str, bytes]:
    """Each file's path in the archive, and its content."""
    found = {path: text.encode() for path, text in closure([f"{UTILS}.ctl.main"]).items()}
    for folder in ("ansible_collections", "ansible_collections/day2", PACKAGE, f"{PACKAGE}/plugins",
                   f"{PACKAGE}/plugins/module_utils"):  # fmt: skip
        found.setdefault(f"{folder}/__init__.py", b"")
    return found


def build(collection_version: str) -> tuple[bytes, str]:
    """The program, and its version: the collection's with a digest of what is in it."""
    files = sources()
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    version = f"{collection_version}+{digest.hexdigest()[:8]}"
    files["__main__.py"] = _MAIN.format(version=version).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return _SHEBANG + archive.getvalue(), version


def write(folder: str, collection_version: str) -> str:
    """The program as a file below `folder`; its path. One that is there already is the same."""
    content, version = build(collection_version)
    path = os.path.join(folder, f"day2ctl-{version}")
    if not os.path.exists(path):
        beside = f"{path}.{os.getpid()}"
        with open(beside, "wb") as stream:
            stream.write(content)
        os.replace(beside, path)
    return path
