# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of different databases, paths, clusters and hosts in one series: none of them stands in for another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.run import run
from ansible_collections.day2.ops.plugins.module_utils.file_sets import packing
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import make_data, plan
from restored_shop import restored_shop
from shop import NASTY, REPOSITORY, Shop, opened_shop

OTHER = "other shop"
FRESH = {"max_age": "20h"}
ONE = {"last": 1, "min_verified": 1}


@pytest.fixture
def other(lab_host: Any) -> Iterator[str]:
    lab_host.sql(f'CREATE DATABASE "{OTHER}"', "postgres")
    yield OTHER
    lab_host.sql(f'DROP DATABASE "{OTHER}" WITH (FORCE)', "postgres")


@pytest.fixture
def shop(lab_host: Any, other: str) -> Iterator[Shop]:
    with opened_shop(lab_host) as opened:
        yield opened


def databases_of(shop: Shop) -> list[list[str]]:
    """What the manifests say, oldest first."""
    found = [json.loads(shop.shell(f"cat {REPOSITORY}/postgresql/{each}")) for each in shop.sets()]
    found.sort(key=lambda manifest: manifest["sequence"])
    return [sorted(entry["name"] for entry in each["databases"]) for each in found]


def test_a_young_set_of_another_database_is_no_reason_to_make_none(shop: Shop) -> None:
    assert shop.backup(**FRESH)["made"]
    assert shop.backup(databases=[OTHER], check_mode=True, **FRESH)["made"]
    assert shop.backup(databases=[OTHER], **FRESH)["made"]
    again = [shop.backup(databases=[name], **FRESH) for name in (NASTY, OTHER)]
    assert not any(each["changed"] for each in again)
    assert databases_of(shop) == [[NASTY], [OTHER]]
    # One of both counts for each, and what neither has is still due.
    shop.backup(databases=[NASTY, OTHER], max_age="0s")
    assert shop.backup(databases=["all"], **FRESH)["made"] and not shop.backup(databases=["all"], **FRESH)["made"]


def test_retention_leaves_each_database_its_own(shop: Shop) -> None:
    for name in (NASTY, OTHER, NASTY, OTHER):
        shop.backup(databases=[name], keep=ONE)
    assert databases_of(shop) == [[NASTY], [OTHER]]
    # A set of both makes the others superfluous; one of less does not make it go.
    shop.backup(databases=[OTHER, NASTY], keep=ONE)
    assert databases_of(shop) == [[OTHER, NASTY]]
    done = shop.backup(databases=[OTHER], keep=ONE)
    assert databases_of(shop) == [[OTHER, NASTY], [OTHER]]
    (place,) = done["locations"]
    assert any("counted among those with" in why for each in place["kept"] for why in each["because"])


def test_a_restore_takes_the_newest_set_that_has_the_database(lab_host: Any, other: str) -> None:
    with restored_shop(lab_host) as shop:
        before = shop.fingerprint()
        first, newer = shop.backup(), shop.backup(databases=[other])
        done = shop.restore(target="copy of it")
        assert done["set"]["id"] == first["set"]["id"] and shop.fingerprint("copy of it") == before
        # By its id it is what was asked for, and has no such database.
        refused = shop.restore(target="another copy", source=newer["set"]["id"])
        assert refused["failed"] and "has no database" in refused["msg"] and other in refused["msg"]


def test_files_of_other_paths_and_hosts(tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path / "repository"))

    def back_up(name: str, origin: str = packing.host(), **about: Any) -> dict[str, Any]:
        folder = tmp_path / name
        if not folder.exists():
            make_data(folder, files=1, size=1000)
        options = packing.Options([str(folder)])
        asked = plan(max_age=3600.0, contents=packing.contents(options), origin=origin, **about)
        return run(asked, repository, None, partial(packing.pack, options))

    assert back_up("one")["made"] and back_up("two")["made"]
    assert not back_up("one")["made"] and not back_up("two")["made"]
    # The sets are of this host: another one needs its own.
    elsewhere = back_up("one", origin="elsewhere")
    assert elsewhere["made"] and not elsewhere.get("warnings")


def test_hosts_that_share_a_series_are_told(tmp_path: Path) -> None:
    repository, data = open_repository(str(tmp_path / "repository")), make_data(tmp_path / "data", files=1, size=1000)
    contents = Contents(frozenset([str(data)]))

    def back_up(host: str) -> list[str]:
        made = run(plan(contents=contents, origin=host), repository, None, partial(of_host, host))
        return list(made.get("warnings", []))

    def of_host(host: str, *where: Any) -> Any:
        made = packing.pack(packing.Options([str(data)]), *where)
        return replace(made, about={**made.about, "host": host})

    assert [back_up("web-1"), back_up("web-1"), back_up("web-2"), back_up("web-2")] == [[]] * 4, "a host was replaced"
    (warning,) = back_up("web-1")
    assert "web-2" in warning and "`series`" in warning
