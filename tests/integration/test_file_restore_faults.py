# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores of files that are killed, run out of disk, or meet damaged and evil archives: the path stays whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import streams
from ansible_collections.day2.ops.plugins.module_utils.backup.run import run
from ansible_collections.day2.ops.plugins.module_utils.file_sets import trees as tree_swaps
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import Options, pack
from ansible_collections.day2.ops.plugins.module_utils.file_sets.restore import Order, restore, revert
from ansible_collections.day2.ops.plugins.module_utils.file_sets.trees import RestoreFailed
from ansible_collections.day2.ops.plugins.module_utils.process.coding import Coding
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import odd, plan
from file_trees import Site, fingerprint, make_tree, mounted


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


def test_a_damaged_archive_leaves_everything_as_it_was(changed: Site) -> None:
    name = changed.call()["set"]["id"]
    changed.call(state="reverted")
    path = changed.archive(name)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    state = path.with_name("state.json")
    known = state.read_bytes()
    for damaged, message in (
        (whole[:middle], "no good set"),
        (flipped, "cannot be restored"),
        (whole + b"x", "no good set"),
    ):
        path.write_bytes(damaged)
        assert message in changed.refused(check_mode=True) and state.read_bytes() == known
        assert message in changed.refused() and json.loads(state.read_bytes())["damaged"]
        state.write_bytes(known)
    path.unlink()
    assert "nothing was touched" in changed.refused()
    assert "nothing was touched" in changed.refused(repository=str(changed.base / "nowhere"))


def test_encrypted_sets_need_their_key(site: Site) -> None:
    keys = [site.base / name for name in ("right", "wrong")]
    for key in keys:
        subprocess.run(["age-keygen", "-o", str(key)], capture_output=True, check=True)
    recipient = subprocess.run(["age-keygen", "-y", str(keys[0])], capture_output=True, text=True, check=True).stdout
    whole = fingerprint(site.tree)
    site.backup(recipients=(recipient.strip(),), identity=str(keys[0]))
    (site.tree / "conf").write_text("broken")
    assert "no identity" in site.refused()
    assert "no identity matched" in site.refused(identity=str(keys[1]))
    assert site.call(identity=str(keys[0]))["changed"] and fingerprint(site.tree) == whole


def test_an_archive_that_would_leave_its_place(site: Site) -> None:
    outside = site.base / "outside"
    outside.write_text("whole")

    def evil(repository: Any, folder: str) -> Any:
        made = pack(Options([str(site.tree)]), repository, folder)
        repository.remove(f"{folder}/{made.files[0].path}")
        member = str(site.tree).lstrip("/")
        argv = [
            "tar",
            "-c",
            "-P",
            "-f",
            "-",
            "-C",
            "/",
            "--no-recursion",
            f"--transform=s,{outside},{member}/../../outside,",
        ]
        tar = streams.Program([*argv, member, str(outside)])
        target = streams.Target("archive001.tar", "archive")
        return replace(made, files=[streams.store(repository, folder, target, Coding(), [tar])])

    run(plan(), open_repository(str(site.repository)), None, evil)
    assert "which lies elsewhere" in site.refused()


def test_too_little_room_is_known_before(changed: Site) -> None:
    changed.call()
    small = changed.base / "small"
    small.mkdir()
    with mounted(small, "size=300k"):
        message = changed.refused(root=str(small))
        assert "does not fit beside what is there" in message and os.listdir(small) == []
    with mounted(small, "size=40m,nr_inodes=6"):
        changed.refused(root=str(small))
    with mounted(small, "size=40m,nr_inodes=20"):
        assert "inodes left" in changed.refused(root=str(small))


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("act", [restore, revert])
def test_killed_before_and_after_every_step(
    site: Site, monkeypatch: pytest.MonkeyPatch, act: Callable[..., Any], exchange: bool
) -> None:
    other = site.base / "srv" / "www"
    make_tree(other)
    site.backup(site.tree, other)
    trees, order = (site.tree, other), Order("files")
    whole = [fingerprint(tree) for tree in trees]
    for tree in trees:
        (tree / "conf").write_text("broken by somebody")
    broken = [fingerprint(tree) for tree in trees]
    repository = open_repository(str(site.repository))
    if not exchange:
        monkeypatch.setattr(tree_swaps, "_renameat2", lambda *_names: False)
    if act is revert:
        restore(order, repository)
    step, killed = 0, True
    while killed:
        step += 1
        killed = in_a_child(partial(act, order, repository), step)
        if exchange:
            for tree, *either in zip(trees, whole, broken):
                assert fingerprint(tree) in either, f"killed at step {step}"
        # The next run finishes what the killed one began, and leaves nothing of it.
        act(order, repository)
        assert [fingerprint(tree) for tree in trees] == (whole if act is restore else broken), f"killed at step {step}"
        if killed:
            assert_only_kept(trees)
        (revert if act is restore else restore)(order, repository)
    assert step > 10


def in_a_child(act: Callable[[], Any], step: int) -> bool:
    """Run it in a process that ends without a word at this call to the file system. False: it ended by itself."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(9)
                return call(*arguments, **options)

            return counting

        for name in ("mkdir", "rename", "replace", "rmdir", "fsync"):
            setattr(os, name, counted(getattr(os, name)))
        tree_swaps._renameat2 = counted(tree_swaps._renameat2)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


def assert_only_kept(trees: Sequence[Path]) -> None:
    """Beside each tree there is the lock, and directories that keep one tree each."""
    for tree in trees:
        for wrapper in tree.parent.glob(".*"):
            assert wrapper.name.endswith(".day2-lock") or (
                wrapper.name.startswith((f".{tree.name}.day2-old-", f".{tree.name}.day2-undone-"))
                and {name.name for name in wrapper.iterdir()} == {"content", "record.json"}
            ), wrapper


def test_killed_at_any_moment(changed: Site) -> None:
    chance = random.Random(7)
    broken = fingerprint(changed.tree)
    whole = changed.call() and fingerprint(changed.tree)
    begun = time.monotonic()
    changed.call(state="reverted")
    changed.call()
    typical = (time.monotonic() - begun) / 2
    kills = 0
    for _run in range(20):
        running = changed.start(state=chance.choice(["present", "reverted"]))
        with suppress(subprocess.TimeoutExpired):
            running.wait(chance.uniform(0.5, 1.0) * typical)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        kills += running.wait() == -signal.SIGKILL
        assert fingerprint(changed.tree) in (whole, broken)
        assert changed.call()["changed"] and fingerprint(changed.tree) == whole
        assert_only_kept([changed.tree])
        assert changed.call(state="reverted")["changed"] and fingerprint(changed.tree) in (whole, broken)
    assert kills > 0


def test_a_disk_that_becomes_full_meanwhile(changed: Site) -> None:
    root = changed.base / "disk"
    root.mkdir()
    with mounted(root, "size=8m"):
        inner, reads = open_repository(str(changed.repository)), []

        def read(key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
            reads.append(key)
            # First it is looked at, and then it is unpacked.
            if len(reads) == 2:
                with suppress(OSError), (root / "filler").open("wb", buffering=0) as stream:
                    while True:
                        stream.write(b"x" * 4096)
            yield from inner.read(key, chunk)

        with pytest.raises(RestoreFailed, match=r"No space left on device.*nothing was replaced"):
            restore(Order("files", root=str(root)), odd(inner, read=read))
        assert os.listdir(root) == ["filler"]


@pytest.fixture
def watched(changed: Site) -> Iterator[list[str]]:
    """What somebody finds who looks at the path all the time."""
    faults: list[str] = []
    done, path = threading.Event(), str(changed.tree / "sub" / "stays")

    def look() -> None:
        while not done.is_set():
            try:
                os.stat(path)
            except OSError as exc:
                faults.append(str(exc))

    looking = threading.Thread(target=look)
    looking.start()
    yield faults
    done.set()
    looking.join()


def test_the_path_is_never_missing(changed: Site, watched: list[str]) -> None:
    for _run in range(3):
        assert changed.call(keep_old="0s")["changed"] and changed.call(state="reverted")["changed"]
    assert watched == []
