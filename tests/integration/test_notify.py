# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notifications as a checklist sends them: to a real webhook's receiver and a real mail server on this machine."""

from __future__ import annotations

import email
import email.policy
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pytest_httpserver import HTTPServer
from site_of_hosts import DISK, FULL, Site
from werkzeug import Request, Response

FINE = {**FULL, "critical": "> 100%"}
QUICK = {"notify_retry_delay": 0, "notify_retries": 1, "notify_timeout": 3}
SECOND = {**FULL, "id": "second", "title": 'Second "file" <system>'}


class Receiver:
    """Answers every webhook, and remembers what it was sent by path."""

    def __init__(self, server: HTTPServer) -> None:
        self.server, self.status = server, {"/chat": 200, "/pager": 202}
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.refuses = ""
        server.expect_request("/chat").respond_with_handler(self._take)
        server.expect_request("/pager").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        text = request.get_data(as_text=True)
        if self.refuses and self.refuses in text:
            return Response("no", 400)
        status = self.status[request.path]
        if status < 300:
            self.bodies.append((request.path, json.loads(text)))
        return Response("", status)

    def got(self, path: str) -> list[dict[str, Any]]:
        found = [body for place, body in self.bodies if place == path]
        self.bodies = [each for each in self.bodies if each[0] != path]
        return found

    def chat(self) -> dict[str, Any]:
        return {"name": "chat", "kind": "slack", "url": self.server.url_for("/chat")}

    def pager(self) -> dict[str, Any]:
        return {"name": "pager", "kind": "pagerduty", "url": self.server.url_for("/pager"), "routing_key": "r0ut1ng"}


@pytest.fixture
def receiver(httpserver: HTTPServer) -> Receiver:
    return Receiver(httpserver)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def run(site: Site, *channels: dict[str, Any], **more: Any) -> int:
    more = {"notify_channels": list(channels), "notify_state_dir": str(site.folder / "state"), **QUICK, **more}
    status: int = site.run(day2_system="shop", **more)
    return status


def test_a_finding_is_told_once_and_so_is_its_end(site: Site, receiver: Receiver) -> None:
    site.host("a", day2_daily_checks=[FULL])
    for expected in (1, 0):
        assert run(site, receiver.chat(), receiver.pager()) == 2, site.output
        assert len(receiver.got("/chat")) == expected
        events = receiver.got("/pager")
        assert [(each["event_action"], each["dedup_key"]) for each in events] == [("trigger", "shop/a/full")] * expected
    site.host("a", day2_daily_checks=[FINE])
    assert run(site, receiver.chat(), receiver.pager(), in_full=True) == 0
    assert [each["event_action"] for each in receiver.got("/pager")] == ["resolve"]
    assert "RESOLVED" in json.dumps(receiver.got("/chat"))
    assert "r0ut1ng" not in site.output and "/chat" not in site.output


@pytest.mark.parametrize("down", [500, 503, 404, 301])
def test_a_channel_that_is_down_keeps_nobody_else_from_being_told(site: Site, receiver: Receiver, down: int) -> None:
    site.host("a", day2_daily_checks=[FULL, SECOND, {**FULL, "id": "third"}])
    receiver.status["/pager"] = down
    assert run(site, receiver.pager(), receiver.chat()) == 2, site.output
    assert len(receiver.got("/chat")) == 1 and receiver.got("/pager") == []
    assert f"pager answered HTTP {down}" in site.output and "kept for the next run" in site.output
    receiver.status["/pager"] = 202
    run(site, receiver.pager(), receiver.chat())
    assert {each["dedup_key"] for each in receiver.got("/pager")} == {
        f"shop/a/{name}" for name in ("full", "second", "third")
    }
    assert receiver.got("/chat") == []


def test_a_refused_message_stands_in_nobodys_way(site: Site, receiver: Receiver) -> None:
    site.host("a", day2_daily_checks=[{**FULL, "title": "POISON"}, SECOND])
    receiver.refuses = "POISON"
    assert run(site, receiver.pager()) == 2
    assert [each["dedup_key"] for each in receiver.got("/pager")] == ["shop/a/second"]
    assert "is given up" in site.output


def test_whoever_hangs_is_left_alone_in_time(site: Site, receiver: Receiver) -> None:
    site.host("a", day2_daily_checks=[FULL])
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        silent = {**receiver.pager(), "url": f"http://127.0.0.1:{deaf.getsockname()[1]}/"}
        assert run(site, silent, receiver.chat()) == 2
    assert "pager did not answer in time" in site.output and len(receiver.got("/chat")) == 1
    assert run(site, {**receiver.pager(), "url": "https" + receiver.server.url_for("/pager")[4:]}) == 2
    assert "TLS" in site.output or "trusted" in site.output


def test_odd_text_arrives_as_it_is(site: Site, receiver: Receiver) -> None:
    odd = "q\"uo'te <!channel> {{ 7 * 7 }} é 中 \\ " + "x" * 10_000
    check = {"id": "odd", "title": odd, "probe": "command", "argv": ["false"]}
    site.host("a", day2_daily_checks=[check])
    site.hosts["a"]["day2_daily_checks"][0]["title"] = {"__ansible_unsafe": odd}
    assert run(site, receiver.pager(), receiver.chat()) == 2, site.output
    (event,) = receiver.got("/pager")
    assert len(json.dumps(event)) < 512_000 and "{{ 7 * 7 }}" in json.dumps(event, ensure_ascii=False)
    (chat,) = receiver.got("/chat")
    assert "<!channel>" not in json.dumps(chat) and "&lt;!channel&gt;" in json.dumps(chat)


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        controller.port = probe.getsockname()[1]
    controller.start()
    yield box, controller.port
    controller.stop()


def test_a_mail_is_sent(site: Site, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    site.host("a", day2_daily_checks=[FULL])
    mail = {
        "name": "ops",
        "kind": "mail",
        "to": ["ops@example.com"],
        "host": "127.0.0.1",
        "port": port,
        "secure": "never",
    }
    assert run(site, mail, notify_subject_prefix="Backup Alert") == 2, site.output
    (envelope,) = box.mails
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert envelope.rcpt_tos == ["ops@example.com"] and message["Subject"].startswith("Backup Alert CRITICAL: a:")
    (body,) = [part.get_content() for part in message.walk() if part.get_content_type() == "text/plain"]
    assert "Root file system" in body


def test_maintenance_is_silent(site: Site, receiver: Receiver) -> None:
    site.host("a", day2_daily_checks=[FULL])
    run(site, receiver.pager(), day2_maintenance=True)
    assert receiver.got("/pager") == []
    run(site, receiver.pager())
    assert len(receiver.got("/pager")) == 1


def test_people_are_told_when_there_is_no_report(site: Site, receiver: Receiver) -> None:
    site.host("a", day2_daily_checks=[DISK])
    (site.folder / "file").write_text("")
    assert run(site, receiver.pager(), day2_report_dir=str(site.folder / "file" / "reports")) == 2
    (event,) = receiver.got("/pager")
    assert "has no report" in event["payload"]["summary"]


def test_parts_are_told_of_when_they_are_joined(site: Site, receiver: Receiver) -> None:
    for name in ("a", "b"):
        site.host(name, day2_daily_checks=[FULL])
    settings = {"notify_channels": [receiver.chat()], "notify_state_dir": str(site.folder / "state"), **QUICK}
    settings |= {"day2_run_id": "night", "day2_system": "shop"}
    site.run("-l", "a", **settings, day2_run_part="1")
    site.run("-l", "b", keep=True, **settings, day2_run_part="2")
    assert receiver.got("/chat") == []
    assert site.run(keep=True, playbook="day2.ops.report_merge", **settings) == 2, site.output
    assert len(receiver.got("/chat")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"notify_channels": [{"name": "chat", "kind": "slakc"}]}, "kind"), ({"notify_spool_age": "3 dayz"}, "3 dayz"),
        ({"notify_channels": [{"name": "chat", "kind": "slack"}]}, "url"), ({"notify_remind_after": "often"}, "often"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_before_anything_runs(
    site: Site, receiver: Receiver, change: dict[str, Any], words: str
) -> None:
    site.host("a", day2_daily_checks=[FULL])
    assert run(site, receiver.chat(), **change) == 2
    assert words in site.output and site.report is None and receiver.got("/chat") == []


def test_channels_that_differ_between_hosts_are_refused(site: Site, receiver: Receiver) -> None:
    site.host("a", day2_daily_checks=[FULL])
    site.host("b", day2_daily_checks=[FULL], notify_channels=[receiver.chat()])
    assert site.run() == 2
    assert "notify_channels is not the same for a and b" in site.output and site.report is None
