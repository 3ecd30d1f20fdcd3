# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told what: runs one after another, as they come in a life of a system."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.notify import findings, plan, state
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import parse
from notified import CHAT, GONE, MAIL, PAGER, T0, Life, brief, report, row

DISK_BAD = {"a": [row("disk"), row("cpu", "ok")]}
DISK_FINE = {"a": [row("disk", "ok", "41 % used"), row("cpu", "ok")]}


def test_a_finding_is_told_once_and_its_end_with_the_same_key() -> None:
    life = Life(CHAT, PAGER, MAIL)
    first = life.run(DISK_BAD)
    assert brief(first) == [
        ("chat", "trigger", "shop/daily"), ("pager", "trigger", "shop/a/disk"), ("mail", "trigger", "shop/daily"),
    ]  # fmt: skip
    assert first[0]["subject"] == "Shop: CRITICAL: a: Disk: is bad (daily)"
    assert life.run(DISK_BAD) == []
    last = life.run(DISK_FINE)
    assert ("pager", "resolve", "shop/a/disk") in brief(last)
    assert last[0]["subject"] == "Shop: RESOLVED: a: Disk (daily)" and "41 % used" in last[0]["text"]
    assert life.run(DISK_FINE) == []
    assert len(life.run(DISK_BAD)) == 3, "it is new again"


def test_channels_take_their_severities_and_cadences() -> None:
    life = Life({**CHAT, "severities": ["critical"]}, {**MAIL, "cadences": ["weekly"]})
    assert life.run({"a": [row("disk", "warning")]}) == []
    assert brief(life.run(DISK_BAD)) == [("chat", "trigger", "shop/daily")]
    lower = life.run({"a": [row("disk", "warning", "80 %")]})
    assert lower[0]["action"] == "resolve" and "is only warning now: 80 %" in lower[0]["text"]
    assert brief(life.run(DISK_BAD, cadence="weekly"))[1] == ("mail", "trigger", "shop/weekly")


def test_what_gets_worse_is_told_and_what_gets_better_is_not() -> None:
    life = Life(CHAT, PAGER)
    life.run({"a": [row("disk", "warning")]})
    worse = life.run(DISK_BAD)
    assert "CRITICAL (was warning) a: Disk" in worse[0]["text"] and brief(worse)[1] == (
        "pager",
        "trigger",
        "shop/a/disk",
    )
    assert life.run({"a": [row("disk", "warning")]}) == []


def test_severities_of_pagerduty() -> None:
    rows = [row("a"), row("b", "unknown"), row("c", "warning")]
    events = [each["payload"]["payload"]["severity"] for each in Life(PAGER).run({"a": rows})]
    assert events == ["critical", "error", "warning"]


def test_nobody_looked_resolves_nothing() -> None:
    life = Life(PAGER)
    life.run(DISK_BAD)
    assert life.run({"b": [row("disk", "ok")]}) == [], "the host was not in the run"
    assert brief(life.run({"a": [GONE]})) == [("pager", "trigger", "shop/a/reachable")], "the disk may still be full"
    skipped = {"a": [row("disk", "skipped", "needs root")]}
    assert brief(life.run(skipped)) == [("pager", "resolve", "shop/a/reachable")]
    assert life.run({"a": [row("other", "ok")]}, cadence="weekly") == [], "a weekly run does not ask for it"
    refused = {"a": [{**row("checklist", "unknown"), "probe": "checklist"}]}
    assert brief(life.run(refused)) == [("pager", "trigger", "shop/a/daily/checklist")]
    assert sorted(brief(life.run({"a": [row("other", "ok")]}))) == [
        ("pager", "resolve", "shop/a/daily/checklist"), ("pager", "resolve", "shop/a/disk"),
    ], "the check was taken away"  # fmt: skip


def test_acknowledged_is_silent_until_it_ends() -> None:
    known = {"a": [row("disk", acknowledged={"owner": "A", "reason": "r", "until": "2026-12-01"})]}
    life = Life(PAGER)
    assert life.run(known) == []
    assert len(life.run(DISK_BAD)) == 1
    assert life.run(known) == []
    assert brief(life.run(DISK_BAD)) == [("pager", "trigger", "shop/a/disk")], "the acknowledgement is over"
    life.run(known)
    assert brief(life.run(DISK_FINE)) == [("pager", "resolve", "shop/a/disk")]


def test_maintenance_begins_nothing_and_ends_what_is_over() -> None:
    life = Life(CHAT, PAGER)
    both = {"a": [row("disk"), row("cpu")]}
    life.run(DISK_BAD)
    quiet = life.run({"a": [row("disk", "ok"), row("cpu")]}, maintenance=True)
    assert brief(quiet)[1] == ("pager", "resolve", "shop/a/disk") and "Cpu" not in quiet[0]["text"]
    assert life.run(both, maintenance=True) == []
    assert {key for _name, action, key in brief(life.run(both)) if action == "trigger"} >= {"shop/a/disk", "shop/a/cpu"}


def test_reminders() -> None:
    life = Life({**CHAT, "remind_after": "24h"}, PAGER)
    life.run(DISK_BAD)
    assert life.run(DISK_BAD, hours=23) == []
    assert life.run(DISK_BAD, hours=1, maintenance=True) == []
    reminder = life.run(DISK_BAD, hours=1)
    assert brief(reminder) == [("chat", "trigger", "shop/daily")] and "Still bad:" in reminder[0]["text"]
    assert life.run(DISK_BAD) == []


def test_a_channel_that_is_down_gets_it_from_the_next_run_once() -> None:
    life = Life(CHAT, PAGER)
    life.broken = {"chat"}
    life.run(DISK_BAD)
    life.broken = set()
    late = life.run(DISK_BAD)
    assert brief(late) == [("chat", "trigger", "shop/daily")]
    assert "could not be sent then" in late[0]["payload"]["text"] and "Disk" in late[0]["payload"]["text"]
    assert life.run(DISK_BAD) == []


def test_a_page_that_was_not_delivered_is_replaced_by_what_happened_since() -> None:
    life = Life(PAGER)
    life.broken = {"pager"}
    life.run(DISK_BAD)
    life.broken = set()
    assert brief(life.run(DISK_FINE)) == [("pager", "resolve", "shop/a/disk")], "nobody is woken for what is over"


def test_maintenance_holds_what_waits() -> None:
    life = Life(CHAT)
    life.broken = {"chat"}
    life.run(DISK_BAD)
    life.broken = set()
    assert life.run(DISK_BAD, maintenance=True) == []
    assert len(life.run(DISK_BAD)) == 1


@pytest.mark.parametrize("settings", [{"spool_attempts": 2}, {"spool_age": 1.5 * 3600}])
def test_what_is_given_up_is_said_and_is_new_again(settings: dict[str, Any]) -> None:
    life = Life(CHAT, **settings)
    life.broken = {"chat"}
    first = life.run(DISK_BAD)
    life.run(DISK_BAD)
    fresh = life.run(DISK_BAD)
    assert "gave up 'Shop: CRITICAL: a: Disk: is bad (daily)'" in life.notes[0]
    assert [each["id"] for each in fresh] != [first[0]["id"]] and "could not be sent" not in fresh[0]["payload"]["text"]


def test_one_failure_leaves_the_rest_of_a_channel_for_the_next_run() -> None:
    life = Life(PAGER)
    life.broken = {"pager"}
    bad = {"a": [row(f"c{number}") for number in range(5)]}
    assert len(life.run(bad)) == 5
    assert [each.attempts for each in life.state.box("pager").waiting] == [1, 0, 0, 0, 0]
    life.broken = set()
    assert len(life.run(bad)) == 5 and life.run(bad) == []


def test_a_run_that_was_killed_loses_nothing_and_another_at_once_doubles_nothing() -> None:
    life = Life(CHAT)
    seen = findings.read(report(DISK_BAD))
    killed = plan.plan_report(life.state, life.channels, seen, life.settings, T0)
    assert len(killed.messages) == 1
    beside = plan.plan_report(killed.state, life.channels, seen, life.settings, T0 + timedelta(minutes=1))
    assert beside.messages == []
    after = plan.plan_report(beside.state, life.channels, seen, life.settings, T0 + timedelta(minutes=16))
    assert [each["id"] for each in after.messages] == [killed.messages[0]["id"]]
    back = plan.plan_report(killed.state, life.channels, seen, life.settings, T0 - timedelta(days=1))
    assert len(back.messages) == 1, "the clock was set back"


def test_a_flood_is_told_in_parts_worst_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_WAITING", 50)
    hosts = {f"h{number}": [row("disk", "warning"), row("cpu")] for number in range(40)}
    life = Life(CHAT, PAGER, most_events=30)
    first = life.run(hosts)
    pages = [each for each in first if each["channel"] == "pager"]
    assert len(pages) == 30 and {each["severity"] for each in pages} == {"critical"}
    assert "New:" in first[0]["text"] and "- and 60 more" in first[0]["text"] and len(first[0]["text"]) < 5000
    assert life.notes == [
        "pager: 50 messages are waiting, 30 more were left out", "pager: 20 more messages wait for the next run",
    ]  # fmt: skip
    told = {each["dedup_key"] for each in pages}
    for _night in range(3):
        told |= {each["dedup_key"] for each in life.run(hosts) if each["channel"] == "pager"}
    assert len(told) == 80, "what was left out came later"


def test_few_messages_are_never_left_out() -> None:
    life = Life(PAGER)
    life.broken = {"pager"}
    for number in range(1, 6):
        assert len(life.run({"a": [row(f"c{each}") for each in range(number)]})) == number


def test_digests_keep_to_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_WAITING", 10)
    life = Life(CHAT, spool_attempts=10**6, spool_age=10**9)
    life.broken = {"chat"}
    for night in range(plan.MOST_WAITING + 5):
        life.run({"a": [row(f"c{night}")]})
    assert len(life.state.box("chat").waiting) == plan.MOST_WAITING


def test_announcements() -> None:
    life = Life(CHAT, PAGER, {**MAIL, "severities": ["info"]})
    failed = life.announce("Backup failed", text="pg_dump: exit 1", key="backup")
    assert brief(failed) == [("chat", "trigger", "shop/backup"), ("pager", "trigger", "shop/backup")]
    assert failed[0]["subject"] == "Shop: CRITICAL: Backup failed" and failed[0]["text"] == "pg_dump: exit 1"
    assert failed[1]["payload"]["payload"]["custom_details"] == {"text": "pg_dump: exit 1"}
    assert life.announce("Backup failed", key="backup") == [], "it is known"
    assert life.run(DISK_FINE) == [], "a checklist does not end it"
    over = life.announce("Backup works", key="backup", action="resolve")
    assert [(each["action"], each["dedup_key"]) for each in over] == [("resolve", "shop/backup")] * 2
    assert life.announce("Backup works", key="backup", action="resolve") == []
    assert [each["channel"] for each in life.announce("Begins", severity="info", maintenance=True)] == ["chat", "mail"]
    assert life.announce("Backup failed", maintenance=True) == []
    assert len(life.announce("Same")) == len(life.announce("Same")) == 2, "without a key it is always sent"


def test_long_keys_stay_apart_and_the_same() -> None:
    host = "h" * 300
    keys = [findings.dedup_key("shop", host, check) for check in ("disk", "cpu", "disk")]
    assert len(set(keys)) == 2 and keys[0] == keys[2] and max(map(len, keys)) == 255
    assert findings.dedup_key("", "a", "disk") == "a/disk"


@pytest.mark.parametrize("document", [None, [], {}, {"hosts": 3}, "x"])
def test_no_report(document: Any) -> None:
    with pytest.raises(findings.DocumentError):
        findings.read(document)


def test_a_report_with_odd_entries_is_read() -> None:
    seen = findings.read({"hosts": [None, {"host": "a", "results": [3, {"id": "x"}, row("disk", ref="OE-D01")]}]})
    assert list(seen.findings) == ["a/disk"] and seen.findings["a/disk"].ref == ("OE-D01",)


@pytest.mark.parametrize(
    "document",
    [None, {}, {"version": 2}, {"version": 1, "serial": 0, "channels": 3},
     {"version": 1, "serial": 0, "channels": {"a": {}}},
     {"version": 1, "serial": 0, "channels": {"a": {"known": {"k": {"severity": 3}}, "waiting": []}}},
     {"version": 1, "serial": 0, "channels": {"a": {"known": {}, "waiting": [{"id": "m1"}]}}}],
)  # fmt: skip
def test_no_state(document: Any) -> None:
    with pytest.raises(state.StateError):
        state.from_dict(document)


def test_a_checklist_that_did_not_run_is_told_by_cadence() -> None:
    life = Life(PAGER)
    refused = {"a": [{**row("checklist", "unknown"), "probe": "checklist"}]}
    assert brief(life.run(refused, cadence="monthly")) == [("pager", "trigger", "shop/a/monthly/checklist")]
    assert brief(life.run(refused, cadence="quarterly")) == [("pager", "trigger", "shop/a/quarterly/checklist")]
    fine = {"a": [row("disk", "ok")]}
    assert brief(life.run(fine, cadence="quarterly")) == [("pager", "resolve", "shop/a/quarterly/checklist")]


def test_another_cadence_resolves_nothing() -> None:
    life = Life(PAGER)
    life.run(DISK_BAD)
    fine = {"a": [row("disk", "ok")]}
    assert life.run(fine, cadence="weekly") == []
    assert brief(life.run(fine)) == [("pager", "resolve", "shop/a/disk")]


def test_of_two_rows_of_one_name_the_worse_is_told() -> None:
    (sent,) = Life(PAGER).run({"a": [row("cpu", "critical"), row("cpu", "unknown")]})
    assert sent["severity"] == "critical"


def test_a_message_that_is_refused_for_what_it_is_stands_in_nobodys_way() -> None:
    life = Life(PAGER)
    life.broken = {"pager"}
    (sent,) = life.run(DISK_BAD)
    after = plan.record(life.state, "pager", sent["id"], delivered=False, refused=True)
    assert len(life.state.box("pager").waiting) == 1 and after.box("pager").waiting == []


def test_a_channel_that_became_another_one_starts_anew() -> None:
    life = Life(CHAT)
    life.broken = {"chat"}
    life.run(DISK_BAD)
    life.channels, life.broken = parse([{**MAIL, "name": "chat"}]), set()
    (sent,) = life.run(DISK_BAD)
    assert sent["kind"] == "mail" and "Disk" in sent["payload"]["body"]
    assert "which was written for slack" in "".join(life.notes)


def test_a_resolve_that_was_given_up_is_told_by_the_next_run() -> None:
    life = Life(PAGER, spool_attempts=1)
    life.run(DISK_BAD)
    life.broken = {"pager"}
    fine = {"a": [row("disk", "ok")]}
    assert brief(life.run(fine)) == [("pager", "resolve", "shop/a/disk")]
    life.broken = set()
    assert brief(life.run(fine)) == [("pager", "resolve", "shop/a/disk")]
    assert life.run(fine) == []


def test_an_undelivered_page_of_what_is_acknowledged_since_is_not_sent() -> None:
    life = Life(PAGER)
    life.broken = {"pager"}
    life.run(DISK_BAD)
    life.broken = set()
    known = {"owner": "A. Owner", "reason": "known", "until": "2199-01-01"}
    assert life.run({"a": [row("disk", acknowledged=known)]}) == []
    assert brief(life.run(DISK_BAD)) == [("pager", "trigger", "shop/a/disk")]
