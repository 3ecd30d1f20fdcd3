# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows of maintenance as playbooks use them, and as users are told: a real webhook's receiver takes it down."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from chat import Chat
from pytest_httpserver import HTTPServer
from site_of_hosts import Site

ANNOUNCE = "day2.ops.maintenance_announce"
MONTHLY: dict[str, Any] = {
    "name": "monthly", "rrule": "FREQ=MONTHLY;BYDAY=1SU", "start": "02:00", "duration": "4h",
}  # fmt: skip
WEEKLY: dict[str, Any] = {
    "name": "weekly", "rrule": "FREQ=WEEKLY;BYDAY=SU", "start": "03:00", "duration": "1h", "timezone": "Europe/Berlin",
}  # fmt: skip
ASKING = """
- name: Ask
  hosts: all
  gather_facts: false
  tasks:
    - name: Keep the answer
      ansible.builtin.copy:
        dest: "{{ answer_file }}"
        content: "{{ lookup('day2.ops.window', windows, **options) | to_json }}"
        mode: "0600"
    - name: Refuse maintenance outside a window
      ansible.builtin.assert:
        that: window.open and window.seconds_left >= 1800
        fail_msg: "{{ window.text }}"
      vars:
        window: "{{ lookup('day2.ops.window', windows, **options) }}"
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def ask(site: Site, windows: Any, **options: Any) -> tuple[int, Any]:
    """The exit status of a play that wants an open window, and what the lookup answered."""
    site.host("a")
    playbook, kept = site.folder / "ask.yml", site.folder / "answer.json"
    playbook.write_text(ASKING)
    status = site.run(playbook=str(playbook), windows=windows, options=options, answer_file=str(kept))
    return status, json.loads(kept.read_text()) if kept.exists() else None


def test_a_play_runs_within_a_window_only(site: Site) -> None:
    status, answer = ask(site, [MONTHLY, WEEKLY], at="2027-01-03T02:30:00Z")
    assert status == 0, site.output
    assert (answer["open"], answer["window"]["name"], answer["seconds_left"]) == (True, "monthly", 3.5 * 3600)
    assert answer["window"]["end"] == "2027-01-03T06:00:00Z" and answer["next"]["start"] == "2027-01-10T02:00:00Z"
    status, answer = ask(site, [MONTHLY, WEEKLY], at="2027-01-03T05:31:00Z")
    assert status == 2 and answer["open"] and answer["seconds_left"] == 29 * 60
    status, answer = ask(site, [MONTHLY, WEEKLY], at="2027-01-03T01:59:59+00:00", count=3)
    assert status == 2 and not answer["open"] and (answer["seconds_left"], answer["seconds_until"]) == (0, 1)
    assert "no window is open; the next one is monthly: Sun 2027-01-03 02:00-06:00 UTC, 4 h" in site.output
    assert [each["start"] for each in answer["upcoming"]] == [
        "2027-01-03T02:00:00Z",
        "2027-01-03T02:00:00Z",
        "2027-01-10T02:00:00Z",
    ]
    status, answer = ask(site, [])
    assert status == 2 and answer["window"] is None and answer["seconds_until"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rrule": "FREQ=MONTHLY;BYHOUR=2;BYDAY=1SU"}, "window 'monthly', field 'rrule': BYHOUR has no place"),
        ({"timezone": "Mars/Olympus"}, "window 'monthly', field 'timezone': 'Mars/Olympus' is no time zone"),
        ({"duration": "-4h"}, "window 'monthly', field 'duration': '-4h' is not longer than nothing"),
        ({"duration": None}, "window 'monthly', field 'duration': is missing"),
    ],
)
def test_a_malformed_window_is_refused_by_name(site: Site, change: dict[str, Any], said: str) -> None:
    status, answer = ask(site, [{**MONTHLY, **change}])
    assert status == 2 and answer is None and said in site.output.replace("\\'", "'").replace("\n", " ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at": "2027-01-03T02:30:00"}, "says no offset"),
        ({"at": "tonight"}, "'tonight' is no moment"),
        ({"count": 0}, "count is 0"),
        ({"ahead": "soon"}, "ahead: 'soon' is not"),
        ({"until": "x"}, "'until' is no option"),
    ],
)
def test_a_wrong_question_is_refused(site: Site, options: dict[str, Any], said: str) -> None:
    status, answer = ask(site, [MONTHLY], **options)
    assert status != 0 and answer is None and said in site.output.replace("\\'", "'")


@pytest.fixture
def chat(httpserver: HTTPServer) -> Chat:
    return Chat(httpserver)


def announce(site: Site, chat: Chat, *options: str, **more: Any) -> int:
    channel = {"name": "chat", "kind": "slack", "url": chat.server.url_for("/chat")}
    settings = {"notify_channels": [channel], "notify_retries": 0, "notify_timeout": 3, **more}
    status: int = site.run(*options, playbook=ANNOUNCE, keep=True, notify_state_dir=str(site.folder / "n"), **settings)
    return status


def window_in(hours: float, **more: Any) -> dict[str, Any]:
    """A window that begins in so many hours, and no other time."""
    start = datetime.now(timezone.utc) + timedelta(hours=hours, minutes=1)
    return {"name": "night", "dates": [str(start.date())], "start": start.strftime("%H:%M"), "duration": "4h", **more}


def test_a_window_is_announced_once(site: Site, chat: Chat) -> None:
    window = window_in(47, timezone="UTC")
    for host in ("a1", "a2"):
        site.host(host, day2_system="shop", day2_windows=[window])
    # The same window, of another system.
    site.host("other", day2_system="desk", day2_windows=[window])
    site.host("none", day2_system="calm")
    assert announce(site, chat) == 0, site.output
    desk, night = chat.got()
    assert "desk: Maintenance (night)" in desk and "desk may be unavailable" in desk
    assert f"shop: Maintenance (night): {datetime.fromisoformat(window['dates'][0]):%a %Y-%m-%d}" in night
    assert f"{window['start']}" in night and "UTC, 4 h" in night and "shop may be unavailable" in night
    assert announce(site, chat) == 0 and chat.got() == []
    for host in ("a1", "a2"):
        site.host(host, day2_system="shop", day2_windows=[window_in(46.5)])
    assert announce(site, chat) == 0
    (moved,) = chat.got()
    assert "shop: Maintenance (night)" in moved


def test_both_clocks_are_told(site: Site, chat: Chat) -> None:
    window = {**window_in(20), "timezone": "Asia/Kathmandu"}
    site.host("a", day2_system="shop", day2_windows=[window])
    assert announce(site, chat, day2_announce_text="Mind the queue.") == 0
    (text,) = chat.got()
    assert " UTC (" in text and f"{window['start']}" in text and "Asia/Kathmandu), 4 h" in text
    assert "Mind the queue." in text


@pytest.mark.parametrize(
    ("hours", "notice", "every", "told"),
    [(49, "48h", "0", 0), (49, "48h", "24h", 1), (71, "48h", "24h", 1), (73, "48h", "24h", 0), (1, "0", "24h", 0)],
)
def test_nothing_is_told_before_its_time(
    site: Site, chat: Chat, hours: int, notice: str, every: str, told: int
) -> None:
    site.host("a", day2_system="shop", day2_windows=[window_in(hours, notice=notice)])
    assert announce(site, chat, day2_announce_every=every) == 0
    assert len(chat.got()) == told


def test_check_mode_says_what_would_be_sent(site: Site, chat: Chat) -> None:
    site.host("a", day2_system="shop", day2_windows=[window_in(30)])
    for _again in range(2):
        assert announce(site, chat, "--check") == 0, site.output
        assert "chat: shop: Maintenance (night)" in site.output and chat.got() == []
        assert not (site.folder / "n").exists()
    assert announce(site, chat) == 0 and len(chat.got()) == 1
    assert announce(site, chat, "--check") == 0 and "it was announced" in site.output


def test_who_was_not_reached_is_told_by_the_next_run(site: Site, chat: Chat) -> None:
    site.host("a", day2_system="shop", day2_windows=[window_in(30)])
    chat.status = 503
    assert announce(site, chat) == 0 and "answered HTTP 503" in site.output
    chat.status = 200
    assert announce(site, chat) == 0 and len(chat.got()) == 1


def test_a_system_that_is_refused_keeps_no_other_from_being_told(site: Site, chat: Chat) -> None:
    channel = {"name": "chat", "kind": "slack", "url": chat.server.url_for("/chat")}
    fine, wrong = {"day2_windows": [window_in(30)]}, {"day2_windows": [window_in(30, timezone="Mars/Olympus")]}
    site.host("a1", day2_system="silent", notify_channels=[], **fine)
    site.host("a2", day2_system="malformed", notify_channels=[channel], **wrong)
    site.host("a3", day2_system="mute", notify_channels=[{**channel, "kind": "fax"}], **fine)
    site.host("b", day2_system="shop", notify_channels=[channel], **fine)
    settings = {"notify_state_dir": str(site.folder / "n"), "notify_retries": 0}
    assert site.run(playbook=ANNOUNCE, keep=True, **settings) == 2
    assert "silent has windows of maintenance and no notify_channels" in site.output
    assert "'kind' is missing or none of" in site.output.replace("\\'", "'")
    assert "field 'timezone'" in site.output.replace("\\'", "'")
    (text,) = chat.got()
    assert "shop: Maintenance (night)" in text


def test_what_cannot_be_announced_is_refused(site: Site, chat: Chat) -> None:
    site.host("a", day2_system="shop", day2_windows=[window_in(30)])
    assert announce(site, chat, notify_channels=[]) == 2
    assert "shop has windows of maintenance and no notify_channels" in site.output
    site.host("a", day2_windows=[window_in(30)])
    assert announce(site, chat) == 2 and "a has no day2_system" in site.output
    site.host("a", day2_system="shop", day2_windows=[{**window_in(30), "start": 120}])
    assert announce(site, chat) == 2 and "field" in site.output and "no time of day" in site.output
    assert chat.got() == []


DATEUTIL = "/usr/lib/python3/dist-packages/dateutil"


def test_a_host_names_what_collides(lab_host: Any) -> None:
    backup = {"name": "nightly", "at": "02:00 daily UTC", "playbook": "day2.ops.backup", "backup": True}
    clash = {"id": "clash", "probe": "schedule", "jobs": [backup], "windows": [MONTHLY, WEEKLY]}
    fine = {"id": "fine", "probe": "schedule", "jobs": [backup], "windows": [{**MONTHLY, "start": "03:00"}]}
    results = lab_host.checks(clash, fine)
    assert (results["clash"]["status"], results["clash"]["value"]) == ("warning", 3)
    said = " ".join(results["clash"]["evidence"])
    assert "window monthly" in said and "window weekly" in said and "nightly" in said
    assert results["fine"]["status"] == "ok"
    bad = {**clash, "title": "x", "windows": [{**MONTHLY, "rrule": "FREQ=MONTHLY"}]}
    text = lab_host.module([bad])["msg"]
    assert "check 'clash', field 'windows': window 'monthly', field 'rrule': FREQ=MONTHLY says no day" in text


def test_a_host_without_dateutil_does_not_know(lab_host: Any) -> None:
    check = {"id": "clash", "probe": "schedule", "windows": [MONTHLY]}
    lab_host.run("mv", DATEUTIL, f"{DATEUTIL}.away")
    try:
        # By Ansible: other calls have it loaded already.
        result = lab_host.checks(check, by_ansible=True)["clash"]
    finally:
        lab_host.run("mv", f"{DATEUTIL}.away", DATEUTIL)
    assert result["status"] == "unknown" and "install python3-dateutil" in result["message"]
    assert lab_host.checks(check)["clash"]["status"] == "ok"
