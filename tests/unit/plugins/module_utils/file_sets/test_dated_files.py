# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup files are read whole: who is to blame for what does not read, and a reader that complains much."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.file_sets.dated_files import fault

DUMP = b"PGDMP" + os.urandom(3_000_000)
PLAIN = b"-- PostgreSQL database dump\n" + b"SELECT 1;\n" * 1000
# Reads nothing before it has said a megabyte, as pg_restore may of an archive with many objects.
LOUD = """i=0
while [ $i -lt 4000 ]; do
  echo "pg_restore: warning: line $i of many that nobody has asked for, and that are long enough to fill a pipe" >&2
  i=$((i+1))
done
cat > /dev/null
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def packed(path: Path, content: bytes) -> str:
    """A file of this content, compressed as its name says."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content, 1))
    elif path.suffix == ".zst":
        path.write_bytes(subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout)
    else:
        path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("name", ["a.dump", "a.dump.gz", "a.dump.zst"])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("cat > /dev/null", None),
        (f"{LOUD} exit 0", None),
        (f"{LOUD} echo 'pg_restore: error: no good' >&2; exit 1", "pg_restore failed (exit status 1: "),
        ("echo 'pg_restore: error: did not find magic string in file header' >&2; exit 1", "did not find magic string"),
        ("head -c 5 > /dev/null; echo 'pg_restore: error: unexpected end' >&2; exit 1", "unexpected end"),
    ],
)
def test_what_pg_restore_says_of_a_dump(
    programs: Path, tmp_path: Path, name: str, script: str, words: str | None
) -> None:
    program(programs, "pg_restore", script)
    wrong = fault(packed(tmp_path / name, DUMP))
    if words is None:
        assert wrong is None
    else:
        assert wrong is not None and words in wrong and "zstd failed" not in wrong


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.sql.zst", PLAIN, "without its last line"),
        ("a.sql.zst", PLAIN + b"-- PostgreSQL database dump complete\n", None),
        ("a.sql.gz", PLAIN, "without its last line"),
        ("a.txt.zst", b"x", None),
        ("a.txt.zst", b"", "holds nothing"),
        ("a.txt", b"", "is empty"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, name: str, content: bytes, words: str | None) -> None:
    wrong = fault(packed(tmp_path / name, content))
    assert (wrong is None) if words is None else (wrong is not None and words in wrong)


@pytest.mark.parametrize("cut", [0, 1, 1000])
def test_a_tar_in_zstd(tmp_path: Path, cut: int) -> None:
    (tmp_path / "data").write_bytes(os.urandom(50_000))
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(tmp_path / "data", "data")
    content = (tmp_path / "a.tar").read_bytes()
    path = Path(packed(tmp_path / "a.tar.zst", content))
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    wrong = fault(str(path))
    assert (wrong is None) if not cut else (wrong is not None and wrong.startswith("cannot be read whole: zstd failed"))
    inner = fault(packed(tmp_path / "cut.tar.zst", content[:20_000]))
    assert inner is not None and "tar failed" in inner


def test_a_program_that_is_missing_or_killed_is_no_verdict(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = packed(tmp_path / "a.dump", DUMP)
    program(programs, "pg_restore", "kill -9 $$")
    with pytest.raises(Undetermined, match="was killed by signal 9"):
        fault(dump)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Undetermined, match="pg_restore is not installed on this host"):
        fault(dump)
