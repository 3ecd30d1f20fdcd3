# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Alertmanager gets: everything that is bad, in each run, and the end of what is over."""

from __future__ import annotations

from typing import Any

import pytest
from notified import GONE, Life, row

ALERTS = {"name": "am", "kind": "alertmanager", "url": "http://am.example.com", "labels": {"service": "shop"}}
BAD = {"a": [row("disk", ref=["OE-D03", "OE-A01"]), row("cpu", "ok")]}
FINE = {"a": [row("disk", "ok", "41 % used"), row("cpu", "ok")]}
KNOWN = {"owner": "A", "reason": "r", "until": "2026-12-01"}


def sent(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The alerts of at most one message."""
    assert len(messages) <= 1
    return [alert for message in messages for alert in message["payload"]]


def told(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Check, severity, and what is said."""
    return [
        (alert["labels"]["check"], alert["labels"]["severity"], alert["annotations"]["message"])
        for alert in sent(messages)
    ]


def test_an_alert_says_what_was_found_and_lasts_until_the_next_run() -> None:
    (alert,) = sent(Life(ALERTS).run(BAD))
    assert alert == {
        "labels": {"alertname": "disk", "system": "shop", "host": "a", "check": "disk", "severity": "critical",
                   "service": "shop"},
        "annotations": {"title": "Disk", "message": "is bad", "ref": "OE-D03, OE-A01"},
        "startsAt": "2026-11-21T04:15:00.000Z",
        "endsAt": "2026-11-22T06:15:00.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cadence", "more", "ends"),
    [("weekly", {}, "2026-11-29"), ("monthly", {}, "2026-12-23"), ("daily", {"expires_after": "3d"}, "2026-11-24")],
)
def test_how_long_it_lasts(cadence: str, more: dict[str, str], ends: str) -> None:
    (alert,) = sent(Life({**ALERTS, **more}).run(BAD, cadence=cadence))
    assert alert["endsAt"].startswith(ends)


def test_it_is_sent_again_in_each_run_with_its_beginning() -> None:
    life = Life(ALERTS)
    (first,), (second,) = sent(life.run(BAD)), sent(life.run(BAD, hours=24))
    assert first["labels"] == second["labels"] and first["startsAt"] == second["startsAt"]
    assert second["endsAt"] == "2026-11-23T06:15:00.000Z"
    (over,) = sent(life.run(FINE))
    assert over["labels"] == first["labels"] and over["annotations"]["message"] == "41 % used"
    assert first["startsAt"] < over["endsAt"] == "2026-11-22T05:14:00.000Z"
    assert life.run(FINE) == []


def test_another_severity_is_another_alert() -> None:
    life = Life(ALERTS)
    life.run(BAD)
    lower = life.run({"a": [row("disk", "warning", "80 %")]})
    assert told(lower) == [("disk", "critical", "is warning now"), ("disk", "warning", "80 %")]
    assert told(life.run(BAD)) == [("disk", "warning", "is critical now"), ("disk", "critical", "is bad")]
    only = Life({**ALERTS, "severities": ["critical"]})
    only.run(BAD)
    assert told(only.run({"a": [row("disk", "warning", "80 %")]})) == [
        ("disk", "critical", "is only warning now: 80 %")
    ]


def test_what_is_acknowledged_is_over_and_new_again_later() -> None:
    life = Life(ALERTS)
    life.run(BAD)
    known = {"a": [row("disk", acknowledged=KNOWN)]}
    assert told(life.run(known)) == [("disk", "critical", "is acknowledged")]
    assert life.run(known) == []
    assert told(life.run(BAD)) == [("disk", "critical", "is bad")]


def test_nobody_looked_says_nothing() -> None:
    life = Life(ALERTS)
    life.run(BAD)
    assert life.run({"b": [row("disk", "ok")]}) == []
    assert [check for check, *_rest in told(life.run({"a": [GONE]}))] == ["reachable"]


def test_silences_are_its_own() -> None:
    assert told(Life(ALERTS).run(BAD, maintenance=True)) == [("disk", "critical", "is bad")]


def test_what_was_not_delivered_is_in_the_next_run() -> None:
    life = Life(ALERTS)
    life.run({"a": [row("disk"), row("cpu", "warning"), row("ram")]})
    life.broken = {"am"}
    lost = life.run({"a": [row("disk", "ok"), row("cpu"), row("ram"), row("net")]})
    assert len(sent(lost)) == 5
    life.broken = set()
    again = life.run({"a": [row("disk", "ok"), row("cpu"), row("ram"), row("net", "ok")]})
    assert told(again) == [
        ("disk", "critical", "is bad"), ("cpu", "warning", "is critical now"),
        ("cpu", "critical", "is bad"), ("ram", "critical", "is bad"),
    ]  # fmt: skip
    assert sorted(check for check, *_rest in told(life.run(FINE))) == ["cpu", "ram"]


def test_two_checklists_that_did_not_run_are_two_alerts() -> None:
    life, refused = Life(ALERTS), {"a": [{**row("checklist", "unknown"), "probe": "checklist"}]}
    (daily,), (weekly,) = sent(life.run(refused)), sent(life.run(refused, cadence="weekly"))
    assert daily["labels"] != weekly["labels"]


def test_announcements() -> None:
    life = Life(ALERTS)
    about = {"key": "backup/shop", "text": "no room"}
    first = sent(life.announce("Backup failed", **about))
    assert first[0]["labels"]["alertname"] == "backup/shop" and first[0]["annotations"]["message"] == "no room"
    assert sent(life.announce("Backup failed again", hours=24, **about))[0]["labels"] == first[0]["labels"]
    worse = sent(life.announce("Backup failed", severity="warning", **about))
    assert [alert["labels"]["severity"] for alert in worse] == ["warning", "critical"]
    (over,) = sent(life.announce("Backup works", hours=1, action="resolve", key="backup/shop", text="made"))
    assert over["labels"] == worse[0]["labels"] and over["endsAt"] < "2026-11-22T05"
    assert life.announce("Backup works", action="resolve", key="backup/shop") == []
    assert life.announce("Work begins", severity="info") == []


def test_labels_are_one_line_and_nothing_is_invisible() -> None:
    (alert,) = sent(Life(ALERTS).run({"a\x1b[31m\nb": [row("disk", message="one\ntwo\x00")]}))
    assert alert["labels"]["host"] == "a␛[31m b" and alert["annotations"]["message"] == "one\ntwo␀"


def test_a_clock_that_was_set_back_leaves_no_alert_that_ends_before_it_begins() -> None:
    life = Life(ALERTS)
    life.run(BAD)
    for result in (BAD, FINE):
        (alert,) = sent(life.run(result, hours=-72))
        assert alert["startsAt"] <= alert["endsAt"]
    assert alert["endsAt"] <= life.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "it is over"
