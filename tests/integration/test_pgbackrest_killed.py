# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Physical restores and drills that are killed: the next run finishes, or goes back, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab.waiting import wait_for
from pitr_cluster import CONFIG, DATA, PLACE, UNIT, Pitr

LIVE = "SELECT count(*) FROM moments WHERE word = 'live'"
# What restores have left beside the data directory.
BESIDE = f"cd {DATA}/..; ls -A | grep -e '^pitr[.]' -e '^[.]pitr' | grep -v lock$ || :"


@pytest.fixture(scope="module")
def moment(cluster: Pitr) -> str:
    """A time that all of them go back to."""
    cluster.empty()
    cluster.backup(verify="none")
    good = cluster.mark("good")
    cluster.archive()
    return good


@pytest.fixture
def live(cluster: Pitr, moment: str) -> Iterator[Pitr]:
    """The cluster after the time, with a row that only it has."""
    assert moment
    cluster.sql("DELETE FROM moments WHERE word = 'live'")
    cluster.mark("live")
    yield cluster
    cluster.host.run("sh", "-euc", f"rm -rf {DATA}.2*; systemctl start {UNIT}")
    # A new timeline has no reach before its first segment is archived.
    cluster.archive()


def beside(pitr: Pitr) -> list[str]:
    return str(pitr.host.run("sh", "-euc", BESIDE)).split()


def check_active(pitr: Pitr) -> None:
    """The server answers some moments before Debian's script tells systemd."""
    state = ("systemctl", "is-active", UNIT)
    wait_for(lambda: pitr.host.run(*state, check=False), lambda said: said == "active", 60, f"{UNIT} is active")


def check_restored(pitr: Pitr, outcome: dict[str, Any], kept: int = 1) -> None:
    assert outcome.get("changed") and not outcome.get("failed"), outcome
    assert pitr.words() == ["good"]
    check_active(pitr)
    left = beside(pitr)
    assert len(left) == kept and (not kept or outcome["kept"].split("/")[-1] in left), left
    assert not kept or pitr.shell(f"cat {outcome['kept']}/PG_VERSION") == "15"


def check_back(pitr: Pitr, outcome: dict[str, Any]) -> None:
    assert outcome.get("changed") and not outcome.get("failed"), outcome
    assert pitr.sql(LIVE) == "1" and beside(pitr) == []
    check_active(pitr)
    assert not pitr.restore("latest", state="reverted")["changed"]


def archiving_as_configured(pitr: Pitr) -> None:
    pitr.host.run("systemctl", "start", UNIT)
    pitr.sql("ALTER SYSTEM RESET archive_mode")
    pitr.host.run("systemctl", "restart", UNIT)
    # PostgreSQL offers the history of a timeline to the archive when it begins, and never again.
    push = f"pgbackrest --config={CONFIG} --stanza=pitr archive-push"
    pitr.shell(f'for each in {DATA}/pg_wal/*.history; do {push} "$each"; done')


@pytest.mark.parametrize(
    ("step", "when", "way"),
    [
        ("stop", "at", "reverted"), ("stop", "done", "again"), ("put_aside", "at", "again"),
        ("put_aside", "done", "reverted"), ("restore", "at", "again"), ("restore", "done", "reverted"),
        ("recover", "at", "again"),
    ],
)  # fmt: skip
def test_killed_at_a_step(live: Pitr, moment: str, step: str, when: str, way: str) -> None:
    target = {"time": moment}
    live.killed_at(step, when, target)
    planned = live.restore(target, check_mode=True, force=True)
    assert "was interrupted" in planned["plan"]["interrupted"] and planned["plan"]["reachable"], planned
    kept = [f"{DATA}/../{name}" for name in beside(live) if name.startswith("pitr.2")]
    assert not kept or kept[0].split("/")[-1] in planned["msg"]
    if way == "reverted":
        check_back(live, live.restore("latest", state="reverted"))
        return
    outcome = live.restore(target, force=True)
    check_restored(live, outcome)
    assert outcome.get("resumed", False) is (step == "recover")


@pytest.mark.parametrize(
    ("first", "then", "mode", "message"),
    [("auto", "disable", "off", "was to archive,"), ("disable", "preserve", "on", "was to archive nothing,")],
)
def test_finished_with_other_archiving(live: Pitr, moment: str, first: str, then: str, mode: str, message: str) -> None:
    """The files say whether the cluster archives: they are restored again, into the same place."""
    target = {"time": moment}
    live.killed_at("recover", "at", target, archiving=first)
    (kept,) = [name for name in beside(live) if name.startswith("pitr.2")]
    planned = live.restore(target, check_mode=True, archiving=then)
    assert message in planned["msg"] and f"'archiving' is {then} now" in planned["msg"], planned
    outcome = live.restore(target, archiving=then)
    try:
        check_restored(live, outcome)
        assert live.sql("SHOW archive_mode") == mode and outcome["archives"] is (mode == "on"), outcome
        assert outcome["kept"].endswith(kept) and not outcome.get("resumed")
    finally:
        archiving_as_configured(live)


def test_killed_again_with_other_archiving(live: Pitr, moment: str) -> None:
    """The second run has noted what it wants, and restored nothing: what the first has left is not its own."""
    target = {"time": moment}
    live.killed_at("recover", "at", target)
    live.killed_at("restore", "at", target, archiving="disable")
    outcome = live.restore(target, archiving="disable")
    try:
        check_restored(live, outcome)
        assert live.sql("SHOW archive_mode") == "off" and not outcome.get("resumed"), outcome
    finally:
        archiving_as_configured(live)


@pytest.mark.parametrize(
    ("keep", "cause", "stands"),
    [(False, "would be lost", "were not touched"), (True, "no more", "are back in")],
)
def test_a_server_that_does_not_start_again(live: Pitr, moment: str, keep: bool, cause: str, stands: str) -> None:
    """Why the restore failed and why the server is down are both told, and the way to have it run again."""
    configuration = "/etc/postgresql/15/pitr/postgresql.conf"
    with live.archiving_broken():
        live.shim('case "$*" in *" restore") echo "P00  ERROR: [082]: no more" ; exit 82;; esac')
        live.host.run("sh", "-euc", f"cp -p {configuration} {PLACE}/whole.conf; echo 'nosuch = 1' >> {configuration}")
        try:
            failed = live.restore({"time": moment}, force=True, keep_data=keep)
        finally:
            live.unshim()
            live.host.run("cp", "-p", f"{PLACE}/whole.conf", configuration)
        assert failed["failed"] and cause in failed["msg"] and stands in failed["msg"], failed
        assert "starting it again failed" in failed["msg"] and "contains errors" in failed["msg"], failed
        check_back(live, live.restore("latest", state="reverted"))


@pytest.mark.parametrize("way", ["again", "reverted"])
def test_killed_while_files_are_restored(live: Pitr, moment: str, way: str) -> None:
    arguments = {"recover_to": {"time": moment}, "force": True}
    live.killed_when(f"{DATA}/backup.manifest", "pg_restore", "root", **arguments)
    assert live.host.run("sh", "-c", f"ls {DATA}/global/pg_control", check=False) == "", "it was over already"
    (kept,) = [name for name in beside(live) if name.startswith("pitr.2")]
    assert kept in live.restore({"time": moment}, check_mode=True)["plan"]["interrupted"]
    if way == "reverted":
        check_back(live, live.restore("latest", state="reverted"))
        return
    outcome = live.restore({"time": moment})
    check_restored(live, outcome)
    assert outcome["kept"].endswith(kept) and live.sql("SELECT pg_is_in_recovery()") == "f"


def test_killed_while_files_are_overwritten(live: Pitr, moment: str) -> None:
    live.archive()
    arguments = {"recover_to": {"time": moment}, "force": True, "keep_data": False}
    live.killed_when(f"{DATA}/backup.manifest", "pg_restore", "root", **arguments)
    for refused in (live.restore({"time": moment}), live.restore({"time": moment}, state="reverted")):
        assert refused["failed"] and "while it overwrote" in refused["msg"], refused
    check_restored(live, live.restore({"time": moment}, keep_data=False), kept=0)


def test_killed_where_no_cluster_was(live: Pitr, moment: str) -> None:
    live.host.run("sh", "-euc", f"systemctl stop {UNIT}; rm -rf {DATA}")
    target = {"time": moment}
    live.killed_when(f"{DATA}/backup.manifest", "pg_restore", "root", recover_to=target, archiving="preserve")
    outcome = live.restore(target)
    check_restored(live, outcome, kept=0)
    assert outcome["archives"] is True


def test_killed_when_all_was_done(live: Pitr, moment: str) -> None:
    """The server was opened, so it may have new rows: nothing removes it."""
    live.killed_at("recover", "done", {"time": moment})
    live.mark("new")
    (kept,) = [name for name in beside(live) if name.startswith("pitr.2")]
    for refused in (live.restore({"time": moment}), live.restore({"time": moment}, state="reverted", force=True)):
        assert refused["failed"] and "was opened since" in refused["msg"] and kept in refused["msg"], refused
    assert live.words() == ["good", "new"]
    early = live.restore({"time": moment}, force=True)
    assert early["failed"] and kept in early["msg"] and live.words() == ["good", "new"], early
    live.archive()
    outcome = live.restore({"time": moment}, force=True)
    check_restored(live, outcome, kept=2)
    assert kept in beside(live) and not outcome["kept"].endswith(kept)


def test_a_journal_of_somebody_else_moves_nothing(live: Pitr, moment: str) -> None:
    live.killed_at("put_aside", "at", {"time": moment})
    journal = f"{DATA}/../.pitr.day2-restore.json"
    live.host.run("sed", "-i", r's#"kept": "[^"]*"#"kept": "../../../../etc"#', journal)
    for outcome in (live.restore({"time": moment}, force=True), live.restore("latest", state="reverted")):
        assert outcome["failed"] and "is no journal" in outcome["msg"], outcome
    live.host.run("rm", journal)
    live.host.run("systemctl", "start", UNIT)
    assert live.sql(LIVE) == "1"


def test_a_killed_drill_is_cleared_by_the_next(live: Pitr) -> None:
    """Its server goes on: nobody but the next drill stops it."""
    place = "/tmp/day2-pitr-drill-*"
    call = {"database": "postgres", "expect": [{"query": "SELECT 'good'", "result": "good"}]}
    live.killed_when(f"{place}/data/postmaster.pid", "restore_drill", "postgres", **call)
    (left,) = live.host.run("sh", "-c", f"ls -d {place}/").split()
    done = live.call("restore_drill", "postgres", False, **call)
    assert done["changed"] and done["drills"][0]["proven"], done
    assert live.host.run("sh", "-c", f"ls -d {place} 2> /dev/null || :") == ""
    assert live.host.run("sh", "-c", f"ps -eo args | grep -c '[d]ata.*{left.rstrip('/')}' || :") == "0"
