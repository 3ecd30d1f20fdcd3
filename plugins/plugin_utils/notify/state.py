# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered from run to run: what each channel knows, and what it has not received yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

VERSION = 2
TRIGGER, RESOLVE = "trigger", "resolve"


class StateError(Day2Error):
    """What is stored is not a state."""


@dataclass
class Known:
    """A finding that a channel knows of. `notified` is when that channel last got it; `quiet`: acknowledged since."""

    severity: str
    title: str
    host: str
    check: str
    cadence: str | None
    since: str
    notified: str
    quiet: bool = False


@dataclass
class Message:
    """What goes to one channel. It stays here until it is delivered or given up.

    `keys` are the findings that are new in it: when it is given up they are new again. `over` are those that it reports
    as resolved: given up, they are known again. `claimed` is when a run took it to deliver it: another run at the same
    time leaves it alone.
    """

    id: str
    channel: str
    kind: str
    action: str
    severity: str
    dedup_key: str
    subject: str
    text: str
    queued: str
    payload: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    attempts: int = 0
    claimed: str | None = None
    over: dict[str, Known] = field(default_factory=dict)


@dataclass
class Box:
    """One channel's part."""

    known: dict[str, Known] = field(default_factory=dict)
    waiting: list[Message] = field(default_factory=list)


@dataclass
class State:
    """`serial` numbers messages; `channels` has every channel that ever got a message."""

    serial: int = 0
    channels: dict[str, Box] = field(default_factory=dict)

    def box(self, name: str) -> Box:
        return self.channels.setdefault(name, Box())

    def to_dict(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}


def from_dict(document: object) -> State:
    """The state of a stored document; StateError says that it is none."""
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        raise StateError("it is not a state of this version")
    try:
        channels = {
            str(name): Box(
                known={str(key): _known(entry) for key, entry in box["known"].items()},
                waiting=[_message(entry) for entry in box["waiting"]],
            )
            for name, box in document["channels"].items()
        }
        return State(serial=int(document["serial"]), channels=channels)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"a field is missing or of the wrong kind ({error})") from error


_KNOWN_TEXTS = ("severity", "title", "host", "check", "since", "notified")
_MESSAGE_TEXTS = ("id", "channel", "kind", "action", "severity", "dedup_key", "subject", "text", "queued")


def _known(entry: Mapping[str, Any]) -> Known:
    _expect(entry, _KNOWN_TEXTS, str)
    _expect(entry, ("cadence",), (str, type(None)))
    _expect({"quiet": False, **entry}, ("quiet",), bool)
    return Known(**entry)


def _message(entry: Mapping[str, Any]) -> Message:
    _expect(entry, _MESSAGE_TEXTS, str)
    _expect(entry, ("payload",), dict)
    _expect(entry, ("keys",), list)
    _expect(entry, ("attempts",), int)
    _expect(entry, ("claimed",), (str, type(None)))
    over = entry.get("over") or {}
    return Message(**{**entry, "over": {str(key): _known(finding) for key, finding in over.items()}})


def _expect(entry: Mapping[str, Any], names: tuple[str, ...], kind: type | tuple[type, ...]) -> None:
    for name in names:
        if not isinstance(entry[name], kind):
            raise TypeError(name)
