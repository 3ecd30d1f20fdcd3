# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets that mean two things, or have strange names: recovered as meant, or refused before anything is stopped."""

from __future__ import annotations

from pitr_cluster import DATA, Pitr
from small_disk import mounted_on_itself, overlaid

VERSION = "/var/lib/postgresql/15"
NAMES = ['it\'s 100% "sure"', "back\\slash %s\\n", "größe #{x} $1 `id`", "a = 'b' # c", " leading"]


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_restore_points_of_any_name(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    for number, name in enumerate(NAMES):
        pitr.mark(f"w{number}")
        pitr.sql(f"SELECT pg_create_restore_point({literal(name)})")
    pitr.sql("SELECT pg_create_restore_point('twice')")
    pitr.mark("between")
    pitr.sql("SELECT pg_create_restore_point('twice')")
    pitr.archive()
    for number, name in enumerate(NAMES):
        done = pitr.scratch({"name": name})
        assert done.get("changed"), done
        assert pitr.in_scratch() == [f"w{one}" for one in range(number + 1)]
    refused = pitr.restore({"name": "twice"}, check_mode=True, force=True)
    assert refused["failed"] and "was made more than once" in refused["msg"] and "give the `lsn`" in refused["msg"]
    lsn = refused["msg"].partition("at LSN ")[2].split()[0]
    assert pitr.scratch({"lsn": lsn}).get("changed")
    assert "between" not in pitr.in_scratch()
    before = pitr.sql("SELECT pg_postmaster_start_time()")
    for bad in ("two\nlines", "x" * 64, ""):
        done = pitr.restore({"name": bad}, force=True)
        assert done["failed"] and "recover_to" in done["msg"], done
    assert pitr.sql("SELECT pg_postmaster_start_time()") == before


def test_what_stands_on_two_timelines(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    pitr.mark("one")
    moment = pitr.sql("SELECT clock_timestamp()")
    # Its number is not given out again: the recovery sees its row, and stops before its commit.
    pitr.mark("two")
    old = pitr.sql("INSERT INTO moments VALUES ('three', clock_timestamp()) RETURNING pg_current_xact_id()")
    pitr.sql("SELECT pg_create_restore_point('here')")
    left = pitr.sql("SELECT clock_timestamp()")
    pitr.archive()
    assert pitr.restore({"time": moment}, force=True).get("changed")
    new = pitr.sql("INSERT INTO moments VALUES ('other', clock_timestamp()) RETURNING pg_current_xact_id()")
    pitr.sql("SELECT pg_create_restore_point('here')")
    pitr.archive()
    assert new == old
    running = pitr.sql("SELECT pg_postmaster_start_time()")
    for target in ({"xid": new}, {"time": left}, {"name": "here"}):
        for check_mode in (True, False):
            refused = pitr.restore(target, check_mode=check_mode, force=True)
            assert refused["failed"], refused
            for part in ("on timeline 2", "on timeline 1", "`timeline: 1`", "`timeline: 2`"):
                assert part in refused["msg"], refused["msg"]
        # The new timeline had no commit at the time.
        newer = ["one"] if "time" in target else ["one", "other"]
        for timeline, there in ((1, ["one", "two", "three"]), (2, newer)):
            done = pitr.scratch({**target, "timeline": timeline})
            assert done.get("changed"), done
            assert pitr.in_scratch() == there, (target, timeline)
    assert pitr.sql("SELECT pg_postmaster_start_time()") == running
    # What both have, and what one has alone, is not doubtful.
    assert pitr.restore({"time": moment}, check_mode=True, force=True).get("changed")
    assert pitr.restore("latest", check_mode=True, force=True).get("changed")


def test_a_directory_that_cannot_be_renamed(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    pitr.mark("one")
    pitr.archive()
    running = pitr.sql("SELECT pg_postmaster_start_time()")
    for point, words in ((DATA, "is a file system of its own"), (f"{DATA}/pg_stat", f"the mount point {DATA}/pg_stat")):
        with mounted_on_itself(pitr.host, point):
            for check_mode in (True, False):
                done = pitr.restore("latest", check_mode=check_mode, force=True)
                assert done["failed"] and words in done["msg"] and "nothing was touched" in done["msg"], done
                assert "'keep_data' false" in done["msg"]
    pitr.host.run("ln", "-s", DATA, f"{DATA}.link")
    done = pitr.restore("latest", check_mode=True, force=True, data_dir=f"{DATA}.link")
    assert done["failed"] and f"give the directory itself ({DATA})" in done["msg"], done
    assert pitr.sql("SELECT pg_postmaster_start_time()") == running
    beside = pitr.host.run("ls", "-A", VERSION).split()
    assert [name for name in beside if "day2-" in name and "lock" not in name] == []


def test_a_directory_of_a_lower_layer_is_only_looked_at(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    running = pitr.sql("SELECT pg_postmaster_start_time()")
    with overlaid(pitr.host, VERSION):
        # As a server does: the directory is in both layers from now on.
        pitr.host.run("touch", f"{DATA}/day2-written")
        seen = ("stat", "-c", "%i %Y %Z", DATA)
        before = pitr.host.run(*seen)
        done = pitr.restore("latest", check_mode=True, force=True)
        assert done["failed"] and "lower layer of an overlay" in done["msg"] and "'keep_data' false" in done["msg"], (
            done
        )
        assert pitr.host.run(*seen) == before
    assert pitr.sql("SELECT pg_postmaster_start_time()") == running
