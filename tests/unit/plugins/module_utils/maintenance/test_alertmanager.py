# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Silences by Alertmanager's clock: what is sent, and what its answers mean."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import alertmanager, rest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.address import (
    fault,
    secrets,
    shown,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.alertmanager import Alertmanager
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.rest import time_there
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339, rfc3339

MATCHERS = [{"name": "service", "value": "shop"}]
ABOUT = alertmanager.settings({"alertmanager": "http://u:p@am/", "matchers": MATCHERS})
THERE = 1_800_000_000.0


class Server:
    """An Alertmanager with a clock of its own; `fate` is the state that it gives to new silences."""

    def __init__(self, fate: str = "active") -> None:
        self.silences: list[dict[str, Any]] = []
        self.posts, self.fate = 0, fate

    def __call__(
        self, url: str, method: str, body: Any, headers: object, ca_path: str | None = None, hints: object = None
    ) -> Answer:
        if method == "POST":
            self.posts += 1
            assert parse_rfc3339(body["startsAt"]) < THERE < parse_rfc3339(body["endsAt"])
            self.silences = [one for one in self.silences if one["id"] != body.get("id")]
            self.silences.append({"id": f"new{self.posts}", **body, "status": {"state": self.fate}})
        if method == "DELETE":
            self.silences = [one for one in self.silences if not url.endswith(one["id"])]
        return Answer(
            url, 200, body=json.dumps(self.silences).encode(), headers={"date": formatdate(THERE, usegmt=True)}
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(alertmanager, "request", server)
    monkeypatch.setattr(Alertmanager, "patience", 0.0)
    return server


def test_a_silence_ends_by_its_clock_and_is_sent_once(server: Server) -> None:
    client = Alertmanager(ABOUT, "me", "why")
    assert "until" in str(client.ensure(600)) and client.ensure(600) is None and client.ensure(590) is None
    (silence,) = server.silences
    assert 600 <= parse_rfc3339(silence["endsAt"]) - THERE <= 630 and server.posts == 1
    assert "prolonged" in str(client.ensure(1200)) and len(server.silences) == 1
    client.remove()
    assert server.silences == []


@pytest.mark.parametrize(
    "change",
    [
        lambda silence: silence["status"].update(state="expired"),
        lambda silence: silence["status"].update(state="pending"),
        lambda silence: silence.update(endsAt=rfc3339(THERE + 60)),
        lambda silence: silence.update(createdBy="somebody"),
        lambda silence: silence.update(matchers=[{"name": "service", "value": "other"}]),
        lambda silence: silence.update(endsAt="soon"),
    ],
)  # fmt: skip
def test_what_somebody_changed_is_put_back(server: Server, change: Any) -> None:
    client = Alertmanager(ABOUT, "me", "why")
    client.ensure(600)
    change(server.silences[0])
    assert client.ensure(590) is not None
    assert any(client._serves(silence, THERE + 590) for silence in server.silences)


@pytest.mark.parametrize("fate", ["pending", "expired"])
def test_what_it_does_not_confirm_is_no_silence(server: Server, fate: str) -> None:
    server.fate = fate
    with pytest.raises(TargetError, match="alarms are not silenced"):
        Alertmanager(ABOUT, "me", "why").ensure(600)


class Cluster:
    """Two Alertmanagers that an address asks in turn; each is told of what the other did `delay` requests later."""

    def __init__(self, delay: int) -> None:
        self.delay, self.asked = delay, 0
        self.peers: list[dict[str, dict[str, Any]]] = [{}, {}]
        self.gossip: list[tuple[int, int, dict[str, Any]]] = []

    def __call__(
        self, url: str, method: str, body: Any, headers: object, ca_path: str | None = None, hints: object = None
    ) -> Answer:
        self.asked += 1
        for _due, other, silence in [news for news in self.gossip if news[0] <= self.asked]:
            self.peers[other][silence["id"]] = silence
        self.gossip = [news for news in self.gossip if news[0] > self.asked]
        number = self.asked % 2
        peer = self.peers[number]
        if method == "POST":
            self._tell(number, {**body, "id": f"new{self.asked}", "status": {"state": "active"}})
        if method == "DELETE":
            known = peer.get(url.rpartition("/")[2])
            if known is None or known["status"]["state"] == "expired":
                # As 0.25 has it for both.
                raise TargetError("HTTP 500: silence not found")
            self._tell(number, {**known, "status": {"state": "expired"}})
        date = formatdate(THERE, usegmt=True)
        return Answer(url, 200, body=json.dumps(list(peer.values())).encode(), headers={"date": date})

    def _tell(self, number: int, silence: dict[str, Any]) -> None:
        self.peers[number][silence["id"]] = silence
        self.gossip.append((self.asked + self.delay, 1 - number, silence))

    def states(self) -> set[str]:
        return {silence["status"]["state"] for peer in self.peers for silence in peer.values()}


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
@pytest.mark.parametrize("first", [0, 1])
def test_several_behind_one_address_agree_a_moment_later(
    monkeypatch: pytest.MonkeyPatch, delay: int, first: int
) -> None:
    cluster = Cluster(delay)
    cluster.asked = first
    monkeypatch.setattr(alertmanager, "request", cluster)
    monkeypatch.setattr(alertmanager.time, "sleep", lambda _seconds: None)
    client = Alertmanager(ABOUT, "me", "why")
    assert "until" in str(client.ensure(600)) and cluster.states() == {"active"}
    for _turn in range(delay):
        cluster("", "GET", None, {})
    assert client.ensure(590) is None and len(cluster.peers[0]) == len(cluster.peers[1]) == 1
    client.remove()
    for _turn in range(delay):
        cluster("", "GET", None, {})
    assert cluster.states() == {"expired"}


def test_one_that_never_ends_a_silence_is_a_fault(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Alertmanager(ABOUT, "me", "why")
    client.ensure(600)

    def deaf(url: str, method: str, *others: Any, **more: Any) -> Answer:
        return server(url, "GET" if method == "DELETE" else method, *others, **more)

    monkeypatch.setattr(alertmanager, "request", deaf)
    with pytest.raises(TargetError, match="goes on with a silence that it was told to end"):
        client.remove()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://am:9093/", "http://am:9093"), ("http://am/alert/manager//", "http://am/alert/manager"),
        ("https://u:p@am/x", "https://u:p@am/x"), ("http://am/api/v1/namespaces/m/services/am:9093/proxy", None),
        ("http://am/apis", None), ("https://u:%3F%23@am", None),
    ],
)  # fmt: skip
def test_addresses_of_alertmanager(url: str, base: str | None) -> None:
    assert alertmanager.settings({"alertmanager": url, "matchers": MATCHERS})["url"] == (base or url)


@pytest.mark.parametrize(
    "rest_of_it",
    ["/#/silences", "/#/alerts?silenced=false", "/api/v2", "/api/v2/", "/api/v1", "/am/api/v2/silences", "/?x=y"],
)
def test_an_address_from_a_browser_or_an_earlier_tool_is_refused(rest_of_it: str) -> None:
    with pytest.raises(TargetError, match="without a page, a query or /api/v2") as refused:
        alertmanager.settings({"alertmanager": f"http://u:hunter22@am:9093{rest_of_it}", "matchers": MATCHERS})
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    ("matchers", "words"),
    [
        # prometheus/alertmanager 4681: each is right, and together they fit nothing.
        ([("alertname", "A"), ("alertname", "B")], "no alert has 'alertname' 'A' and 'B' at once"),
        ([("a", "1"), ("b", "1"), ("a", "2")], "no alert has 'a'"),
        # 3279 and 3366: as PromQL writes it.
        ([("service", '"shop"')], "has quotes"), ([("service", '""')], "has quotes"), ([], "is empty"),
        ([("", "shop")], "has 'name' and 'value'"),
    ],
)  # fmt: skip
def test_matchers_that_fit_nothing_are_refused(matchers: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(TargetError, match=words):
        alertmanager.settings({"alertmanager": "am", "matchers": [{"name": n, "value": v} for n, v in matchers]})


@pytest.mark.parametrize(
    "matchers",
    [
        [{"name": "a", "value": "1"}, {"name": "a", "value": "1"}], [{"name": "a", "value": 'say "x" to'}],
        [{"name": "a", "value": "1.*", "regex": True}, {"name": "a", "value": ".*2", "regex": True}],
        [{"name": "a", "value": "1", "equal": False}, {"name": "a", "value": "2", "equal": False}],
        [{"name": "a", "value": ""}, {"name": "b", "value": '"'}], [{"name": "ä b", "value": "ü\\n{}"}],
    ],
)  # fmt: skip
def test_matchers_that_may_be_meant(matchers: list[dict[str, Any]]) -> None:
    assert len(alertmanager.settings({"alertmanager": "am", "matchers": matchers})["matchers"]) == len(matchers)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        # psf/requests 5494: a POST that follows becomes a GET, and looks well.
        (301, {"Location": "https://u:hunter22@am/api/v2/silences?x=hunter22"}, "it is at https://am/api/v2/silences"),
        (308, {"location": "/am/api/v2/silences"}, "it is at /am/api/v2/silences now"), (302, {}, "HTTP 302: moved"),
        (404, {}, "web.route-prefix"), (401, {}, "HTTP 401: moved"), (410, {}, "HTTP 410: moved"),
    ],
)  # fmt: skip
def test_what_an_answer_says_to_do(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(rest, "ask", lambda url, *_args, **_more: Answer(url, status, body=b"moved", headers=headers))
    with pytest.raises(TargetError) as refused:
        Alertmanager(ABOUT, "me", "why").silences()
    assert words in str(refused.value) and "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 0), ("2026-01-01T00:00:00.250Z", 0.25), ("2026-01-01T00:00:00.250999999Z", 0.250999),
        ("2026-01-01T02:00:00+02:00", 0), ("2025-12-31T18:30:00-05:30", 0), ("2025-12-31T23:59:60Z", 0),
        ("2026-01-01t00:00:01z", 1),
    ],
)  # fmt: skip
def test_times_of_rfc3339(text: str, seconds: float) -> None:
    assert parse_rfc3339(text) == pytest.approx(1767225600 + seconds)


@pytest.mark.parametrize("text", ["", "soon", "2026-01-01", "2026-13-01T00:00:00Z", None, "2026-01-01T00:00:00"])
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(ValueError, match=r"is no time|month"):
        parse_rfc3339(text)


def test_the_clock_is_theirs_where_they_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.time, "time", lambda: 5.0)
    assert time_there(Answer("x", headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})) == 1767225600
    assert [time_there(Answer("x", headers=headers)) for headers in ({}, {"date": "soon"})] == [5.0, 5.0]


@pytest.mark.parametrize(
    ("url", "visible", "hidden"),
    [
        ("http://host:9093", "http://host:9093", []), ("http://u:p@host:9093/x", "http://host:9093/x", ["u:p@"]),
        ("http://TOKEN@host", "http://host", ["TOKEN@"]), ("http://u:p@ss@host/", "http://host/", ["u:p@ss@"]),
        ("https://host/x?token=abc&y=1#z", "https://host/x", ["?token=abc&y=1"]), ("u:p@host", "host", ["u:p@"]),
        ("http://:p@[::1]:1/a@b", "http://[::1]:1/a@b", [":p@"]), ("", "", []),
        ("http://host/p?u=http://a:b@c", "http://host/p", ["?u=http://a:b@c"]),
        ("http://bob:hun/ter@am", "http://am", ["bob:hun/ter@"]),
        ("http://bob:hun/t@er/x@am:9093/api", "http://am:9093/api", ["bob:hun/t@er/x@"]),
        ("http://bob:h?n#ter@am/x", "http://am/x", ["bob:h?n#ter@"]),
        ("http://am:9093/users/me@x", "http://am:9093/users/me@x", []),
        ("http://am/users/me@x?y=1", "http://am/users/me@x", ["?y=1"]),
    ],
)  # fmt: skip
def test_addresses_as_people_see_them(url: str, visible: str, hidden: list[str]) -> None:
    assert (shown(url), secrets(url)) == (visible, hidden)
    assert not any(secret in shown(url) for secret in hidden)


@pytest.mark.parametrize(
    ("url", "is_broken"),
    [
        ("http://u:p/ss@host", True), ("http://u:p#ss@host", True), ("http://u:p?ss@host/x", True),
        ("http://u:p/s@s@host:9093", True), ("http://host:9093/me@x", False), ("http://[::1]:1/x@y", False),
        ("http://host/me@x", False), ("http://host?t=1/2@3", False), ("http://u:p%2F@host", False), (None, False),
    ],
)  # fmt: skip
def test_a_password_that_makes_another_address_is_refused_without_it(url: str | None, is_broken: bool) -> None:
    said = fault(url)
    assert bool(said) is is_broken and "ss" not in (said or "").replace("password", "")
