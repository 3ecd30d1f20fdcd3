# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base image: Debian packages put together by mmdebstrap, cached by what it is made of."""

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
from pathlib import Path
from typing import TextIO

from .podman import LabError, Podman, require
from .waiting import WaitTimeout, wait_for

REPOSITORY = "localhost/day2-lab"
SUITE = "bookworm"
PACKAGES = (
    "age",
    "ca-certificates",
    "cron",
    "dbus",
    "iproute2",
    "iputils-ping",
    "logrotate",
    "nftables",
    "nginx-light",
    "openssh-server",
    "openssl",
    "pgbackrest",
    "postgresql",
    "procps",
    "prometheus-alertmanager",
    "python3",
    "python3-apt",
    "python3-boto3",
    "python3-jmespath",
    "python3-psycopg2",
    "redis-server",
    "sudo",
    "systemd",
    "systemd-sysv",
    "ufw",
    "zstd",
)
HOOKS = (
    # Keys baked into an image are shared by everyone who has it: a lab makes its own.
    'rm -f "$1"/etc/ssh/ssh_host_*',
    # A host type that wants these enables them (and says when a timer last ran).
    'chroot "$1" systemctl disable --quiet ssh.service logrotate.timer prometheus-alertmanager.service',
    # A host that is looked at must not begin to update itself.
    'chroot "$1" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer',
)
CHANGES = ('CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3")
# Images belong to the machine, not to a checkout, and so does the lock.
LOCK = Path("/run/lock/day2-lab-image.lock")
LOCK_LIMIT = 600.0
# Settings of the machine's apt without which its mirror may not be reachable.
APT_SETTINGS = re.compile(r"^Acquire::(https?::|Check-(Date|Valid-Until) )", re.IGNORECASE)


def tag() -> str:
    """The name of the image. The mirror is no part of it: the packages are the same."""
    recipe = {
        "machine": platform.machine(),
        "suite": SUITE,
        "packages": sorted(PACKAGES),
        "hooks": HOOKS,
        "changes": CHANGES,
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return f"{REPOSITORY}:{digest[:12]}"


def ensure(podman: Podman, state: Path) -> str:
    """Return the image's name; build it when nobody did."""
    name = tag()
    if podman.succeeds("image", "exists", name):
        return name
    with _only_one_builds():
        if not podman.succeeds("image", "exists", name):
            _build(podman, name, state / "build")
    return name


@contextmanager
def _only_one_builds() -> Iterator[None]:
    with LOCK.open("w") as handle:
        try:
            wait_for(lambda: _try_lock(handle), bool, LOCK_LIMIT, f"the image's lock {LOCK}", pause=0.5)
        except WaitTimeout as error:
            raise LabError(str(error)) from error
        yield


def _try_lock(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(podman: Podman, name: str, folder: Path) -> None:
    require("mmdebstrap", "apt-config")
    print(f"building the lab's image {name} (about a minute)", flush=True)
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    # By way of a file: a pipe would import what a failed mmdebstrap had written so far.
    archive, log = folder / "base.tar", folder / "mmdebstrap.log"
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [f"--customize-hook={hook}" for hook in HOOKS]
    command += [f"--aptopt={line}" for line in _apt_settings()]
    command += [SUITE, str(archive), *_sources()]
    try:
        with log.open("wb") as output:
            made = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        if made.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise LabError(f"mmdebstrap exited {made.returncode} ({log}):\n{tail}")
        changes = [part for change in CHANGES for part in ("--change", change)]
        podman.run("import", "--quiet", *changes, str(archive), name)
    finally:
        archive.unlink(missing_ok=True)
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)


def _sources() -> list[str]:
    """The machine's own apt sources of this suite; none: mmdebstrap's default mirror."""
    folder = Path("/etc/apt/sources.list.d")
    parts = sorted(path for path in folder.glob("*") if path.suffix in (".list", ".sources"))
    candidates = [Path("/etc/apt/sources.list"), *parts]
    return [str(path) for path in candidates if path.is_file() and _has_suite(path.read_text())]


def _has_suite(text: str) -> bool:
    lines = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    one_line = any(words[:1] == ["deb"] and SUITE in words and "main" in words for words in lines)
    deb822 = any(words[:1] == ["Suites:"] and SUITE in words for words in lines)
    return one_line or (deb822 and any(words[:1] == ["Components:"] and "main" in words for words in lines))


def _apt_settings() -> list[str]:
    shown = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return [line for line in shown.stdout.splitlines() if APT_SETTINGS.match(line)]
