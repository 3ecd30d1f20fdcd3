# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the callback `brief` has seen and not printed yet: changes of a task on several hosts, failures that a rescue
takes over and that a row of the report may show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.brief.words import flat, strings

# Columns from which on a text is not the same as another by chance.
_SENTENCE = 40


@dataclass
class Change:
    """A task that changed something: on which hosts, which entries of its loop, and what its module said."""

    task: Any
    hosts: dict[str, list[str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)


class Changes:
    """Of the tasks that run now; more than one only with strategy `free`."""

    def __init__(self) -> None:
        self._by_task: dict[str, Change] = {}

    def add(self, host: str, task: Any, label: str | None = None, message: str = "") -> None:
        change = self._by_task.setdefault(task._uuid, Change(task))
        labels = change.hosts.setdefault(host, [])
        if label is not None:
            labels.append(label)
        if message:
            change.messages[host] = message

    def take(self) -> list[Change]:
        changes = list(self._by_task.values())
        self._by_task = {}
        return changes


@dataclass(frozen=True)
class Caught:
    """A failure that a rescue takes over. `reported`: the report says it in any case."""

    host: str
    task: str
    place: str
    text: str
    reported: bool = False


def _holds(said: str, message: str) -> bool:
    """Whether a text has a message in it, as whole sentences; a long one is no other by chance."""
    if not message or message not in said:
        return False
    whole = rf"(?:^|[.:;!?,(\[\"'–—-] ?){re.escape(message.rstrip('.'))}(?:$|[.:;!?,)\]\"'])"
    return len(message) >= _SENTENCE or re.search(whole, said) is not None


def _begins(message: str, said: str) -> bool:
    """Whether a message begins with a long sentence that was said, which is the same one shorter."""
    return message == said or (len(said) >= _SENTENCE and message.startswith(said))


class Failures:
    """Rescued failures, until something that people see says the same."""

    def __init__(self) -> None:
        self._caught: list[Caught] = []
        self._said: dict[str, list[str]] = {}
        # The same string by string: a message is a whole one of them, or whole sentences.
        self._strings: dict[str, set[str]] = {}

    def catch(self, failure: Caught) -> None:
        text = flat(failure.text)
        waiting = (flat(entry.text) for entry in self._caught if entry.host == failure.host)
        said = (*self._strings.get(failure.host, ()), *self._said.get(failure.host, ()))
        if text not in waiting and not any(_holds(earlier, text) or _begins(text, earlier) for earlier in said):
            self._caught.append(failure)

    def say(self, host: str, value: object) -> None:
        """`value` is printed, or goes into the report: what it holds need not be printed again."""
        text = flat(value)
        if not text:
            return
        said = {text, *filter(None, map(flat, strings(value)))}
        self._said.setdefault(host, []).append(text)
        self._strings.setdefault(host, set()).update(said)
        self._caught = [
            entry
            for entry in self._caught
            if entry.host != host or not any(_holds(part, flat(entry.text)) for part in said)
        ]

    def has_said(self, host: str, value: object) -> bool:
        """Whether a sentence was said of the host before; a word such as `done` may be said again."""
        text = flat(value)
        return len(text) >= _SENTENCE and any(text in said for said in self._said.get(host, ()))

    def take(self, host: str | None = None, everything: bool = False) -> Iterator[Caught]:
        """Those of a host (None: of all) that nothing has said meanwhile."""
        ready = [
            entry
            for entry in self._caught
            if (host is None or entry.host == host) and (everything or not entry.reported)
        ]
        self._caught = [entry for entry in self._caught if entry not in ready]
        return iter(ready)
