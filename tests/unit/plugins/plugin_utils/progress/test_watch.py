# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever happens to the polls, the module's result is the module's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.day2.ops.plugins.plugin_utils.progress import watch

Answer = dict[str, Any]


class Action:
    """What the watcher needs of an action: one answer for each poll, the last one for ever."""

    def __init__(self, *answers: Callable[[], Answer]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def _low_level_execute_command(self, _command: str) -> Answer:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer()


def says(done: int) -> Callable[[], Answer]:
    return lambda: {"rc": 0, "stdout": f'{{"what": "backup", "done": {done}, "seconds": {done}}}'}


def fails() -> Answer:
    raise AnsibleConnectionFailure("the connection is lost")


def absent() -> Answer:
    return {"rc": 1, "stdout": "cat: No such file or directory"}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(watch, "speak", said.append)
    return said


def watcher_of(action: Action) -> watch._Watcher:
    return watch._Watcher(action, "/var/tmp/x", "db1", 0.001)  # type: ignore[arg-type]


def test_polls_that_fail_end_the_polling_and_nothing_else(shown: list[str]) -> None:
    action = Action(says(5), fails)
    watcher_of(action).run()
    assert action.asked == 4 and shown == ["working      db1  backup: 5 B, 1 B/s"]


def test_one_poll_that_fails_is_one_line_less(shown: list[str]) -> None:
    action = Action(fails, fails, says(1), fails, fails, says(3), fails)
    watcher_of(action).run()
    assert [line.split(": ")[1].split(",")[0] for line in shown] == ["1 B", "3 B"]


def test_a_module_that_has_not_begun_yet_is_no_failure(shown: list[str]) -> None:
    action = Action(*[absent] * 20, says(1), fails)
    watcher_of(action).run()
    assert len(shown) == 1


def test_what_a_host_puts_into_the_file_moves_no_cursor(shown: list[str]) -> None:
    action = Action(lambda: {"rc": 0, "stdout": '{"what": "backup\\u001b[2J\\n gone"}'}, fails)
    watcher_of(action).run()
    assert "\x1b" not in shown[0] and "\n" not in shown[0]


def test_a_poll_that_hangs_keeps_nobody(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    hung, released = threading.Event(), threading.Event()

    def hangs() -> Answer:
        hung.set()
        released.wait(30)
        return says(1)()

    monkeypatch.setattr(watch, "_LAST_POLL", 0.01)
    action = watch.WithProgress.__new__(watch.WithProgress)
    monkeypatch.setattr(action, "_copy", lambda: Action(hangs), raising=False)
    with action._watched("db1", 0.001):
        assert hung.wait(30)
    # The block is left while the poll still hangs; what it brings later is not shown.
    released.set()
    assert shown == []


def test_what_the_module_raises_is_raised(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    action = watch.WithProgress.__new__(watch.WithProgress)
    monkeypatch.setattr(action, "_copy", lambda: Action(absent), raising=False)
    with pytest.raises(AnsibleConnectionFailure), action._watched("db1", 0.001):
        fails()


@pytest.mark.parametrize(
    "fault",
    [
        KeyError("stdout"),
        AttributeError("'NoneType' object has no attribute 'send'"),
        TypeError("an integer is required"),
        EOFError(),
        RuntimeError("dictionary changed size during iteration"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        AssertionError(),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_whatever_a_connection_plugin_raises_ends_the_polling_only(
    shown: list[str], monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(watch.display, "vvv", noted.append)

    def raises() -> Answer:
        raise fault

    action = Action(says(5), raises)
    watcher_of(action).run()
    assert action.asked == 4 and len(shown) == 1
    assert len(noted) == 3 and all(f"db1 cannot be read: {type(fault).__name__}" in line for line in noted)


def test_a_connection_that_cannot_be_copied_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    monkeypatch.setattr(watch.display, "vvv", noted.append)

    def raises() -> Action:
        raise TypeError("cannot pickle '_thread.lock' object")

    action = watch.WithProgress.__new__(watch.WithProgress)
    monkeypatch.setattr(action, "_copy", raises, raising=False)
    ran = []
    with action._watched("db1", 0.001):
        ran.append("module")
    assert ran == ["module"] and "cannot pickle" in noted[0] and action._path is None


def test_without_a_thread_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    monkeypatch.setattr(watch.display, "vvv", noted.append)
    action = watch.WithProgress.__new__(watch.WithProgress)
    monkeypatch.setattr(action, "_copy", lambda: Action(absent), raising=False)

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    ran = []
    with action._watched("db1", 0.001):
        ran.append("module")
    assert ran == ["module"] and "can't start new thread" in noted[0]
