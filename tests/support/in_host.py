# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules called in a lab host, past Ansible: a call takes what the module takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import WaitTimeout, wait_for
from maintained_host import ALERTMANAGER, ROOT, SERVICE, Host

UNITS = "/etc/systemd/system"
MATCHERS = [{"name": "service", "value": SERVICE}]


class InHost(Host):
    """`mode` as of Host, without Ansible; `shift` seconds are what the host's clock is ahead."""

    def call(self, name: str, arguments: dict[str, Any], shift: float = 0) -> Any:
        return self.host.direct.answer(name, arguments, shift=shift)

    def mode(self, check_mode: bool = False, shift: float = 0, **arguments: Any) -> Any:
        call = {"service": SERVICE, "owner": "window", "reason": "testing", "duration": "10m", "units": [SERVICE],
                "units_stable": "0.5s",
                "alerts": {"alertmanager": ALERTMANAGER, "matchers": MATCHERS},
                "_ansible_check_mode": check_mode, **arguments}  # fmt: skip
        return self.call("maintenance_mode", call, shift)

    def sh(self, script: str, text: str | None = None, check: bool = True) -> str:
        return str(self.host.run("sh", "-c", script, text=text, check=check))

    def state_of(self, *units: str) -> list[str]:
        return self.sh(f"systemctl is-active {' '.join(units)}", check=False).split("\n")

    def drop_ins(self) -> str:
        return self.sh(f"find {UNITS} -name '*day2-maintenance-*.conf'")

    def soon(self, look: Callable[[], Any], wanted: Callable[[Any], bool], limit: float = 60.0) -> None:
        last: list[Any] = []

        def seen() -> bool:
            last[:] = [look()]
            return wanted(last[0])

        try:
            wait_for(seen, bool, limit, "the host", pause=0.5)
        except WaitTimeout as late:
            raise AssertionError((last, self.sh("day2ctl maintenance status", check=False))) from late

    @contextmanager
    def units(self, **texts: str) -> Iterator[None]:
        """Units of a test's own, by their names with `__` for a dot and `_` for a dash; they go afterwards."""
        names = {name.replace("__", ".").replace("_", "-"): text for name, text in texts.items()}
        for name, text in names.items():
            self.host.run("tee", f"{UNITS}/{name}", text=text)
        self.sh("systemctl daemon-reload")
        try:
            yield
        finally:
            self.sh(f"day2ctl maintenance disable {SERVICE} --force", check=False)
            listed = " ".join(names)
            self.sh(f"systemctl stop {listed}; systemctl reset-failed {listed}", check=False)
            self.sh(f"cd {UNITS}; rm -f {listed}; systemctl daemon-reload")
            # One that refuses a stop by hand does so no longer.
            self.sh(f"systemctl stop {listed}", check=False)

    def trace(self, word: str) -> str:
        """Where a word is that should be nowhere: what everybody reads of the host's state, and its journal."""
        script = (
            f"grep -rl -e \"$1\" {UNITS} /run/systemd/system 2>/dev/null | xargs -r stat -c '%a %n' | grep -v '^600 ';"
            f'find {ROOT} -type f -perm /044 -exec grep -l -e "$1" {{}} +;'
            'journalctl --no-pager -o cat | grep -e "$1";'
            'runuser -u nobody -- day2ctl maintenance status 2>&1 | grep -e "$1";'
            'runuser -u nobody -- day2ctl maintenance status --json 2>&1 | grep -e "$1"; true'
        )
        return str(self.host.run("sh", "-c", script, "sh", word))
