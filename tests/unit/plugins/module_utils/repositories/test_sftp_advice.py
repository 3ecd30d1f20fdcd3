# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about a connection that ended before it began: as whom, on which host, in which file."""

from __future__ import annotations

import os
import platform
import pwd
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository

NODE = platform.node()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """User backup, whose home is not what HOME says, and who has no ~/.ssh."""
    entry = pwd.struct_passwd(("backup", "x", os.geteuid(), 7, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _user: entry)
    monkeypatch.setenv("HOME", "/nowhere")
    return tmp_path


def advice(account: Path, url: str, said: str) -> str:
    repository = open_repository(url)
    error: RepositoryError = repository._server.refusal(said)  # type: ignore[attr-defined]
    return str(error).replace(str(account), "~")


@pytest.mark.parametrize(
    ("url", "scan"),
    [
        ("sftp://me@vault/sets", "ssh-keyscan vault >> ~/.ssh/known_hosts"),
        ("sftp://me@vault:2222/sets", "ssh-keyscan -p 2222 vault >> ~/.ssh/known_hosts"),
        ("sftp://me@[fd00::7]/sets", "ssh-keyscan fd00::7 >> ~/.ssh/known_hosts"),
    ],
)
def test_a_host_key_that_is_not_known(account: Path, url: str, scan: str) -> None:
    said = advice(account, url, "Host key verification failed.")
    assert (
        f"is not in ~/.ssh/known_hosts. As user backup on {NODE}, `install -d -m 700 ~/.ssh && {scan}` adds it" in said
    )
    (account / ".ssh").mkdir()
    assert f", `{scan}` adds it" in advice(account, url, "Host key verification failed.")


def test_a_host_key_that_is_another(account: Path) -> None:
    said = advice(account, "sftp://me@vault:2222/sets", "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!")
    assert f"is another than in ~/.ssh/known_hosts of user backup on {NODE}" in said
    assert "`ssh-keygen -R '[vault]:2222' -f ~/.ssh/known_hosts` removes the old one" in said
