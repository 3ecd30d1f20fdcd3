# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words, payloads and reasons: nothing that a host says breaks them, nothing secret is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.notify import failures, findings, payloads, words
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import (
    COMMON,
    FIELDS,
    ChannelError,
    parse,
)
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import Known

CHAT = {"name": "chat", "kind": "slack", "url": "https://hooks.slack.com/services/T0/B0/XSECRETX"}
ODD = "say \"no\" & 'yes' <!channel>\nline two\ttab\\ \x1b[31m\x00 ünï✓ \U0001f525\r\nend"


def seen(*rows: dict[str, Any]) -> findings.Seen:
    return findings.read({"system": "s", "cadence": "daily", "hosts": [{"host": "a", "results": list(rows)}]})


def bad(message: str, check: str = "c") -> dict[str, Any]:
    return {"id": check, "title": "T", "status": "critical", "message": message, "ref": ["OE-A08"]}


def digest(kind: str, *messages: str, still: int = 0, resolved: int = 0) -> str:
    run = seen(*(bad(message, f"c{number}") for number, message in enumerate(messages)))
    known = Known("critical", "T", "a", "c", "daily", "", "")
    changes = words.Changes(
        new=[(finding, None) for finding in run.findings.values()],
        still=list(run.findings.values())[:1] * still,
        resolved=[("k", known, "fine")] * resolved,
    )
    return words.digest(words.Words("Options Engine Alert:", "Call 42", "/reports/1"), changes, kind)


def test_a_digest_keeps_quotes_lines_and_characters() -> None:
    text = digest("mail", ODD)
    assert "say \"no\" & 'yes' <!channel>\n    line two\ttab\\ ␛[31m␀ ünï✓ \U0001f525\n    end [OE-A08]" in text
    assert text.endswith("Report: /reports/1\nCall 42")


def test_ten_kilobytes_are_told_whole_and_more_is_counted() -> None:
    long = "x" * 10_240
    assert long in digest("slack", long) and long in digest("mail", *[long] * 15)
    chat = digest("slack", *[long] * 15, still=2, resolved=12)
    assert len(chat) < 36_000 and "- and 13 more" in chat and "Still bad:" in chat and "- and 2 more" in chat
    assert "more characters)" in digest("slack", "y" * 200_000)


def test_a_subject_is_one_line_of_bounded_length() -> None:
    run = seen(bad("first\nBcc: all@example.com" + "z" * 500))
    changes = words.Changes(new=[(next(iter(run.findings.values())), None)])
    subject = words.digest_subject(words.Words("Options Engine Alert:"), changes, run)
    assert subject.startswith("Options Engine Alert: CRITICAL: a: T: first Bcc: all") and "\n" not in subject
    assert len(subject) <= words.LONGEST_SUBJECT


def test_slack_escapes_what_would_call_everybody() -> None:
    text = payloads.slack("a & b", "<!channel> ok")["text"]
    assert text == "*a &amp; b*\n&lt;!channel&gt; ok"


def test_an_event_is_within_pagerdutys_limits() -> None:
    run = seen({**bad(ODD + "x" * 60_000), "evidence": ["one", "two"], "value": 91.3, "unit": "%", "started": "2026"})
    (finding,) = run.findings.values()
    event = json.loads(json.dumps(payloads.finding_event("P:", run, finding)))
    payload = event["payload"]
    assert event["dedup_key"] == "s/a/c" and len(payload["summary"]) <= 1024 and "\n" not in payload["summary"]
    assert payload["custom_details"]["value"] == 91.3 and payload["custom_details"]["evidence"] == "one\ntwo"
    assert payload["custom_details"]["message"].startswith("say \"no\" & 'yes' <!channel>\nline two")
    assert len(json.dumps(event)) < 400_000 and "routing_key" not in event


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"status": 500, "msg": "Status code was 500 and not [200]: HTTP Error 500"}, "answered HTTP 500"),
        ({"status": -1, "msg": "Status code was -1 and not [200, 201]: Connection failure: timed out"}, "in time"),
        ({"status": -1, "msg": "Request failed: <urlopen error [Errno 111] Connection refused>"}, "refused the conn"),
        ({"status": -1, "msg": "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
          "self-signed certificate (_ssl.c:992)>"}, "a certificate that is not trusted (self-signed certificate)"),
        ({"status": -1, "msg": "<urlopen error [SSL: WRONG_VERSION_NUMBER] wrong version>"}, "TLS"),
        ({"status": -1, "msg": "<urlopen error [Errno -2] Name or service not known>"}, "has no address"),
        ({"failed": True, "msg": "MODULE FAILURE", "exception": "Trace\nConnectionRefusedError: [Errno 111] "
          "Connection refused\n"}, "refused the connection"),
        ({"failed": True, "msg": "Task failed: Module failed: odd https://hooks.slack.com/services/T0/B0/XSECRETX"},
         "failed: odd"),
        ({"failed": True, "msg": "odd /services/T0/B0/XSECRETX"}, "failed: odd"),
        ({}, "did not say why"),
        (None, "was not tried"),
    ],
)  # fmt: skip
def test_why_it_failed(outcome: Any, said: str) -> None:
    (channel,) = parse([CHAT])
    reason = failures.failed(outcome, channel.secrets)
    assert said in reason and "XSECRETX" not in reason and "\n" not in reason
    assert not failures.delivered(outcome)


@pytest.mark.parametrize("outcome", [{"status": 200}, {"status": 202, "failed": False}, {"result": {}, "msg": "Mail"}])
def test_what_counts_as_delivered(outcome: Any) -> None:
    assert failures.delivered(outcome)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("chat", "channel 1 is not a mapping"),
        ({"kind": "slack", "url": "https://x"}, "'name' is missing"),
        ({"name": "a b", "kind": "slack", "url": "https://x"}, "'name' is missing, or not of"),
        ({"name": "a", "kind": "irc"}, "none of slack, pagerduty, alertmanager, mail"),
        ({"name": "a", "kind": "slack"}, "channel 1 ('a'): 'url' is missing"),
        ({"name": "a", "kind": "slack", "url": "hooks/SECRET"}, "'url' is no http:// or https:// address"),
        ({"name": "a", "kind": "slack", "url": "https://x", "severties": ["critical"]}, "did you mean 'severities'"),
        ({"name": "a", "kind": "slack", "url": "https://x", "severities": ["bad"]}, "there are critical, unknown"),
        ({"name": "a", "kind": "slack", "url": "https://x", "severities": []}, "'severities' is not a list"),
        ({"name": "a", "kind": "slack", "url": "https://x", "remind_after": "soon"}, "'remind_after' 'soon'"),
        ({"name": "a", "kind": "pagerduty", "routing_key": ""}, "'routing_key' is empty"),
        ({"name": "a", "kind": "alertmanager"}, "'url' is missing"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am:9093/api/v2/alerts"}, "leave out the page"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am:9093/#/alerts"}, "leave out the page"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am", "remind_after": "1h"}, "is no field of kind"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am", "expires_after": "0s"}, "is not more than 0"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am", "labels": ["x"]}, "is not a mapping"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am", "labels": {"a-b": "x"}}, "has 'a-b'"),
        ({"name": "a", "kind": "alertmanager", "url": "http://am", "labels": {"host": "x"}}, "has 'host', which"),
        ({"name": "a", "kind": "mail", "to": "ops@example.com"}, "'to' is not a list"),
        ({"name": "a", "kind": "mail", "to": ["x"], "port": 0}, "'port' is no port"),
        ({"name": "a", "kind": "mail", "to": ["x"], "secure": "maybe"}, "'secure' is none of"),
        ({"name": "a", "kind": "mail", "to": ["x"], "password": "SECRET"}, "go together"),
    ],
)
def test_malformed_channels_are_named(entry: Any, said: str) -> None:
    with pytest.raises(ChannelError) as refused:
        parse([entry])
    assert said in str(refused.value) and "SECRET" not in str(refused.value)


def test_all_channels_are_looked_at_before_one_is_refused() -> None:
    with pytest.raises(ChannelError, match=r"channel 1.*channel 3"):
        parse([{"name": "a"}, CHAT, {"name": "b"}])
    with pytest.raises(ChannelError, match="'chat' is there twice"):
        parse([CHAT, CHAT])
    with pytest.raises(ChannelError, match="not a list"):
        parse({"chat": CHAT})


def test_defaults_of_channels() -> None:
    chat, pager = parse([CHAT, {"name": "p", "kind": "pagerduty", "routing_key": "R"}], "24h")
    assert "info" in chat.severities and "info" not in pager.severities and chat.remind_after == 86400.0


def test_every_field_is_in_the_guide() -> None:
    guide = (Path(__file__).resolve().parents[5] / "docs" / "notify.md").read_text(encoding="utf-8")
    for field in (*COMMON, *(field for fields in FIELDS.values() for field in fields)):
        assert f"`{field}`" in guide, field
