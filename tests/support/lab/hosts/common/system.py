# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands, files, users and units: each leaves alone what is as it should be."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

# What these look for no container has, and each runs whenever somebody has systemd read its units again, which tests
# do hundreds of times: it is half of such a reading.
_GENERATORS = (
    "cryptsetup", "debug", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run",
    "system-update", "veritysetup",
)  # fmt: skip


def run(argv: Sequence[str], stdin: bytes = b"") -> str:
    """Return the standard output; a failure carries what the command said."""
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise SystemExit(f"{' '.join(argv)} exited {done.returncode}:\n{said}")
    return done.stdout.decode()


def succeeds(argv: Sequence[str]) -> bool:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def folder(path: str, mode: int = 0o755, owner: str = "root", group: str = "root") -> None:
    Path(path).mkdir(parents=True, exist_ok=True)
    Path(path).chmod(mode)
    shutil.chown(path, owner, group)


def file(path: str, content: str | bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> bool:
    """Write a file unless it is there with this content; say whether it was written."""
    target, data = Path(path), content.encode() if isinstance(content, str) else content
    changed = not target.exists() or target.read_bytes() != data
    if changed:
        # Closed to others before the content is in it: it may be a key or a password.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
    target.chmod(mode)
    shutil.chown(path, owner, group)
    return changed


def aged(path: str, moment: float) -> None:
    os.utime(path, (moment, moment))


def user(name: str, *options: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        run(["useradd", *options, name])


def units(definitions: dict[str, str]) -> list[str]:
    """Install unit files; return those that changed."""
    changed = [name for name, text in definitions.items() if file(f"/etc/systemd/system/{name}", text)]
    if changed:
        run(["systemctl", "daemon-reload"])
    return changed


def mask_generators() -> None:
    """systemd.generator(7): a link to nothing takes the place of one of the distribution's."""
    folder("/etc/systemd/system-generators")
    for name in _GENERATORS:
        link = Path(f"/etc/systemd/system-generators/systemd-{name}-generator")
        if not link.is_symlink():
            link.symlink_to("/dev/null")


def timer_ran(timer: str, hour: int) -> bool:
    """Have a persistent timer remember its last run: it is the time of a file. Say whether that changed."""
    moment = datetime.now().astimezone()
    last = moment.replace(hour=hour, minute=0, second=0, microsecond=0)
    last -= timedelta(days=1) if last > moment else timedelta(0)
    stamp = Path(f"/var/lib/systemd/timers/stamp-{timer}")
    # A stamp from before the last run would have the timer make up for it at once.
    if stamp.exists() and stamp.stat().st_mtime >= last.timestamp():
        return False
    folder(str(stamp.parent))
    file(str(stamp), b"")
    aged(str(stamp), last.timestamp())
    return True


def start(unit: str, restart: bool = False) -> None:
    run(["systemctl", "enable", "--quiet", unit])
    run(["systemctl", "restart" if restart else "start", unit])


def wait_until(true: Callable[[], bool], limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not true():
        if time.monotonic() >= end:
            raise SystemExit(f"{what}: not within {limit:g} s")
        time.sleep(0.05)
