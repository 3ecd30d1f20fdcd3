# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which messages are sent after a run, and which were delivered. Documented in modules/notifications.py."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.plugin_utils.notify import failures, findings
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import (
    SEVERITIES,
    Channel,
    ChannelError,
    parse,
)
from ansible_collections.day2.ops.plugins.plugin_utils.notify.plan import (
    Announcement,
    Plan,
    Settings,
    plan_announcement,
    plan_report,
    record,
)
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import RESOLVE, TRIGGER, State
from ansible_collections.day2.ops.plugins.plugin_utils.notify.store import Store, StoreError
from ansible_collections.day2.ops.plugins.plugin_utils.notify.words import Words
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import plain

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "required": True, "choices": ["checked", "planned", "recorded"]},
    "channels": {"type": "raw", "required": True},
    "remind_after": {"type": "str", "default": ""},
    "directory": {"type": "path"},
    "system": {"type": "str", "default": ""},
    "report": {"type": "path"},
    "announcement": {
        "type": "dict",
        "options": {
            "title": {"type": "str", "required": True},
            "text": {"type": "str", "default": ""},
            "severity": {"type": "str", "default": "info", "choices": list(SEVERITIES)},
            "action": {"type": "str", "default": TRIGGER, "choices": [TRIGGER, RESOLVE]},
            "dedup_key": {"type": "str", "default": ""},
        },
    },
    "maintenance": {"type": "bool", "default": False},
    "subject_prefix": {"type": "str", "default": ""},
    "footer": {"type": "str", "default": ""},
    "report_url": {"type": "str", "default": ""},
    "spool_age": {"type": "str", "default": "3d"},
    "spool_attempts": {"type": "int", "default": 20},
    "most_events": {"type": "int", "default": 50},
    "message": {"type": "dict"},
    "outcome": {"type": "raw"},
    "down": {"type": "list", "elements": "str", "default": []},
}
_NEEDS = {"checked": (), "planned": ("directory",), "recorded": ("directory", "message")}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Plans from a report or an announcement and the last state; records what was delivered."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        for name in _NEEDS[arguments["state"]]:
            if not arguments[name]:
                raise AnsibleActionFail(f"state {arguments['state']} needs '{name}'")
        try:
            channels = parse(arguments["channels"], arguments["remind_after"])
            settings = _settings(arguments)
        except ChannelError as error:
            raise AnsibleActionFail(str(error)) from error
        if arguments["state"] == "planned":
            result.update(self._plan(arguments, channels, settings))
        elif arguments["state"] == "recorded":
            result.update(self._record(arguments, channels))
        else:
            result.update(changed=False)
        return result

    def _plan(self, arguments: dict[str, Any], channels: list[Channel], settings: Settings) -> dict[str, Any]:
        now = datetime.now(timezone.utc)
        check_mode = bool(self._task.check_mode)
        seen = _read_report(arguments["report"]) if arguments["report"] else None
        if (seen is None) == (arguments["announcement"] is None):
            raise AnsibleActionFail("state planned needs 'report' or 'announcement', and not both")
        system = arguments["system"] or (seen.system if seen else "")
        store = Store(Path(os.path.abspath(arguments["directory"])), system)

        def plan(state: State) -> Plan:
            if seen is not None:
                return plan_report(state, channels, seen, settings, now)
            return plan_announcement(state, channels, system, _announcement(arguments["announcement"]), settings, now)

        if check_mode:
            before, note = store.load(now, look_only=True)
            planned, notes = plan(before), [note] if note else []
        else:
            before, planned, notes = _planned(store, plan, now)
        return {
            "changed": planned.state != before,
            "system": system,
            "messages": planned.messages,
            "down": [],
            "warnings": [f"Notifications: {note}" for note in [*notes, *planned.notes]],
        }

    def _record(self, arguments: dict[str, Any], channels: list[Channel]) -> dict[str, Any]:
        message = {name: plain(value) for name, value in arguments["message"].items() if isinstance(value, str)}
        name, delivered = message.get("channel", ""), failures.delivered(arguments["outcome"])
        refused = not delivered and failures.refused(arguments["outcome"])
        store, problem = Store(Path(os.path.abspath(arguments["directory"])), arguments["system"]), ""
        if self._task.check_mode:
            return {"changed": False, "down": arguments["down"], "system": arguments["system"]}
        try:
            with store.locked():
                state, _note = store.load(datetime.now(timezone.utc))
                store.save(record(state, name, message.get("id", ""), delivered, refused))
        except StoreError as error:
            problem = str(error)
        warnings = []
        if not delivered:
            secrets = next((channel.secrets for channel in channels if channel.name == name), ())
            kept = "it is kept for the next run"
            if refused:
                kept = "it is given up, because it would be refused again"
            elif problem:
                kept = "it may be lost"
            why = failures.failed(arguments["outcome"], secrets)
            warnings = [f"Notifications: {name} {why}. '{message.get('subject', '')}' was not delivered; {kept}."]
        if problem:
            warnings.append(f"Notifications: {problem}")
        down = list(dict.fromkeys([*arguments["down"], *([] if delivered or refused else [name])]))
        return {"changed": not problem, "down": down, "system": arguments["system"], "warnings": warnings}


def _settings(arguments: Mapping[str, Any]) -> Settings:
    try:
        age = parse_duration(arguments["spool_age"])
    except QuantityError as error:
        raise ChannelError(f"notify_spool_age: {error}") from error
    place = ""
    if arguments["report"]:
        path = Path(os.path.abspath(arguments["report"])).with_name("report.html")
        base = arguments["report_url"].rstrip("/")
        place = f"{base}/{path.parent.name}/{path.name}" if base else str(path)
    words = Words(subject_prefix=arguments["subject_prefix"], footer=arguments["footer"], report=place)
    return Settings(
        words=words,
        maintenance=arguments["maintenance"],
        spool_age=age,
        spool_attempts=max(1, arguments["spool_attempts"]),
        most_events=max(1, arguments["most_events"]),
    )


def _read_report(path: str) -> findings.Seen:
    try:
        return findings.read(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise AnsibleActionFail(f"the report {path} cannot be read: {error.strerror}") from error
    except (ValueError, findings.DocumentError) as error:
        raise AnsibleActionFail(f"the report {path} is damaged: {error}") from error


def _announcement(said: Mapping[str, Any]) -> Announcement:
    return Announcement(
        title=plain(said["title"]),
        text=plain(said["text"]),
        severity=plain(said["severity"]),
        action=plain(said["action"]),
        key=plain(said["dedup_key"]),
    )


def _planned(store: Store, plan: Any, now: datetime) -> tuple[State, Plan, list[str]]:
    """The plan, stored before anything is sent. Where it cannot be stored, the messages are sent all the same."""
    before, planned = State(), None
    notes: list[str] = []
    try:
        with store.locked():
            before, note = store.load(now)
            notes += [note] if note else []
            planned = plan(before)
            if planned.state != before:
                store.save(planned.state)
    except StoreError as error:
        notes.append(f"{error}. What is sent now may be sent again by the next run")
    return before, planned or plan(before), notes
