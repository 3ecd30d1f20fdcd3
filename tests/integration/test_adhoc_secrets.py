# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an ad hoc call passes as a secret is in none of its output, refused or not, however verbose."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "correct-horse"


def adhoc(checks: Any, *options: str) -> str:
    argument = checks if isinstance(checks, str) else json.dumps({"checks": checks})
    command = ["ansible", "localhost", "-m", "day2.ops.checklist", "-a", argument, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


CALLS: dict[str, tuple[Any, str]] = {
    "refused": ([{"password": SECRET, "id": "a", "title": "A", "probe": "postgres", "portt": 1}], "did you mean"),
    "refused, as text": (
        f'checks="[{{password: {SECRET}, id: a, title: A, probe: postgres, portt: 1}}]"',
        "did you mean",
    ),
    "no list": (f"checks={SECRET}", "not a mapping"),
    "no mapping": ([SECRET], "not a mapping"),
    "misspelt probe": ([{"argv": ["x", "-p", SECRET], "id": "a", "title": "A", "probe": "comand"}], "did you mean"),
    "misspelt password": ([{"pasword": SECRET, "id": "a", "title": "A", "probe": "postgres"}], "did you mean"),
    "command line": (
        [{"argv": ["false", "-u", f"me:{SECRET}"], "id": "a", "title": "A", "probe": "command"}],
        "false exited with 1",
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_ad_hoc_call_shows_no_secret(call: str) -> None:
    checks, words = CALLS[call]
    shown = adhoc(checks, "-vvv")
    assert words in shown and SECRET not in shown


REPOSITORIES: dict[str, tuple[dict[str, str], str]] = {
    "misspelt": ({"secret_kye": SECRET}, "did you mean 'secret_key'?"),
    "unreachable": ({"secret_key": SECRET, "session_token": SECRET, "endpoint_url": "http://127.0.0.1:1"}, "127.0.0.1"),
}


@pytest.mark.parametrize("module", ["pg_backup_info", "file_restore"])
@pytest.mark.parametrize("call", REPOSITORIES)
def test_a_repository_shows_no_secret(module: str, call: str) -> None:
    """With a controller half and without one."""
    options, words = REPOSITORIES[call]
    argument = json.dumps({"repository": {"url": "s3://shop/sets", **options}})
    command = ["ansible", "localhost", "-m", f"day2.ops.{module}", "-a", argument, "-vvv"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    shown = done.stdout + done.stderr
    assert words in shown and "s3://shop/sets" in shown and SECRET not in shown
