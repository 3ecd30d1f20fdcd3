# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of a physical backup is done: from what pgBackRest prints, and asked only where somebody reads it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import share
from ansible_collections.day2.ops.plugins.module_utils.process import progress

RUNNING = """stanza: main
    status: error (no valid backups, backup/expire running - {}% complete)
    cipher: none
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (RUNNING.format("0.00"), 0.0),
        (RUNNING.format("35.42"), 0.3542),
        (RUNNING.format("100.00"), 1.0),
        (RUNNING.format("100.01"), 1.0),
        ("stanza: main\n    status: ok (backup/expire running - 7% complete)\n", 0.07),
        # Before 2.41 it says only that one runs.
        ("stanza: main\n    status: ok (backup/expire running)\n", None),
        ("stanza: main\n    status: ok\n", None),
        ("", None),
    ],
)
def test_parse(text: str, found: float | None) -> None:
    assert share.parse_share(text) == found


class Client:
    repo = 1

    def __init__(self, *answers: str | None) -> None:
        self.answers, self.asked = list(answers), threading.Event()

    def read(self, command: str, *options: str) -> str:
        assert (command, options) == ("info", ("--repo=1",))
        answer = self.answers.pop(0) if self.answers else None
        if not self.answers:
            self.asked.set()
        if answer is None:
            raise Day2Error("the repository does not answer")
        return answer


def test_a_question_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = progress.Progress(str(tmp_path / "progress"))
    kept.phase("full backup of main")
    monkeypatch.setattr(share, "_PAUSE", 0.001)
    monkeypatch.setattr(progress, "is_kept", lambda: True)
    monkeypatch.setattr(progress, "reach", kept.reach)
    client: Any = Client(None, RUNNING.format("25.00"), RUNNING.format("50.00"), None)
    with share.watched(client):
        assert client.asked.wait(30)
    record = progress.parse((tmp_path / "progress").read_text())
    assert record is not None and record.share == 0.5


def test_nobody_is_asked_where_nobody_reads() -> None:
    client: Any = Client()
    before = threading.active_count()
    with share.watched(client):
        assert threading.active_count() == before
