# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and directories beside what is there, exchanged with it, and put back: real files, and one lab host."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.run import run
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import Options, pack
from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import plan
from file_trees import Site, fingerprint, make_tree, mounted
from repository_places import moto_server, new_place


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    make_tree(made.tree)
    return made


@pytest.fixture
def changed(site: Site) -> Site:
    """A set was made, and the tree is another one since."""
    site.backup()
    (site.tree / "conf").write_text("broken")
    (site.tree / "since").write_text("then")
    (site.tree / "sub" / "gone").unlink()
    return site


def test_what_comes_back_is_what_was_packed(site: Site) -> None:
    whole, made = fingerprint(site.tree), site.backup()
    (site.tree / "conf").write_text("broken")
    (site.tree / "since").write_text("then")
    broken = fingerprint(site.tree)
    outcome = site.call()
    assert outcome["changed"] and outcome["set"]["id"] == made and not outcome["reverted"], outcome
    assert fingerprint(site.tree) == whole
    (row,) = outcome["paths"]
    assert row["entries"] == len(whole) and fingerprint(Path(row["kept"]) / "content") == broken
    assert (site.tree / "sparse").stat().st_blocks < 100
    assert outcome["step"]["status"] == "ok" and outcome["step"]["value"] == row["size"]


def test_check_mode_tells_and_changes_nothing(changed: Site) -> None:
    before = fingerprint(changed.base)
    outcome = changed.call(check_mode=True, diff=True)
    assert outcome["changed"] and "would be restored" in outcome["msg"] and outcome["step"]["status"] == "skipped"
    lines = outcome["diff"][0]["prepared"].split("\n")
    assert [line for line in lines if line] == ["~ conf", "~ hard", "- since", "+ sub/gone"]
    assert fingerprint(changed.base) == before
    changed.call()
    assert changed.call(check_mode=True, diff=True)["diff"][0]["prepared"] == ""


def test_there_and_back(changed: Site) -> None:
    broken = fingerprint(changed.tree)
    changed.call()
    (changed.tree / "edited").write_text("after the restore")
    restored = fingerprint(changed.tree)
    planned = changed.call(check_mode=True, state="reverted")
    assert planned["changed"] and fingerprint(changed.tree) == restored
    back = changed.call(state="reverted")
    assert back["changed"] and back["reverted"] and fingerprint(changed.tree) == broken
    assert fingerprint(Path(back["paths"][0]["kept"]) / "content") == restored
    again = changed.call(state="reverted")
    assert not again["changed"] and not again["reverted"] and "reverted already" in again["msg"]
    assert fingerprint(changed.tree) == broken
    # A tree that a restore put there goes back as well after somebody put another in its place.
    changed.call()
    os.rename(changed.tree, changed.base / "away")
    make_tree(changed.tree)
    assert changed.call(state="reverted", paths=[str(changed.tree)])["reverted"]
    assert fingerprint(changed.tree) == broken


def test_nothing_to_revert(changed: Site) -> None:
    assert "nothing was restored" in changed.refused(state="reverted")
    assert changed.beside() == []


def test_a_path_that_is_not_there(changed: Site) -> None:
    subprocess.run(["rm", "-rf", str(changed.tree.parent)], check=True)
    outcome = changed.call()
    assert outcome["paths"][0]["existed"] is False and outcome["paths"][0]["kept"] is None
    restored = fingerprint(changed.tree)
    back = changed.call(state="reverted")
    assert not changed.tree.exists() and fingerprint(Path(back["paths"][0]["kept"]) / "content") == restored
    assert not changed.call(state="reverted")["changed"]


def test_files_and_links_are_paths_too(site: Site) -> None:
    paths = [site.tree / "conf", site.tree / "link"]
    (site.base / "elsewhere").touch()
    site.backup(*paths)
    (site.tree / "conf").write_text("broken")
    (site.tree / "link").unlink()
    (site.tree / "link").mkdir()
    assert site.call()["changed"]
    assert (site.tree / "conf").read_text() == "whole\n" and os.readlink(site.tree / "link") == "../../elsewhere"
    assert site.call(state="reverted")["changed"]
    assert (site.tree / "conf").read_text() == "broken" and (site.tree / "link").is_dir()


def test_below_another_root(changed: Site) -> None:
    broken, root = fingerprint(changed.tree), changed.base / "look"
    assert "is no directory" in changed.refused(root=str(root))
    root.mkdir()
    place = Path(f"{root}{changed.tree}")
    assert changed.call(root=str(root))["paths"][0]["place"] == str(place)
    assert (place / "conf").read_text() == "whole\n" and fingerprint(changed.tree) == broken


def test_the_set_of_a_time_and_of_a_run(site: Site) -> None:
    first = site.backup(run_id="first")
    (site.tree / "conf").write_text("second")
    second = site.backup(run_id="second")
    assert site.call(run_id="first")["set"]["id"] == first
    assert site.call(source=second)["set"]["id"] == second and (site.tree / "conf").read_text() == "second"
    assert "no good set is as old as 2001-01-01 00:00" in site.refused(source="2001-01-01 00:00")
    assert "newest runs are second, first" in site.refused(run_id="third")
    assert "has no /etc/other; it has" in site.refused(paths=["/etc/other"])


def test_places_that_cannot_be_swapped(changed: Site) -> None:
    with mounted(changed.tree / "sub", "size=1m"):
        assert f"has the mount point {changed.tree}/sub below it" in changed.refused()
    with mounted(changed.tree, "size=1m"):
        assert "is a mount point" in changed.refused()
    assert "holds the repository itself" in holding_its_repository(changed)
    subprocess.run(["mount", "--bind", str(changed.tree.parent), str(changed.tree.parent)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(changed.tree.parent)], check=True)
        assert "read-only file system" in changed.refused()
    finally:
        subprocess.run(["umount", str(changed.tree.parent)], check=True)


def holding_its_repository(site: Site) -> str:
    inner = site.tree / "sets"
    run(plan(), open_repository(str(inner)), None, partial(pack, Options([str(site.tree)], exclude=["sets"])))
    return site.refused(repository=str(inner))


def test_a_set_of_a_bucket(site: Site) -> None:
    with moto_server() as url:
        place = new_place(url)
        run(plan(), open_repository(place), None, partial(pack, Options([str(site.tree)])))
        whole = fingerprint(site.tree)
        (site.tree / "conf").write_text("broken")
        keys = {f"s3_{name}": value for name, value in place.items() if name != "url"}
        there = {"repository": place["url"], **keys}
        assert site.call(**there)["changed"] and fingerprint(site.tree) == whole
    # The way back needs no service.
    assert site.call(**there, state="reverted", paths=[str(site.tree)])["reverted"]
    assert place["url"] in site.refused(**there)


def test_two_at_once(changed: Site) -> None:
    with file_lock(str(changed.tree.parent / ".shop.day2-lock"), holder="another one"):
        assert "is held by process" in changed.refused()
        assert "another one" in changed.refused(lock_wait="1s")
    assert changed.call()["changed"]


def test_all_paths_or_none(site: Site) -> None:
    other = site.base / "srv" / "www"
    make_tree(other)
    site.backup(site.tree, other)
    for tree in (site.tree, other):
        (tree / "conf").write_text("broken")
    subprocess.run(["chattr", "+i", str(other)], check=True)
    try:
        message = site.refused()
        assert "Operation not permitted" in message and "every path is what it was before" in message
    finally:
        subprocess.run(["chattr", "-i", str(other)], check=True)
    assert site.call()["changed"] and site.call(state="reverted")["changed"]
    assert [(tree / "conf").read_text() for tree in (site.tree, other)] == ["broken", "broken"]


def test_the_old_ones_are_kept_for_their_time(changed: Site) -> None:
    kept = [changed.call()["paths"][0]["kept"] for _run in range(3)]
    assert len(set(kept)) == 3 and changed.call(keep_old="1h")["removed"] == []
    outcome = changed.call(keep_old="0s")
    assert set(kept) < set(outcome["removed"]) and len(outcome["removed"]) == 4
    assert changed.beside() == [".shop.day2-lock", Path(outcome["paths"][0]["kept"]).name]


def test_what_is_somebody_elses_stays(changed: Site) -> None:
    parent = changed.tree.parent
    own = [parent / ".shop.day2-old-20260131T020000Z", parent / ".shop.day2-old-mine", parent / ".shopping.day2-new-x"]
    for path in own:
        path.mkdir()
    left = parent / ".shop.day2-new-20260131T020000Z"
    (left / "unpacked" / "half").mkdir(parents=True)
    assert changed.call(keep_old="0s")["cleared"] == [str(left)]
    assert all(path.is_dir() for path in own) and not left.exists()


def test_owners_and_modes_on_a_host(lab_host: Any) -> None:
    base = "/opt/day2-restore"
    lab_host.run("rm", "-rf", base)
    script = (
        f"mkdir -p {base}/etc/shop/sub && cd {base}/etc/shop && echo secret > key && chmod 0640 key"
        " && chown postgres:adm key && chmod 02750 sub && ln -s ../shop/key link && mkfifo pipe"
        " && touch -d 2020-01-01 sub"
    )
    lab_host.run("sh", "-c", script)
    look = ["find", f"{base}/etc/shop", "-printf", r"%P %m %u %g %l %y\n"]
    whole = sorted(lab_host.run(*look).split("\n"))
    where = {"repository": f"{base}/sets", "series": "configuration"}
    try:
        made = lab_host.task("day2.ops.file_backup", {**where, "paths": [f"{base}/etc/shop"]}, become_user="root")
        assert made["made"], made
        lab_host.run("sh", "-c", f"rm -rf {base}/etc/shop && mkdir {base}/etc/shop")
        outcome = lab_host.task("day2.ops.file_restore", where, become_user="root")
        assert outcome.get("changed"), outcome
        assert sorted(lab_host.run(*look).split("\n")) == whole
        assert lab_host.run("cat", f"{base}/etc/shop/key") == "secret"
        refused = lab_host.task("day2.ops.file_restore", where, become_user="postgres")
        assert refused["failed"]
        back = lab_host.task("day2.ops.file_restore", {**where, "state": "reverted"}, become_user="root")
        assert back["reverted"] and lab_host.run("ls", f"{base}/etc/shop") == ""
    finally:
        lab_host.run("rm", "-rf", base)
