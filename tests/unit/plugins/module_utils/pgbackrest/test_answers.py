# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pgBackRest says, as it says it (2.45): info, errors, verify, expire. And targets, policies, earlier restores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import record
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import (
    Client,
    PgBackRestError,
    parse_error,
    parse_log,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import InfoError, Kind, parse_info
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.record import Past
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.retention import (
    KeepError,
    parse_expired,
    parse_keep,
    reasons,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import TargetError, parse_target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.verify import judge

_DAY = 86400.0


def raw(label: str, kind: str, stop: float, prior: str | None = None, *needs: str, **about: Any) -> dict[str, Any]:
    return {
        "label": label, "type": kind, "timestamp": {"start": stop - 1, "stop": stop}, "prior": prior,
        "lsn": {"start": "0/2000028", "stop": "0/3000050"}, "reference": list(needs) or None, "error": False,
        "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
        "info": {"delta": 10, "size": 100, "repository": {"delta": 1, "size": 7}},
        "database": {"id": 1, "repo-key": 1}, **about,
    }  # fmt: skip


def answer(*backups: dict[str, Any], code: int = 0, message: str = "ok") -> list[dict[str, Any]]:
    return [
        {
            "name": "main", "backup": list(backups), "cipher": "none",
            "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "15-1", "max": None, "min": None}],
            "db": [{"id": 1, "repo-key": 1, "system-id": 77, "version": "15"}],
            "repo": [{"key": 1, "status": {"code": code, "message": message}}],
            "status": {"code": code, "lock": {"backup": {"held": False}}, "message": message},
        }
    ]  # fmt: skip


def test_info_becomes_records() -> None:
    stanza = parse_info(answer(raw("F2", "full", 9), raw("F", "full", 5), raw("F_I", "incr", 7, "F", "F")), "main")
    assert [backup.label for backup in stanza.backups] == ["F", "F_I", "F2"]
    assert stanza.backups[1].kind is Kind.INCREMENTAL and stanza.backups[1].references == ("F",)
    assert stanza.current is not None and (stanza.current.system_identifier, stanza.current.archive) == ("77", "15-1")
    assert parse_info(answer(code=2, message="no valid backups"), "main").backups == []


def test_backups_with_wrong_pages_and_of_an_earlier_version_are_not_usable() -> None:
    old = raw("F0", "full", 3, database={"id": 0, "repo-key": 1})
    stanza = parse_info(answer(raw("F", "full", 5), raw("X", "full", 6, error=True), old), "main")
    assert [backup.label for backup in stanza.usable] == ["F"] and len(stanza.backups) == 3


@pytest.mark.parametrize(("code", "message"), [(1, "missing stanza path"), (99, "[FormatError] unable to load")])
def test_a_status_is_an_error_whatever_the_exit_status(code: int, message: str) -> None:
    with pytest.raises(InfoError, match="cannot be used: .*" + message[-10:]):
        parse_info(answer(code=code, message=message), "main")


def test_an_answer_of_another_shape_is_said_so() -> None:
    for bad in ([{}], [{"name": "main"}], "x", answer(raw("F", "huge", 5))):
        with pytest.raises(InfoError):
            parse_info(bad, "main")
    with pytest.raises(InfoError, match="no stanza 'other'"):
        parse_info(answer(), "other")


def test_errors_keep_their_number_and_hints_and_lose_noise() -> None:
    said = (
        "P00   INFO: backup command begin\nP00  ERROR: [055]: unable to load info file\n"
        "             FormatError: ��pd\x01\n       HINT: has a stanza-create been performed?\nP00   INFO: end\n"
    )
    code, words = parse_error(said)
    assert code == 55 and words.startswith("unable to load info file; FormatError: ")
    assert words.isprintable() and "HINT: has a stanza-create been performed?" in words and "end" not in words
    assert parse_error("one\nsomething else\n") == (0, "something else")


VERIFY = """P00   INFO: verify command begin 2.45: --stanza=main
{faults}P00   INFO: stanza: main
            status: error
stanza: main
status: {status}
  archiveId: 15-1, total WAL checked: {wal}, total valid WAL: {valid}
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20260131-020000F, status: {backup}, total files checked: 10, total valid files: 9
    missing: 1, checksum invalid: 0, size invalid: 0, other: 0
P00   INFO: verify command end: completed successfully
"""


def test_verify_is_judged_by_what_it_says() -> None:
    good = judge(parse_log(VERIFY.format(faults="", status="ok", wal=8, valid=8, backup="valid")))
    assert (good.faults, good.files, good.wal) == ([], 10, 8)
    faults = "P01   INFO: file missing '20260131-020000F/pg_data/base/1/1247.zst'\n"
    faults += "P01   INFO: invalid checksum '20260131-020000F/pg_data/base/1/112.zst'\n"
    faults += "P01   INFO: invalid result 15-1/0000000100000000/0000: [95] raised from local-1 protocol:"
    faults += " cipher header\n"
    bad = judge(parse_log(VERIFY.format(faults=faults, status="error", wal=8, valid=7, backup="invalid")))
    for words in ("1247.zst is missing", "112.zst has another checksum", "/0000: cipher header", "7 of 8 segments"):
        assert words in "; ".join(bad.faults)
    for empty in ("", "P00   INFO: verify command end: completed successfully\n"):
        assert judge(parse_log(empty)).faults == ["pgbackrest verify gave no summary"]
    assert judge(parse_log(VERIFY.format(faults="", status="error", wal=8, valid=8, backup="valid"))).faults


def test_a_policy_becomes_options() -> None:
    assert parse_keep(None).options(1) == []
    assert parse_keep({"full": 4, "differential": 7, "archive": 2, "archive_type": "differential"}).options(2) == [
        "--repo2-retention-full=4", "--repo2-retention-full-type=count", "--repo2-retention-diff=7",
        "--repo2-retention-archive=2", "--repo2-retention-archive-type=diff",
    ]  # fmt: skip
    # Whole days, and rather one more than less.
    for age, days in (("30d", 30), ("36h", 2), ("1h", 1)):
        assert parse_keep({"age": age}).options(1) == [
            f"--repo1-retention-full={days}", "--repo1-retention-full-type=time"
        ]  # fmt: skip


@pytest.mark.parametrize(
    "keep",
    [{"daily": 3}, {"full": 0}, {"full": True}, {"full": "x"}, {"age": "30"}, {"age": "-1d"}, {"age": "1 moon"},
     {"full": 1, "age": "1d"}, {"archive_type": "weekly"}, {"differential": -1}],
)  # fmt: skip
def test_a_policy_that_cannot_be_meant_is_refused(keep: dict[str, Any]) -> None:
    with pytest.raises(KeepError, match="'keep'"):
        parse_keep(keep)


def test_what_went_and_why_the_rest_stays() -> None:
    said = parse_log(
        "P00   INFO: [DRY-RUN] repo1: expire full backup A\nP00   INFO: [DRY-RUN] repo1: remove expired backup A\n"
        "P00   INFO: repo1: 15-1 remove archive, start = 00000001000000000000000A, stop = 00000001000000000000000C\n"
    )
    gone = parse_expired(said)
    assert gone.backups == ["A"] and gone.wal == [("00000001000000000000000A", "00000001000000000000000C")]
    now = 100 * _DAY
    stanza = parse_info(
        answer(raw("A", "full", 60 * _DAY), raw("B", "full", 90 * _DAY), raw("B_D", "diff", 99 * _DAY, "B", "B")),
        "main",
    )
    why = reasons(stanza.backups, parse_keep({"full": 2, "differential": 1}), now)
    assert list(why) == ["B_D", "B", "A"] and why["B_D"] == ["one of the newest 1 differential"]
    assert why["B"] == ["the newest full", "one of the newest 2 full", "1 build on it"]
    by_age = reasons(stanza.backups, parse_keep({"age": "30d"}), now)
    assert by_age["A"] == ["the one before, from which the oldest of that age is reached"]
    assert reasons(stanza.backups, parse_keep(None), now)["A"] == ["pgBackRest's own retention"]


@pytest.mark.parametrize(
    ("time", "value"),
    [
        ("2026-01-31T02:00:00Z", "2026-01-31 02:00:00.000000+00"),
        ("2026-01-31 03:00:00+01", "2026-01-31 02:00:00.000000+00"),
        ("2026-01-31 02:00:00.66876+00", "2026-01-31 02:00:00.668760+00"),
        ("2026-01-31 02:00:00.1234567 UTC", "2026-01-31 02:00:00.123456+00"),
    ],
)
def test_times_name_their_zone(time: str, value: str) -> None:
    assert parse_target({"time": time}).value == value


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"time": "2026-01-31T02:00:00"}, "names no zone"), ({"time": "yesterday"}, "no time"),
        ({"time": "2026-01-31T02:00:00Z", "lsn": "0/1"}, "one only"), ({"lsn": "7"}, "no LSN"), ("soon", "'soon'"),
        ({"xid": "1.5"}, "whole number"), ({"when": 1}, "'when' is unknown"), ({"type": "time"}, "with a value"),
    ],
)  # fmt: skip
def test_a_target_that_cannot_be_meant_is_refused(target: Any, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        parse_target(target)


def test_expected_seconds_come_from_earlier_restores(tmp_path: Path) -> None:
    assert record.expected([], "main", 1000, 4) is None
    past = Past(1.0, "main", "F", 1000, 2.0, 10, 5.0)
    for _time in range(60):
        assert record.remember(str(tmp_path), past) is None
    known = record.load(str(tmp_path))
    assert len(known) == 50 and record.expected(known, "main", 3000, 20) == 16.0
    assert record.expected(known, "other", 3000, 20) is None
    (tmp_path / record.FILE).write_text("{damaged")
    assert record.load(str(tmp_path)) == []
    assert "was not recorded" in str(record.remember(str(tmp_path / "nowhere"), past))


def test_the_configuration_is_read_as_pgbackrest_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pgbackrest.conf"
    path.write_text("# x\n[global]\nrepo1-cipher-pass=100%sure\nlog-path=/g\n[main]\npg1-path=/data\nlog-path=/m\n")
    client = Client("main", str(path))
    assert (client.setting("pg1-path"), client.setting("log-path")) == ("/data", "/m")
    assert Client("other", str(path)).setting("log-path") == "/g" and client.setting("nothing") is None
    monkeypatch.setenv("PGBACKREST_PG1_PATH", "/elsewhere")
    assert client.setting("pg1-path") == "/elsewhere"
    path.write_text("no section\n")
    with pytest.raises(PgBackRestError, match="cannot be taken"):
        client.setting("log-path")


def test_no_secret_is_asked_for_on_the_command_line() -> None:
    argv = Client("main", "/etc/x.conf").argv("repo-get", "--repo=1", arguments=["archive/main/a b"])
    assert argv[-2:] == ["repo-get", "archive/main/a b"] and "--config=/etc/x.conf" in argv
    assert not any("cipher" in word or "secret" in word for word in argv)
