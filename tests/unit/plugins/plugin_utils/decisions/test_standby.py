# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role postgres_standby does to a host, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import standby

PRIMARY = {"host": "db1"}
SAID = "7|1|0/3000060|\n130\n8\n10\n0\n64\n"
HERE: dict[str, Any] = {"state": "running", "role": "standby", "system_identifier": "7", "data": "/data", "unit": "pg",
                        "upstream": {"host": "db1", "port": 5432}}  # fmt: skip


def plan(member: dict[str, Any], **changes: Any) -> dict[str, Any]:
    asked = {"code": 0, "said": SAID, "complaint": "", "primary": PRIMARY, "replace": False, "data": "", "unit": "",
             "now": 0.0}  # fmt: skip
    return standby.plan(member, **{**asked, **changes})


@pytest.mark.parametrize(
    ("member", "changes", "acts"),
    [
        (HERE, {}, ()),
        ({**HERE, "state": "stopped", "upstream": None}, {}, ("start",)),
        ({"state": "absent"}, {"data": "/data"}, ("make", "start")),
        ({**HERE, "role": "primary", "system_identifier": "8"}, {"replace": True}, ("make", "move", "stop", "start")),
        ({**HERE, "role": "primary", "state": "stopped"}, {"replace": True}, ("make", "move", "start")),
    ],
)
def test_what_is_done(member: dict[str, Any], changes: dict[str, Any], acts: tuple[str, ...]) -> None:
    found = plan(member, **changes)
    assert found["problems"] == []
    assert tuple(act for act in ("make", "move", "stop", "start") if found[act]) == acts
    assert found["data"] == "/data" and found["kept"] == "/data.19700101T000000"
    assert found["least"]["max_connections"] == "130"


@pytest.mark.parametrize(
    ("member", "changes", "words"),
    [
        ({"state": "absent"}, {}, "pg_createcluster"),
        ({**HERE, "state": "hung", "error": "its files"}, {}, "is hung: its files"),
        ({**HERE, "state": "starting", "error": "x"}, {"replace": True}, "is starting"),
        ({**HERE, "system_identifier": "8"}, {}, "another cluster than the primary's"),
        # A primary of the same cluster that runs is never stopped here, whatever is allowed.
        ({**HERE, "role": "primary"}, {"replace": True}, "there would be two"),
        ({**HERE, "role": "primary", "state": "stopped"}, {}, "pg_rewind"),
        ({**HERE, "upstream": {"host": "db3", "port": 5432}}, {}, "of db3:5432, not of db1:5432"),
        ({**HERE, "managed_by": "patroni"}, {}, "patroni decides"),
        (
            HERE,
            {"code": 2, "said": "", "complaint": "psql: error: FATAL:  no entry\npassword from file\n"},
            "FATAL:  no entry",
        ),
        (HERE, {"said": "7|1|0/1|\n"}, "cannot be asked"),
    ],
)
def test_what_is_refused(member: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    found = plan(member, **changes)
    assert len(found["problems"]) == 1 and words in found["problems"][0], found["problems"]
    assert not any(found[act] for act in ("make", "move", "stop", "start"))


GOOD: dict[str, Any] = {"entry": "main", "primary": PRIMARY, "standbys": [], "role": "replicator", "password": "x",
                        "slot": "db2", "slot_keep": "10GB", "source": "basebackup", "stanza": ""}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"password": ""}, ["postgres_standby_password is empty"]),
        ({"password": "a\nb"}, ["has a line break"]),
        ({"role": "a b"}, ["postgres_standby_role is 'a b'"]),
        ({"slot": "Db-2"}, ["postgres_standby_slot is 'Db-2'"]),
        ({"slot_keep": "ten"}, ["postgres_standby_slot_keep is 'ten'"]),
        ({"slot_keep": "-1"}, []),
        ({"primary": {}}, ["postgres_standby_primary has no 'host'"]),
        ({"source": "pgbackrest"}, ["needs postgres_standby_stanza"]),
        ({"entry": "primary"}, ["postgres_standby_standbys is empty"]),
        ({"entry": "primary", "standbys": [{"slot": "db2", "address": "10.0.0.2"}]}, []),
        (
            {"entry": "primary", "standbys": [{"slot": "a-b", "address": "db2"}]},
            ["the slot 'a-b'", "the address 'db2'"],
        ),
    ],
)
def test_variables(changes: dict[str, Any], words: list[str]) -> None:
    found = standby.problems(**{**GOOD, **changes})
    assert len(found) == len(words) and all(word in text for word, text in zip(words, found)), found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"wal_level": "minimal"}, ["wal_level is minimal"]),
        ({"senders": 3, "slots": 1}, ["max_wal_senders is 3", "max_replication_slots is 1"]),
        ({"listens": "localhost"}, ["listen_addresses is 'localhost'"]),
        ({"listens": "127.0.0.1, ::1"}, ["listen_addresses is"]),
        ({"listens": ""}, ["listen_addresses is ''"]),
        ({"listens": "localhost,10.0.0.1"}, []),
    ],
)
def test_a_primary_that_cannot_send(settings: dict[str, Any], words: list[str]) -> None:
    good = {"wal_level": "replica", "senders": 4, "slots": 2, "listens": "*"}
    found = standby.unfit({**good, **settings}, ["10.0.0.2", "10.0.1.0/24"])
    assert len(found) == len(words) and all(word in text for word, text in zip(words, found)), found


def test_standbys_of_the_same_host_need_no_other_address() -> None:
    settings = {"wal_level": "replica", "senders": 4, "slots": 2, "listens": "localhost"}
    assert standby.unfit(settings, ["127.0.0.1", "::1"]) == []


def test_lines_and_files() -> None:
    assert standby.hba("hostssl", "rep", ["10.0.0.2", "10.0.1.7/24", "10.0.0.2"]) == (
        'hostssl replication "rep" 10.0.0.2/32 scram-sha-256\nhostssl replication "rep" 10.0.1.0/24 scram-sha-256'
    )
    assert standby.passfile("rep", "a:b\\c") == "*:*:*:rep:a\\:b\\\\c\n"
    login = standby.conninfo({"host": "db1", "port": 5433}, "rep", "/a b/p", "require", "db2")
    assert login == "host=db1 port=5433 user=rep passfile='/a b/p' sslmode=require application_name=db2"


def test_settings_of_who_may_be_primary_tomorrow() -> None:
    found = standby.settings({"max_connections": "130"}, "db2", "10GB", "main", {"work_mem": "8MB", "jit": False})
    assert found["archive_mode"] == "on" and found["archive_command"] == "pgbackrest --stanza=main archive-push %p"
    assert found["restore_command"] == 'pgbackrest --stanza=main archive-get %f "%p"'
    assert found["primary_slot_name"] == "db2" and found["max_slot_wal_keep_size"] == "10GB"
    assert found["max_connections"] == "130" and found["work_mem"] == "8MB"
    assert "archive_mode" not in standby.settings({}, "db2", "10GB", "", {})


def test_what_waits_for_a_restart() -> None:
    results = [
        {"item": {"key": "archive_mode"}, "changed": True, "restart_required": True},
        {"item": {"key": "restore_command"}, "changed": True, "restart_required": False},
        {"item": {"key": "max_connections"}, "changed": False, "restart_required": True},
    ]
    assert standby.waiting({"results": results}) == ["archive_mode"]


def test_a_standby_lets_everybody_in_who_may_follow_it() -> None:
    standbys = [{"address": "10.0.0.2", "slot": "b"}, {"address": "10.0.1.0/24", "slot": "c"}]
    assert standby.peers({"host": "10.0.0.1"}, standbys) == ["10.0.0.1", "10.0.0.2", "10.0.1.0/24"]
    # A name is none of pg_hba's addresses here: it would be looked up at each login.
    assert standby.peers({"host": "db1"}, standbys) == ["10.0.0.2", "10.0.1.0/24"]
