# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What befalls a backup of a real PostgreSQL at night: kills, a server that stops, names, secrets, damaged sets."""

from __future__ import annotations

import base64
import io
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import verify
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import flipped, truncated
from kill_host import kill_backups
from shop import LONG, REPOSITORY, Shop, opened_shop, quoted

REAL = 'exec /usr/lib/postgresql/15/bin/$(basename $0) "$@"'


@pytest.fixture(scope="module")
def shop(lab_host: Any) -> Iterator[Shop]:
    with opened_shop(lab_host) as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(shop: Shop) -> None:
    shop.host.run("rm", "-rf", REPOSITORY)


def test_kills_at_any_moment(lab_host: Any) -> None:
    """A seed whose first kills hit every kind of process; `python -m bench faults` does it 200 times."""
    found = kill_backups(lab_host, seed=20260136, kills=8)
    assert found["faults"] == [] and found["kills"] == 8 and found["restored"] >= 8
    assert set(found["victims"]) == {"module", "pg_dump", "pg_dumpall", "pg_restore", "zstd", "age", "tar"}


# Reads every command line of the host as long as it runs, and says which programs it saw and where a secret was.
WATCHER = """
import glob, json, sys, time
seen, bare, end = set(), set(), time.monotonic() + 60
print("watching", flush=True)
while time.monotonic() < end and not {"pg_restore", "pg_dump", "age"} <= seen:
    for place in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(place, "rb").read().split(bytes(1))
        except OSError:
            continue
        seen |= {word.decode(errors="replace").rpartition("/")[2] for word in words[:4]}
        if any(secret.encode() in word for word in words for secret in ("f1" + "ctional", "AGE-SECRET" + "-KEY")):
            bare.add(repr(words))
print(json.dumps([sorted(seen & {"pg_restore", "pg_dump", "age"}), sorted(bare)]))
"""


def test_a_secret_is_nowhere(shop: Shop) -> None:
    """In no command line of the host, no log, no result or diff; the programs are also watched from within."""
    shims = "/opt/watched"
    shop.shims(shims, f'echo "$0 $*" >> {shims}/argv; {REAL}')
    shop.host.sql("CREATE ROLE dumper LOGIN SUPERUSER PASSWORD 'f1ctional-pass'", "postgres")
    shop.shell(f"mkdir -m 0700 {REPOSITORY}; age-keygen -o {REPOSITORY}/key 2>/dev/null")
    secret = shop.shell(f"grep AGE-SECRET-KEY {REPOSITORY}/key")
    call = {
        "databases": ["postgres"], "repository": REPOSITORY, "bin_dir": shims, "host": "127.0.0.1", "user": "dumper",
        "password": "f1ctional-pass", "s3_secret_key": "f1ctional-key", "s3_session_token": "f1ctional-token",
        "encrypt_to": [shop.shell(f"age-keygen -y {REPOSITORY}/key")], "identity": f"{REPOSITORY}/key",
    }  # fmt: skip
    watcher = shop.host.start("python3", "-c", WATCHER)
    try:
        assert watcher.stdout.readline() == "watching\n"
        outcome = shop.host.task("day2.ops.pg_backup", call, "--diff", "-v", become_user="postgres")
        told = shop.host.said
        assert outcome["made"], outcome
        seen, bare = json.loads(watcher.stdout.readline())
        assert seen == ["age", "pg_dump", "pg_restore"] and bare == []
        assert "pg_dump" in shop.shell(f"cat {shims}/argv") and "f1ctional" not in shop.shell(f"cat {shims}/argv")
        journal = shop.host.run("journalctl", "--no-pager", "-n", "2000")
        assert "AnsiballZ" in journal or "ansible" in journal, "the run is in the journal"
        stored = shop.shell(f"cat {shop.folder_of(outcome)}/*.json")
        for text in (json.dumps(outcome), told, journal, stored):
            assert "f1ctional" not in text and secret not in text
    finally:
        watcher.terminate()
        watcher.wait()
        shop.host.sql("DROP ROLE dumper", "postgres")


@pytest.mark.parametrize("option", ["encrypt_to", "identity"])
def test_a_secret_key_in_the_wrong_place_leaves_no_trace(shop: Shop, option: str) -> None:
    secret = shop.shell("age-keygen 2>/dev/null | grep AGE-SECRET-KEY")
    call = {"databases": ["postgres"], "repository": REPOSITORY, option: [secret] if option == "encrypt_to" else secret}
    outcome = shop.host.task("day2.ops.pg_backup", call, "-vvv", become_user="postgres")
    assert outcome["failed"] and f"'{option}' has a secret key of age" in outcome["msg"], outcome
    journal = shop.host.run("journalctl", "--no-pager", "-n", "2000")
    assert secret not in json.dumps(outcome) + journal + shop.host.said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret_key": "f1ctional-key", "session_token": "f1ctional-token", "endpoint_url": "http://127.0.0.1:1",
          "access_key": "AKIASHOP"}, "s3://shop/sets"),
        ({"secret_kye": "f1ctional-key"}, "did you mean 'secret_key'?"),
    ],
)  # fmt: skip
def test_a_secret_of_a_repository_leaves_no_trace(shop: Shop, options: dict[str, str], words: str) -> None:
    call = {"databases": ["postgres"], "repository": {"url": "s3://shop/sets", **options}}
    outcome = shop.host.task("day2.ops.pg_backup", call, "-vvv", become_user="postgres")
    assert outcome["failed"] and words in outcome["msg"], outcome
    journal = shop.host.run("journalctl", "--no-pager", "-n", "2000")
    assert "s3://shop/sets" in journal, "the call is in the journal, without its secrets"
    assert "f1ctional" not in json.dumps(outcome) + journal + shop.host.said


def test_a_wrong_password_is_told_without_it(shop: Shop) -> None:
    shop.host.sql("CREATE ROLE dumper LOGIN SUPERUSER PASSWORD 'right'", "postgres")
    try:
        outcome = shop.backup(host="127.0.0.1", user="dumper", password="f1ctional-pass")
        assert outcome["failed"] and 'password authentication failed for user "dumper"' in outcome["msg"]
        assert "f1ctional" not in json.dumps(outcome) + shop.host.said
    finally:
        shop.host.sql("DROP ROLE dumper", "postgres")


def test_strange_names_of_databases(shop: Shop) -> None:
    """Each would be an option, a connection string or a pattern where it is not taken for a name."""
    names = [LONG, "-d template1", "dbname=postgres", "postgresql://x/y", "a*b?", "per%cent $HOME"]
    try:
        for number, name in enumerate(names, start=1):
            shop.host.sql(f"CREATE DATABASE {quoted(name)}", "postgres")
            shop.host.run(
                "runuser", "-u", "postgres", "--", "psql", "-Xq", "-d", f"dbname='{escaped(name)}'",
                text=f"CREATE TABLE mark AS SELECT generate_series(1, {number})",
            )  # fmt: skip
        outcome = shop.backup(databases=names)
        assert outcome["made"] and outcome["set"]["databases"] == names, outcome
        manifest = json.loads(shop.shell(f"cat {shop.folder_of(outcome)}/manifest.json"))
        for number, entry in enumerate(manifest["databases"], start=1):
            assert entry["rows"] == [{"schema": "public", "table": "mark", "rows": number}]
            dumped = shop.shell(
                f"zstd -dc {shop.folder_of(outcome)}/db00{number}/main.dump.zst | pg_restore --data-only -f - | "
                "sed -n '/^COPY public.mark/,/^..$/p' | grep -c '^[0-9]'"
            )
            assert dumped == str(number)
    finally:
        for name in names:
            shop.host.sql(f"DROP DATABASE IF EXISTS {quoted(name)}", "postgres")


def escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("'", "\\'")


def test_a_database_that_is_dropped_meanwhile(shop: Shop) -> None:
    """Between the list of databases and the dump: the second time that pg_dump is asked for its version."""
    shop.backup()
    shop.host.sql("CREATE DATABASE shortlived", "postgres")
    counted = '[ "$(basename $0) $1" = "pg_dump --version" ] && echo x >> /opt/dropping/argv'
    drop = "/usr/lib/postgresql/15/bin/psql -Xqc 'DROP DATABASE shortlived'"
    shop.shims("/opt/dropping", f"{counted} && [ $(wc -l < /opt/dropping/argv) = 2 ] && {drop}\n{REAL}")
    outcome = shop.backup(databases=["shortlived"], bin_dir="/opt/dropping", keep={"last": 1, "min_verified": 0})
    assert outcome["failed"] and "nothing was pruned" in outcome["msg"], outcome
    assert 'database "shortlived" does not exist' in outcome["msg"] and len(shop.sets()) == 1
    assert shop.info()["unfinished"] == []


def test_a_server_that_stops_in_the_middle(shop: Shop) -> None:
    before = shop.backup()
    stop = "case $* in *--version*) ;; *) pg_ctlcluster 15 main stop -m immediate;; esac"
    shop.shims("/opt/stopping", f"[ $(basename $0) = pg_dump ] && {stop}\n{REAL}")
    try:
        outcome = shop.backup(bin_dir="/opt/stopping", keep={"last": 1, "min_verified": 0})
    finally:
        shop.host.run("systemctl", "restart", "postgresql@15-main")
    assert outcome["failed"] and "no backup was made, and nothing was pruned" in outcome["msg"], outcome
    assert shop.sets() == [f"{before['set']['id']}/manifest.json"] and shop.info()["unfinished"] == []
    assert shop.backup()["made"]


def test_every_damage_of_a_set_is_found(shop: Shop, tmp_path: Path) -> None:
    """Each of its files: cut at 20 places, 20 bits flipped, empty, lost, in the place of another."""
    outcome = shop.backup(split_above="1B")
    packed = base64.b64decode(shop.shell(f"tar -c -C {REPOSITORY} postgresql | base64"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(tmp_path / "repository")
    repository, chance = open_repository(str(tmp_path / "repository")), random.Random(11)
    (found,) = sets.load(repository, "postgresql").sets
    manifest, folder = found.manifest, tmp_path / "repository" / "postgresql" / outcome["set"]["id"]
    assert verify(repository, manifest, 2, None).faults == [] and len(manifest.files) > 5
    for number, each in enumerate(manifest.files):
        path, other = folder / each.path, folder / manifest.files[number - 1].path
        whole = path.read_bytes()
        damaged = [damage(whole, chance) for damage in (truncated, flipped) for _offset in range(20)]
        for content in [*damaged, b"", other.read_bytes()]:
            path.write_bytes(content)
            faults = verify(repository, replace(manifest, files=[each]), 1, None).faults
            assert any(fault.startswith(each.path) for fault in faults)
        path.unlink()
        assert len(verify(repository, manifest, 2, None).faults) == 1
        path.write_bytes(whole)
    assert verify(repository, manifest, 2, None).faults == []
    without = replace(manifest, files=[each for each in manifest.files if each.role != "globals"])
    assert verify(repository, without, 2, None).faults == ["the set has no roles and grants (globals)"]
