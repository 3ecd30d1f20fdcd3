# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Payloads by kind of channel: dictionaries, which a serialiser turns into JSON or into a mail. No secrets.

Slack: https://api.slack.com/messaging/webhooks, and what it escapes:
https://api.slack.com/reference/surfaces/formatting#escaping
PagerDuty: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import ALERTMANAGER, MAIL, PAGERDUTY
from ansible_collections.day2.ops.plugins.plugin_utils.notify.findings import Finding, Seen
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import RESOLVE, TRIGGER, Message
from ansible_collections.day2.ops.plugins.plugin_utils.notify.words import clean, clip
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line, shorten, visible

PAGERDUTY_SEVERITY = {"critical": "critical", "unknown": "error", "warning": "warning", "info": "info"}
LONGEST_SUMMARY = 1024
# An event may have 512 KB.
LONGEST_DETAIL = 50_000


def slack(subject: str, text: str) -> dict[str, Any]:
    return {"text": "\n".join(part for part in (f"*{_escape(subject)}*", _escape(text)) if part)}


def _escape(text: str) -> str:
    """Without it a log line that says <!channel> would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mail(subject: str, text: str) -> dict[str, Any]:
    return {"subject": subject, "body": text or subject}


def finding_event(prefix: str, seen: Seen, finding: Finding) -> dict[str, Any]:
    """A trigger, without the routing key: that is added where it is sent."""
    summary = f"{prefix} {finding.host}: {finding.title}: {finding.message}"
    details = {
        "title": finding.title,
        "message": finding.message,
        **{name: value if isinstance(value, (int, float)) else str(value) for name, value in finding.details.items()},
        "ref": ", ".join(finding.ref),
        "evidence": "\n".join(finding.evidence),
        "cadence": seen.cadence or "",
        "run_id": seen.run_id,
    }
    fields: dict[str, Any] = {
        "source": finding.host or seen.system or "day2.ops",
        "component": finding.check,
        "group": seen.system,
        "class": finding.probe,
    }
    return trigger(finding.key, summary, finding.severity, fields, details, finding.started)


def trigger(
    key: str, summary: str, severity: str, fields: Mapping[str, Any], details: Mapping[str, Any], moment: str = ""
) -> dict[str, Any]:
    """An event of the Events API v2; empty fields are left out."""
    payload: dict[str, Any] = {
        "summary": shorten(one_line(summary), LONGEST_SUMMARY),
        "severity": PAGERDUTY_SEVERITY[severity],
        **{name: visible(str(value)) for name, value in fields.items() if value},
        "custom_details": {
            name: clip(clean(value), LONGEST_DETAIL) if isinstance(value, str) else value
            for name, value in details.items()
            if value not in ("", None)
        },
    }
    if moment:
        payload["timestamp"] = moment
    return {"event_action": TRIGGER, "dedup_key": key, "client": "day2.ops", "payload": payload}


def resolve(key: str) -> dict[str, Any]:
    return {"event_action": RESOLVE, "dedup_key": key}


def build(message: Message, late: bool) -> Any:
    """What is sent now. A message that could not be sent when it was new says so."""
    if message.kind == ALERTMANAGER:
        return message.payload["alerts"]
    if message.kind == PAGERDUTY:
        return message.payload
    text = message.text
    if late:
        text = f"(from {message.queued}; it could not be sent then)\n\n{text}"
    return mail(message.subject, text) if message.kind == MAIL else slack(message.subject, text)
