# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Patroni's REST answers when a failover is asked of it, in the cases that a real one is hard to bring to.

The texts are those of Patroni's own REST, and the cases those that people have reported of it.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover import patroni


class Fake:
    """`clusters`: what GET /cluster says, one after the other, the last one for ever; those in `after` are said from
    the POST on. `post`: how that is answered, None for a connection that ends."""

    def __init__(self) -> None:
        self.clusters: list[Any] = []
        self.after: list[Any] = []
        self.post: tuple[int, str] | None = (200, "")
        self.config: Any = {"ttl": 1, "loop_wait": 1}
        self.posted: list[Any] = []
        self.login: list[str | None] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/cluster":
                    said = fake.clusters[0]
                    fake.clusters = fake.clusters[1:] or fake.clusters
                    self.reply(*said) if isinstance(said, tuple) else self.reply(200, json.dumps(said))
                elif self.path == "/config":
                    self.reply(200, json.dumps(fake.config)) if fake.config is not None else self.reply(502, "")
                else:
                    self.reply(503, json.dumps({"database_system_identifier": "7", "patroni": {"scope": "shop"}}))

            def do_POST(self) -> None:
                fake.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                fake.login.append(self.headers.get("Authorization"))
                fake.clusters = fake.after or fake.clusters
                if fake.post is not None:
                    self.reply(*fake.post)

            def reply(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def rest(self, **more: Any) -> patroni.Rest:
        return patroni.Rest(f"http://127.0.0.1:{self.server.server_address[1]}", **more)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(patroni, "_POLL", 0.01)
    made = Fake()
    yield made
    made.server.shutdown()
    made.server.server_close()


def cluster(leader: str | None = None, timeline: int = 2, **more: Any) -> dict[str, Any]:
    members = [
        {"name": name, "role": "leader" if name == leader else "replica", "state": "running", "host": "10.0.0.1",
         "port": 5432, "timeline": timeline, "tags": {"nofailover": True} if name == "never" else {}}
        for name in ("one", "two", "never")
    ]  # fmt: skip
    # Paused, it elects nobody, and is asked at once.
    return {"members": members, "pause": True, **more}


NOBODY, NEW, OTHER = cluster(), cluster("two"), cluster("one")
STARTING = {"members": [{**NEW["members"][1], "state": "starting"}], "pause": True}
DOWN = (500, "<html><body>Internal Server Error</body></html>")
UNKNOWN, FAILED = (503, "Failover status unknown"), (503, "Failover failed")
# name: what the POST says, what GET /cluster says afterwards, the error's words or None for success
POSTS: dict[str, tuple[Any, list[Any], str | None]] = {
    "it says that it did": ((200, 'Successfully failed over to "two"'), [NEW], None),
    "it did, and the new leader starts": ((200, 'Successfully failed over to "two"'), [STARTING, NEW], None),
    "unknown, and it happens": (UNKNOWN, [NOBODY, NOBODY, NEW], None),
    "failed, and it happens": (FAILED, [NOBODY, NEW], None),
    "cut off, and it happens": (None, [NOBODY, NEW], None),
    "its REST is down meanwhile": (UNKNOWN, [DOWN, DOWN, NEW], None),
    "an older server in the way": ((502, "Bad Gateway"), [NEW], None),
    "the leader is on the old timeline": ((200, "Successfully"), [cluster("two", 1), NEW], None),
    "another one was chosen": ((200, 'Failed over to "one" instead of "two"'), [OTHER], "one leads by Patroni's word"),
    "unknown, and nothing happens": (UNKNOWN, [NOBODY], "status unknown. After .* nobody leads"),
    "failed, and nothing happens": (FAILED, [NOBODY], "Failover failed. After .* nobody leads"),
    "cut off, and nothing happens": (None, [NOBODY], "closed the connection without an answer. After"),
    "said to be done, and nobody leads": ((200, "Successfully"), [NOBODY], "nobody leads"),
    "its REST stays away": (UNKNOWN, [DOWN], "it does not answer"),
    "it stays on the old timeline": ((200, "Successfully"), [cluster("two", 1)], "two leads, running, on timeline 1"),
    "no candidate": ((400, "Failover could be performed only to a specific candidate"), [NOBODY],
                     "does not fail over to two: HTTP 400, Failover could be performed only"),
    "not known there": ((412, "candidate does not exists"), [NOBODY], "HTTP 412, candidate does not exists"),
    "no good one": ((412, "failover is not possible: no good candidates have been found"), [NOBODY],
                    "no good candidates have been found"),
    "wrong password": ((401, "wrong basic auth"), [NOBODY], "HTTP 401, "),
    "not allowed from here": ((403, "Access is denied"), [NOBODY], "HTTP 403, Access is denied"),
    "an old version": ((501, "Unsupported method ('POST')"), [NOBODY], "HTTP 501"),
    "somebody else's server": ((302, "elsewhere"), [NOBODY], "HTTP 302"),
}  # fmt: skip


@pytest.mark.parametrize("name", POSTS)
def test_what_it_says_and_what_is_true(fake: Fake, name: str) -> None:
    fake.post, fake.after, words = POSTS[name]
    fake.clusters = [NOBODY]
    asked = patroni.Failover("two", 1, 0.4)
    if words is None:
        done = patroni.fail_over(fake.rest(), asked, False)
        assert (done["changed"], done["leader"], done["timeline"]) == (True, "two", 2)
    else:
        with pytest.raises(patroni.PatroniError, match=words):
            patroni.fail_over(fake.rest(), asked, False)
    assert fake.posted == [{"candidate": "two"}]


CANDIDATE_LEADS, ELSEWHERE = (NEW, None), (OTHER, "one leads by Patroni's word, on timeline 2: nobody is promoted")
BEFORE: dict[str, tuple[Any, str | None]] = {
    "it leads already": CANDIDATE_LEADS,
    "another one leads": ELSEWHERE,
    "the old one leads": (cluster("one", 1), "one leads by Patroni's word, on timeline 1"),
    "it is no member": ({"members": NOBODY["members"][:1], "pause": True}, "Patroni has no member two .it has one"),
    "nobody is": ({"members": []}, "it has none"),
    "it answers a page": ((200, "<html></html>"), "answers what is no cluster of Patroni"),
    "it answers a list": ((200, "[]"), "it has no list 'members'"),
    "a member without a name": ({"members": [{"role": "leader"}]}, "a member has no name"),
    "two leaders": ({"members": [{**m, "role": "leader"} for m in NEW["members"]]}, "3 leaders"),
    "its store is away": (DOWN, "HTTP 500, "),
    "a standby cluster": ({"members": [{**NEW["members"][0], "role": "standby_leader"}]}, "leads a standby cluster"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_nothing_is_asked_of_it(fake: Fake, name: str) -> None:
    said, words = BEFORE[name]
    fake.clusters = [said]
    asked = patroni.Failover("two", 1, 5.0)
    if words is None:
        assert patroni.fail_over(fake.rest(), asked, False)["changed"] is False
    else:
        with pytest.raises(patroni.PatroniError, match=words):
            patroni.fail_over(fake.rest(), asked, False)
    assert fake.posted == []


def test_a_tagged_member_and_check_mode(fake: Fake) -> None:
    fake.clusters = [NOBODY]
    with pytest.raises(patroni.PatroniError, match="has the tag nofailover"):
        patroni.fail_over(fake.rest(), patroni.Failover("never", 1, 5.0), False)
    assert patroni.fail_over(fake.rest(), patroni.Failover("two", 1, 5.0), True)["changed"] is True
    assert fake.posted == []


@pytest.mark.parametrize(("elected", "words"), [(NEW, None), (OTHER, "one leads by Patroni's word")])
def test_its_own_election_comes_first(fake: Fake, elected: Any, words: str | None) -> None:
    fake.clusters = [{**NOBODY, "pause": False}, {**NOBODY, "pause": False}, elected]
    if words is None:
        done = patroni.fail_over(fake.rest(), patroni.Failover("two", 1, 30.0), False)
        assert (done["changed"], done["said"]) == (False, "it has elected it by itself")
    else:
        with pytest.raises(patroni.Elsewhere, match=words) as raised:
            patroni.fail_over(fake.rest(), patroni.Failover("two", 1, 30.0), False)
        assert raised.value.leader == "one"
    assert fake.posted == []


def test_it_is_asked_where_it_elects_nobody(fake: Fake) -> None:
    fake.clusters, fake.after = [{**NOBODY, "pause": False}], [NEW]
    done = patroni.fail_over(fake.rest(user="ops", password="pässword"), patroni.Failover("two", 1, 1.0), False)
    assert done["changed"] is True and fake.posted == [{"candidate": "two"}]
    assert fake.login == [f"Basic {b64encode('ops:pässword'.encode()).decode()}"]


def test_nobody_listens() -> None:
    found = patroni.observe(patroni.Rest("http://127.0.0.1:1"))
    assert found["answered"] is False and "Connection refused" in found["error"]


# Configurations and what is observed of them.
SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    ({"ttl": 20, "loop_wait": 3, "synchronous_mode": True, "maximum_lag_on_failover": 5},
     {"ttl": 20, "loop_wait": 3, "synchronous": True, "maximum_lag": 5}),
    ({"ttl": 20}, {"loop_wait": 10, "synchronous": False, "maximum_lag": 1048576}),
    # Newer versions have more than on and off.
    ({"synchronous_mode": "quorum"}, {"synchronous": True}),
    (None, {"ttl": 30, "loop_wait": 10, "synchronous": None, "maximum_lag": None}),
]  # fmt: skip


@pytest.mark.parametrize(("config", "expected"), SETTINGS)
def test_what_is_observed(fake: Fake, config: Any, expected: dict[str, Any]) -> None:
    fake.config = config
    # One has lost its address; another one has a lag that nobody knows.
    lost = {"name": "one", "role": "leader", "state": "running", "api_url": "http://:8008/patroni"}
    two = {"name": "two", "role": "replica", "state": "streaming", "host": "db2", "port": 5432, "lag": "unknown"}
    three = {"name": "three", "role": "replica", "state": "", "host": "db3", "port": 5432, "lag": 230193504}
    members = [lost, two, three]
    fake.clusters = [{"members": members}]
    found = patroni.observe(fake.rest())
    assert found["answered"] is True and (found["scope"], found["system_identifier"]) == ("shop", "7")
    assert (found["leader"], found["paused"]) == ("one", False)
    assert [(m["host"], m["lag"]) for m in found["members"]] == [(None, None), ("db2", None), ("db3", 230193504)]
    assert {name: found[name] for name in expected} == expected
