# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl` as one file: the collection's module_utils in a zip archive that Python runs.

The same sources make the same bytes, so that copying it again changes nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_PACKAGE = "ansible_collections/day2/ops"
# What of module_utils the program needs; probes and backups stay with Ansible.
_AREAS = ("checks", "ctl", "errors.py", "maintenance", "network", "process")
_MAIN = """\
import sys
from ansible_collections.day2.ops.plugins.module_utils.ctl.main import main
sys.exit(main(sys.argv[1:], "{version}"))
"""
_SHEBANG = b"#!/usr/bin/python3\n"
# The oldest time that a zip archive knows.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def sources() -> dict[str, bytes]:
    """Each file's path in the archive, and its content."""
    utils = ROOT / "plugins" / "module_utils"
    found = {}
    for area in _AREAS:
        place = utils / area
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        for path in files:
            found[f"{_PACKAGE}/plugins/module_utils/{path.relative_to(utils)}"] = path.read_bytes()
    for folder in ("ansible_collections", "ansible_collections/day2", _PACKAGE, f"{_PACKAGE}/plugins",
                   f"{_PACKAGE}/plugins/module_utils"):  # fmt: skip
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
