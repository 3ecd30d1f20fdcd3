# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made of Debian packages by mmdebstrap, without a registry, cached by what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from .podman import LabError, Podman, require
from .waiting import WaitTimeout, wait_for

# Images belong to the machine, not to a checkout, and so do the locks.
LOCKS = Path("/run/lock")
LOCK_LIMIT = 600.0
# Settings of the machine's apt without which its mirror may not be reachable.
APT_SETTINGS = re.compile(r"^Acquire::(https?::|Check-(Date|Valid-Until) )", re.IGNORECASE)


@dataclass(frozen=True)
class Recipe:
    """What an image is made of. The mirror is no part of it: the packages are the same."""

    repository: str
    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def tag(self) -> str:
        """The image's name, with a digest of the recipe."""
        recipe = {"machine": platform.machine(), **asdict(self), "packages": sorted(self.packages)}
        del recipe["repository"]
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        return f"{self.repository}:{digest[:12]}"


def ensure(podman: Podman, state: Path, recipe: Recipe) -> str:
    """Return the image's name; build it when nobody did."""
    name = recipe.tag()
    if podman.succeeds("image", "exists", name):
        return name
    with only_one(recipe.repository):
        if not podman.succeeds("image", "exists", name):
            _build(podman, name, recipe, state / "build")
    return name


@contextmanager
def only_one(repository: str) -> Iterator[None]:
    """While this lasts, no other process of this machine builds an image of that repository."""
    path = LOCKS / f"{repository.rpartition('/')[2]}-image.lock"
    with path.open("w") as handle:
        try:
            wait_for(lambda: _try_lock(handle), bool, LOCK_LIMIT, f"the image's lock {path}", pause=0.5)
        except WaitTimeout as error:
            raise LabError(str(error)) from error
        yield


def _try_lock(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(podman: Podman, name: str, recipe: Recipe, folder: Path) -> None:
    require("mmdebstrap", "apt-config")
    print(f"building the image {name} (about a minute)", flush=True)
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    # By way of a file: a pipe would import what a failed mmdebstrap had written so far.
    archive, log = folder / "root.tar", folder / "mmdebstrap.log"
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}"]
    command += [f"--customize-hook={hook}" for hook in recipe.hooks]
    command += [f"--aptopt={line}" for line in _apt_settings()]
    command += [recipe.suite, str(archive), *_sources(recipe.suite)]
    try:
        with log.open("wb") as output:
            made = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        if made.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise LabError(f"mmdebstrap exited {made.returncode} ({log}):\n{tail}")
        changes = [part for change in recipe.changes for part in ("--change", change)]
        podman.run("import", "--quiet", *changes, str(archive), name)
    finally:
        archive.unlink(missing_ok=True)
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)


def _sources(suite: str) -> list[str]:
    """The machine's own apt sources of this suite; none: mmdebstrap's default mirror."""
    folder = Path("/etc/apt/sources.list.d")
    parts = sorted(path for path in folder.glob("*") if path.suffix in (".list", ".sources"))
    candidates = [Path("/etc/apt/sources.list"), *parts]
    return [str(path) for path in candidates if path.is_file() and _has_suite(path.read_text(), suite)]


def _has_suite(text: str, suite: str) -> bool:
    lines = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    one_line = any(words[:1] == ["deb"] and suite in words and "main" in words for words in lines)
    deb822 = any(words[:1] == ["Suites:"] and suite in words for words in lines)
    return one_line or (deb822 and any(words[:1] == ["Components:"] and "main" in words for words in lines))


def _apt_settings() -> list[str]:
    shown = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return [line for line in shown.stdout.splitlines() if APT_SETTINGS.match(line)]
