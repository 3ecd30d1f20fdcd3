# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that earlier releases stored, with parameters of zstd of their own, are read like any other."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile, parse_manifest
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import fetch
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository


@pytest.mark.parametrize(
    "compression",
    [
        "zstd", "zstd -1", "zstd -3", "zstd -19", "zstd --zstd=strategy=1,hlog=13,wlog=21,mml=7",
        "rows in blocks, zstd --zstd=strategy=1,hlog=10,wlog=21,mml=7",
        "rows in blocks, zstd --zstd=strategy=2,hlog=16,clog=12,wlog=21,mml=7",
    ],
)  # fmt: skip
def test_a_file_of_an_earlier_release_is_read(tmp_path: Path, compression: str) -> None:
    content = b"".join(b"%d;%d\n" % (number, number * 7) for number in range(50_000)) + os.urandom(5000)
    parameters = [word for word in compression.split() if word.startswith("-")]
    packed = subprocess.run(["zstd", "-qc", *parameters], input=content, capture_output=True, check=True).stdout
    stored = StoredFile("db001/data0001.dump.zst", "data", len(packed), hashlib.sha256(packed).hexdigest(), compression)
    manifest = Manifest("20260131T020000Z", "postgresql", "postgresql", 1, 0.0, 1.0, [stored])
    (found,) = parse_manifest(manifest.render()).files
    path = tmp_path / "postgresql" / manifest.id / stored.path
    path.parent.mkdir(parents=True)
    path.write_bytes(packed)
    seen = bytearray()
    fetch(open_repository(str(tmp_path)), f"postgresql/{manifest.id}", found, seen.extend)
    assert found.compression == compression and bytes(seen) == content
