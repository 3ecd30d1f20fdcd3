# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose fault it is that age does not open a file: real age, keys of every kind, files of every kind."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import WrongIdentity, about_the_key, verify
from ansible_collections.day2.ops.plugins.module_utils.repositories.directory import Directory

SET = "20260131T020000Z"


def key(path: Path) -> str:
    """A new key in this file; returns its public half."""
    subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    return subprocess.run(["age-keygen", "-y", str(path)], check=True, capture_output=True, text=True).stdout.strip()


def stored(folder: Path, content: bytes) -> tuple[Directory, Manifest]:
    """A set whose one file has this content, and whose manifest says so."""
    place = folder / "sets" / "files" / SET
    place.mkdir(parents=True)
    (place / "a.tar.zst.age").write_bytes(content)
    each = StoredFile("a.tar.zst.age", "file", len(content), hashlib.sha256(content).hexdigest(), encrypted=True)
    manifest = Manifest(SET, "files", "files", 1, 1.0, 2.0, [each], ["age1"])
    return Directory(str(folder / "sets")), manifest


@pytest.fixture
def sealed(tmp_path: Path) -> bytes:
    recipient = key(tmp_path / "right")
    packed = subprocess.run(["zstd", "-q", "-c"], input=b"rows" * 50_000, check=True, capture_output=True).stdout
    return subprocess.run(["age", "-r", recipient], input=packed, check=True, capture_output=True).stdout


@pytest.mark.parametrize("kind", ["another", "empty", "words", "cut", "header"])
def test_a_key_that_does_not_fit_is_no_damage(tmp_path: Path, sealed: bytes, kind: str) -> None:
    wrong = tmp_path / ("failed to read" if kind == "header" else kind)
    key(wrong)
    text = {"empty": "", "words": "hello\n", "cut": wrong.read_text()[-30:]}
    wrong.write_text(text.get(kind, wrong.read_text()))
    repository, manifest = stored(tmp_path, sealed)
    with pytest.raises(WrongIdentity, match="which is what was written"):
        verify(repository, manifest, 1, None, str(wrong))
    assert verify(repository, manifest, 1, None, str(tmp_path / "right")).faults == []


@pytest.mark.parametrize("harm", ["cut", "flipped", "no age"])
def test_a_file_that_was_written_wrong_is_damage(tmp_path: Path, sealed: bytes, harm: str) -> None:
    middle = len(sealed) - 20
    flipped = sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :]
    content = {"cut": sealed[:-10], "flipped": flipped, "no age": b"rows" * 100}[harm]
    repository, manifest = stored(tmp_path, content)
    assert "a.tar.zst.age" in verify(repository, manifest, 1, None, str(tmp_path / "right")).faults[0]


def test_only_age_speaks_of_keys() -> None:
    assert about_the_key("age failed (exit status 1: age: error: no identity matched any of the recipients)")
    assert not about_the_key("age failed (exit status 1: age: error: failed to decrypt and authenticate payload chunk)")
    assert not about_the_key("zstd failed (exit status 1: unsupported format)")
