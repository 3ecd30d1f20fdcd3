# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpack single collections from the wheel of the package `ansible` into the running environment.

Usage: unpack_collections.py WHEEL NAMESPACE.NAME ...
"""

from __future__ import annotations

import sys
import sysconfig
import zipfile


def main(wheel: str, collections: list[str]) -> None:
    wanted = [f"ansible_collections/{name.replace('.', '/')}/" for name in collections]
    with zipfile.ZipFile(wheel) as archive:
        # Their own tests are a third of the files, and nothing runs them here.
        members = [
            member
            for member in archive.namelist()
            for folder in wanted
            if member.startswith(folder) and not member.startswith(f"{folder}tests/")
        ]
        missing = [name for name, folder in zip(collections, wanted) if f"{folder}MANIFEST.json" not in members]
        if missing:
            raise SystemExit(f"{wheel} does not hold {', '.join(missing)}")
        archive.extractall(sysconfig.get_path("purelib"), members)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
