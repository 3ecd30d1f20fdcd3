# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets of a real PostgreSQL: made, proven by restores that PostgreSQL's own programs do, damaged, pruned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from shop import LONG, REPOSITORY, Shop, opened_shop


@pytest.fixture(scope="module")
def shop(lab_host: Any) -> Iterator[Shop]:
    with opened_shop(lab_host) as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(shop: Shop) -> None:
    shop.host.run("rm", "-rf", REPOSITORY)


@pytest.mark.parametrize("split", ["1B", "1GB"])
def test_a_set_restores_to_the_same(shop: Shop, split: str) -> None:
    before = shop.fingerprint()
    outcome = shop.backup(split_above=split)
    assert outcome["changed"] and outcome["made"] and outcome["set"]["verified"] == "read", outcome
    assert shop.restore(shop.folder_of(outcome)) == before
    manifest = json.loads(shop.shell(f"cat {shop.folder_of(outcome)}/manifest.json"))
    assert (len(manifest["files"]) > 3) is (split == "1B")
    (database,) = manifest["databases"]
    rows = {(entry["schema"], entry["table"]): entry["rows"] for entry in database["rows"]}
    assert rows["Sch ema", "Ta.ble"] == 3000 and rows["public", "empty"] == 0 and rows["public", "sums"] == 12
    assert rows["public", "bare"] == 1 and rows["public", LONG] == 1 and ("public", "passwd") not in rows
    assert database["connection_limit"] == 40 and database["settings"] == [{"role": None, "settings": ["work_mem=7MB"]}]


def test_roles_and_grants_are_part_of_it(shop: Shop) -> None:
    outcome = shop.backup()
    text = shop.shell(f"zstd -dc {shop.folder_of(outcome)}/globals.sql.zst")
    assert 'CREATE ROLE "strange ""owner"' in text and "CONNECTION LIMIT 7" in text and "SCRAM-SHA-256" in text


def test_files_are_closed_to_others_and_say_what_they_hold(shop: Shop) -> None:
    outcome = shop.backup()
    wrong = shop.shell(f"find {REPOSITORY} \\( -type f ! -perm 0600 \\) -o \\( -type d ! -perm 0700 \\)")
    assert wrong == ""
    manifest = json.loads(shop.shell(f"cat {shop.folder_of(outcome)}/manifest.json"))
    for each in manifest["files"]:
        line = shop.shell(
            f"sha256sum {shop.folder_of(outcome)}/{each['path']}; stat -c %s {shop.folder_of(outcome)}/{each['path']}"
        )
        assert line.split()[0] == each["sha256"] and int(line.split()[-1]) == each["bytes"]
    assert manifest["wal"]["lsn"] and manifest["server"]["system_identifier"]


def test_a_set_that_is_young_enough_is_not_made_again(shop: Shop) -> None:
    first = shop.backup(max_age="20h")
    second = shop.backup(max_age="20h")
    assert first["changed"] and not second["changed"] and second["set"]["id"] == first["set"]["id"]
    assert "no set is due" in second["msg"] and shop.backup(max_age="0s")["made"]


def test_check_mode_says_what_would_happen_and_does_nothing(shop: Shop) -> None:
    planned = shop.backup(check_mode=True)
    assert planned["changed"] and planned["made"] and shop.shell(f"ls -A {REPOSITORY}", check=False) == ""
    shop.backup()
    before = shop.shell(f"find {REPOSITORY} | sort | md5sum")
    planned = shop.backup(check_mode=True, keep={"last": 1, "min_verified": 1})
    (place,) = planned["locations"]
    assert len(place["pruned"]) == 1 and place["kept"][0]["id"] == "the set of this run"
    assert shop.shell(f"find {REPOSITORY} | sort | md5sum") == before


def test_what_the_policy_lets_go_goes(shop: Shop) -> None:
    made = [shop.backup(keep={"last": 2, "min_verified": 1})["set"]["id"] for _run in range(3)]
    found = shop.info(keep={"last": 2, "min_verified": 1})
    assert [each["id"] for each in found["sets"]] == made[:0:-1] and found["sets"][0]["kept_because"]
    assert shop.shell(f"ls {REPOSITORY}/postgresql").split() == sorted(made[1:])


def test_encrypted_for_its_recipients(shop: Shop) -> None:
    shop.shell(f"mkdir -m 0700 {REPOSITORY}; age-keygen -o {REPOSITORY}/key 2>/dev/null")
    recipient = shop.shell(f"age-keygen -y {REPOSITORY}/key")
    before = shop.fingerprint()
    blind = shop.backup(encrypt_to=[recipient])
    assert blind["set"]["verified"] == "digest" and "no identity here" in "".join(blind["warnings"])
    heads = shop.shell(
        f"for f in {shop.folder_of(blind)}/*/*.age {shop.folder_of(blind)}/*.age; do head -n 1 $f; done"
    ).split("\n")
    assert heads == ["age-encryption.org/v1"] * blind["set"]["files"]
    seeing = shop.backup(encrypt_to=[recipient], identity=f"{REPOSITORY}/key")
    assert seeing["set"]["verified"] == "read" and seeing["set"]["encrypted"]
    assert shop.restore(shop.folder_of(seeing), f"{REPOSITORY}/key") == before
    other = shop.shell(f"age-keygen -o {REPOSITORY}/other 2>/dev/null; echo {REPOSITORY}/other")
    wrong = shop.backup(encrypt_to=[recipient], identity=other)
    assert wrong["failed"] and "it is another key's" in wrong["msg"]
    newest = shop.info()["sets"][0]
    assert newest["verified"] == "none" and newest["damaged"] is None, "the set is as good as the one before"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"databases": ["nosuch"]}, "there is no database 'nosuch'"), ({"port": 1}, "no login"),
        ({"user": "nobody_at_all"}, "no login"), ({"repository": "relative"}, "'repository' is 'relative'"),
        ({"keep": {"dayly": 3}}, "'dayly' is no rule"), ({"max_age": "soon"}, "'max_age'"),
        ({"encrypt_to": ["AGE-SECRET-KEY-1QQQ"]}, "a secret key"), ({"encrypt_to": ["age1short"]}, "no recipient"),
        ({"jobs": 0}, "'jobs' is 0"), ({"compression_level": 99}, "zstd has 1 to 19"),
        ({"series": "../up"}, "'series'"), ({"bin_dir": "/nowhere"}, "pg_dump is not installed in /nowhere"),
        ({"repository": "s3://B"}, "no address such as"), ({"repository": "/proc/backups"}, "/proc/backups"),
        ({"repository": "/etc/hostname"}, "/etc/hostname is no directory"),
        ({"repository": "/usr/share"}, "/usr/share cannot be written by this user"),
        ({"s3_timeout": "0s"}, "'s3_timeout': '0s' is not longer"),
        ({"copy_to": {"url": "s3://shop/sets", "regoin": "x"}}, "'copy_to' has no option 'regoin'; did you mean"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_and_leaves_nothing(shop: Shop, change: dict[str, Any], words: str) -> None:
    outcome = shop.backup(**change)
    assert outcome["failed"] and words in outcome["msg"], outcome
    assert shop.shell(f"find {REPOSITORY} -type f", check=False) == ""


def test_check_mode_warns_of_a_directory_that_this_user_cannot_make(shop: Shop) -> None:
    planned = shop.backup(repository="/usr/share/sets", check_mode=True)
    assert planned["made"] and "/usr/share/sets cannot be made" in " ".join(planned["warnings"]), planned
    assert not shop.backup(check_mode=True).get("warnings")


def test_an_older_pg_dump_is_refused(shop: Shop) -> None:
    shop.shims("/opt/old", "echo 'x (PostgreSQL) 12.3'")
    outcome = shop.backup(bin_dir="/opt/old")
    assert outcome["failed"] and "pg_dump 12.3 is older than the server" in outcome["msg"]


def test_nothing_is_pruned_in_a_run_that_failed(shop: Shop) -> None:
    for _run in range(2):
        shop.backup()
    outcome = shop.backup(timeout="0.001s", keep={"last": 1, "min_verified": 0})
    assert outcome["failed"] and "nothing was pruned" in outcome["msg"]
    found = shop.info()
    assert len(found["sets"]) == 2 and found["unfinished"] == []


def test_one_run_at_a_time(shop: Shop) -> None:
    shop.backup()
    script = f"exec 9>>{REPOSITORY}/postgresql/.lock; flock 9; echo held; sleep 20"
    holder = shop.host.start("runuser", "-u", "postgres", "--", "sh", "-c", script)
    try:
        assert holder.stdout.readline() == "held\n"
        refused = shop.backup()
        assert refused["failed"] and "/.lock is held by" in refused["msg"]
        assert shop.backup(lock_wait="120s")["made"]
    finally:
        holder.terminate()
        holder.wait()
