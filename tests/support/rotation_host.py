# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs, their writers and logrotate on a lab host, and a reader that shares nothing with what is tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACE = "/srv/day2-logs"
UNIT = "day2-writer"
# Numbered lines, 10,000 a second, to a file that is opened again only when SIGHUP says so.
WRITER = (ROOT / "molecule" / "logs" / "files" / "write.py").read_text()


class RotationHost:
    """The module on a host, as root."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def sh(self, script: str, check: bool = True) -> str:
        return str(self.host.run("sh", "-euc", script, check=check))

    def call(self, name: str, state: str = "present", check_mode: bool = False, **options: Any) -> Any:
        return self.host.task("day2.ops.log_rotation", {"name": name, "state": state, **options}, check_mode=check_mode)

    def done(self, name: str, state: str = "present", **options: Any) -> Any:
        outcome = self.call(name, state, **options)
        assert not outcome.get("failed"), outcome
        return outcome

    def refused(self, name: str = "shop", state: str = "present", **options: Any) -> str:
        outcome = self.call(name, state, **options)
        assert outcome.get("failed"), outcome
        return str(outcome["msg"])

    def numbers(self, pattern: str = f"{PLACE}/app.log") -> list[int]:
        """The numbers of all lines of a log and its pieces, read by the host's own tools."""
        script = f'for f in {pattern}*; do case "$f" in *.zst) zstd -dcq "$f";; *) cat "$f";; esac; done'
        return [int(line.split()[1]) for line in self.sh(script).splitlines()]

    def pieces(self, folder: str = PLACE) -> list[str]:
        return self.sh(f"ls {folder}").split("\n")

    def tidy(self) -> None:
        self.sh(
            f"systemctl stop {UNIT} 2>/dev/null || :; systemctl reset-failed {UNIT} 2>/dev/null || :;"
            " for f in /etc/logrotate.d/*.day2.disabled; do [ ! -e $f ] ||"
            "   dpkg-divert --local --rename --remove ${f%.day2.disabled}; done;"
            f" rm -rf {PLACE} /etc/day2/logs /var/lib/day2/logs /etc/logrotate.d/day2[-.]*; mkdir {PLACE}"
        )


@contextmanager
def writer(on: RotationHost, path: str = f"{PLACE}/app.log", rate: int = 10_000) -> Iterator[str]:
    """A service that writes; its name. Its end is waited for."""
    on.host.run("tee", "/usr/local/lib/day2-writer.py", text=WRITER)
    on.host.run("systemd-run", "--quiet", f"--unit={UNIT}", "python3", "/usr/local/lib/day2-writer.py", path, str(rate))
    on.sh(f"for i in $(seq 100); do [ ! -s '{path}' ] || exit 0; sleep 0.1; done; exit 1")
    try:
        yield UNIT
    finally:
        on.host.run("systemctl", "stop", UNIT)
