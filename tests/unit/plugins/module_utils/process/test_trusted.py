# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What root reads: only where nobody else could have written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    Trust,
    Untrusted,
    check_directory,
    make_directories,
    read_text,
)


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(os.geteuid(), str(tmp_path))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "a" / "b" / "state.json"
    path.parent.mkdir(parents=True)
    path.write_text("text")
    for place in (tmp_path / "a", path.parent):
        place.chmod(0o755)
    path.chmod(0o600)
    return path


def test_what_only_the_owner_can_change_is_read(state: Path, trust: Trust) -> None:
    assert read_text(str(state), trust) == "text"
    check_directory(f"{state.parent}/", trust)


def moved(path: Path) -> None:
    path.rename(f"{path}.real")
    path.symlink_to(f"{path.name}.real")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.parent.chmod(0o775), "(mode 0775) can be written by others"),
        (lambda state: state.parent.parent.chmod(0o757), "(mode 0757) can be written by others"),
        (lambda state: state.parent.chmod(0o1777), "can be written by others"),
        (lambda state: state.chmod(0o660), "chmod go-w"),
        (lambda state: state.chmod(0o602), "chmod go-w"),
        (moved, "is a symbolic link"),
        (lambda state: moved(state.parent), "is a symbolic link"),
        (lambda state: moved(state.parent.parent), "is a symbolic link"),
        (lambda state: (state.unlink(), os.mkfifo(state, 0o600)), "is not a regular file"),
        (lambda state: (state.unlink(), state.mkdir(0o755)), "is not a regular file"),
    ],
)  # fmt: skip
def test_what_others_could_change_is_refused(
    state: Path, trust: Trust, change: Callable[[Path], object], words: str
) -> None:
    change(state)
    with pytest.raises(Untrusted) as refused:
        read_text(str(state), trust)
    assert words in str(refused.value)


def test_another_owner_is_refused_and_the_command_is_named(state: Path) -> None:
    stranger = Trust(os.geteuid() + 1, str(state.parent.parent.parent))
    with pytest.raises(Untrusted, match=r"chown .* && chmod go-w"):
        read_text(str(state), stranger)


@pytest.mark.parametrize("path", ["a/b", "/a/../b", "/a//b", "/a/./b", ""])
def test_paths_that_are_not_plain_are_refused(path: str, trust: Trust) -> None:
    with pytest.raises(Untrusted):
        check_directory(path, trust)


def test_directories_are_made_whatever_the_umask_is(tmp_path: Path, trust: Trust) -> None:
    usual = os.umask(0o077)
    try:
        make_directories(str(tmp_path / "x" / "y"), trust)
        make_directories(str(tmp_path / "x" / "y"), trust)
    finally:
        os.umask(usual)
    assert [(tmp_path / part).stat().st_mode & 0o777 for part in ("x", "x/y")] == [0o755, 0o755]


def test_nothing_is_made_through_a_link(tmp_path: Path, trust: Trust) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(Untrusted):
        make_directories(str(tmp_path / "link" / "y"), trust)
    assert not (tmp_path / "real" / "y").exists()
