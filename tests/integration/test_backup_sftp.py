# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of the modules over SFTP: the host's own sshd, and an account that is closed into its directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab.waiting import wait_for
from shop import NASTY, REPOSITORY, Shop, opened_shop

HOME = "/var/lib/postgresql/.ssh"
VAULT = "/srv/vault"
REAL = 'exec "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/${0##*/}" "$@"'
KEY = {"key_file": f"{HOME}/vault", "known_hosts": f"{HOME}/vault_hosts"}
# As the account sees it, whose root is the vault.
PLACE = {"url": "sftp://vault@localhost/sets", **KEY}
SETTING = f"""
useradd --system --home-dir {VAULT} --shell /usr/sbin/nologin vault
install -d -m 0755 {VAULT}
install -d -m 0700 -o vault {VAULT}/sets
install -d -m 0700 -o postgres {HOME}
runuser -u postgres -- ssh-keygen -q -t ed25519 -N '' -f {HOME}/vault
install -m 0644 {HOME}/vault.pub /etc/ssh/vault_keys
printf 'localhost ' | cat - /etc/ssh/ssh_host_ed25519_key.pub > {HOME}/vault_hosts
chown postgres {HOME}/vault_hosts
cat > /etc/ssh/sshd_config.d/vault.conf <<END
Match User vault
  ChrootDirectory {VAULT}
  ForceCommand internal-sftp
  AuthorizedKeysFile /etc/ssh/vault_keys
END
systemctl reload ssh
"""
REMOVING = f"""
rm -rf /etc/ssh/sshd_config.d/vault.conf /etc/ssh/vault_keys {VAULT} {HOME}/vault*
systemctl reload ssh
userdel vault
"""


@pytest.fixture(scope="module")
def shop(lab_host: Any) -> Iterator[Shop]:
    with opened_shop(lab_host) as made:
        lab_host.run("sh", "-euc", SETTING)
        yield made
        lab_host.run("sh", "-uc", REMOVING)


@pytest.fixture(autouse=True)
def empty(shop: Shop) -> None:
    shop.host.run("rm", "-rf", REPOSITORY)
    shop.host.run("find", f"{VAULT}/sets", "-mindepth", "1", "-delete")


def stored(shop: Shop, what: str = "manifest.json") -> list[str]:
    """What is in the vault, asked of its disk."""
    return sorted(shop.host.run("find", f"{VAULT}/sets/postgresql", "-name", what, "-printf", "%P\n").split())


def test_a_set_is_made_drilled_and_restored(shop: Shop) -> None:
    before = shop.fingerprint()
    first = shop.backup(repository=PLACE)
    assert first["made"] and first["set"]["verified"] == "read", first
    assert stored(shop) == [f"{first['set']['id']}/manifest.json"]
    drill = {"database": NASTY, "repository": PLACE, "place": "database"}
    drilled = shop.host.task("day2.ops.restore_drill", drill, become_user="postgres")
    assert [step["status"] for step in drilled["steps"]] == ["ok"], drilled
    (state,) = stored(shop, "state.json")
    assert json.loads(shop.host.run("cat", f"{VAULT}/sets/postgresql/{state}"))["proven_at"]

    shop.host.sql('TRUNCATE "Sch ema"."Ta.ble"', NASTY)
    assert shop.fingerprint() != before
    call = {"database": NASTY, "repository": PLACE, "mode": "replace"}
    restored = shop.host.task("day2.ops.pg_restore", call, become_user="postgres")
    assert not restored.get("failed"), restored
    assert shop.fingerprint() == before
    (old,) = shop.host.sql("SELECT quote_ident(datname) FROM pg_database WHERE datname ~ '_old_'", "postgres").split(
        "\n"
    )
    shop.host.sql(f"DROP DATABASE {old}", "postgres")


def test_a_second_place_is_pruned_beside_a_directory(shop: Shop) -> None:
    made = shop.backup(copy_to=PLACE)
    assert made["made"] and made["copied"] == [made["set"]["id"]], made
    listed = shop.info(copy_to=PLACE)["sets"]
    assert [entry["locations"] for entry in listed] == [[REPOSITORY, PLACE["url"]]]
    same = (
        f"cd {VAULT}/sets/postgresql/{made['set']['id']} && find . -type f ! -name state.json -exec sha256sum {{}} + "
    )
    first = shop.host.run("sh", "-c", f"{same} | sort")
    assert first == shop.host.run("sh", "-c", f"{same.replace(f'{VAULT}/sets', REPOSITORY)} | sort") and first
    wrong = shop.host.run("find", f"{VAULT}/sets", "-type", "f", "!", "-perm", "0600", "!", "-path", "*/.lease/*")
    assert wrong == "", "files are closed to others there too"
    again = shop.backup(copy_to=PLACE, keep={"last": 1, "min_verified": 1})
    assert [place["pruned"] for place in again["locations"]] == [[made["set"]["id"]]] * 2
    assert stored(shop) == [f"{again['set']['id']}/manifest.json"]


def test_files_by_another_user(shop: Shop) -> None:
    """Root has a key of its own by an option, and restores beside."""
    call = {"paths": ["/etc/ssh"], "repository": PLACE, "series": "postgresql"}
    made = shop.host.task("day2.ops.file_backup", call)
    assert made["made"] and made["set"]["verified"] == "read", made
    shop.host.run("mkdir", "/opt/beside")
    call = {"repository": PLACE, "series": "postgresql", "root": "/opt/beside"}
    restored = shop.host.task("day2.ops.file_restore", call)
    assert not restored.get("failed"), restored
    assert shop.host.run("diff", "-r", "/etc/ssh", "/opt/beside/etc/ssh") == ""
    shop.host.run("rm", "-rf", "/opt/beside")


def test_a_run_is_killed_in_the_middle(shop: Shop) -> None:
    """What it left is no set; its lease keeps others out for a minute of the server's clock; the next run clears up."""
    kept = shop.backup(repository=PLACE)["set"]["id"]
    shop.shims("/opt/slow", f'case "$0 $*" in *--version*) ;; */pg_dump\\ *) sleep 120;; esac; {REAL}')
    arguments = {"databases": [NASTY], "repository": PLACE, "bin_dir": "/opt/slow"}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(shop.host.task, "day2.ops.pg_backup", arguments, become_user="postgres", by_ansible=True)
        (about,) = wait_for(lambda: stored(shop, "about-*"), bool, 30, "the run holds the lease")
        holder = json.loads(shop.host.run("cat", f"{VAULT}/sets/postgresql/{about}"))["pid"]
        shop.host.run("kill", "-KILL", str(holder))
        assert run.result()["failed"]
    refused = shop.backup(repository=PLACE)
    assert refused["failed"] and f"is held by process {holder} on" in refused["msg"], refused
    shop.host.run("touch", "-d", "2 minutes ago", f"{VAULT}/sets/postgresql/{about}")
    after = shop.backup(repository=PLACE)
    assert after["made"], after
    assert stored(shop) == sorted(f"{name}/manifest.json" for name in (kept, after["set"]["id"]))
    assert stored(shop, "*.unfinished") == []
