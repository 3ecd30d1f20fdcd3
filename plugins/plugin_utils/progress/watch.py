# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action half of modules that work for long: it shows how far they are, and changes nothing about how they run.

The module runs over the task's own connection, as without this. A thread asks beside it, over a copy of the connection
(the same SSH master, where there is one), for the file that the module keeps (module_utils/process/progress.py).
Ansible's `async` was the other way, and was not taken. There the module is a daemon of the host: a controller that is
killed no longer ends it, a host that is rebooted or cleans `~/.ansible_async` loses the result of a restore that went
well, and a task that is run again after a lost poll begins a second one. Here a poll that fails costs a line.
"""

from __future__ import annotations

import contextvars
import copy
import secrets
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.plugin_utils.report.speak import speak
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line

display = Display()

INTERVAL = "day2_progress_interval"
_SECONDS = 10.0
# Polls in a row that may fail before nobody asks any more.
_PATIENCE = 3
# How long the end of the task waits for a poll that is under way, in seconds.
_LAST_POLL = 3.0


class WithProgress(Normal):  # type: ignore[misc]
    """A module as it is, and a line about every ten seconds while it runs (variable `day2_progress_interval`)."""

    _path: str | None = None

    def _execute_module(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        variables = options.get("task_vars") or {}
        interval, directory = self._interval(variables), self._directory()
        # In check mode nothing takes long; with `async` it is somebody else who waits.
        if not interval or directory is None or self._task.check_mode or self._task.async_val:
            return dict(super()._execute_module(*arguments, **options))
        self._path = f"{directory}/{progress.NAME}{secrets.token_hex(16)}"
        with self._watched(str(variables.get("inventory_hostname", "")), interval):
            return dict(super()._execute_module(*arguments, **options))

    def _directory(self) -> str | None:
        """Where Ansible itself puts what users of a host share (`ansible_system_tmpdirs`); None: its shell has no such.

        Everybody may write there: the file's name is random, and the module makes it anew, for its own user.
        """
        places = self.get_shell_option("system_tmpdirs", None)
        return str(places[0]).rstrip("/") if isinstance(places, (list, tuple)) and places else None

    def _interval(self, variables: dict[str, Any]) -> float:
        given = self._templar.template(variables.get(INTERVAL, _SECONDS))
        try:
            seconds = float(given)
        except (TypeError, ValueError):
            raise AnsibleError(f"{INTERVAL} is '{given}'; it is a number of seconds, 0 for no lines") from None
        return max(seconds, 0.0)

    def _compute_environment_string(self, raw_environment_out: Any = None) -> Any:
        if self._path is None:
            return super()._compute_environment_string(raw_environment_out)
        own = self._task.environment
        try:
            self._task.environment = [*(own if isinstance(own, list) else [own]), {progress.ENVIRONMENT: self._path}]
            return super()._compute_environment_string(raw_environment_out)
        finally:
            self._task.environment = own

    @contextmanager
    def _watched(self, host: str, interval: float) -> Iterator[None]:
        watch: tuple[_Watcher, threading.Thread] | None = None
        with _only_noted(host):
            watcher = _Watcher(self._copy(), str(self._path), host, interval)
            # ansible-core keeps what a task is about in context variables, which a thread does not inherit.
            thread = threading.Thread(target=contextvars.copy_context().run, args=(watcher.run,), daemon=True)
            thread.start()
            watch = watcher, thread
        try:
            yield
        finally:
            if watch is not None:
                watch[0].stopped.set()
                watch[1].join(_LAST_POLL)
            self._path = None

    def _copy(self) -> WithProgress:
        """This action with a connection of its own: what asks for a password keeps its state in both."""
        other = copy.copy(self)
        other._path = None
        other._connection = copy.copy(self._connection)
        if self._connection.become is not None:
            other._connection.become = copy.copy(self._connection.become)
        return other


@contextmanager
def _only_noted(host: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - connection plugins are anybody's: their faults cost a line, not the task
        display.vvv(f"the progress of {host} cannot be read: {type(error).__name__}: {error}")


class _Watcher:
    """Asks for the file, and shows what is in it, until it is stopped."""

    def __init__(self, action: WithProgress, path: str, host: str, interval: float) -> None:
        self.stopped = threading.Event()
        self._action, self._path, self._host, self._interval = action, path, host, interval
        self._last: progress.Record | None = None
        self._seen_at = 0.0
        self._shown: progress.Record | None = None

    def run(self) -> None:
        failures = 0
        while failures < _PATIENCE and not self.stopped.wait(self._interval):
            failures += 1
            with _only_noted(self._host):
                record = self._ask()
                if record is not None and not self.stopped.is_set():
                    self._show(record)
                failures = 0

    def _ask(self) -> progress.Record | None:
        answer = self._action._low_level_execute_command(f"cat {shlex.quote(self._path)}")
        return progress.parse(answer["stdout"]) if answer["rc"] == 0 else None

    def _show(self, record: progress.Record) -> None:
        now = time.monotonic()
        if record != self._last:
            self._last, self._seen_at = record, now
        speak(f"{'working':<11}  {self._host}  {one_line(progress.line(record, self._shown, now - self._seen_at))}")
        self._shown = record
