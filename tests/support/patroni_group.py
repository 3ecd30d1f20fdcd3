# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three servers of one lab host that Patroni manages, with etcd."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for

SCOPE = "day2-ledger"
# Ports of PostgreSQL, and 100 more those of the REST.
PORTS = {"pta": 5541, "ptb": 5542, "ptc": 5543}
USER, PASSWORD, PASSWORD_FILE = "day2", "f1ctional-rest", "/var/lib/postgresql/day2-patroni.pass"
_DCS, _PLACE = 5660, "/var/lib/postgresql/day2-etcd"
_DYNAMIC = {
    # Long enough for a machine that does much else: a test ends the lock of a member that is gone (see `lost`).
    "ttl": 30, "loop_wait": 2, "retry_timeout": 10, "maximum_lag_on_failover": 1048576,
    "postgresql": {"use_pg_rewind": True, "parameters": {"fsync": "off", "wal_keep_size": "64MB"}},
}  # fmt: skip
_START = f"""
mkdir -p /etc/patroni {_PLACE}; chown postgres: {_PLACE}
printf '%s\\n' '{PASSWORD}' > {PASSWORD_FILE}; chmod 600 {PASSWORD_FILE}
systemd-run --quiet --unit=day2-etcd --property=User=postgres etcd --data-dir {_PLACE} --log-level error \\
  --unsafe-no-fsync --listen-client-urls http://127.0.0.1:{_DCS} --advertise-client-urls http://127.0.0.1:{_DCS} \\
  --listen-peer-urls http://127.0.0.1:{_DCS + 1}
"""
_CLEAR = f"""
for name; do
  systemctl kill -s KILL patroni@$name
  pid=$(head -1 /var/lib/postgresql/15/$name/postmaster.pid) && kill -KILL $pid && while [ -e /proc/$pid ]; do
    sleep 0.1
  done
  systemctl stop patroni@$name; systemctl reset-failed patroni@$name
  rm -rf /etc/patroni/$name.yml /var/lib/postgresql/15/$name
done
systemctl stop day2-etcd; systemctl reset-failed day2-etcd
rm -rf {_PLACE} {PASSWORD_FILE}
"""


# Asked past the module: what Patroni itself says.
_ASK = """
import sys, urllib.request
url, method, body = sys.argv[1:]
asked = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"}, method=method)
words = urllib.request.HTTPPasswordMgrWithDefaultRealm()
words.add_password(None, url, *open("/dev/stdin").read().split())
try:
    answer = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(words)).open(asked, timeout=60)
except OSError as error:
    answer = error if hasattr(error, "read") else None
print(answer.read().decode() if answer else "")
"""


def _configuration(name: str, tags: dict[str, Any] | None = None) -> dict[str, Any]:
    port = PORTS[name]
    return {
        "scope": SCOPE,
        "name": f"{name}-member",
        "restapi": {
            "listen": f"127.0.0.1:{port + 100}",
            "connect_address": f"127.0.0.1:{port + 100}",
            "authentication": {"username": USER, "password": PASSWORD},
        },
        "etcd3": {"host": f"127.0.0.1:{_DCS}"},
        "bootstrap": {
            "dcs": _DYNAMIC,
            "initdb": [{"encoding": "UTF8"}, "data-checksums", {"wal-segsize": "1"}],
        },
        "postgresql": {
            "listen": f"127.0.0.1:{port}",
            "connect_address": f"127.0.0.1:{port}",
            "bin_dir": "/usr/lib/postgresql/15/bin",
            "data_dir": f"/var/lib/postgresql/15/{name}",
            "pgpass": f"/var/lib/postgresql/day2-{name}.pgpass",
            "parameters": {"unix_socket_directories": "/var/run/postgresql"},
            "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust",
                       "host replication all 127.0.0.1/32 trust"],
            "authentication": {
                "superuser": {"username": "postgres"},
                "replication": {"username": "replicator"},
            },
        },
        "tags": tags or {},
    }  # fmt: skip


class PatroniGroup:
    """`pta` is the first leader. A member's name in Patroni is not its host's."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def make(self) -> None:
        self.remove()
        self.began = self.host.run("date", "+%s")
        self.host.run("sh", "-euc", _START)
        self.until(lambda: self.ask(f"http://127.0.0.1:{_DCS}/health"), lambda said: "true" in said, "etcd answers")
        for name in PORTS:
            self.start(name)
            self.settled("pta", *[other for other in PORTS if other <= name])

    def remove(self) -> None:
        self.host.run("sh", "-c", _CLEAR, "sh", *PORTS, check=False)

    def start(self, name: str, tags: dict[str, Any] | None = None) -> None:
        # What is JSON is YAML as well.
        self.host.run("tee", f"/etc/patroni/{name}.yml", text=json.dumps(_configuration(name, tags)))
        self.host.run("systemctl", "start", f"patroni@{name}")

    def until(self, look: Callable[[], Any], wanted: Callable[[Any], bool], what: str) -> None:
        wait_for(look, wanted, 90, what, pause=0.2)

    def ask(self, url: str, method: str = "GET", body: str = "") -> str:
        argv = ("python3", "-c", _ASK, url, method, body)
        return str(self.host.run(*argv, text=f"{USER} {PASSWORD}"))

    def rest(self, name: str, path: str, method: str = "GET", **body: Any) -> str:
        """What the Patroni of a member says, asked by hand; empty where it does not answer."""
        return self.ask(f"http://127.0.0.1:{PORTS[name] + 100}{path}", method, json.dumps(body) if body else "")

    def cluster(self) -> dict[str, dict[str, Any]]:
        """Members by host, by whichever Patroni answers."""
        for name in PORTS:
            text = self.rest(name, "/cluster")
            if text:
                return {member["name"][:3]: member for member in json.loads(text)["members"]}
        return {}

    def settled(self, leader: str, *names: str) -> None:
        """The leader leads, and the others stream."""
        wanted = {name: "running" if name == leader else "streaming" for name in names or PORTS}

        def states() -> dict[str, str]:
            # Patroni 3.0 calls a standby that streams `running`.
            found = self.cluster()
            roles = {name: member["role"] for name, member in found.items()}
            if roles.get(leader) != "leader" or len({member.get("timeline") for member in found.values()}) != 1:
                return {}
            return {
                name: "streaming" if name != leader and self.streams(name) else member["state"]
                for name, member in found.items()
                if name in wanted
            }

        self.until(states, lambda said: said == wanted, f"{leader} leads {wanted}")

    def sql(self, name: str, query: str, check: bool = True) -> str:
        argv = ("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(PORTS[name]), "-d", "postgres")
        return str(self.host.run(*argv, "-c", query, check=check))

    def streams(self, name: str) -> bool:
        return self.sql(name, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'", False) == "1"

    def lost(self, name: str) -> None:
        """As a machine that fails: Patroni and its server at once, and neither starts again; its lock has ended."""
        self.host.run("systemctl", "kill", "-s", "KILL", f"patroni@{name}")
        self.until(self.primaries, lambda said: name not in said, f"the server of {name} is gone")
        key = b64encode(f"/service/{SCOPE}/leader".encode()).decode()
        self.ask(f"http://127.0.0.1:{_DCS}/v3/kv/deleterange", "POST", json.dumps({"key": key}))
        self.until(lambda: self.cluster().get(name, {}).get("role"), lambda role: role != "leader", f"{name} leads not")

    def primaries(self) -> list[str]:
        """Servers that take writes now, each asked itself."""
        return [name for name in PORTS if self.sql(name, "SELECT pg_is_in_recovery()", check=False) == "f"]

    def paused(self, name: str, wanted: bool) -> None:
        self.rest(name, "/config", "PATCH", pause=wanted or None)
        self.until(lambda: json.loads(self.rest(name, "/cluster")).get("pause", False), lambda said: said is wanted,
                   "Patroni is paused" if wanted else "Patroni is not paused")  # fmt: skip


@contextmanager
def patroni_group_on(host: Any) -> Iterator[PatroniGroup]:
    made = PatroniGroup(host)
    try:
        made.make()
        yield made
    finally:
        made.remove()
