# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided of standbys without a server: lag, divergence, what forbids a promotion.

Several cases are answers that other tools once got wrong, as their public trackers tell.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover import following, promotion
from ansible_collections.day2.ops.plugins.module_utils.failover.archived import verdict
from ansible_collections.day2.ops.plugins.module_utils.failover.following import History, ahead
from ansible_collections.day2.ops.plugins.module_utils.failover.local import MemberError, literal
from ansible_collections.day2.ops.plugins.module_utils.failover.standby import lag, promoted_by
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import login_environment, parse_conninfo
from ansible_collections.day2.ops.plugins.module_utils.failover.wal_end import LastRecord

FORK = 0x3000148


@pytest.mark.parametrize(
    ("behind", "age", "streaming", "right"),
    [
        # postgres_exporter #385: an idle primary commits nothing, and its standby is not hours behind.
        (0, 7466.5, True, {"bytes": 0, "seconds": 0.0}),
        # postgres_exporter #977: without a stream nothing is known to be missing, and that is no lag of zero.
        (0, 7466.5, False, {"bytes": None, "seconds": 7466.5}),
        (4096, 1.5, True, {"bytes": 4096, "seconds": 1.5}),
        (None, None, True, {"bytes": 0, "seconds": 0.0}),
        # A standby that has just started has replayed no commit yet.
        (4096, None, True, {"bytes": 4096, "seconds": None}),
    ],
)
def test_lag(behind: float | None, age: float | None, streaming: bool, right: dict[str, Any]) -> None:
    assert lag(behind, age, streaming) == right


@pytest.mark.parametrize(
    ("own", "received", "primary", "end", "right"),
    [
        # Patroni #1493: a third node that has no more than the fork goes on, and is not to be made anew.
        (History(1), FORK, History(2, [(1, FORK)]), FORK + 500, 0),
        (History(1), FORK - 96, History(2, [(1, FORK)]), FORK + 500, 0),
        (History(1), FORK + 1, History(2, [(1, FORK)]), FORK + 500, 1),
        # Patroni #2118: the primary's timeline 134 left 132 after 133 had; the standby is on 133.
        (History(133, [(132, FORK)]), FORK + 8, History(134, [(132, FORK + 64)]), FORK + 500, None),
        # Two servers that were promoted apart are both on timeline 2, and have not the same one.
        (History(2, [(1, FORK)]), FORK + 8, History(2, [(1, FORK + 64)]), FORK + 500, None),
        (History(2, [(1, FORK)]), FORK + 8, History(2, [(1, FORK)]), FORK + 500, 0),
        # On the primary's own timeline one cannot have more than the primary.
        (History(2, [(1, FORK)]), FORK + 501, History(2, [(1, FORK)]), FORK + 500, 1),
        # Two promotions since, of which the standby saw none.
        (History(1), FORK, History(3, [(1, FORK), (2, FORK + 900)]), FORK + 1000, 0),
        (History(2, [(1, FORK)]), FORK + 901, History(3, [(1, FORK), (2, FORK + 900)]), FORK + 1000, 1),
        # A standby of a later timeline than the primary's.
        (History(3, [(1, FORK), (2, FORK + 9)]), FORK + 10, History(2, [(1, FORK)]), FORK + 500, None),
    ],
)
def test_who_is_ahead(own: History, received: int, primary: History, end: int, right: int | None) -> None:
    assert ahead(own, received, primary, end) == right


def state(**changes: Any) -> promotion.State:
    usual = {"standby": True, "system_identifier": "7", "timeline": 1, "paused": False, "delay": 0.0, "replayed": "0/3",
             "last_commit": None, "port": 5432, "synchronous": "", "restore_command": ""}  # fmt: skip
    return promotion.State(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({}, {}, None),
        ({"system_identifier": "8"}, {}, "another cluster (system identifier 8)"),
        ({"port": 5433}, {"port": 5432}, "has port 5433, expected 5432"),
        ({"timeline": 2}, {}, "on timeline 2, expected 1"),
        # repmgr #540: a promotion has no effect while replay is paused.
        ({"paused": True}, {}, "replay is paused"),
        ({"paused": True}, {"resume_replay": True}, None),
        ({"delay": 3600.0}, {}, "replays 1 h late"),
        # What a primary has been promoted by is asked beside.
        ({"standby": False, "timeline": 2}, {}, None),
    ],
)
def test_what_forbids_a_promotion(changes: dict[str, Any], asked: dict[str, Any], words: str | None) -> None:
    fault = promotion.refusal(state(**changes), promotion.Promotion(1, "7", **asked))
    assert (fault is None) if words is None else (fault is not None and words in fault), fault


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({}, {}, None),
        ({"standby": False}, {}, "no standby, but a primary"),
        ({"port": 5433}, {"port": 5432}, "has port 5433"),
        ({"system_identifier": "8"}, {"system_identifier": "7"}, "another cluster"),
        # CloudNativePG #3147 turns on this setting: one that names a timeline follows no promotion.
        ({"aim": "1"}, {}, "recovery_target_timeline is '1'"),
    ],
)
def test_what_forbids_to_follow(changes: dict[str, Any], asked: dict[str, Any], words: str | None) -> None:
    usual = {"standby": True, "timeline": 1, "system_identifier": "7", "port": 5432, "aim": "latest", "received": "0/3",
             "replayed": "0/3", "conninfo": "", "slot": "", "stream": None}  # fmt: skip
    fault = following.refusal(
        following.State(**{**usual, **changes}),  # type: ignore[arg-type]
        following.Follow("db2", 5432, **asked),
    )
    assert (fault is None) if words is None else (fault is not None and words in fault), fault


@pytest.mark.parametrize(
    ("code", "found", "command", "words"),
    [
        (0, True, "cp a b", "has it"),
        (1, False, "cp a b", None),
        # A shell that cannot open the file to read from.
        (2, False, "gunzip < /archive/%f > %p", None),
        # A site's command that ends well and brings nothing has brought nothing.
        (0, False, "true", None),
        (1, False, "pgbackrest --stanza=main archive-get %f %p", None),
        # pgBackRest: the repository is locked, or away.
        (103, False, "pgbackrest --stanza=main archive-get %f %p", "could not look into the archive (status 103)"),
        (124, False, "scp a b", "did not answer"),
        (127, False, "no-such", "cannot be run (status 127)"),
    ],
)
def test_what_an_archive_answers(code: int, found: bool, command: str, words: str | None) -> None:
    fault = verdict(code, found, command)
    assert (fault is None) if words is None else (fault is not None and words in fault), fault


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("host=db1 port=5432", {"host": "db1", "port": "5432"}),
        ("host = db1   user='a b'", {"host": "db1", "user": "a b"}),
        (r"password='it\'s \\ here' user=x", {"password": r"it's \ here", "user": "x"}),
        (r"user=a\ b", {"user": "a b"}),
        ("password='' host=/run", {"password": "", "host": "/run"}),
        ("", {}),
    ],
)
def test_connection_strings(text: str, right: dict[str, str]) -> None:
    assert parse_conninfo(text) == right


def test_a_uri_is_refused_and_not_quoted() -> None:
    with pytest.raises(MemberError) as refused:
        parse_conninfo("postgresql://user:f1ctional@db1/x")
    assert "f1ctional" not in str(refused.value)


def test_a_login_goes_by_the_environment() -> None:
    given = login_environment({"host": "db1", "password": "x", "passfile": "/p", "application_name": "db2"}, 0.5)
    assert given == {"PGHOST": "db1", "PGPASSWORD": "x", "PGPASSFILE": "/p", "PGCONNECT_TIMEOUT": "2"}


@pytest.mark.parametrize(("text", "right"), [("a'b", "'a''b'"), ("a\\b'c", "E'a\\\\b''c'"), ("", "''")])
def test_literals(text: str, right: str) -> None:
    assert literal(text) == right


@pytest.mark.parametrize(
    ("note", "role", "timeline", "right"),
    [
        ({"run": "r", "from_timeline": 1, "timeline": 2}, "primary", 2, "r"),
        # Killed after the server was told and before that was noted.
        ({"run": "r", "from_timeline": 1, "timeline": None}, "primary", 2, "r"),
        ({"run": "r", "from_timeline": 1, "timeline": None}, "primary", 1, None),
        # A base backup has the file as well.
        ({"run": "r", "from_timeline": 1, "timeline": 2}, "standby", 2, None),
        ({"run": "r", "from_timeline": 1, "timeline": 2}, "primary", 3, None),
        ({"run": None, "from_timeline": 1, "timeline": 2}, "primary", 2, None),
        ([], "primary", 2, None),
    ],
)
def test_who_promoted(tmp_path: Path, note: Any, role: str, timeline: int, right: str | None) -> None:
    (tmp_path / "day2-promoted.json").write_text(json.dumps(note))
    assert promoted_by(str(tmp_path), role, timeline) == right


RECORD = (
    b"rmgr: Transaction len (rec/tot):     34/    34, tx:  727, lsn: 0/00B02230, prev 0/00B021D0, desc: COMMIT 2026\n"
)


@pytest.mark.parametrize(
    ("said", "remarks", "right"),
    [
        ([RECORD], ["pg_waldump: error: error in WAL record at 0/B02230: invalid record length at 0/B02258: wanted 24"],
         "0/B02258"),
        ([RECORD], ["pg_waldump: error: error in WAL record at 0/B02230: incorrect prev-link 5/A at 0/B02258"],
         "0/B02258"),
        # No words: the last record and what it is long, to the next place where one may begin.
        ([RECORD], [], "0/B02258"),
        ([RECORD[:40], RECORD[40:]], [], "0/B02258"),
        ([], ["pg_waldump: error: could not find a valid record after 0/B02258"], None),
    ],
)  # fmt: skip
def test_where_wal_ends(said: list[bytes], remarks: list[str], right: str | None) -> None:
    last = LastRecord()
    for piece in said:
        last.take(piece)
    last.end(remarks)
    assert last.lsn == right
