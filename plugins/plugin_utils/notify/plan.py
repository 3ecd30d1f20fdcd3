# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is notified of what: the next state and its messages, from the last state and a run. No clock, no file.

A message is stored before it is sent and removed when it was delivered: a kill at any instant loses none. Two runs at
once do not send the same one: the first claims it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.notify import payloads, words
from ansible_collections.day2.ops.plugins.plugin_utils.notify.alerts import Alerts, superseded
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import ALERTMANAGER, Channel
from ansible_collections.day2.ops.plugins.plugin_utils.notify.findings import Finding, Seen, dedup_key
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import (
    RESOLVE,
    TRIGGER,
    Box,
    Known,
    Message,
    State,
)
from ansible_collections.day2.ops.plugins.plugin_utils.notify.words import Changes, Words, rank
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import parse_time

# Longer than any run takes to deliver: what is claimed longer was left by one that was killed.
CLAIM = timedelta(minutes=15)
MOST_WAITING = 500
MOST_DIGESTS = 20


@dataclass(frozen=True)
class Settings:
    """How a run notifies. Ages are in seconds."""

    words: Words = field(default_factory=Words)
    maintenance: bool = False
    spool_age: float = 3 * 86400.0
    spool_attempts: int = 20
    most_events: int = 50


@dataclass(frozen=True)
class Announcement:
    """A message of somebody else's than a checklist. Without a key it is always sent."""

    title: str
    text: str
    severity: str
    action: str = TRIGGER
    key: str = ""


@dataclass
class Plan:
    """`messages` are to be sent now, in this order; `notes` are for the person who looks at the run."""

    state: State
    messages: list[dict[str, Any]]
    notes: list[str]


class _Planner:
    """One run's look at the state, which it owns."""

    def __init__(self, state: State, channels: Sequence[Channel], settings: Settings, now: datetime) -> None:
        self.state = copy.deepcopy(state)
        self.settings = settings
        self.now = now
        self.moment = rfc3339_ms(now)
        self.notes: list[str] = []
        self.crowded: dict[str, int] = {}
        kinds = {channel.name: channel.kind for channel in channels}
        for name, box in self.state.channels.items():
            self._tidy(name, box, kinds.get(name))

    def _age(self, moment: str | None) -> timedelta:
        """How long ago; a time in the future, after the clock was set back, counts as long ago."""
        then = parse_time(moment) if moment else None
        return self.now - then if then and then <= self.now else timedelta.max

    def _tidy(self, name: str, box: Box, kind: str | None) -> None:
        for message in list(box.waiting):
            if kind is not None and message.kind != kind:
                # The channel is another one now, and cannot send what was written for the one before.
                self._drop(box, message)
                self.notes.append(f"{name}: gave up '{message.subject}', which was written for {message.kind}")
                continue
            if message.claimed and self._age(message.claimed) <= CLAIM:
                continue
            message.claimed = None
            then = parse_time(message.queued)
            age = (self.now - then).total_seconds() if then else 0.0
            if message.attempts >= self.settings.spool_attempts or age > self.settings.spool_age:
                self._drop(box, message)
                self.notes.append(f"{name}: gave up '{message.subject}', not delivered since {message.queued}")

    def _drop(self, box: Box, message: Message) -> None:
        box.waiting.remove(message)
        for key in message.keys:
            # Nobody was notified: what is still bad is new again.
            box.known.pop(key, None)
        for key, known in message.over.items():
            # Nobody was notified that it is resolved: the next run that finds it so does.
            box.known.setdefault(key, known)

    def report(self, channel: Channel, seen: Seen) -> None:
        """What this run changes for a channel, as messages in its box."""
        if not channel.takes_cadence(seen.cadence):
            return
        box = self.state.box(channel.name)
        if channel.kind == ALERTMANAGER:
            self._queue_alerts(box, channel, seen)
            return
        changes = self._changes(box, channel, seen)
        if channel.takes_events:
            self._queue_events(box, channel, changes, seen)
        elif changes.any:
            text = words.digest(self.settings.words, changes, channel.kind)
            subject = words.digest_subject(self.settings.words, changes, seen)
            action = TRIGGER if changes.new or changes.due else RESOLVE
            key = dedup_key(seen.system, seen.cadence or "checks")
            keys = [finding.key for finding, _was in changes.new]
            self._queue(box, channel, action, changes.severity, key, subject, text, keys=keys)

    def _changes(self, box: Box, channel: Channel, seen: Seen) -> Changes:
        changes = Changes()
        for key, known in list(box.known.items()):
            how = self._how_it_ended(key, known, channel, seen)
            if how is not None:
                changes.resolved.append((key, known, how))
                del box.known[key]
        for key, finding in seen.findings.items():
            if finding.severity in channel.severities:
                self._weigh(box, key, finding, channel, seen, changes)
        return changes

    def _how_it_ended(self, key: str, known: Known, channel: Channel, seen: Seen) -> str | None:
        finding = seen.findings.get(key)
        if finding is not None:
            if finding.severity in channel.severities or finding.acknowledged:
                return None
            return f"is only {finding.severity} now: {finding.message}"
        return seen.gone(known.host, known.check, known.cadence) if known.check else None

    def _weigh(self, box: Box, key: str, finding: Finding, channel: Channel, seen: Seen, changes: Changes) -> None:
        known = box.known.get(key)
        if finding.acknowledged:
            if known is not None:
                known.quiet = True
            # Nobody needs to be woken for it any more.
            for message in [entry for entry in box.waiting if entry.claimed is None and entry.action == TRIGGER]:
                if channel.takes_events and message.dedup_key == key:
                    self._drop(box, message)
            return
        worse = known is not None and rank(finding.severity) < rank(known.severity)
        if known is None or known.quiet or worse:
            # In maintenance nothing begins: what is still bad afterwards is new then.
            if not self._holds(channel.kind):
                changes.new.append((finding, known.severity if known and worse and not known.quiet else None))
                since = known.since if known else self.moment
                box.known[key] = Known(
                    finding.severity, finding.title, finding.host, finding.check, seen.cadence, since, self.moment
                )
            return
        known.severity = finding.severity
        changes.still.append(finding)
        if self._reminds(channel, known):
            known.notified = self.moment
            changes.due.append(finding)

    def _holds(self, kind: str) -> bool:
        """Whether it is kept quiet here; Alertmanager has silences."""
        return self.settings.maintenance and kind != ALERTMANAGER

    def _reminds(self, channel: Channel, known: Known) -> bool:
        if channel.remind_after is None or self._holds(channel.kind):
            return False
        return self._age(known.notified).total_seconds() >= channel.remind_after

    def _queue_events(self, box: Box, channel: Channel, changes: Changes, seen: Seen) -> None:
        prefix = self.settings.words.subject_prefix
        new = {finding.key for finding, _was in changes.new}
        bad = [finding for finding, _was in changes.new] + changes.due
        for finding in sorted(bad, key=lambda finding: rank(finding.severity)):
            event = payloads.finding_event(prefix, seen, finding)
            subject = event["payload"]["summary"]
            keys = [finding.key] if finding.key in new else []
            self._queue(box, channel, TRIGGER, finding.severity, finding.key, subject, finding.message, event, keys)
        for key, known, how in changes.resolved:
            subject = words.subject(self.settings.words, f"RESOLVED: {known.host}: {known.title}")
            self._queue(box, channel, RESOLVE, known.severity, key, subject, how, payloads.resolve(key))
            for message in [entry for entry in box.waiting if entry.dedup_key == key and entry.action == RESOLVE]:
                message.over[key] = known

    def _queue_alerts(self, box: Box, channel: Channel, seen: Seen) -> None:
        """All that is bad now, each time, and what is over: what is new in it is for Alertmanager to find out."""
        run_key = dedup_key(seen.system, seen.cadence or "checks")
        for message in [entry for entry in box.waiting if entry.dedup_key == run_key and entry.claimed is None]:
            self._drop(box, message)
        before = copy.deepcopy(box.known)
        changes = self._changes(box, channel, seen)
        changes.resolved += superseded(before, box.known)
        write = Alerts(channel, seen.system, seen.cadence, self.now)
        alerts = [write.over(known, how) for _key, known, how in changes.resolved]
        for finding in changes.bad:
            said = {"message": finding.message, "ref": ", ".join(finding.ref), "report": self.settings.words.report}
            alerts.append(write.bad(box.known[finding.key], **said))
        if alerts:
            subject = words.digest_subject(self.settings.words, changes, seen)
            over = {key: known for key, known, _how in changes.resolved}
            keys = list(dict.fromkeys([*(finding.key for finding, _was in changes.new), *over]))
            action = TRIGGER if changes.bad else RESOLVE
            self._queue(box, channel, action, changes.severity, run_key, subject, "", {"alerts": alerts}, keys)
            box.waiting[-1].over.update(over)

    def announce(self, channel: Channel, system: str, said: Announcement) -> None:
        box = self.state.box(channel.name)
        key = dedup_key(system, said.key or hashlib.sha256(said.title.encode("utf-8")).hexdigest()[:16])
        known = box.known.get(key)
        if said.action == RESOLVE:
            if known is None and said.key:
                return
            box.known.pop(key, None)
        elif not self._announces(channel, known, said):
            return
        head = (
            "RESOLVED: " if said.action == RESOLVE else "" if said.severity == "info" else f"{said.severity.upper()}: "
        )
        subject = words.subject(self.settings.words, head + said.title)
        text = words.announcement(self.settings.words, said.text, channel.kind)
        event, keys = payloads.resolve(key), []
        told = Known(said.severity, said.title, "", "", None, known.since if known else self.moment, self.moment)
        if said.action == TRIGGER:
            fields = {"source": system or "day2.ops", "group": system}
            event = payloads.trigger(key, subject, said.severity, fields, {"text": said.text}, self.moment)
            if said.key:
                box.known[key] = told
                keys = [key]
        if channel.kind == ALERTMANAGER:
            write, name = Alerts(channel, system, None, self.now), said.key or said.title
            event = {"alerts": [write.bad(told, name, message=said.text)]}
            if said.action == RESOLVE:
                event = {"alerts": [write.over(known or told, said.text, name)]}
            elif known and known.severity != said.severity:
                event["alerts"].append(write.over(known, f"is {said.severity} now", name))
        self._queue(box, channel, said.action, said.severity, key, subject, text, event, keys)

    def _announces(self, channel: Channel, known: Known | None, said: Announcement) -> bool:
        if said.severity not in channel.severities or (self._holds(channel.kind) and said.severity != "info"):
            return False
        if channel.kind == ALERTMANAGER:
            return True
        if known is None or not said.key or rank(said.severity) < rank(known.severity):
            return True
        return self._reminds(channel, known)

    def _queue(
        self,
        box: Box,
        channel: Channel,
        action: str,
        severity: str,
        key: str,
        subject: str,
        text: str,
        event: dict[str, Any] | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        keys = list(keys)
        if channel.takes_events:
            # What happened to the same thing since takes the place of what was not delivered yet.
            for older in [message for message in box.waiting if message.dedup_key == key and message.claimed is None]:
                keys += [name for name in older.keys if name not in keys and action == TRIGGER]
                box.waiting.remove(older)
        self.state.serial += 1
        box.waiting.append(
            Message(
                id=f"m{self.state.serial}",
                channel=channel.name,
                kind=channel.kind,
                action=action,
                severity=severity,
                dedup_key=key,
                subject=subject,
                text=text,
                queued=self.moment,
                payload=(event or {}) if channel.takes_events else {},
                keys=keys,
            )
        )
        if len(box.waiting) > MOST_WAITING:
            self._make_room(box, channel)

    def _make_room(self, box: Box, channel: Channel) -> None:
        """Of digests the oldest goes. Of events the least bad one, which came last: the next run finds it again."""
        free = [message for message in box.waiting if message.claimed is None]
        if channel.takes_events:
            free = [message for message in free if message.action == TRIGGER][::-1] or free
        for message in free[:1]:
            self._drop(box, message)
            self.crowded[channel.name] = self.crowded.get(channel.name, 0) + 1

    def outgoing(self, channels: Sequence[Channel]) -> list[dict[str, Any]]:
        """Claims what this run sends now: channel by channel, oldest first."""
        sent: list[dict[str, Any]] = []
        self.notes += [
            f"{name}: {MOST_WAITING} messages are waiting, {number} more were left out"
            for name, number in self.crowded.items()
        ]
        for channel in channels:
            ready = [message for message in self.state.box(channel.name).waiting if self._may_go(message)]
            most = self.settings.most_events if channel.takes_events else MOST_DIGESTS
            if len(ready) > most:
                self.notes.append(f"{channel.name}: {len(ready) - most} more messages wait for the next run")
            for message in ready[:most]:
                late = message.queued != self.moment
                message.claimed = self.moment
                sent.append(_shown(message, payloads.build(message, late)))
        return sent

    def _may_go(self, message: Message) -> bool:
        quiet = self._holds(message.kind) and message.action == TRIGGER and message.severity != "info"
        return message.claimed is None and not quiet


def _shown(message: Message, payload: Any) -> dict[str, Any]:
    names = ("id", "channel", "kind", "action", "severity", "dedup_key", "subject", "text")
    return {**{name: getattr(message, name) for name in names}, "payload": payload}


def plan_report(state: State, channels: Sequence[Channel], seen: Seen, settings: Settings, now: datetime) -> Plan:
    """After a checklist: what is new, due for a reminder, or resolved."""
    planner = _Planner(state, channels, settings, now)
    for channel in channels:
        planner.report(channel, seen)
    return Plan(planner.state, planner.outgoing(channels), planner.notes)


def plan_announcement(
    state: State, channels: Sequence[Channel], system: str, said: Announcement, settings: Settings, now: datetime
) -> Plan:
    """One message of another role's, beside whatever waits."""
    planner = _Planner(state, channels, settings, now)
    for channel in channels:
        planner.announce(channel, system, said)
    return Plan(planner.state, planner.outgoing(channels), planner.notes)


def record(state: State, channel: str, message_id: str, delivered: bool, refused: bool = False) -> State:
    """The state after one message was delivered, or was not: then the channel is left alone until the next run.

    A message that is refused for what it is goes too: it would stand in the way of all that come after it.
    """
    state = copy.deepcopy(state)
    box = state.box(channel)
    message = next((entry for entry in box.waiting if entry.id == message_id), None)
    if message is None:
        return state
    if delivered or refused:
        box.waiting.remove(message)
        return state
    claim, message.attempts = message.claimed, message.attempts + 1
    for other in box.waiting:
        if other.claimed == claim:
            other.claimed = None
    return state
