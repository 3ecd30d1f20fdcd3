# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What HAProxy says of its servers, and what is made of it, where other tools are reported to fail.

Public reports: ansible-collections/community.general 1913, 8092, 9020 and 12286, ansible/ansible 28507, 29284, 29307
and 53677, haproxytech/dataplaneapi 343, haproxy/haproxy 199, 576 and 2085, flores/haproxyctl 6.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import haproxy_socket
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.haproxy import Haproxy, followers
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.haproxy_socket import (
    Load,
    NotRunning,
    chosen,
    loads,
    servers,
)
from fake_haproxy import COLUMNS, STATS, Fake, states


@pytest.mark.parametrize(
    ("admin", "state"),
    [
        (0, "ready"), (1, "maint"), (8, "drain"),
        # `disabled` in the configuration; then made ready, or drained, by somebody: it serves.
        (5, "maint"), (4, "ready"), (12, "drain"),
        # Inherited from a tracked server: nobody's order, and what somebody ordered beside it.
        (2, "ready"), (16, "ready"), (17, "maint"), (24, "drain"),
        # No address by DNS, as servers of a template have: made ready afterwards, not put into maintenance for good.
        (32, "ready"), (33, "maint"), (64, "ready"),
    ],
)  # fmt: skip
def test_states_are_what_somebody_ordered(admin: int, state: str) -> None:
    found = servers(states(f"web app 2 {admin} 0"))
    assert [server.state for server in found.values()] == [state]


@pytest.mark.parametrize(
    ("op", "admin", "serves"), [(2, 0, True), (0, 0, False), (3, 0, True), (0, 1, False), (2, 8, False), (0, 32, False)]
)
def test_a_server_serves_when_it_is_up_and_ready(op: int, admin: int, serves: bool) -> None:
    assert servers(states(f"web app {op} {admin} 0"))["web/app"].serves is serves


@pytest.mark.parametrize(("agent", "asked"), [(0, False), (18, False), (22, True), (30, True)])
def test_an_agent_that_is_asked(agent: int, asked: bool) -> None:
    assert servers(states(f"web app 2 0 {agent}"))["web/app"].agent is asked


@pytest.mark.parametrize("answer", ["", "1\n", f"1\n# {COLUMNS}\n\n", "Unknown command: 'show servers state'\n"])
def test_no_servers(answer: str) -> None:
    assert servers(answer) == {}


def test_columns_of_other_releases() -> None:
    more = f"{COLUMNS} srv_fqdn srv_port"
    assert list(servers(states("web app 2 0 0", columns=more))) == ["web/app"]
    assert servers("1\n# be_name srv_name srv_op_state srv_admin_state\nweb app 2 1\n")["web/app"].state == "maint"


def test_names_are_whole_ones() -> None:
    """A tool that looks for `web11` finds `coweb11` as well, and a dot is any letter in a pattern."""
    found = servers(states("www.shop web11 2 0 0", "www-shop coweb11 2 1 0"))
    assert {name: server.state for name, server in found.items()} == {
        "www.shop/web11": "ready", "www-shop/coweb11": "maint",
    }  # fmt: skip


def test_sessions_are_those_of_servers() -> None:
    """Rows of frontends and backends count the same sessions again; one that waits in the queue is one."""
    answer = STATS + (
        "web,FRONTEND,,,9,9,OPEN,,\nweb,app,1,1,2,9,DOWN 2/3,,\nweb,BACKEND,0,0,2,9,UP,,\n"
        "api,app,0,0,0,0,MAINT (via web/app),web/app,\ntmpl,t1,,,,,no check,,\n\n"
    )
    assert loads(answer) == {"web/app": Load(3, ""), "api/app": Load(0, "web/app"), "tmpl/t1": Load(0, "")}
    assert loads("") == {} and loads("Permission denied\n\n") == {}


KNOWN = ["web.v1/app1", "web.v1/app2", "api/app1"]


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        (["web.v1"], ["web.v1/app1", "web.v1/app2"]), (["api/app1"], ["api/app1"]),
        (["web.v1/app2", "web.v1"], ["web.v1/app2", "web.v1/app1"]),
        (["api", "web.v1/app1"], ["api/app1", "web.v1/app1"]),
    ],
)  # fmt: skip
def test_servers_that_are_meant(entries: list[str], names: list[str]) -> None:
    assert chosen(entries, KNOWN) == names


@pytest.mark.parametrize(
    ("entry", "known", "words"),
    [
        ("web", KNOWN, "no backend 'web' with servers; did you mean 'web.v1'"),
        ("web.v1/app3", KNOWN, "backend web.v1 has no server 'app3'; did you mean 'app"),
        # One that has no such server is refused, and another backend's is not taken instead.
        ("api/app2", KNOWN, "backend api has no server 'app2'; did you mean 'app1'"),
        ("web-v1/app1", KNOWN, "did you mean 'web.v1'"), ("/app1", KNOWN, "no backend ''"),
        ("zzz", KNOWN, "there are web.v1, api"), ("web", [], "it has no backend with servers"),
        ("api/app1;shutdown sessions", KNOWN, "has no server 'app1;shutdown sessions'"),
    ],
)  # fmt: skip
def test_servers_that_are_not_there(entry: str, known: list[str], words: str) -> None:
    with pytest.raises(TargetError) as refused:
        chosen([entry], known)
    assert words in str(refused.value)


def test_servers_that_follow() -> None:
    known = {"web/a": Load(0, ""), "api/a": Load(1, "web/a"), "ws/a": Load(0, "api/a"), "web/b": Load(0, "")}
    assert followers(["web/a"], known) == {"api/a": "web/a", "ws/a": "api/a"}
    assert followers(["web/a", "api/a"], known) == {"ws/a": "api/a"} and followers(["web/b"], known) == {}
    assert followers(["a/a"], {"a/a": Load(0, "b/b"), "b/b": Load(0, "a/a")}) == {"b/b": "a/a"}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    found = Fake(tmp_path / "admin.sock")
    yield found
    found.stop()


@pytest.fixture
def target(tmp_path: Path) -> Haproxy:
    return Haproxy("shop", str(tmp_path / "haproxy.on"))


def entered(fake: Fake, target: Haproxy, *names: str, drain: float = 0.0) -> dict[str, Any]:
    record = target.survey({"socket": fake.path, "servers": list(names), "drain": drain}, 0.0)
    target.enter(record)
    return record


@pytest.mark.parametrize(
    ("before", "within", "told"),
    [
        ("ready", "maint", ["set server web/app1 state drain", "set server web/app1 state maint"]),
        ("drain", "maint", ["set server web/app1 state maint"]),
        # Somebody else's maintenance is left to somebody else.
        ("maint", "maint", []),
    ],
)
def test_each_state_comes_back(fake: Fake, target: Haproxy, before: str, within: str, told: list[str]) -> None:
    fake.states["web/app1"] = before
    record = entered(fake, target, "web/app1")
    assert (fake.states["web/app1"], fake.said) == (within, told)
    for _again in range(2):
        target.leave(record)
        assert fake.states == {"web/app1": before, "web/app2": "ready", "api/app1": "ready"}


def test_it_waits_for_sessions_and_no_state(fake: Fake, target: Haproxy) -> None:
    """A server whose health check fails is DOWN and never DRAIN: who waits for that word waits in vain."""
    fake.sessions["web/app1"] = 2
    record = target.survey({"socket": fake.path, "servers": ["web/app1"], "drain": 0.3}, 0.0)
    assert "2 of web/app1" in target.enter(record)[-1] and fake.states["web/app1"] == "maint"
    target.leave(record)
    fake.sessions["web/app1"] = 0
    assert target.enter(record)[-1] == "their sessions have ended"


def test_an_agent_ends_no_maintenance(fake: Fake, target: Haproxy) -> None:
    fake.agents["web/app1"] = True
    record = entered(fake, target, "web/app1")
    assert not fake.agents["web/app1"] and fake.states["web/app1"] == "maint"
    # After a reload it is asked again.
    fake.agents["web/app1"] = True
    target.prolong(record, 0.0)
    target.prolong(record, 0.0)
    assert not fake.agents["web/app1"] and fake.states["web/app1"] == "maint"
    target.leave(record)
    assert fake.agents["web/app1"] and fake.states["web/app1"] == "ready"


def test_what_haproxy_forgot_is_set_again(fake: Fake, target: Haproxy) -> None:
    record = entered(fake, target, "web")
    assert target.prolong(record, 0.0) is None
    fake.states.update({"web/app1": "ready", "web/app2": "drain"})
    assert "web/app1, web/app2" in str(target.prolong(record, 0.0))
    assert fake.states == {"web/app1": "maint", "web/app2": "maint", "api/app1": "ready"}


@pytest.mark.parametrize("state", ["ready", "drain"])
def test_what_is_new_is_remembered_before_it_is_set(fake: Fake, target: Haproxy, state: str) -> None:
    fake.states["web/app1"] = "maint"
    record = entered(fake, target, "web")
    # A server that the backend has got, and one whose other maintenance is over.
    fake.states.update({"web/app1": state, "web/app3": state})
    fake.agents["web/app3"] = False
    target.prolong(record, 0.0)
    assert (fake.states["web/app1"], fake.states["web/app3"]) == (state, state)
    target.prolong(record, 0.0)
    assert (fake.states["web/app1"], fake.states["web/app3"]) == ("maint", "maint")
    assert {f"make web/{name} of HAProxy {state} again" for name in ("app1", "app3")} <= set(target.salvaged())
    target.leave(record)
    assert fake.states == {"web/app1": state, "web/app2": "ready", "web/app3": state, "api/app1": "ready"}


def test_who_ends_another_maintenance_meanwhile_has_ended_it(fake: Fake, target: Haproxy) -> None:
    fake.states["web/app1"] = "maint"
    record = entered(fake, target, "web/app1")
    fake.states["web/app1"] = "ready"
    target.leave(record)
    assert fake.states["web/app1"] == "ready"


def test_what_is_gone_keeps_nothing_back(fake: Fake, target: Haproxy) -> None:
    record = entered(fake, target, "web")
    del fake.states["web/app2"]
    target.prolong(record, 0.0)
    target.leave(record)
    assert fake.states == {"web/app1": "ready", "api/app1": "ready"}


def test_one_that_does_not_run_serves_nobody_and_is_put_back_later(fake: Fake, target: Haproxy) -> None:
    record = entered(fake, target, "web/app1")
    fake.stop()
    assert target.prolong(record, 0.0) is None
    with pytest.raises(NotRunning, match="nobody listens"):
        target.leave(record)
    Path(fake.path).unlink()
    with pytest.raises(NotRunning, match="is missing: does HAProxy run"):
        target.leave(record)


def _killed(left: list[int], real: Callable[[str, str], str], path: str, command: str) -> str:
    """The socket, of a process that is killed once it has given so many commands."""
    left[0] -= 1
    if left[0] < 0:
        raise KeyboardInterrupt
    return real(path, command)


@pytest.mark.parametrize("act", ["enter", "prolong"])
def test_a_kill_before_each_command(fake: Fake, target: Haproxy, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """What the state has from before the act is enough to bring back each server, and its agent."""
    real, commands = haproxy_socket.ask, 0
    before = {"web/app1": "ready", "web/app2": "drain", "web/app3": "maint", "api/app1": "ready"}
    while True:
        fake.states, fake.agents = dict(before), {**dict.fromkeys(before, False), "web/app1": act == "enter"}
        fake.sessions = dict.fromkeys(before, 0)
        record = target.survey({"socket": fake.path, "servers": ["web"], "drain": 0.1}, 0.0)
        if act == "prolong":
            target.enter(record)
            fake.states.update({"web/app1": "ready", "web/app2": "ready"})
        remembered, left = json.loads(json.dumps(record)), [commands]

        monkeypatch.setattr(haproxy_socket, "ask", partial(_killed, left, real))
        with suppress(KeyboardInterrupt):
            target.enter(record) if act == "enter" else target.prolong(record, 0.0)
        monkeypatch.setattr(haproxy_socket, "ask", real)
        target.leave(remembered)
        assert (fake.states, fake.agents["web/app1"]) == (before, act == "enter"), commands
        if left[0] >= 0:
            break
        commands += 1
    assert commands >= 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"level": "user"}, "has level user"), ({"level": "operator"}, "`level admin`"),
        ({"processes": 4}, "runs as 4 processes"),
    ],
)  # fmt: skip
def test_sockets_that_are_refused(fake: Fake, target: Haproxy, fields: dict[str, Any], words: str) -> None:
    vars(fake).update(fields)
    with pytest.raises(TargetError, match=words):
        target.survey({"socket": fake.path, "servers": ["web"]}, 0.0)
    assert fake.said == []


def test_a_refusal_is_said_in_its_words(fake: Fake, target: Haproxy) -> None:
    record = target.survey({"socket": fake.path, "servers": ["web/app1"]}, 0.0)
    fake.level = "operator"
    with pytest.raises(TargetError, match="set server web/app1 state drain: Permission denied"):
        target.enter(record)


def test_one_that_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haproxy_socket, "REQUEST", 0.2)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "admin.sock"))
        listener.listen(1)
        with pytest.raises(TargetError, match="no answer within"):
            Haproxy("shop", "flag").survey({"socket": str(tmp_path / "admin.sock"), "servers": ["web"]}, 0.0)


def test_without_the_record_its_flag_tells(fake: Fake, target: Haproxy) -> None:
    fake.states["web/app2"] = "drain"
    entered(fake, target, "web")
    assert target.salvaged() == ["make web/app1 of HAProxy ready again", "make web/app2 of HAProxy drain again"]
    assert target.salvage() == [] and target.salvaged() == []
    assert fake.states == {"web/app1": "ready", "web/app2": "drain", "api/app1": "ready"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"socket": "x"}', '{"socket": "x", "servers": {"web/a": 1}}'])
def test_a_damaged_flag_is_named(target: Haproxy, tmp_path: Path, text: str) -> None:
    flag = tmp_path / "haproxy.on"
    flag.write_text(text)
    assert "nobody knows which" in target.salvaged()[0] and "nobody knows which" in target.salvage()[0]
    assert not flag.exists() and target.salvaged() == []


def test_what_somebody_else_asks_for_is_named(fake: Fake, target: Haproxy) -> None:
    record = entered(fake, target, "web")
    for held in (["web"], ["web/app1"], []):
        assert target.lacks(record, {"socket": fake.path, "servers": held}) is None
    assert "api/app1 would go on" in str(target.lacks(record, {"socket": fake.path, "servers": ["web", "api/app1"]}))
    assert f"is at {fake.path}" in str(target.lacks(record, {"servers": ["web"]}))
