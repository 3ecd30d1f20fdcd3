# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab host that is prepared for maintenance, and what is to be seen from outside of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab.waiting import WaitTimeout, wait_for

SERVICE = "options-engine"
UNIT = f"{SERVICE}.service"
ROOT = "/var/lib/day2/maintenance"
SITE = "/etc/nginx/sites-enabled/options-engine"
ALERTMANAGER = "http://127.0.0.1:9093"
OFFICE = "127.0.0.9"
NGINX = {"maintenance_page_service": SERVICE, "maintenance_page_sites": [SITE],
         "maintenance_page_allow": [f"{OFFICE}/32"], "maintenance_page_retry_after": 120}  # fmt: skip


class Host:
    """The host, the module, and what is to be seen from outside of it."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def mode(self, check_mode: bool = False, **arguments: Any) -> Any:
        call = {
            "service": SERVICE, "owner": "window", "reason": "testing", "duration": "10m", "units": [SERVICE],
            "units_stable": "0.5s",
            "alerts": {"alertmanager": ALERTMANAGER, "matchers": [{"name": "service", "value": SERVICE}]}, **arguments,
        }  # fmt: skip
        return self.host.task("day2.ops.maintenance_mode", call, become_user="root", check_mode=check_mode)

    def get(
        self, path: str = "/metrics", source: str = "127.0.0.1", method: str = "GET"
    ) -> tuple[int, dict[str, str], str]:
        """By Python in the host: status, headers in lower case, body."""
        script = (
            "import http.client,json,ssl,sys\n"
            "c=http.client.HTTPSConnection('127.0.0.1',443,context=ssl._create_unverified_context(),"
            "source_address=(sys.argv[2],0))\n"
            "c.request(sys.argv[3],sys.argv[1]); r=c.getresponse()\n"
            "print(json.dumps([r.status,{k.lower():v for k,v in r.getheaders()},r.read().decode('utf-8','replace')]))"
        )
        status, headers, body = json.loads(self.host.python(script, path, source, method))
        return status, headers, body

    def reload_nginx(self) -> None:
        """For a moment the workers of before answer too: it is over when they have ended."""
        workers = ("pgrep", "-f", "nginx: worker process")
        before = set(self.host.run(*workers).split())
        self.host.run("nginx", "-s", "reload")
        self.until(lambda: not before & set(self.host.run(*workers, check=False).split()))

    def unit(self, name: str = UNIT) -> str:
        return str(self.host.run("systemctl", "is-active", name, check=False))

    def silences(self) -> list[dict[str, Any]]:
        script = (
            f"import urllib.request;print(urllib.request.urlopen('{ALERTMANAGER}/api/v2/silences').read().decode())"
        )
        found = json.loads(self.host.python(script))
        return [each for each in found if each["status"]["state"] == "active"]

    def somebody_silences(self) -> bool:
        """Whether Alertmanager listens, which takes it some time."""
        connect = ("import socket,sys; s=socket.socket(); "
                   "print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))")  # fmt: skip
        address, port = ALERTMANAGER.removeprefix("http://").split(":")
        return bool(self.host.python(connect, address, port) == "0")

    def start_alertmanager(self) -> None:
        """And wait until it can be asked."""
        self.host.run("systemctl", "start", "prometheus-alertmanager")
        self.until(self.somebody_silences)

    def state(self) -> Any:
        text = self.host.run("cat", f"{ROOT}/{SERVICE}/state.json", check=False)
        return json.loads(text) if text else None

    def in_service(self) -> bool:
        left = self.host.run("ls", f"{ROOT}/{SERVICE}", f"/etc/systemd/system/{UNIT}.d", check=False)
        files = [name for name in left.split("\n") if name and not name.endswith(":")]
        return self.get()[0] == 200 and self.unit() == "active" and not self.silences() and not files

    def until(self, wanted: Callable[[], bool], limit: float = 120.0) -> None:
        try:
            wait_for(wanted, bool, limit, "the host", pause=0.5)
        except WaitTimeout as late:
            raise AssertionError((self.state(), self.unit(), self.get()[0])) from late

    def end(self) -> None:
        """Whatever a test left, back to service."""
        self.host.run("day2ctl", "maintenance", "disable", SERVICE, "--force", check=False)
        # One that has not run since the host's start is not known to systemd.
        self.host.run("systemctl", "reset-failed", SERVICE, "prometheus-alertmanager", "redis-server", check=False)
        self.start_alertmanager()
        self.host.run("systemctl", "start", SERVICE)
        self.until(self.somebody_silences)
        self.until(self.in_service)


# What the roles write, and the link that systemd makes of it, for whoever wants it again.
_MADE = (
    "cd / && tar --create --file {kept} usr/local/bin/day2ctl etc/nginx var/lib/day2/pages"
    " etc/systemd/system/day2-maintenance* etc/systemd/system/day2-logs.*"
    " etc/systemd/system/*.wants/day2-maintenance-boot.service --no-recursion var/lib/day2 var/lib/day2/maintenance"
)
_AGAIN = (
    "tar --extract --same-owner --preserve-permissions --file {kept} --directory /; systemctl daemon-reload;"
    " systemctl start nginx"
)
_KEPT = "/root/day2-test-prepared.tar"


def prepare(lab_host: Any) -> Host:
    """With nginx's configuration, day2ctl and Alertmanager, which a fault may have stopped.

    The roles do it once in a host; after that what they made is put back.
    """
    host = Host(lab_host)
    if lab_host.run("find", _KEPT, check=False):
        lab_host.run("sh", "-euc", _AGAIN.format(kept=_KEPT))
        host.reload_nginx()
    else:
        play = {"day2.ops.runtime": {}, "day2.ops.maintenance_page": NGINX}
        for role, variables in play.items():
            done = role_on(lab_host, role, variables)
            assert done.returncode == 0, done.stdout + done.stderr
        lab_host.run("sh", "-euc", _MADE.format(kept=_KEPT))
    host.start_alertmanager()
    host.until(lambda: bool(host.get()))
    return host


def role_on(lab_host: Any, role: str, variables: dict[str, Any], *options: str) -> Any:
    path = lab_host.workdir / "role.json"
    path.write_text(json.dumps([{"hosts": lab_host.name, "gather_facts": False, "become": True,
                                 "roles": [{"role": role, "vars": variables}]}]))  # fmt: skip
    return lab_host.playbook(str(path), *options)
